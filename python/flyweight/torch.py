"""Archives of torch tensors, with the functions of safetensors.torch. torch is imported when one of them is called."""

from __future__ import annotations

import ctypes
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flyweight import _dtypes, _serialize
from flyweight._buffers import raw, read_view
from flyweight._errors import FlyweightError
from flyweight._files import Path
from flyweight._safe_open import safe_open

if TYPE_CHECKING:
    import torch

# Names of dtypes that torch spells in its own way; the others are spelled as numpy spells them.
_TORCH_NAMES = {**_dtypes.NUMPY_NAMES, "F4": "float4_e2m1fn_x2"}
_FROM_TORCH = {f"torch.{torch_name}": name for name, torch_name in _TORCH_NAMES.items()}
_INTEGERS = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}


def save_file(
    tensors: dict[str, torch.Tensor],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    *,
    level: str | int = "balanced",
    threads: int = 0,
) -> None:
    """Writes an archive of the safetensors file of these tensors.

    What `flyweight decompress` makes of it is what the package safetensors would have written. The file appears
    complete and verified, or not at all. Raises as safetensors does: RuntimeError for tensors that share memory (use
    save_model), ValueError for sparse and for non-contiguous ones.
    """
    _serialize.save_file(_tensors(tensors), filename, metadata, level, threads)


def save(
    tensors: dict[str, torch.Tensor],
    metadata: dict[str, str] | None = None,
    *,
    level: str | int = "balanced",
    threads: int = 0,
) -> bytes:
    """As save_file, into bytes."""
    return _serialize.save(_tensors(tensors), metadata, level, threads)


def load_file(
    filename: str | os.PathLike[str],
    device: str | int = "cpu",
    *,
    backend: str = "mmap",
    threads: int = 0,
    base: Path | Sequence[Path] | None = None,
) -> dict[str, torch.Tensor]:
    """The tensors of an archive, or of a plain safetensors file; `base` is as safe_open has it."""
    with safe_open(filename, framework="pt", device=device, backend=backend, threads=threads, base=base) as opened:
        return opened.get_tensors()


def load(data: Any, *, threads: int = 0) -> dict[str, torch.Tensor]:
    """As load_file, from the file's bytes."""
    with safe_open._from_bytes(read_view(data), "pt", threads) as opened:
        return opened.get_tensors()


def save_model(
    model: torch.nn.Module,
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    force_contiguous: bool = True,
    *,
    level: str | int = "balanced",
    threads: int = 0,
) -> None:
    """Writes the state of a model. Of tensors that share memory one is kept; the metadata names it for each other.

    `force_contiguous` makes tensors contiguous that are not, which changes no value.
    """
    state = model.state_dict()
    dropped = {name: kept for kept, names in _duplicates(state).items() for name in names}
    if dropped:
        metadata = {**dropped, **(metadata or {})}
    kept_state = {name: tensor for name, tensor in state.items() if name not in dropped}
    if force_contiguous:
        kept_state = {name: tensor.contiguous() for name, tensor in kept_state.items()}
    save_file(kept_state, filename, metadata, level=level, threads=threads)


def load_model(
    model: torch.nn.Module,
    filename: str | os.PathLike[str],
    strict: bool = True,
    device: str | int = "cpu",
    *,
    backend: str = "mmap",
    threads: int = 0,
) -> tuple[list[str], list[str]]:
    """Loads the state of a model into it. Returns the names that were missing and those that the model does not have.

    Raises RuntimeError where there are any and `strict` is set.
    """
    state = load_file(filename, device=device, backend=backend, threads=threads)
    aliases = _duplicates(model.state_dict(), preferred=state.keys())
    result = model.load_state_dict(state, strict=False)
    missing, unexpected = set(result.missing_keys), list(result.unexpected_keys)
    for name in (name for names in aliases.values() for name in names):
        if name in missing:
            missing.remove(name)
        else:
            unexpected.append(name)
    if strict and (missing or unexpected):
        lines = [f"Error(s) in loading state_dict for {type(model).__name__}:"]
        lines += [f"    Missing key(s) in state_dict: {_quoted(missing)}"] if missing else []
        lines += [f"    Unexpected key(s) in state_dict: {_quoted(unexpected)}"] if unexpected else []
        raise RuntimeError("\n".join(lines))
    return sorted(missing), unexpected


def _quoted(names: Collection[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))


# Tensors as bytes -----------------------------------------------------------------------------------------------------


def describe(tensor: torch.Tensor) -> tuple[Any, str, tuple[int, ...]]:
    """A tensor's bytes in one dimension, its dtype (U8 where unknown) and its shape."""
    if not tensor.is_contiguous():
        raise ValueError("the tensor is not contiguous; pass tensor.contiguous()")
    dtype = _FROM_TORCH.get(str(tensor.dtype), "U8")
    return _bytes(tensor.detach().cpu().resolve_conj().resolve_neg()), dtype, _logical_shape(tensor, dtype)


