"""The layout in which trainers and inference engines exchange versions of weights today.

    ROOT/weight_v000012/model-00000-of-00002.safetensors, ..., model.safetensors.index.json

A version is an anchor (a whole checkpoint) or a delta: of each tensor that changed a 1-D U8 tensor with one zstd frame,
of the exclusive or with the version before ("xor") or of the bytes that changed ("overwrite"). The metadata of a shard
has the checksum of each new tensor, that of the index names version, base and encodings.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyweight import _core, _serialize, _sources
from flyweight._atomic import sync_folder
from flyweight._errors import AlreadyAppliedError, BaseMismatchError, FormatError
from flyweight._state import Bytes, address, all_writable, readable, side_by_side
from flyweight.sync import _checksums
from flyweight.sync._shards import read_json, shard_path, write_whole

INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_FOLDER = re.compile(r"weight_v(\d{6,18})")
_DELTA_KEYS = ("version", "base_version", "delta_encoding", "compression_format", "checksum_format")
_ENCODERS = {"xor": _core.xor_delta, "overwrite": _core.overwrite_delta}


@dataclass(frozen=True)
class Version:
    """A version as its index describes it."""

    folder: Path
    number: int
    base: int | None  #: None for an anchor
    encoding: str
    checksum: str
    weight_map: Mapping[str, str]  #: file by tensor

    @property
    def is_anchor(self) -> bool:
        return self.base is None

    def shards(self) -> dict[str, list[str]]:
        """The tensors of each file."""
        result: dict[str, list[str]] = {}
        for name, shard in self.weight_map.items():
            result.setdefault(shard, []).append(name)
        return result


def folder_name(number: int) -> str:
    return f"weight_v{number:06d}"


def list_versions(root: str | os.PathLike[str]) -> list[int]:
    """The numbers of the versions that are complete, ascending."""
    numbers = []
    for entry in Path(root).iterdir():
        match = _FOLDER.fullmatch(entry.name)
        if match and ((entry / INDEX).is_file() or (entry / _SINGLE).is_file()):
            numbers.append(int(match[1]))
    return sorted(numbers)


def open_version(folder: str | os.PathLike[str]) -> Version:
    """Reads and checks the index of a version. Raises FormatError, FileNotFoundError."""
    path = Path(folder)
    match = _FOLDER.fullmatch(path.name)
    if match is None:
        raise FormatError(f"{path}: the folder of a version is called weight_v and six digits")
    number = int(match[1])
    if not (path / INDEX).exists() and (path / _SINGLE).exists():
        names = [entry.name for entry in _sources.open_path(path / _SINGLE).entries]
        return Version(path, number, None, "", "", dict.fromkeys(names, _SINGLE))
    index = read_json(path / INDEX)
    metadata, weight_map = index.get("metadata", {}), index.get("weight_map")
    if not isinstance(metadata, dict) or not isinstance(weight_map, dict):
        raise FormatError(f"{path / INDEX}: metadata or weight_map is missing")
    for shard in weight_map.values():
        shard_path(path, shard)
    if "delta_encoding" not in metadata:
        return Version(path, number, None, "", "", weight_map)
    return _delta(path, number, metadata, weight_map)


def _delta(path: Path, number: int, metadata: dict[str, Any], weight_map: dict[str, str]) -> Version:
    missing = [key for key in _DELTA_KEYS if not isinstance(metadata.get(key), (str, int))]
    if missing:
        raise FormatError(f"{path / INDEX}: the metadata of a delta lacks {', '.join(missing)}")
    version, base, encoding, compression, checksum = (str(metadata[key]) for key in _DELTA_KEYS)
    if not version.isdecimal() or not base.isdecimal() or int(version) != number or int(base) >= number:
        raise FormatError(f"{path / INDEX}: version {version!r} on {base!r} in a folder of version {number}")
    if encoding not in _ENCODERS or compression != "zstd":
        raise FormatError(f"{path / INDEX}: unknown encoding {encoding!r} or compression {compression!r}")
    try:
        _checksums.find(checksum)
    except ValueError as error:
        raise FormatError(f"{path / INDEX}: {error}") from None
    return Version(path, number, int(base), encoding, checksum, weight_map)


def find_chain(root: str | os.PathLike[str], target: int | None = None, current: int | None = None) -> list[Version]:
    """The versions to apply, in order, for `target` (default: the newest) to whoever holds `current` (None: nothing).

    Begins with an anchor where `current` is None or cannot be reached. Raises BaseMismatchError where a version between
    is gone, so that no chain is replayed on another base than its own.
    """
    folder = Path(root)
    if target is None:
        numbers = list_versions(folder)
        if not numbers:
            raise FileNotFoundError(f"{folder}: no version of weights")
        target = numbers[-1]
    chain: list[Version] = []
    number = target
    while number != current:
        if not (folder / folder_name(number)).is_dir():
            needed = (
                f"version {number}, on which version {chain[-1].number} is based," if chain else f"version {number}"
            )
            raise BaseMismatchError(f"{folder}: {needed} is gone, and no anchor lies between")
        version = open_version(folder / folder_name(number))
        chain.append(version)
        if version.base is None:
            break
        number = version.base
    return chain[::-1]


# Writing --------------------------------------------------------------------------------------------------------------


def write_version(
    root: str | os.PathLike[str],
    number: int,
    state: Mapping[str, Any],
    *,
    base: Mapping[str, Any] | None = None,
    base_version: int | None = None,
    encoding: str = "xor",
    checksum: str = "xxh3-128",
    level: int = 1,
    shard_bytes: int = 4 << 30,
    threads: int = 0,
) -> Path:
    """Writes version `number` of the weights `state` and returns its folder.

    With `base`, the state of version `base_version`, a delta against it, else an anchor. `encoding` is "xor" or
    "overwrite", `checksum` "xxh3-128", "adler32" or "blake3" (with the package blake3). Each file is written under
    another name, flushed and renamed, the index last: a version that has one is complete. Raises ValueError where
    state and base differ in more than values: publish an anchor then; FileExistsError where the version is there.
    """
    if (base is None) != (base_version is None):
        raise ValueError("a delta needs base and base_version")
    if base_version is not None and not 0 <= base_version < number:
        raise ValueError(f"version {number} cannot be based on version {base_version}")
    if encoding not in _ENCODERS:
        raise ValueError(f"unknown encoding {encoding!r}; known are {', '.join(_ENCODERS)}")
    folder = Path(root) / folder_name(number)
    if (folder / INDEX).exists():
        raise FileExistsError(f"{folder} exists")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = [readable(name, tensor) for name, tensor in state.items()]
    shards: list[tuple[list[_serialize.Tensor], dict[str, str] | None]]
    if base is None:
        metadata: dict[str, Any] = {"total_size": sum(len(tensor.data) for tensor in tensors)}
        shards = [
            ([_serialize.Tensor(t.name, t.dtype, t.shape, t.data, len(t.data), t.owner) for t in group], None)
            for group in _groups(tensors, shard_bytes)
        ]
    else:
        metadata = dict(
            zip(_DELTA_KEYS, (f"{number:06d}", f"{base_version:06d}", encoding, "zstd", checksum), strict=True)
        )
        changes = _changes(tensors, base, encoding, checksum, level, threads)
        shards = [
            (
                [_serialize.Tensor(name, "U8", (len(frame),), frame, len(frame)) for name, frame, _ in group],
                {name: text for name, _, text in group},
            )
            for group in _groups(changes, shard_bytes)
        ]
    weight_map = {}
    for index, (group, texts) in enumerate(shards):
        name = f"model-{index:05d}-of-{len(shards):05d}.safetensors"
        header, ordered = _serialize.layout(group, texts)
        write_whole(folder / name, [header, *(tensor.data for tensor in ordered)])
        weight_map.update({tensor.name: name for tensor in ordered})
    text = json.dumps({"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}, indent=2)
    sync_folder(folder)
    write_whole(folder / INDEX, [text.encode()])
    sync_folder(folder)
    sync_folder(folder.parent)
    return folder


def _changes(
    tensors: list[Bytes], base: Mapping[str, Any], encoding: str, checksum: str, level: int, threads: int
) -> list[tuple[str, bytes, str]]:
    """Name, frame and checksum of each tensor that changed."""
    if missing := [tensor.name for tensor in tensors if tensor.name not in base]:
        raise ValueError(f"the base has no tensor {missing[0]!r}: publish an anchor")
    if len(base) != len(tensors):
        gone = sorted(set(base) - {tensor.name for tensor in tensors})
        raise ValueError(f"the base has a tensor {gone[0]!r} that is gone: publish an anchor")
    encode, sum_of = _ENCODERS[encoding], _checksums.find(checksum)

    def change(tensor: Bytes) -> tuple[str, bytes, str] | None:
        before = readable(tensor.name, base[tensor.name])
        if (before.dtype, before.shape) != (tensor.dtype, tensor.shape):
            raise ValueError(f"tensor {tensor.name!r} has another dtype or shape in the base: publish an anchor")
        if _core.equal(tensor.data, before.data):
            return None
        return tensor.name, encode(tensor.data, before.data, level), sum_of(tensor.data)

    return [row for row in side_by_side(threads, change, tensors) if row is not None]


def _groups(rows: list[Any], shard_bytes: int) -> list[list[Any]]:
    """Rows cut into shards. A row's bytes are its second field, or its data."""
    groups: list[list[Any]] = []
    room = 0
    for row in rows:
        size = len(row.data if isinstance(row, Bytes) else row[1])
        if not groups or size > room:
            groups.append([])
            room = shard_bytes
        groups[-1].append(row)
        room -= size
    return groups


