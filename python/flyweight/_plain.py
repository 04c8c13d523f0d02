"""Python objects as JSON, without a pickle: what a training state holds beside its tensors.

None, bool, int, str, finite floats and lists are themselves in JSON. Everything else is an object with one key, which
names the kind. Nothing but the kinds in this file can be made by reading.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flyweight._errors import FormatError

#: Objects nested deeper than this are refused, in both directions.
MAX_DEPTH = 64
_MAX_INT_BITS = 4096  # JSON in Python knows no integer of more than some thousand digits.


def encode(value: Any, keep_tensor: Callable[[Any], str]) -> Any:
    """The JSON value for `value`. `keep_tensor` is given each tensor in it and returns the name it is kept under.

    Raises TypeError for an object that is none of the known kinds (a subclass of one is none of them), ValueError for
    one that is nested too deep or too large.
    """
    return _encode(value, keep_tensor, 0)


def decode(value: Any, load_tensor: Callable[[str], Any]) -> Any:
    """The inverse of encode. Raises FormatError for what encode does not write."""
    return _decode(value, load_tensor, 0)


def _encode(value: Any, keep_tensor: Callable[[Any], str], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"objects nested deeper than {MAX_DEPTH} levels (or containing themselves)")
    kind = type(value)
    if kind is int and value.bit_length() > _MAX_INT_BITS:
        raise ValueError(f"an integer of more than {_MAX_INT_BITS} bits")
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
    if kind is list:
        return [_encode(item, keep_tensor, depth + 1) for item in value]
    if kind in (tuple, set):
        # Sets in an order of their own, so that equal states make equal files.
        items = value if kind is tuple else sorted(value, key=repr)
        return {kind.__name__: [_encode(item, keep_tensor, depth + 1) for item in items]}
    if kind in (dict, OrderedDict):
        pairs = [[_encode(item, keep_tensor, depth + 1) for item in pair] for pair in value.items()]
        return {"dict" if kind is dict else "ordered_dict": pairs}
    if kind in (bytes, bytearray):
        return {kind.__name__: base64.b64encode(value).decode()}
    if kind is complex:
        return {"complex": struct.pack(">dd", value.real, value.imag).hex()}
    return _encode_torch(value, keep_tensor)


def _encode_torch(value: Any, keep_tensor: Callable[[Any], str]) -> Any:
    import torch

    if type(value) is torch.Size:
        return {"size": list(value)}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if type(value) is torch.Tensor:
        return {"tensor": keep_tensor(value)}
    raise TypeError(
        f"an object of type {type(value).__module__}.{type(value).__qualname__}. What can be kept without a pickle is "
        "None, bool, int, float, complex, str, bytes, list, tuple, set, dict, OrderedDict, tensors, and torch's Size, "
        "dtype and device"
    )


def _decode(value: Any, load_tensor: Callable[[str], Any], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise FormatError(f"objects nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [_decode(item, load_tensor, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise FormatError("an object that is of no kind, or of several")
    ((kind, content),) = value.items()
    try:
        return _decode_kind(kind, content, load_tensor, depth)
    except (AttributeError, TypeError, ValueError, struct.error, binascii.Error, RuntimeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"a malformed object of kind {kind!r}") from error


def _decode_kind(kind: str, content: Any, load_tensor: Callable[[str], Any], depth: int) -> Any:
    if kind in ("tuple", "set"):
        items = [_decode(item, load_tensor, depth + 1) for item in _list(content)]
        return tuple(items) if kind == "tuple" else set(items)
    if kind in ("dict", "ordered_dict"):
        pairs = [[_decode(item, load_tensor, depth + 1) for item in _list(pair)] for pair in _list(content)]
        return dict(pairs) if kind == "dict" else OrderedDict(pairs)
    if kind in ("bytes", "bytearray"):
        data = base64.b64decode(content, validate=True)
        return data if kind == "bytes" else bytearray(data)
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(content))[0]
    if kind == "complex":
        return complex(*struct.unpack(">dd", bytes.fromhex(content)))
    if kind == "tensor" and isinstance(content, str):
        return load_tensor(content)
    return _decode_torch(kind, content)


def _decode_torch(kind: str, content: Any) -> Any:
    import torch

    if kind == "size":
        return torch.Size(_list(content))
    if kind == "dtype":
        return torch_dtype(content)
    if kind == "device":
        return torch.device(content)
    raise FormatError(f"an object of the unknown kind {kind!r}")


def torch_dtype(name: Any) -> Any:
    """torch's dtype of that name. Raises FormatError where there is none."""
    import torch

    dtype = getattr(torch, name, None) if isinstance(name, str) else None
    if not isinstance(dtype, torch.dtype):
        raise FormatError(f"this torch has no dtype {name!r}")
    return dtype


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError("something else than a list")
    return value
