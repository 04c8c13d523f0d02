"""Several models that are patches on one base, in memory with what they share once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as _Path
from typing import Any

from flyweight import _frameworks, _sources
from flyweight._buffers import check_threads
from flyweight._errors import BaseMismatchError, FormatError
from flyweight._files import Path, base_paths


def open_many(
    base: Path,
    patches: Sequence[Path | Sequence[Path]],
    framework: str = "np",
    *,
    threads: int = 0,
) -> Family:
    """Opens a base and variants of it, each a patch or a list of patches on one another, the oldest first.

    Gives a list of state dicts that decode a tensor when it is first asked for and keep it. Tensors that a variant does
    not change are the base's own, tensors that are equal in several variants are one: the same array or tensor object.
    Therefore numpy arrays are read-only; torch has no such thing, so **do not change torch tensors in place**: a
    change would show in every variant. `array.copy()` and `tensor.clone()` give what may be changed. Raises
    BaseMismatchError where a patch stands on another base; a tensor that is the base's own is compared with its digest
    when it is first asked for.
    """
    return Family(base, patches, framework, threads)


class Family(Sequence[Mapping[str, Any]]):
    """The variants as state dicts; `base` is that of the base."""

    def __init__(self, base: Path, patches: Sequence[Path | Sequence[Path]], framework: str, threads: int) -> None:
        check_threads(threads)
        self._store = _Store(_frameworks.find(framework, "cpu"), framework in ("np", "numpy"), threads)
        layer = _Layer.of_base(base)
        self.base: StateDict = StateDict(self._store, layer)
        lineages = [[item] if isinstance(item, (str, os.PathLike)) else list(item) for item in patches]
        self._variants = [StateDict(self._store, _Layer.of_patches(base, lineage, layer)) for lineage in lineages]

    def __len__(self) -> int:
        return len(self._variants)

    def __getitem__(self, index: Any) -> Any:
        return self._variants[index]

    def load(self) -> None:
        """Decodes every tensor of the base and of all variants."""
        for state in (self.base, *self._variants):
            for name in state:
                state[name]

    def held_bytes(self) -> int:
        """Bytes of the tensors that are decoded now."""
        return self._store.held_bytes

    def whole_bytes(self) -> int:
        """Bytes that base and variants take where all is decoded."""
        sizes = {}
        for state in (self.base, *self._variants):
            for name in state:
                key, entry, _ = state._layer.find(name)
                sizes[key] = entry.size_bytes
        return sum(sizes.values())

    def naive_bytes(self) -> int:
        """Bytes that base and variants would take without sharing anything."""
        return sum(state.size_bytes() for state in (self.base, *self._variants))


class StateDict(Mapping[str, Any]):
    """The tensors of one model by name, decoded when they are asked for. May be used by several threads."""

    def __init__(self, store: _Store, layer: _Layer) -> None:
        self._store = store
        self._layer = layer

    def __getitem__(self, name: str) -> Any:
        self._layer.check(name, self._store.threads)
        return self._store.tensor(*self._layer.find(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._layer.entries)

    def __len__(self) -> int:
        return len(self._layer.entries)

    def is_shared(self, name: str) -> bool:
        """Whether the tensor is the base's own, or that of a patch further down."""
        return self._layer.is_shared(name)

    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(entry.size_bytes for entry in self._layer.entries.values())


_Key = tuple[Any, ...]
_Found = tuple[_Key, _sources.Entry, _sources.Source]


class _Store:
    """Tensors that were decoded, each once."""

    def __init__(self, framework: _frameworks.Framework, read_only: bool, threads: int) -> None:
        self._framework = framework
        self._read_only = read_only
        self.threads = threads
        self._lock = threading.Lock()
        self._tensors: dict[_Key, Any] = {}
        self.held_bytes = 0

    def tensor(self, key: _Key, entry: _sources.Entry, source: _sources.Source) -> Any:
        with self._lock:
            if key in self._tensors:
                return self._tensors[key]
        tensor, target = self._framework.empty(entry.dtype, entry.shape, entry.name)
        source.read(entry, 0, target, self.threads)
        if self._read_only:
            tensor.flags.writeable = False
        with self._lock:
            if key not in self._tensors:
                self._tensors[key] = tensor
                self.held_bytes += entry.size_bytes
            return self._tensors[key]


