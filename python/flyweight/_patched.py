"""Archives of tensors that are patches on others."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from flyweight import _serialize
from flyweight._errors import FlyweightError
from flyweight._safe_open import safe_open


def save_file(
    tensors: list[_serialize.Tensor],
    path: pathlib.Path,
    level: str | int,
    threads: int,
    bases: Sequence[pathlib.Path],
) -> None:
    """As _serialize.save_file; a patch on the last of `bases`, each of which is a patch on the one before it."""
    if bases:
        raise FlyweightError("this build cannot write patches")
    _serialize.save_file(tensors, path, None, level, threads)


def open_file(path: pathlib.Path, bases: Sequence[pathlib.Path], threads: int) -> safe_open:
    """Opens an archive that save_file wrote with these bases."""
    if bases:
        raise FlyweightError("this build cannot read patches")
    return safe_open(path, framework="pt", threads=threads)
