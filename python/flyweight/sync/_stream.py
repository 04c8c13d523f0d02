"""Versions of weights as flyweight's own patches, part by part.

A part is a patch of some tensors (flyweight.make_patch) and an archive. Its name says what it is: "v000012.00003" is
part 3 of version 12, and the last part of a version ends in ".last"; what it calls its base is "v000011", or, in an
anchor, nothing. So parts can travel by any way that keeps their order: files, sockets, queues.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyweight import _core, _levels
from flyweight._atomic import remove_folder, sync_folder
from flyweight._buffers import check_threads, read_view
from flyweight._delta import apply_patch_
from flyweight._errors import BaseMismatchError, ChecksumError, FormatError
from flyweight._state import Bytes, readable, rows
from flyweight.sync._shards import read_json, write_whole

_PART = re.compile(r"v(\d{6,18})\.(\d{5})(\.last)?")
_BASE = re.compile(r"v(\d{6,18})")
_MANIFEST = "manifest.json"
_FORMAT = "flyweight-weights-1"
_KINDS = ("delta", "anchor")


@dataclass(frozen=True)
class PartInfo:
    """What a part says of itself."""

    version: int
    base: int | None  #: None in an anchor
    number: int
    is_last: bool
    tensors: int

    @staticmethod
    def of(part: Any) -> PartInfo:
        """Reads it from the part's bytes. Raises FormatError where they are none."""
        patch = _core.TensorPatch(read_view(part))
        match, base = _PART.fullmatch(patch.name), _BASE.fullmatch(patch.base_name)
        if match is None or (base is None and patch.base_name):
            raise FormatError(f"a patch named {patch.name!r} on {patch.base_name!r} is no part of a version")
        version, base_version = int(match[1]), int(base[1]) if base else None
        if base_version is not None and base_version >= version:
            raise FormatError(f"version {version} says that it is based on version {base_version}")
        return PartInfo(version, base_version, int(match[2]), match[3] is not None, len(patch.tensors()))


def _folder_name(version: int) -> str:
    return f"v{version:06d}"