class _Layer:
    """A model: its tensors, and which of them are those of the model below."""

    def __init__(self, below: _Layer | None) -> None:
        self.entries: dict[str, _sources.Entry] = {}
        self._sources: dict[str, _sources.Source] = {}
        self._origins: dict[str, tuple[str, str]] = {}  #: name below ("" for none) and digest, by name
        self._below = below
        self._checked: set[tuple[str, str]] = set()  #: tensors of this layer, and the digests that were found right

    @staticmethod
    def of_base(path: Path) -> _Layer:
        layer = _Layer(None)
        for source in _base_sources(path):
            layer._add(source)
        return layer

    @staticmethod
    def of_patches(base: Path, lineage: list[Path], layer: _Layer) -> _Layer:
        bases: list[Path] = [base]
        for path in lineage:
            source = _sources.open_path(path, base_paths(bases))
            if not isinstance(source, _sources.ArchiveSource):
                raise FormatError(f"{os.fsdecode(path)}: not an archive")
            layer, below = _Layer(layer), layer
            layer._add(source)
            missing = [name for _, name in layer._shared() if name not in below.entries]
            if missing:
                raise BaseMismatchError(f"{os.fsdecode(path)} needs tensor {missing[0]!r}, which its base lacks")
            bases.append(path)
        return layer

    def _add(self, source: _sources.Source) -> None:
        origins = source.origins() if isinstance(source, _sources.ArchiveSource) else {}
        for entry in source.entries:
            name = origins[entry.place].name if entry.place in origins else entry.name
            if name in self.entries:
                raise FormatError(f"there are two tensors {name!r}")
            self.entries[name] = entry
            self._sources[name] = source
            origin = origins.get(entry.place)
            if origin is not None:
                self._origins[name] = (origin.base_name if origin.kind == "same" else "", origin.digest)

    def _shared(self) -> Iterator[tuple[str, str]]:
        return ((name, below) for name, (below, _) in self._origins.items() if below)

    def is_shared(self, name: str) -> bool:
        return self._below is not None and bool(self._origins.get(name, ("", ""))[0])

    def check(self, name: str, threads: int) -> None:
        """Checks that a tensor taken from below is what the patch was made from. Raises BaseMismatchError."""
        layer, below = self, self._below
        while below is not None and layer.is_shared(name):
            below_name, digest = layer._origins[name]
            known = below._origins.get(below_name, ("", ""))[1]
            if known and known != digest:
                raise BaseMismatchError(f"tensor {below_name!r} of the base is not what the patch was made from")
            if not known and (below_name, digest) not in below._checked:
                layer._read_first_byte(name, threads)
                below._checked.add((below_name, digest))
            layer, name, below = below, below_name, below._below

    def _read_first_byte(self, name: str, threads: int) -> None:
        # Before anything of it is read, the archive compares the whole of a tensor in the base with its digest.
        entry = self.entries[name]
        if entry.size_bytes:
            self._sources[name].read(entry, 0, bytearray(1), threads)

    def find(self, name: str) -> _Found:
        """What tells a tensor from others, its place and where it is read from. Raises KeyError."""
        layer, entry = self, self.entries[name]
        while layer._below is not None and layer._origins.get(name, ("", ""))[0]:
            layer, name = layer._below, layer._origins[name][0]
        found = layer.entries[name]
        digest = layer._origins.get(name, ("", ""))[1]
        key = (digest if digest else (id(layer), name), entry.dtype, entry.shape)
        return (
            key,
            _sources.Entry(found.name, entry.dtype, entry.shape, entry.size_bytes, found.place),
            layer._sources[name],
        )


def _base_sources(path: Path) -> list[_sources.Source]:
    folder = _Path(os.fsdecode(path))
    if not folder.is_dir():
        return [_sources.open_path(path)]
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no safetensors files")
    return [_sources.open_path(file) for file in files]
