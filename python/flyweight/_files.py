"""Verbs over files: compress, restore, apply patches, verify, compare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from flyweight import _core, _levels
from flyweight._buffers import check_threads

Path = str | os.PathLike[str]


def base_paths(base: Path | Sequence[Path] | None) -> list[bytes]:
    """A base, or a base and the patches on it, as the extension takes them."""
    if base is None:
        return []
    if isinstance(base, (str, bytes, os.PathLike)):
        return [os.fsencode(base)]
    return [os.fsencode(path) for path in base]


def compress_file(
    source: Path | Sequence[Path],
    target: Path,
    *,
    base: Path | Sequence[Path] | None = None,
    level: str | int = "balanced",
    overwrite: bool = False,
    threads: int = 0,
    lossy_delta: str | None = None,
) -> dict[str, int]:
    """Compresses a file, a directory or several of them into the archive `target`, as the command does.

    With `base`, a file of any container, a directory or an archive, the archive is a patch: it holds what changed.
    A list gives a base and the patches on it, the oldest first; the patch then is one on what the last of them gives.
    `lossy_delta` makes what changed smaller and not exact, as the command's --lossy-delta does: "error=0.05" loses at
    most a twentieth of what changed, as a root of sums of squares over the whole model.
    The archive is read back and compared before it takes its name. Returns source_bytes, archive_bytes, files, tensors.
    """
    return _core.compress_paths(
        base_paths(source),
        os.fsencode(target),
        base_paths(base),
        _levels.number(level),
        check_threads(threads),
        overwrite,
        lossy_delta or "",
    )


def decompress_file(
    source: Path,
    target: Path,
    *,
    base: Path | Sequence[Path] | None = None,
    overwrite: bool = False,
    threads: int = 0,
) -> dict[str, int]:
    """Restores what an archive holds as the file or directory `target`; `base` is what a patch stands on.

    Raises BaseMismatchError, before anything is written, where the base is missing or another one.
    """
    return _core.decompress_path(
        os.fsencode(source), os.fsencode(target), base_paths(base), check_threads(threads), overwrite
    )


def apply(
    base: Path,
    patches: Path | Sequence[Path],
    target: Path,
    *,
    overwrite: bool = False,
    threads: int = 0,
) -> dict[str, int]:
    """Restores what the last of `patches` gives, which stand on `base` and on each other in this order.

    Nothing between is written anywhere. Raises BaseMismatchError, before anything is written, where they do not fit.
    """
    return _core.apply_patches(
        os.fsencode(base), base_paths(patches), os.fsencode(target), check_threads(threads), overwrite
    )


def verify(path: Path, *, base: Path | Sequence[Path] | None = None, threads: int = 0) -> dict[str, int]:
    """Checks everything of an archive that can be checked, and raises where something is not right.

    Of a patch without its base that is what is stored; `lacks_base` in the result says so.
    """
    return _core.verify(os.fsencode(path), check_threads(threads), base_paths(base))


def identity(*paths: Path, threads: int = 0) -> str:
    """Which model it is, whatever holds it: 64 hexadecimal digits over names, dtypes, shapes and bytes of tensors.

    Of a file of any container, a directory or an archive; more paths are patches on the first.
    """
    return _core.identity(base_paths(paths), check_threads(threads))


def diff(base: Path, variant: Path, *, tensors: Sequence[str] = (), threads: int = 0) -> dict[str, Any]:
    """What differs between two models: files of any container, directories, archives.

    Returns `same`, and of each tensor and file a dict with its name, kind ("same", "changed", "renamed", "re-typed",
    "re-shaped", "added", "removed") and how much it changed. `tensors` are patterns of names: only these then.
    """
    patterns = [os.fsencode(pattern) for pattern in tensors]
    return _core.diff(os.fsencode(base), os.fsencode(variant), check_threads(threads), patterns)