class WeightPublisher:
    """Sends versions of weights: to a folder, or part by part to a function.

    In a folder each version has its own, which appears when it is complete. The first version is an anchor, a whole
    one; each later one is a delta to the one before and, every `anchor_every` versions, an anchor besides, for those
    who join or fell behind. Memory: a copy of the weights, and one part (of about `part_bytes` of tensors). Versions
    continue those in the folder. `keep_anchors` removes versions before the last so many anchors.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | Callable[[bytes], object],
        *,
        anchor_every: int = 50,
        part_bytes: int = 256 << 20,
        level: str | int = "balanced",
        keep_anchors: int | None = None,
        threads: int = 0,
    ) -> None:
        if anchor_every < 1 or part_bytes < 1 or (keep_anchors is not None and keep_anchors < 1):
            raise ValueError("anchor_every, part_bytes and keep_anchors are 1 or more")
        self._send: Callable[[bytes], object] | None = target if callable(target) else None
        self._root = None if callable(target) else Path(target)
        self._anchor_every = anchor_every
        self._part_bytes = part_bytes
        self._level = _levels.number(level)
        self._keep_anchors = keep_anchors
        self._threads = check_threads(threads)
        self._held: dict[str, Bytes] | None = None
        self._version = max(stored_versions(self._root), default=None) if self._root and self._root.is_dir() else None
        self._since_anchor = 0

    @property
    def version(self) -> int | None:
        """The last version that was published."""
        return self._version

    def publish(self, tensors: Mapping[str, Any] | Iterable[tuple[str, Any]], version: int | None = None) -> int:
        """Publishes the weights and returns their version: the next, or `version`, which must be a later one.

        `tensors` is a state dict, or pairs of name and tensor that come one by one and may be gone after. After an
        error nothing was published (a function may have received some parts), and the next version is an anchor.
        """
        number = (-1 if self._version is None else self._version) + 1 if version is None else version
        if self._version is not None and number <= self._version:
            raise ValueError(f"version {number} is not later than version {self._version}")
        pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
        held, self._held = self._held, None
        base = self._version if held is not None else None
        fresh: dict[str, Bytes] = {}
        names: set[str] = set()
        with _Outlet(self._root, self._send, number, base) as outlet:
            for group, is_last in _grouped(pairs, self._part_bytes):
                for tensor in group:
                    if tensor.name in names:
                        raise ValueError(f"tensor {tensor.name!r} is there twice")
                    names.add(tensor.name)
                before = [held[tensor.name] for tensor in group if tensor.name in held] if held else []
                outlet.add("delta" if held is not None else "anchor", self._part(outlet, group, before, base, is_last))
                fresh.update((tensor.name, _taken(tensor, (held or {}).get(tensor.name))) for tensor in group)
            if held is not None and self._since_anchor + 1 >= self._anchor_every:
                for group, is_last in _grouped(fresh.items(), self._part_bytes, lambda held_tensor: held_tensor):
                    outlet.add("anchor", self._part(outlet, group, [], None, is_last))
            had_anchor = outlet.counts["anchor"] != 0
        self._held, self._version = fresh, number
        self._since_anchor = 0 if had_anchor else self._since_anchor + 1
        if self._keep_anchors is not None and had_anchor and self._root is not None:
            prune_versions(self._root, self._keep_anchors)
        return number

    def _part(self, outlet: _Outlet, group: list[Bytes], before: list[Bytes], base: int | None, is_last: bool) -> bytes:
        kind = "anchor" if base is None else "delta"
        name = f"{_folder_name(outlet.version)}.{outlet.counts[kind]:05d}{'.last' if is_last else ''}"
        base_name = "" if base is None else _folder_name(base)
        return _core.make_patch(
            rows(group), rows(before), name.encode(), base_name.encode(), self._threads, self._level
        )


def _grouped(
    pairs: Iterable[tuple[str, Any]], part_bytes: int, described: Callable[[Any], Bytes] | None = None
) -> Iterator[tuple[list[Bytes], bool]]:
    """Tensors in groups of about `part_bytes`, and which group is the last. There is at least one, maybe empty."""
    group: list[Bytes] = []
    size = 0
    for name, tensor in pairs:
        row = described(tensor) if described else readable(name, tensor)
        if group and size + len(row.data) > part_bytes:
            yield group, False
            group, size = [], 0
        group.append(row)
        size += len(row.data)
    yield group, True


def _taken(tensor: Bytes, held: Bytes | None) -> Bytes:
    """The publisher's own copy, in the memory of the one before where that fits."""
    if held is None or len(held.data) != len(tensor.data):
        held = Bytes("", "", (), memoryview(bytearray(len(tensor.data))), None)
    held.data[:] = tensor.data
    return Bytes(tensor.name, tensor.dtype, tensor.shape, held.data, None)


class _Outlet:
    """Where the parts of one version go. A folder takes its name when it is left without an error."""

    def __init__(
        self, root: Path | None, send: Callable[[bytes], object] | None, version: int, base: int | None
    ) -> None:
        self.version = version
        self.counts = dict.fromkeys(_KINDS, 0)
        self._send = send
        self._base = base
        self._folder = None if root is None else root / _folder_name(version)
        self._temporary = None if root is None else root / f".{_folder_name(version)}.{os.getpid()}.tmp"
        self._parts: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}

    def __enter__(self) -> _Outlet:
        if self._temporary is not None and self._folder is not None:
            if self._folder.exists():
                raise FileExistsError(f"{self._folder} exists")
            self._temporary.mkdir(parents=True)
        return self

    def add(self, kind: str, part: bytes) -> None:
        if self._temporary is None:
            assert self._send is not None
            self._send(part)
        else:
            name = f"{kind}-{self.counts[kind]:05d}.fly"
            write_whole(self._temporary / name, [part])
            checksum = _core.wide_checksum(memoryview(part)).hex()
            self._parts[kind].append({"name": name, "bytes": len(part), "xxh3_128": checksum})
        self.counts[kind] += 1

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._temporary is None or self._folder is None:
            return
        if error is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            return
        from json import dumps

        manifest = {"format": _FORMAT, "version": self.version, "base_version": self._base, **self._parts}
        write_whole(self._temporary / _MANIFEST, [dumps(manifest, indent=1).encode()])
        sync_folder(self._temporary)
        os.rename(self._temporary, self._folder)
        sync_folder(self._folder.parent)


