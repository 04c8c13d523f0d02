"""Names of element types: flyweight's own (those of safetensors), numpy's and the buffer protocol's."""

from __future__ import annotations

import struct
import sys
from typing import Any

from flyweight import _core

OPAQUE = "OPAQUE"

#: Bits of one element by name.
BITS: dict[str, int] = dict(_core.dtypes())

#: Names as numpy spells them. Those after "complex64" are types of the package ml_dtypes.
NUMPY_NAMES: dict[str, str] = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
ML_DTYPES: frozenset[str] = frozenset({"BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
FROM_NUMPY: dict[str, str] = {numpy_name: name for name, numpy_name in NUMPY_NAMES.items()}

_SIGNED = {8: "I8", 16: "I16", 32: "I32", 64: "I64"}
_UNSIGNED = {8: "U8", 16: "U16", 32: "U32", 64: "U64"}
_OTHER = {"?": "BOOL", "e": "F16", "f": "F32", "d": "F64", "Zf": "C64"}


def canonical(dtype: Any) -> str:
    """The name for "bf16", "BF16", "torch.bfloat16", numpy.float16, numpy.dtype("float16"), torch.float16."""
    spelling = dtype if isinstance(dtype, str) else _spelling(dtype)
    name = _core.dtype_name(spelling)
    if name is None:
        raise ValueError(f"unknown dtype {dtype!r}; known are {', '.join(BITS)} and their usual aliases")
    return name


def _spelling(dtype: Any) -> str:
    if isinstance(dtype, type):
        return dtype.__name__
    name = getattr(dtype, "name", None)
    return name if isinstance(name, str) else str(dtype)


def of_numpy(dtype: Any) -> str | None:
    """The name of a numpy dtype; None for those without a counterpart and for foreign byte orders."""
    return FROM_NUMPY.get(dtype.name) if dtype.isnative and sys.byteorder == "little" else None


def of_format(code: str) -> str | None:
    """The name of a buffer's format (as in the module struct), or None."""
    prefix = code[0] if code and code[0] in "@=<>!" else "@"
    if prefix in ">!" or (prefix in "@=" and sys.byteorder == "big"):
        return None
    code = code.lstrip("@=<")
    if code in _OTHER:
        return _OTHER[code]
    if code == "c":
        return "U8"
    if len(code) != 1 or code.lower() not in "bhilqn":
        return None
    bits = 8 * struct.calcsize((prefix if code.lower() != "n" else "@") + code)
    return (_SIGNED if code.islower() else _UNSIGNED).get(bits)
