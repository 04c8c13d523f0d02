"""The safetensors layout, and the way of a set of tensors into an archive."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import math
import mmap
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flyweight import _core, _dtypes, _levels
from flyweight._buffers import check_threads

# The order in which safetensors writes dtypes: widest first, so that every tensor is aligned.
_ORDER = (
    *("U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16"),
    *("F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8"),
    *("F6_E3M2", "F6_E2M3", "F4", "BOOL"),
)
_RANK = {name: rank for rank, name in enumerate(_ORDER)}
_ALIGNMENT_BYTES = 8
# A file up to this size is laid out in memory before it is compressed, a larger one in an unnamed temporary file.
_MEMORY_BYTES = 256 << 20


@dataclass(frozen=True)
class Tensor:
    """A tensor to write. `data` is its bytes, or a function that returns them; `keep` whatever owns them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: Any
    size_bytes: int
    keep: Any = None


def layout(tensors: list[Tensor], metadata: dict[str, str] | None) -> tuple[bytes, list[Tensor]]:
    """The header and the order of the tensors behind it, byte for byte as the package safetensors writes them.

    (That package writes more than one entry of metadata in an order that changes from run to run; here it is the
    caller's.)
    """
    ordered = sorted(tensors, key=lambda tensor: (_RANK[tensor.dtype], tensor.name.encode()))
    description: dict[str, Any] = {}
    if metadata is not None:
        description["__metadata__"] = _checked_metadata(metadata)
    offset = 0
    for tensor in ordered:
        if tensor.name == "__metadata__":
            raise ValueError("a tensor cannot be named __metadata__")
        if math.prod(tensor.shape) * _dtypes.BITS[tensor.dtype] != 8 * tensor.size_bytes:
            raise ValueError(f"tensor {tensor.name!r}: {tensor.size_bytes} bytes are not {tensor.dtype} {tensor.shape}")
        end = offset + tensor.size_bytes
        description[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    header = json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNMENT_BYTES)
    return len(header).to_bytes(8, "little") + header, ordered


def lay_out_file(tensors: list[Tensor], metadata: dict[str, str] | None, path: str | os.PathLike[str]) -> None:
    """Writes the plain safetensors file of `tensors`, which must not exist."""
    header, ordered = layout(tensors, metadata)
    with open(path, "xb") as file:
        file.writelines(_pieces(header, ordered))


def save(tensors: list[Tensor], metadata: dict[str, str] | None, level: str | int, threads: int) -> bytes:
    """An archive of the safetensors file of `tensors`."""
    check_threads(threads)
    effort = _levels.number(level)
    with _laid_out(tensors, metadata, None) as content:
        return _core.compress_file_to_bytes(content, b"", threads, effort)


def save_file(
    tensors: list[Tensor],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None,
    level: str | int,
    threads: int,
) -> None:
    """Writes the archive of the safetensors file of `tensors` under `filename`.

    The file appears complete, decoded once and found right, or not at all; until then an older file of that name stays.
    """
    check_threads(threads)
    effort = _levels.number(level)
    path = os.path.realpath(filename)
    folder, base = os.path.split(os.fsencode(path))
    if os.path.exists(path) and not os.path.isfile(path):
        raise IsADirectoryError(errno.EISDIR, "Is a directory or a special file", os.fsdecode(path))
    temporary = os.path.join(folder, b"." + base[:200] + b"." + secrets.token_hex(6).encode() + b".tmp")
    name = base.removesuffix(b".fly")
    with contextlib.ExitStack() as undo:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        undo.callback(os.unlink, temporary)
        try:
            mode = _mode(path, descriptor)
            os.fchmod(descriptor, 0o600)
            with _laid_out(tensors, metadata, folder) as content:
                _core.compress_file_to_descriptor(content, name, descriptor, temporary, threads, effort)
            os.fsync(descriptor)
            _core.verify(temporary, threads)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        undo.pop_all()
    _sync_folder(folder)


@contextlib.contextmanager
def _laid_out(tensors: list[Tensor], metadata: dict[str, str] | None, folder: bytes | None) -> Iterator[memoryview]:
    """The safetensors file as bytes: in memory, or, where it is large, in a nameless file in `folder` (if given)."""
    header, ordered = layout(tensors, metadata)
    total = len(header) + sum(tensor.size_bytes for tensor in ordered)
    pieces = _pieces(header, ordered)
    if folder is None or total <= _MEMORY_BYTES:
        memory = mmap.mmap(-1, total)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):
                memory.madvise(mmap.MADV_HUGEPAGE)
        for piece in pieces:
            memory.write(piece)
    else:
        with tempfile.TemporaryFile(dir=folder) as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            memory = mmap.mmap(file.fileno(), total, access=mmap.ACCESS_READ)
    with memory, memoryview(memory) as content:
        yield content


def _pieces(header: bytes, ordered: list[Tensor]) -> Iterator[Any]:
    # One at a time: a tensor may have to be copied from a device first.
    return itertools.chain([header], (_data(tensor) for tensor in ordered if tensor.size_bytes))


def _data(tensor: Tensor) -> Any:
    data = tensor.data() if callable(tensor.data) else tensor.data
    if len(data) != tensor.size_bytes:
        raise ValueError(f"tensor {tensor.name!r} has {len(data)} bytes, its shape asks for {tensor.size_bytes}")
    return data


def _checked_metadata(metadata: dict[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata is text by text: {key!r} is {type(value).__name__}")
    return dict(metadata)


def _mode(path: str, new_descriptor: int) -> int:
    """The permissions of the file that is replaced, or those that the new file was made with."""
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        return os.fstat(new_descriptor).st_mode & 0o777


def _sync_folder(folder: bytes) -> None:
    descriptor = os.open(folder or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
