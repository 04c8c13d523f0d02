"""Archives of numpy arrays, with the functions of safetensors.numpy.

bfloat16 and the 8-bit floats are types of the package ml_dtypes: arrays of them can be saved, and loading them needs
that package.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flyweight import _dtypes, _serialize
from flyweight._buffers import read_view
from flyweight._errors import FlyweightError
from flyweight._files import Path
from flyweight._safe_open import safe_open

if TYPE_CHECKING:
    import numpy as np


def save_file(
    tensor_dict: dict[str, np.ndarray[Any, Any]],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    *,
    level: str | int = "balanced",
    threads: int = 0,
) -> None:
    """Writes an archive of the safetensors file of these arrays.

    What `flyweight decompress` makes of it is what the package safetensors would have written. The file appears
    complete and verified, or not at all. Arrays that are not contiguous or not little-endian are copied first.
    """
    _serialize.save_file(_tensors(tensor_dict), filename, metadata, level, threads)


def save(
    tensor_dict: dict[str, np.ndarray[Any, Any]],
    metadata: dict[str, str] | None = None,
    *,
    level: str | int = "balanced",
    threads: int = 0,
) -> bytes:
    """As save_file, into bytes."""
    return _serialize.save(_tensors(tensor_dict), metadata, level, threads)


def load_file(
    filename: str | os.PathLike[str],
    *,
    backend: str = "mmap",
    threads: int = 0,
    base: Path | Sequence[Path] | None = None,
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an archive, or of a plain safetensors file; `base` is as safe_open has it."""
    with safe_open(filename, framework="np", backend=backend, threads=threads, base=base) as opened:
        return opened.get_tensors()


def load(data: Any, *, threads: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """As load_file, from the file's bytes."""
    with safe_open._from_bytes(read_view(data), "np", threads) as opened:
        return opened.get_tensors()


def _tensors(tensor_dict: dict[str, np.ndarray[Any, Any]]) -> list[_serialize.Tensor]:
    return [_tensor(name, array) for name, array in tensor_dict.items()]


def _tensor(name: str, array: Any) -> _serialize.Tensor:
    import numpy as np

    if not isinstance(name, str) or not isinstance(array, (np.ndarray, np.generic)):
        raise TypeError(f"expected names and numpy arrays, got {name!r}: {type(array).__name__}")
    array = np.asarray(array, order="C")
    if not array.dtype.isnative or sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    dtype = _dtypes.FROM_NUMPY.get(array.dtype.name)
    if dtype is None:
        raise TypeError(f"tensor {name!r}: safetensors has no dtype for numpy's {array.dtype}")
    return _serialize.Tensor(name, dtype, array.shape, read_view(array), array.nbytes, array)


class NumpyFramework:
    """numpy as _frameworks.Framework."""

    def empty(self, dtype: str, shape: tuple[int, ...], name: str) -> tuple[Any, Any]:
        import numpy as np

        array: Any = np.empty(shape, _numpy_dtype(dtype, name))
        return array, memoryview(array.reshape(-1).view(np.uint8))

    def finish(self, block: Any, steps: tuple[int | slice, ...], flips: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        import numpy as np

        selected = np.flip(block[steps], flips) if flips else block[steps]
        return block.reshape(shape) if selected.size == block.size and not flips else selected.reshape(shape).copy()

    def place(self, tensor: Any) -> Any:
        return tensor


def _numpy_dtype(dtype: str, name: str) -> Any:
    import numpy as np

    numpy_name = _dtypes.NUMPY_NAMES.get(dtype)
    if numpy_name is None:
        raise FlyweightError(f"tensor {name!r}: numpy has no dtype for {dtype}")
    if dtype not in _dtypes.ML_DTYPES:
        return np.dtype(numpy_name)
    try:
        import ml_dtypes
    except ImportError:
        raise FlyweightError(f"tensor {name!r} is {dtype}: numpy needs the package ml_dtypes for it") from None
    return np.dtype(getattr(ml_dtypes, numpy_name))
