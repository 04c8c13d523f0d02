"""What a file of PyTorch must be annotated as, told by PyTorch itself and not by how flyweight reads the file."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

import torch

NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex32": "OPAQUE",
    "complex64": "C64",
    "complex128": "OPAQUE",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float4_e2m1fn_x2": "F4",
    "qint8": "OPAQUE",
    "quint8": "OPAQUE",
    "qint32": "OPAQUE",
}
DTYPES = [getattr(torch, name) for name in NAMES if hasattr(torch, name) and not name.startswith("q")]


@dataclasses.dataclass
class Expected:
    name: str  # a pattern: "storage.*"
    dtype: str
    shape: tuple[int, ...]
    content: bytes

    def fits(self, name: str, dtype: str, shape: tuple[int, ...]) -> bool:
        return fnmatch.fnmatchcase(name, self.name) and dtype == self.dtype and shape == self.shape


def any_bits(dtype: torch.dtype, shape: tuple[int, ...], seed: int = 1) -> torch.Tensor:
    """Random bits in every element."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel() * dtype.itemsize
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (count,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def walk(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors, in the order in which they are written, with the path to each."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from walk(member, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, (list, tuple)):
        for position, member in enumerate(value):
            yield from walk(member, f"{path}.{position}".removeprefix("."))


def storage_bytes(tensor: torch.Tensor) -> bytes:
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).numpy().tobytes()


def expectations(value: Any) -> list[Expected]:
    """The tensors of a file that `value` was saved to, in no order."""
    storages: dict[Any, list[tuple[str, torch.Tensor]]] = {}
    for name, tensor in walk(value):
        storage = tensor.untyped_storage()
        storages.setdefault(storage.data_ptr() or len(storages), []).append((name, tensor))
    return [expected for users in storages.values() for expected in _of_storage(users)]


def _of_storage(users: list[tuple[str, torch.Tensor]]) -> list[Expected]:
    dtype = users[0][1].dtype
    content = storage_bytes(users[0][1])
    in_a_row = [(name, tensor) for name, tensor in users if tensor.is_contiguous()]
    for name, tensor in in_a_row:
        if tensor.nbytes == len(content):
            return [_expected(name or "storage.*", dtype, tuple(tensor.shape), content)]
    places = {(tensor.storage_offset(), tensor.numel()): (name, tensor) for name, tensor in reversed(in_a_row)}
    parts, end = [], 0
    for (offset, count), (name, tensor) in sorted(places.items(), key=lambda place: place[0]):
        if offset != end:
            break
        begin, end = offset * dtype.itemsize, offset + count
        parts.append(_expected(name, dtype, tuple(tensor.shape), content[begin : end * dtype.itemsize]))
    if end * dtype.itemsize == len(content):
        return parts
    return [_expected("storage.*", dtype, (len(content) // dtype.itemsize,), content)]


def _expected(name: str, dtype: torch.dtype, shape: tuple[int, ...], content: bytes) -> Expected:
    flyweight_name = NAMES[str(dtype).removeprefix("torch.")]
    if flyweight_name == "F4":
        shape = (*shape[:-1], 2 * shape[-1]) if shape else (2,)
    return Expected(name, flyweight_name, shape, content)
