"""Buffers in, buffers out."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flyweight import _core, _dtypes, _levels

if TYPE_CHECKING:
    from typing_extensions import Buffer

Out = TypeVar("Out")


def compress(
    buffer: Buffer | Any,
    dtype: Any = None,
    shape: Sequence[int] | None = None,
    level: str | int = "balanced",
    threads: int = 0,
) -> bytes:
    """Compresses the bytes of `buffer` losslessly into an archive.

    `buffer` is anything with the buffer protocol (bytes, mmap, a numpy array of any dtype, ...) or a torch tensor; it
    must be C-contiguous and is only read. `dtype` says what the bytes are: any usual name or a numpy or torch dtype;
    where it is left out, it is that of the array or of the buffer's format, and bytes for everything else. `shape`
    defaults to the buffer's own; the last dimension is the row length that the coder looks at. `threads` is how many
    CPUs to use, 0 for all; the result does not depend on it. Raises ValueError where dtype, shape and size disagree.
    """
    effort = _levels.number(level)
    data, own_dtype, own_shape = describe(buffer)
    name = own_dtype if dtype is None else _dtypes.canonical(dtype)
    size = len(data)
    if shape is None:
        dims = own_shape if math.prod(own_shape) * _dtypes.BITS[name] == 8 * size else ()
    else:
        dims = tuple(shape)
        if any(dimension < 0 for dimension in dims):
            raise ValueError(f"shape {dims} has a negative dimension")
        if math.prod(dims) * _dtypes.BITS[name] != 8 * size:
            raise ValueError(f"{size} bytes are not a {name} tensor of shape {dims}")
    if not dims:
        if size * 8 % _dtypes.BITS[name]:
            raise ValueError(f"{size} bytes are not a whole number of {name} elements")
        dims = (size * 8 // _dtypes.BITS[name],)
    return _core.compress(data, name, list(dims), check_threads(threads), effort)


@overload
def decompress(blob: Buffer, out: None = None, threads: int = 0) -> bytes: ...
@overload
def decompress(blob: Buffer, out: Out, threads: int = 0) -> Out: ...
def decompress(blob: Buffer, out: Out | None = None, threads: int = 0) -> bytes | Out:
    """Restores what an archive holds, every checksum verified.

    Without `out` returns bytes. With `out`, any writable C-contiguous buffer of exactly the size, decodes straight
    into it and returns it; after an error its content is undefined. Raises FlyweightError where the blob is damaged.
    """
    archive = _core.Archive.from_bytes(read_view(blob))
    if out is None:
        return archive.decode(check_threads(threads))
    target = write_view(out)
    if len(target) != archive.file_bytes:
        raise ValueError(f"out has {len(target)} bytes, the archive holds {archive.file_bytes}")
    archive.decode_into(target, check_threads(threads))
    return out


def check_threads(threads: int) -> int:
    if threads < 0:
        raise ValueError(f"threads must be 0 (all CPUs) or more, not {threads}")
    return threads


def cpu_count() -> int:
    """CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def describe(buffer: Any) -> tuple[Any, str, tuple[int, ...]]:
    """A buffer's bytes in one dimension, its dtype (U8 where unknown) and its shape."""
    if (array := _as_numpy(buffer)) is not None:
        if array.dtype.hasobject:
            raise TypeError("an array of Python objects holds no numbers to compress")
        return _numpy_bytes(array), _dtypes.of_numpy(array.dtype) or "U8", array.shape
    if _is_torch(buffer):
        from flyweight import torch

        return torch.describe(buffer)
    view = _contiguous(buffer)
    return flat(view), _dtypes.of_format(view.format) or "U8", view.shape or ()


def read_view(buffer: Any) -> Any:
    """The bytes of a buffer in one dimension, without a copy."""
    return describe(buffer)[0]


def write_view(buffer: Any) -> Any:
    """The bytes of a writable buffer in one dimension. Raises ValueError where it is read-only."""
    if _is_torch(buffer):
        from flyweight import torch

        return torch.writable_bytes(buffer)
    if (array := _as_numpy(buffer)) is not None:
        if not array.flags.writeable:
            raise ValueError("out is read-only")
        return _numpy_bytes(array)
    view = _contiguous(buffer)
    if view.readonly:
        raise ValueError("out is read-only")
    return flat(view)


def _as_numpy(buffer: Any) -> Any:
    """The buffer where it is a numpy array, else None; numpy is never imported for that."""
    numpy = sys.modules.get("numpy")
    return buffer if numpy is not None and isinstance(buffer, numpy.ndarray) else None


def _is_torch(buffer: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(buffer, torch.Tensor)


def _numpy_bytes(array: Any) -> Any:
    # Through a view of bytes: numpy exports no buffer for the types of ml_dtypes.
    if not array.flags.c_contiguous:
        raise ValueError("the array is not C-contiguous; pass numpy.ascontiguousarray(array)")
    return memoryview(sys.modules["numpy"].asarray(array).reshape(-1).view("uint8"))


def _contiguous(buffer: Any) -> memoryview:
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(f"{type(buffer).__name__} has no buffer protocol and is no torch tensor") from None
    if not view.c_contiguous:
        raise ValueError("the buffer is not C-contiguous; pass a copy, bytes(buffer) for one")
    return view


def flat(view: memoryview) -> memoryview:
    """The same memory as bytes in one dimension. Precondition: C-contiguous."""
    if view.format == "B" and view.ndim == 1:
        return view
    with contextlib.suppress(TypeError):
        return view.cast("B")
    # cast refuses formats like "<f" and shapes with a 0.
    return raw(view.obj if view.obj is not None and _is_whole(view) else view)


def raw(buffer: Any) -> memoryview:
    """The bytes of a C-contiguous buffer of any format in one dimension.

    Do not give it a memoryview where there is another way: CPython 3.11 crashes when it collects a cycle with a view
    of a view.
    """
    from pickle import PickleBuffer

    return PickleBuffer(buffer).raw()


def _is_whole(view: memoryview) -> bool:
    """Whether the view shows all of the object it was made of."""
    try:
        whole = memoryview(view.obj)
    except TypeError:
        return False
    return whole.c_contiguous and whole.nbytes == view.nbytes