# Reading --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    name: str
    source: _sources.PlainSource
    entry: _sources.Entry
    checksum: str


def _open_shards(version: Version) -> Iterator[tuple[str, _sources.PlainSource, _sources.Entry]]:
    """Every tensor of a version: name, file and place. Raises FormatError where index and files disagree."""
    for shard, names in version.shards().items():
        path = shard_path(version.folder, shard)
        source = _sources.open_path(path)
        if not isinstance(source, _sources.PlainSource):
            raise FormatError(f"{path}: not a safetensors file")
        entries = {entry.name: entry for entry in source.entries}
        for name in names:
            if name not in entries:
                raise FormatError(f"{path}: there is no tensor {name!r}, which the index places here")
            yield name, source, entries[name]


def _read_changes(version: Version) -> list[_Change]:
    changes = []
    for name, source, entry in _open_shards(version):
        checksum = (source.metadata or {}).get(name)
        if checksum is None or entry.dtype != "U8":
            raise FormatError(f"{version.folder}: tensor {name!r} has no checksum or is no delta")
        changes.append(_Change(name, source, entry, checksum.lower()))
    return changes


def _content(source: _sources.Source, entry: _sources.Entry) -> bytearray:
    content = bytearray(entry.size_bytes)
    source.read(entry, 0, memoryview(content), 1)
    return content