# Stored versions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredVersion:
    """A version in a folder, as its manifest describes it."""

    folder: Path
    number: int
    base: int | None
    delta: tuple[tuple[str, int, str], ...]  #: name, bytes and checksum of each part
    anchor: tuple[tuple[str, int, str], ...]


def stored_versions(root: str | os.PathLike[str]) -> list[int]:
    """The numbers of the versions in a folder, ascending."""
    matches = (_BASE.fullmatch(entry.name) for entry in Path(root).iterdir())
    return sorted(int(match[1]) for match in matches if match)


def open_stored(root: str | os.PathLike[str], number: int) -> StoredVersion:
    """Reads a manifest. Raises FormatError, FileNotFoundError."""
    folder = Path(root) / _folder_name(number)
    manifest = read_json(folder / _MANIFEST)
    base = manifest.get("base_version")
    if manifest.get("format") != _FORMAT or manifest.get("version") != number:
        raise FormatError(f"{folder / _MANIFEST}: not the manifest of version {number}")
    if base is not None and (not isinstance(base, int) or not 0 <= base < number):
        raise FormatError(f"{folder / _MANIFEST}: version {number} cannot be based on {base!r}")
    delta, anchor = (_listed(folder, kind, manifest.get(kind)) for kind in _KINDS)
    if (base is None) == bool(delta) or not (delta or anchor):
        raise FormatError(f"{folder / _MANIFEST}: neither a delta with a base nor an anchor")
    return StoredVersion(folder, number, base, delta, anchor)


def _listed(folder: Path, kind: str, parts: Any) -> tuple[tuple[str, int, str], ...]:
    try:
        found = [(str(part["name"]), int(part["bytes"]), str(part["xxh3_128"])) for part in parts]
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{folder / _MANIFEST}: the list of {kind} parts is malformed") from None
    if any(name != f"{kind}-{number:05d}.fly" for number, (name, _, _) in enumerate(found)):
        raise FormatError(f"{folder / _MANIFEST}: the {kind} parts are not called as they should be")
    return tuple(found)


def _read_part(version: StoredVersion, part: tuple[str, int, str]) -> bytes:
    """A part whose bytes are those of the manifest. Raises ChecksumError."""
    name, size, checksum = part
    path = version.folder / name
    content = path.read_bytes() if path.stat().st_size == size else b""
    if len(content) != size or _core.wide_checksum(memoryview(content)).hex() != checksum:
        raise ChecksumError(f"{path}: not the bytes that were published")
    return content


def prune_versions(root: str | os.PathLike[str], keep_anchors: int) -> list[int]:
    """Removes the versions before the last `keep_anchors` anchors; no version that stays needs them.

    Returns the numbers that are gone. The anchor that becomes the oldest keeps its delta, which nobody can use alone.
    """
    numbers = stored_versions(root)
    anchors = [number for number in numbers if open_stored(root, number).anchor]
    if len(anchors) < keep_anchors:
        return []
    gone = [number for number in numbers if number < anchors[-keep_anchors]]
    for number in gone:
        remove_folder(Path(root) / _folder_name(number))
    return gone


def _chain(root: Path, target: int, current: int | None) -> list[tuple[StoredVersion, str]]:
    """The versions to apply in order, and of each whether its delta or its anchor: whatever is fewest bytes."""
    deltas: list[tuple[StoredVersion, str]] = []
    anchored: list[tuple[StoredVersion, str]] | None = None
    number: int | None = target
    while number is not None and number != current:
        if not (root / _folder_name(number)).is_dir():
            break
        version = open_stored(root, number)
        if version.anchor and anchored is None:
            anchored = [(version, "anchor"), *deltas]
        if anchored is not None and (current is None or number < current):
            break
        deltas.insert(0, (version, "delta"))
        number = version.base
    if number == current and number is not None:
        return deltas if anchored is None or _size_of(deltas) <= _size_of(anchored) else anchored
    if anchored is None:
        raise BaseMismatchError(f"{root}: version {number} is gone, and no anchor lies between it and {target}")
    return anchored


