"""flyweight keeps the weights of neural networks small, without changing a bit of them.

`compress` and `decompress` work on anything with the buffer protocol. `safe_open`, `flyweight.numpy` and
`flyweight.torch` are shaped like the package safetensors and read and write archives (`.fly`) instead. Nothing here
imports numpy or torch before a function that returns or takes their arrays is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyweight._buffers import compress, decompress
from flyweight._core import version as __version__
from flyweight._errors import (
    AlreadyAppliedError,
    BaseMismatchError,
    ChecksumError,
    FlyweightError,
    FormatError,
    LimitError,
    UnsupportedVersionError,
)

if TYPE_CHECKING:
    from flyweight import numpy, sync, torch
    from flyweight._delta import apply_patch_, compress_delta, decompress_delta, make_patch, peek_is_delta
    from flyweight._safe_open import safe_open
    from flyweight._scan import scan

__all__ = [
    "AlreadyAppliedError",
    "BaseMismatchError",
    "ChecksumError",
    "FlyweightError",
    "FormatError",
    "LimitError",
    "UnsupportedVersionError",
    "__version__",
    "apply_patch_",
    "compress",
    "compress_delta",
    "decompress",
    "decompress_delta",
    "make_patch",
    "numpy",
    "peek_is_delta",
    "safe_open",
    "scan",
    "sync",
    "torch",
]


def __getattr__(name: str) -> Any:
    # What compress and decompress do not need is imported when it is asked for.
    if name == "safe_open":
        from flyweight._safe_open import safe_open

        return safe_open
    if name == "scan":
        from flyweight._scan import scan

        return scan
    if name in ("apply_patch_", "compress_delta", "decompress_delta", "make_patch", "peek_is_delta"):
        from flyweight import _delta

        return getattr(_delta, name)
    if name in ("numpy", "sync", "torch"):
        from importlib import import_module

        return import_module(f"flyweight.{name}")
    raise AttributeError(f"module 'flyweight' has no attribute {name!r}")
