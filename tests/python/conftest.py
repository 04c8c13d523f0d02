"""What the tests share: arrays to try everything on, and equality by bits."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import settings

# The same examples in every run, and nothing left behind in the working folder.
settings.register_profile("flyweight", database=None, deadline=None, derandomize=True)
settings.load_profile("flyweight")

#: Every dtype that numpy can hold, by flyweight's name.
NUMPY_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype("uint8"),
    "I8": np.dtype("int8"),
    "U16": np.dtype("uint16"),
    "I16": np.dtype("int16"),
    "U32": np.dtype("uint32"),
    "I32": np.dtype("int32"),
    "U64": np.dtype("uint64"),
    "I64": np.dtype("int64"),
    "F16": np.dtype("float16"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("float32"),
    "F64": np.dtype("float64"),
    "C64": np.dtype("complex64"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
}


def any_bits(dtype: str, shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    """Random bits: NaNs with payloads, denormals, infinities and all."""
    numpy_dtype = NUMPY_DTYPES[dtype]
    count = math.prod(shape)
    generator = np.random.default_rng(seed)
    high = 2 if dtype == "BOOL" else 256
    raw = generator.integers(0, high, count * numpy_dtype.itemsize, dtype=np.uint8)
    return raw.view(numpy_dtype).reshape(shape)


def weights(dtype: str, shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    """What a trained layer looks like."""
    values = np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)
    return values.astype(NUMPY_DTYPES[dtype])


def bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    """What makes two arrays the same: dtype, shape and bytes. `==` would call NaN different and -0.0 equal to 0.0."""
    return str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes()


@pytest.fixture
def all_tensors() -> dict[str, np.ndarray]:
    """A tensor of each dtype, a scalar, an empty one, odd names, and one that spans several chunks."""
    tensors = {f"layer.{name}": any_bits(name, (5, 3), seed) for seed, name in enumerate(NUMPY_DTYPES)}
    tensors["scalar"] = np.array(3.5, np.float32)
    tensors["empty"] = np.empty((0, 7), np.float16)
    tensors['quote " and \\ and \u00fc \U0001f98b \n'] = np.arange(3, dtype=np.int32)
    tensors["large"] = weights("BF16", (1500, 512))
    return tensors