def _size_of(chain: list[tuple[StoredVersion, str]]) -> int:
    return sum(size for version, kind in chain for _, size, _ in (version.delta if kind == "delta" else version.anchor))


# Receiving ------------------------------------------------------------------------------------------------------------


class WeightSubscriber:
    """Keeps the tensors of `state` at the version of a publisher, in place.

    `state` is a dict of torch tensors or numpy arrays of version `version`, in memory of the caller's choice (shared
    memory too). Without a version it is brought to the nearest anchor first; an empty dict is filled with tensors of
    `framework` ("np" or "pt"). Versions are applied in order only: one that does not follow is refused before anything
    is written. An apply that was interrupted is completed by applying the version again. `source` is the publisher's
    folder, for poll(); without one, receive() takes parts.
    """

    def __init__(
        self,
        state: MutableMapping[str, Any],
        source: str | os.PathLike[str] | None = None,
        *,
        version: int | None = None,
        framework: str = "np",
        threads: int = 0,
    ) -> None:
        self._state = state
        self._source = None if source is None else Path(source)
        self._version = version
        self._framework = framework
        self._threads = check_threads(threads)
        self._open: tuple[int, int | None, int] | None = None  # version, base and next part of one under way

    @property
    def version(self) -> int | None:
        """The version that the tensors are; None before the first, and while one is being received."""
        return self._version if self._open is None else None

    def receive(self, part: Any) -> int | None:
        """Takes the next part; returns the version where it was its last.

        Parts that are there already are passed over, and so are deltas before the first anchor. Raises
        BaseMismatchError where the part does not follow, with nothing changed.
        """
        info = PartInfo.of(part)
        version, base, number = self._open or (info.version, info.base, 0)
        if self._is_old(info, version, number):
            return None
        if (info.version, info.base, info.number) != (version, base, number):
            raise BaseMismatchError(
                f"part {info.number} of version {info.version} came where part {number} of version {version} was due"
            )
        if base is not None and base != self._version:
            raise BaseMismatchError(f"version {version} needs version {base}, and the weights are of {self._version}")
        apply_patch_(self._state, part, idempotent=True, threads=self._threads, framework=self._framework)
        self._open = None if info.is_last else (info.version, info.base, info.number + 1)
        if info.is_last:
            self._version = info.version
        return info.version if info.is_last else None

    def _is_old(self, info: PartInfo, version: int, number: int) -> bool:
        if self._open is not None:
            return info.version < version or (info.version == version and info.number < number)
        if self._version is None:
            return info.base is not None  # an anchor will come
        return info.version <= self._version

    def poll(self, version: int | None = None) -> int | None:
        """Applies what is new in the folder, up to `version`; returns the version reached, None where nothing is new.

        The parts of a version are compared with their checksums before the first of them is applied.
        """
        if self._source is None:
            raise ValueError("there is no folder to look into")
        numbers = stored_versions(self._source) if self._source.is_dir() else []
        target = max(numbers, default=None) if version is None else version
        if target is None or (self._version is not None and target <= self._version):
            return None
        if version is not None and version not in numbers:
            raise FileNotFoundError(f"{self._source}: there is no version {version}")
        for stored, kind in _chain(self._source, target, self._version):
            self._apply(stored, kind)
        return self._version

    def _apply(self, stored: StoredVersion, kind: str) -> None:
        parts = stored.delta if kind == "delta" else stored.anchor
        if len(parts) > 1:
            for part in parts:
                _read_part(stored, part)
        for number, part in enumerate(parts):
            content = _read_part(stored, part)
            info = PartInfo.of(content)
            base = stored.base if kind == "delta" else None
            if (info.version, info.base, info.number) != (stored.number, base, number):
                raise FormatError(f"{stored.folder / part[0]}: not the part that the manifest says")
            apply_patch_(self._state, content, idempotent=True, threads=self._threads, framework=self._framework)
        self._open = None
        self._version = stored.number
