"""Archives of tensors that are patches on others."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Sequence

from flyweight import _core, _files, _serialize
from flyweight._safe_open import safe_open
from flyweight._sources import ArchiveSource


def save_file(
    tensors: list[_serialize.Tensor], path: pathlib.Path, level: str | int, threads: int, bases: Sequence[pathlib.Path]
) -> None:
    """As _serialize.save_file; a patch on the last of `bases`, each of which is a patch on the one before it."""
    if not bases:
        _serialize.save_file(tensors, path, None, level, threads)
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as provisional:
        laid_out = pathlib.Path(provisional) / path.name.removesuffix(".fly")
        _serialize.lay_out_file(tensors, None, laid_out)
        _files.compress_file(laid_out, path, base=list(bases), level=level, threads=threads)


def open_file(path: pathlib.Path, bases: Sequence[pathlib.Path], threads: int) -> safe_open:
    """Opens an archive that save_file wrote with these bases."""
    if not bases:
        return safe_open(path, framework="pt", threads=threads)
    archive = _core.Archive.from_path(os.fsencode(path), [os.fsencode(base) for base in bases])
    return safe_open._from_source(ArchiveSource(archive, os.fspath(path)), "pt", threads)
