"""A chain of versions of a folder: each an archive, most of them patches on the one before.

The archives lie in a folder of their own with `chain.json`, which says which of them stands on which. That file is
replaced after an archive is written and verified, and before one is removed, so that it never names what is not there.
"""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from flyweight import _atomic, _files
from flyweight._errors import BaseMismatchError, FlyweightError, FormatError, UnsupportedVersionError

MANIFEST = "chain.json"
_FORMAT = "flyweight chain"
_VERSION = 1

CURRENT = "current"
ABANDONED = "abandoned"  #: a run that was resumed from before this step has gone another way
FORGOTTEN = "forgotten"  #: kept only because others are patches on it
_STATES = (CURRENT, ABANDONED, FORGOTTEN)


@dataclass
class Version:
    """One version: step `step`, in archive `file`, which is a patch on archive `base` where it has one."""

    step: int
    file: str
    base: str | None
    size_bytes: int
    state: str = CURRENT


class Chain:
    """The versions in `folder`, which need not exist yet."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(folder)
        #: In the order in which they were added.
        self.versions = _read(self.folder / MANIFEST)

    def steps(self) -> list[int]:
        """The steps that can be restored, those of abandoned runs left out."""
        return sorted(version.step for version in self.versions if version.state == CURRENT)

    def find(self, step: int | None = None) -> Version:
        """The version of `step`, by default the newest. Raises FlyweightError where there is none."""
        wanted = max(self.steps(), default=None) if step is None else step
        found = [version for version in self.versions if version.step == wanted and version.state != FORGOTTEN]
        if not found:
            there_are = ", ".join(map(str, self.steps())) or "none"
            what = "no version" if step is None else f"no version of step {step}"
            raise FlyweightError(f"{self.folder} has {what}; steps in it: {there_are}")
        return found[-1]

    def lineage(self, version: Version) -> list[pathlib.Path]:
        """The archives that a version needs, the one that stands alone first, its own last.

        Raises BaseMismatchError where one is missing or has another size.
        """
        by_file = {each.file: each for each in self.versions}
        paths: list[pathlib.Path] = []
        each: Version | None = version
        while each is not None:
            path = self.folder / each.file
            if not path.is_file() or path.stat().st_size != each.size_bytes:
                problem = "has another size than it was written with" if path.exists() else "is missing"
                raise BaseMismatchError(f"{path} {problem}: step {version.step} of the chain needs it")
            paths.append(path)
            each = by_file[each.base] if each.base is not None else None
        return paths[::-1]

    def add(
        self, step: int, source: pathlib.Path, key_frame_every: int, level: str | int = "balanced", threads: int = 0
    ) -> Version:
        """Adds a version: the folder `source`. Its archive is read back and compared before the chain has it.

        What the chain has of this step and of later ones belongs to a run that was abandoned, and is marked so.
        """
        bases = self._bases(step, key_frame_every)
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / self._free_name(step)
        # Left there by a run that ended before the chain had it.
        target.unlink(missing_ok=True)
        try:
            _files.compress_file(source, target, base=bases or None, level=level, threads=threads)
        except FlyweightError as error:
            if not bases:
                raise
            warnings.warn(f"step {step} is stored whole, since its base cannot be read: {error}", stacklevel=2)
            bases = []
            _files.compress_file(source, target, level=level, threads=threads)
        added = Version(step, target.name, bases[-1].name if bases else None, target.stat().st_size)
        for each in self.versions:
            if each.step >= step and each.state == CURRENT:
                each.state = ABANDONED
        self.versions.append(added)
        self._write()
        return added

    def verify(self, version: Version, threads: int = 0) -> None:
        """Decodes a version wholly and checks every checksum, without writing anything."""
        *bases, path = self.lineage(version)
        _files.verify(path, base=bases or None, threads=threads)

    def restore(self, version: Version, target: pathlib.Path, threads: int = 0) -> None:
        """Restores a version as the folder `target`, which appears complete or not at all and must not exist."""
        *bases, path = self.lineage(version)
        if target.exists():
            raise FileExistsError(f"{target} exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as provisional:
            whole = pathlib.Path(provisional) / target.name
            _files.decompress_file(path, whole, base=bases or None, threads=threads)
            os.rename(whole, target)
        _atomic.sync_folder(target.parent)

    def keep_last(self, count: int) -> None:
        """Forgets all but the newest `count` versions, and removes the archives that none of these needs."""
        current = [each for each in self.versions if each.state == CURRENT]
        kept = sorted(current, key=lambda each: each.step)[-count:]
        needed = {path.name for each in kept for path in self.lineage(each)}
        removed = [each.file for each in self.versions if each.file not in needed]
        self.versions = [each for each in self.versions if each.file in needed]
        for each in self.versions:
            if each not in kept:
                each.state = FORGOTTEN
        self._write()
        for file in removed:
            (self.folder / file).unlink(missing_ok=True)

    def _bases(self, step: int, key_frame_every: int) -> list[pathlib.Path]:
        """What the version of `step` is a patch on; empty where it is to stand alone."""
        earlier = [each for each in self.versions if each.step < step and each.state == CURRENT]
        if not earlier:
            return []
        try:
            paths = self.lineage(max(earlier, key=lambda each: each.step))
        except BaseMismatchError as error:
            warnings.warn(f"step {step} is stored whole, since the chain is broken: {error}", stacklevel=3)
            return []
        return paths if len(paths) < key_frame_every else []

    def _free_name(self, step: int) -> str:
        taken = {each.file for each in self.versions}
        name, number = f"checkpoint-{step}.fly", 1
        while name in taken:
            number += 1
            name = f"checkpoint-{step}.{number}.fly"
        return name

    def _write(self) -> None:
        document = {"format": _FORMAT, "version": _VERSION, "versions": [asdict(each) for each in self.versions]}
        _atomic.write(self.folder / MANIFEST, json.dumps(document, indent=1).encode() + b"\n")


def _read(path: pathlib.Path) -> list[Version]:
    try:
        document: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise FormatError(f"{path} is damaged: {error}") from None
    try:
        if document["format"] != _FORMAT:
            raise FormatError(f"{path} is not the list of a chain")
        if document["version"] != _VERSION:
            raise UnsupportedVersionError(f"{path} is of version {document['version']}, known is {_VERSION}")
        versions = [Version(**version) for version in document["versions"]]
    except (KeyError, TypeError) as error:
        raise FormatError(f"{path} is malformed: {error}") from None
    earlier: set[str] = set()
    for version in versions:
        # A base is listed before what stands on it, which also rules out circles.
        if version.file != os.path.basename(version.file) or version.state not in _STATES:
            raise FormatError(f"{path} is malformed: {version}")
        if version.base is not None and version.base not in earlier:
            raise FormatError(f"{path}: {version.file} stands on {version.base}, which the chain does not have")
        earlier.add(version.file)
    return versions