def apply_version(
    version: Version | str | os.PathLike[str],
    state: Mapping[str, Any],
    *,
    idempotent: bool = False,
    threads: int = 0,
) -> None:
    """Brings the tensors of `state`, which are those of the version's base, to the version, in place.

    Each tensor is compared with its checksum. Where one does not hold, everything is put back as it was and the error
    says which: AlreadyAppliedError where tensors are those of the version already (an exclusive or applied again would
    silently revert them), BaseMismatchError where they are neither its nor its base's. With `idempotent` tensors that
    are the version's already are left alone, which completes what was interrupted. An anchor overwrites every tensor.
    """
    opened = version if isinstance(version, Version) else open_version(version)
    targets = all_writable(state)
    if opened.is_anchor:
        _load_anchor(opened, targets, threads)
    else:
        _apply(opened, targets, idempotent, threads)


def _target(targets: Mapping[str, Bytes], version: Version, name: str) -> Bytes:
    if name not in targets:
        raise BaseMismatchError(f"version {version.number} changes tensor {name!r}, which the weights at hand lack")
    return targets[name]


def _apply(version: Version, targets: Mapping[str, Bytes], idempotent: bool, threads: int) -> None:
    sum_of = _checksums.find(version.checksum)
    changes = _untied(version, _read_changes(version), targets)
    done: list[tuple[_Change, Any]] = []

    def apply(change: _Change) -> None:
        target = targets[change.name].data
        if idempotent and sum_of(target) == change.checksum:
            return
        frame = memoryview(_content(change.source, change.entry))
        undo = None
        if version.encoding == "xor":
            _core.apply_xor(frame, target)
        else:
            undo = _core.apply_overwrite(frame, target)
        found = sum_of(target)
        if found == change.checksum:
            done.append((change, undo))
            return
        _undo(target, frame, undo)
        raise _mismatch(version, change, sum_of(target))

    try:
        side_by_side(threads, apply, changes)
    except BaseException:
        for change, undo in done:
            target = targets[change.name].data
            frame = memoryview(_content(change.source, change.entry)) if undo is None else None
            _undo(target, frame, undo)
        raise