def writable_bytes(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor that decompress() may fill."""
    if tensor.device.type != "cpu" or not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
        raise ValueError("out is no contiguous tensor on the CPU")
    return _bytes(tensor.detach())


def _bytes(tensor: torch.Tensor) -> Any:
    size = tensor.numel() * tensor.element_size()
    if size == 0:
        return memoryview(bytearray())
    if tensor.data_ptr() == 0:
        raise ValueError(f"the tensor has no data (device {tensor.device})")
    array: Any = (ctypes.c_ubyte * size).from_address(tensor.data_ptr())
    array.owner = tensor  # the view keeps the array, the array the memory
    return raw(array)


def _logical_shape(tensor: torch.Tensor, dtype: str) -> tuple[int, ...]:
    # torch counts pairs of 4-bit elements, safetensors the elements.
    shape = tuple(tensor.shape)
    return (*shape[:-1], 2 * shape[-1]) if dtype == "F4" and shape else shape


# Saving ---------------------------------------------------------------------------------------------------------------


def _tensors(tensors: dict[str, torch.Tensor]) -> list[_serialize.Tensor]:
    _check_types(tensors)
    shared = [names for names in _shared(tensors) if len(names) > 1]
    if shared:
        raise RuntimeError(
            f"Some tensors share memory: {shared}. They would be written twice and load as separate ones; "
            "save_model keeps one of each."
        )
    return [_tensor(name, tensor) for name, tensor in tensors.items()]


def _check_types(tensors: dict[str, torch.Tensor]) -> None:
    import torch

    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}")
        if tensor.layout != torch.strided:
            raise ValueError(f"Tensor `{name}` is sparse, which safetensors cannot hold; `.to_dense()` makes it dense.")
        if not tensor.is_contiguous():
            raise ValueError(f"Tensor `{name}` is not contiguous; call `.contiguous()` on it before saving.")


def _tensor(name: str, tensor: torch.Tensor) -> _serialize.Tensor:
    if str(tensor.dtype) not in _FROM_TORCH:
        raise ValueError(f"Tensor `{name}`: safetensors has no dtype for {tensor.dtype}")
    data, dtype, shape = describe(tensor)
    return _serialize.Tensor(name, dtype, shape, data, len(data))


# Shared memory --------------------------------------------------------------------------------------------------------


def _shared(tensors: Mapping[str, torch.Tensor]) -> list[set[str]]:
    """The names, grouped by overlapping memory."""
    storages: defaultdict[tuple[Any, int, int], list[tuple[int, int, str]]] = defaultdict(list)
    for name, tensor in tensors.items():
        if tensor.device.type == "meta":
            continue
        storage = tensor.untyped_storage()
        if storage.data_ptr() and storage.nbytes():
            begin, end = _area(tensor)
            storages[tensor.device, storage.data_ptr(), storage.nbytes()].append((begin, end, name))
    groups: list[set[str]] = []
    for areas in storages.values():
        last_end = -1
        for begin, end, name in sorted(areas):
            if begin >= last_end:
                groups.append(set())
            groups[-1].add(name)
            last_end = max(last_end, end)
    return groups


def _area(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses from a tensor's first element to behind its last."""
    begin = tensor.data_ptr()
    if tensor.numel() == 0:
        return begin, begin
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + (last + 1) * tensor.element_size()


def _duplicates(state: Mapping[str, torch.Tensor], preferred: Collection[str] = ()) -> dict[str, list[str]]:
    """For each group that shares memory the name to keep, and the others.

    Raises RuntimeError where none covers the memory.
    """
    result: dict[str, list[str]] = {}
    for names in _shared(state):
        whole = sorted(name for name in names if _is_whole(state[name]))
        if not whole and len(names) == 1:
            whole = list(names)
        if not whole:
            raise RuntimeError(
                f"Tensors {sorted(names)} share memory, and none of them covers it: there is no one to keep."
            )
        keep = next((name for name in whole if name in preferred), whole[0])
        if len(names) > 1:
            result[keep] = sorted(names - {keep})
    return result


def _is_whole(tensor: torch.Tensor) -> bool:
    storage = tensor.untyped_storage()
    return bool(tensor.data_ptr() == storage.data_ptr() and tensor.numel() * tensor.element_size() == storage.nbytes())


# Loading --------------------------------------------------------------------------------------------------------------


class TorchFramework:
    """torch as _frameworks.Framework."""

    def __init__(self, device: str | int) -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device)

    def empty(self, dtype: str, shape: tuple[int, ...], name: str) -> tuple[Any, Any]:
        torch_dtype = getattr(self._torch, _TORCH_NAMES.get(dtype, ""), None)
        if torch_dtype is None:
            raise FlyweightError(f"tensor {name!r}: this torch has no dtype for {dtype}")
        if dtype == "F4":
            if not shape or shape[-1] % 2:
                raise FlyweightError(
                    f"tensor {name!r}: torch holds 4-bit elements in pairs, the rows of {shape} are odd"
                )
            shape = (*shape[:-1], shape[-1] // 2)
        tensor = self._torch.empty(shape, dtype=torch_dtype)
        return tensor, _bytes(tensor)

    def finish(self, block: Any, steps: tuple[int | slice, ...], flips: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        # As integers, which every operation knows, unlike the 8-bit floats.
        numbers = block.view(getattr(self._torch, _INTEGERS[block.element_size()]))
        selected = numbers[steps]
        if flips:
            selected = selected.flip(flips)
        elif selected.numel() != block.numel():
            selected = selected.clone(memory_format=self._torch.contiguous_format)
        return selected.reshape(shape).view(block.dtype)

    def place(self, tensor: Any) -> Any:
        return tensor.to(self._device)
