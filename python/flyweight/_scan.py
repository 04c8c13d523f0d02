"""A look at a file before it is compressed."""

from __future__ import annotations

import os
from typing import Any

from flyweight import _core
from flyweight._buffers import check_threads


def scan(path: str | os.PathLike[str], threads: int = 0) -> dict[str, Any]:
    """How small each level would make a file or a directory, and why, from a sample.

    Returns what `flyweight scan --json -v` prints: `container_format`, `file_bytes`, `sampled_bytes`, `levels` (the
    archive's bytes by level) and `tensors`, each with `name`, `file`, `dtype`, `shape`, `bytes`, `levels`, `reason` and
    `same_as`. Writes nothing.
    """
    os.stat(path)  # what is missing is a FileNotFoundError
    return _core.scan(os.fsencode(path), check_threads(threads))