def _untied(version: Version, changes: list[_Change], targets: Mapping[str, Bytes]) -> list[_Change]:
    """The changes, of tensors that are one memory under several names only one."""
    by_memory: dict[tuple[int, int], _Change] = {}
    for change in changes:
        data = _target(targets, version, change.name).data
        place = (address(data), len(data))
        first = by_memory.setdefault(place if place[0] else (0, len(by_memory)), change)
        if first.checksum != change.checksum:
            raise ValueError(
                f"tensors {first.name!r} and {change.name!r} share memory, and version {version.number} has "
                "different ones"
            )
    return list(by_memory.values())


def _undo(target: Any, frame: Any, undo: _core.OverwriteUndo | None) -> None:
    if undo is None:
        _core.apply_xor(frame, target)
    else:
        undo.undo(target)


def _mismatch(version: Version, change: _Change, before: str) -> Exception:
    if before == change.checksum:
        return AlreadyAppliedError(
            f"version {version.number} was applied already: tensor {change.name!r} is that of the version "
            "(idempotent=True leaves such tensors alone)"
        )
    return BaseMismatchError(
        f"version {version.number} needs the weights of version {version.base}: tensor {change.name!r} is of another "
        "version, or the delta is damaged"
    )


def _load_anchor(version: Version, targets: Mapping[str, Bytes], threads: int) -> None:
    rows = list(_open_shards(version))
    if missing := sorted(set(targets) - {name for name, _, _ in rows}):
        raise BaseMismatchError(f"anchor {version.number} has no tensor {missing[0]!r}")
    for name, _, entry in rows:
        target = _target(targets, version, name)
        if (target.dtype, target.shape) != (entry.dtype, entry.shape):
            raise BaseMismatchError(
                f"tensor {name!r} is {target.dtype} {target.shape}, in anchor {version.number} "
                f"{entry.dtype} {entry.shape}"
            )
    side_by_side(threads, lambda row: row[1].read(row[2], 0, targets[row[0]].data, 1), rows)


# On disk --------------------------------------------------------------------------------------------------------------

_MARKER = ".flyweight-version"


def pulled_version(folder: str | os.PathLike[str]) -> int | None:
    """Which version pull() last completed in a folder."""
    try:
        text = (Path(folder) / _MARKER).read_text("ascii")
    except FileNotFoundError:
        return None
    if not text.strip().isdecimal():
        raise FormatError(f"{Path(folder) / _MARKER}: no version number")
    return int(text)


