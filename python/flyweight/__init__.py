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
    from flyweight._files import apply, compress_file, decompress_file, diff, identity, verify
    from flyweight._open_many import open_many
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
    "apply",
    "apply_patch_",
    "compress",
    "compress_delta",
    "compress_file",
    "decompress",
    "decompress_delta",
    "decompress_file",
    "diff",
    "identity",
    "make_patch",
    "numpy",
    "open_many",
    "peek_is_delta",
    "safe_open",
    "scan",
    "sync",
    "torch",
    "verify",
]


# What compress and decompress do not need is imported when it is asked for: the module by the name in it.
_LAZY = {
    "apply": "_files",
    "apply_patch_": "_delta",
    "compress_delta": "_delta",
    "compress_file": "_files",
    "decompress_delta": "_delta",
    "decompress_file": "_files",
    "diff": "_files",
    "identity": "_files",
    "make_patch": "_delta",
    "open_many": "_open_many",
    "peek_is_delta": "_delta",
    "safe_open": "_safe_open",
    "scan": "_scan",
    "verify": "_files",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY:
        return getattr(import_module(f"flyweight.{_LAZY[name]}"), name)
    if name in ("numpy", "sync", "torch"):
        return import_module(f"flyweight.{name}")
    raise AttributeError(f"module 'flyweight' has no attribute {name!r}")
