"""The checksums of the exchanged layout, as the text that is written."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from flyweight import _core


def _xxh3_128(data: Any) -> str:
    return _core.wide_checksum(data).hex()


def _adler32(data: Any) -> str:
    return f"{zlib.adler32(data):08x}"


def _blake3(data: Any) -> str:
    try:
        import blake3
    except ImportError:
        raise ImportError("checksums of the kind blake3 need the package blake3: pip install blake3") from None
    return str(blake3.blake3(data).hexdigest())


_FUNCTIONS: dict[str, Callable[[Any], str]] = {"xxh3-128": _xxh3_128, "adler32": _adler32, "blake3": _blake3}


def find(name: str) -> Callable[[Any], str]:
    """The function of that name, from bytes to text. Raises ValueError for others."""
    function = _FUNCTIONS.get(name)
    if function is None:
        raise ValueError(f"unknown checksum {name!r}; known are {', '.join(_FUNCTIONS)}")
    return function