def pull(
    root: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    version: int | None = None,
    *,
    current: int | None = None,
    threads: int = 0,
) -> int:
    """Makes the checkpoint in `folder` that of a version (default: the newest) and returns its number.

    `current` says which version the checkpoint there is, where no pull() made it. Files are replaced one by one, each
    complete and every changed tensor compared with its checksum; interrupted, the next call completes it. Memory: one
    file of the checkpoint.
    """
    local = Path(folder)
    held = pulled_version(local) if local.is_dir() else None
    chain = find_chain(root, version, held if held is not None else current)
    if not chain:
        return (held if held is not None else current) or 0
    local.mkdir(parents=True, exist_ok=True)
    deltas = chain[1:] if chain[0].is_anchor else chain
    sources = _shard_files(chain[0].folder if chain[0].is_anchor else local)
    changes = [(delta, _read_changes(delta)) for delta in deltas]
    known = {entry.name for path in sources for entry in _sources.open_path(path).entries}
    for delta, rows in changes:
        if unknown := [row.name for row in rows if row.name not in known]:
            raise BaseMismatchError(f"version {delta.number} changes tensor {unknown[0]!r}, which the checkpoint lacks")
    for path in sources:
        content = bytearray(path.read_bytes())
        _change_shard(memoryview(content), changes, threads)
        write_whole(local / path.name, [content])
    if chain[0].is_anchor:
        _copy_index(chain[0], local, {path.name for path in sources})
    sync_folder(local)
    write_whole(local / _MARKER, [str(chain[-1].number).encode()])
    sync_folder(local)
    return chain[-1].number


def _shard_files(folder: Path) -> list[Path]:
    if (folder / INDEX).exists():
        weight_map = read_json(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict):
            raise FormatError(f"{folder / INDEX}: weight_map is missing")
        return [shard_path(folder, name) for name in sorted(set(weight_map.values()))]
    return [folder / _SINGLE]


def _change_shard(content: memoryview, changes: list[tuple[Version, list[_Change]]], threads: int) -> None:
    """Applies every delta to the tensors of one file in memory; those that are further already are left there."""
    source = _sources.open_bytes(content)
    if not isinstance(source, _sources.PlainSource):
        raise FormatError("a shard of the checkpoint is no safetensors file")
    places = {entry.name: content[entry.place : entry.place + entry.size_bytes] for entry in source.entries}
    steps: dict[str, list[tuple[Version, _Change]]] = {}
    for version, rows in changes:
        for row in rows:
            if row.name in places:
                steps.setdefault(row.name, []).append((version, row))

    def bring(name: str) -> None:
        target, todo = places[name], steps[name]
        sums = {kind: _checksums.find(kind)(target) for kind in {version.checksum for version, _ in todo}}
        at = [i + 1 for i, (version, change) in enumerate(todo) if sums[version.checksum] == change.checksum]
        reached = at[-1] if at else 0
        for version, change in todo[reached:]:
            frame = memoryview(_content(change.source, change.entry))
            (_core.apply_xor if version.encoding == "xor" else _core.apply_overwrite)(frame, target)
            if _checksums.find(version.checksum)(target) != change.checksum:
                raise BaseMismatchError(
                    f"version {version.number} needs the weights of version {version.base}: tensor {name!r} is of "
                    "another version, or the delta is damaged"
                )

    side_by_side(threads, bring, steps)


def _copy_index(anchor: Version, local: Path, shards: set[str]) -> None:
    index = anchor.folder / INDEX
    if index.exists():
        write_whole(local / INDEX, [index.read_bytes()])
    else:
        (local / INDEX).unlink(missing_ok=True)
    for path in local.glob("*.safetensors"):
        if path.name not in shards:
            path.unlink()
