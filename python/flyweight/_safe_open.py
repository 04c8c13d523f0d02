"""safe_open: named tensors of an archive, one at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flyweight import _dtypes, _indexing, _sources
from flyweight._buffers import check_threads, cpu_count
from flyweight._errors import FlyweightError
from flyweight._files import Path, base_paths

if TYPE_CHECKING:
    from flyweight._frameworks import Framework

# Tensors from here on are decoded one at a time by all threads; smaller ones by one thread each, several at a time.
_LARGE_BYTES = 16 << 20
# One thread decodes a tensor of a chunk or two sooner than others are started.
_SMALL_BYTES = 1 << 20
# Where a slice's steps jump over more than this, rows are read one by one.
_FAR_BYTES = 8 << 20


class safe_open:
    """Opens an archive, or a plain safetensors file, and returns its tensors as they are asked for.

    `framework` is "np" or "numpy", "pt" or "torch"; `device` is where torch tensors go. `backend` is accepted as
    safetensors accepts it ("mmap", "pread") and makes no difference: compressed tensors are read with parallel reads.
    `threads` is how many CPUs decode, 0 for all. `base` is what a patch stands on: a base, or a list of a base and the
    patches on it. One object may be used by several threads at once.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        framework: str,
        device: str | int = "cpu",
        *,
        backend: str = "mmap",
        threads: int = 0,
        base: Path | Sequence[Path] | None = None,
    ) -> None:
        if backend not in ("mmap", "pread"):
            raise ValueError(f"unknown backend {backend!r}; known are mmap, pread")
        self._open(_sources.open_path(filename, base_paths(base)), framework, device, threads)

    @classmethod
    def _from_bytes(cls, data: Any, framework: str, threads: int) -> safe_open:
        opened = cls.__new__(cls)
        opened._open(_sources.open_bytes(data), framework, "cpu", threads)
        return opened

    def _open(self, source: _sources.Source, framework: str, device: str | int, threads: int) -> None:
        from flyweight import _frameworks

        self._framework: Framework = _frameworks.find(framework, device)
        self._threads = check_threads(threads)
        self._by_name = {entry.name: entry for entry in source.entries}
        self._source: _sources.Source | None = source

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        self._opened()
        return sorted(self._by_name)

    def offset_keys(self) -> list[str]:
        """The names of the tensors in the order in which they lie in the file."""
        return [entry.name for entry in self._opened().entries]

    def metadata(self) -> dict[str, str] | None:
        """The free text of the safetensors header, or None where there is none."""
        return self._opened().metadata

    def get_tensor(self, name: str) -> Any:
        """The whole tensor `name`."""
        return self._read(self._opened(), self._entry(name), self._threads)

    def get_tensors(self) -> dict[str, Any]:
        """Every tensor by name."""
        source = self._opened()
        result: dict[str, Any] = dict.fromkeys(self.offset_keys())
        small = [entry for entry in source.entries if entry.size_bytes < _LARGE_BYTES]
        for entry in source.entries:
            if entry.size_bytes >= _LARGE_BYTES:
                result[entry.name] = self._read(source, entry, self._threads)
        workers = min(self._threads or cpu_count(), len(small))
        if workers <= 1:
            result.update((entry.name, self._read(source, entry, 1)) for entry in small)
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(workers, "flyweight") as pool:
                tensors = pool.map(lambda entry: self._read(source, entry, 1), small)
                result.update(zip((entry.name for entry in small), tensors, strict=True))
        return result

    def get_slice(self, name: str) -> Slice:
        """A view of the tensor `name` that decodes only what is indexed."""
        self._opened()
        return Slice(self, self._entry(name))

    def close(self) -> None:
        """Gives the file back. Tensors that were returned stay, and decoding under way elsewhere ends normally."""
        self._source = None

    def __enter__(self) -> safe_open:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> _sources.Source:
        source = self._source
        if source is None:
            raise FlyweightError("the file is closed")
        return source

    def _entry(self, name: str) -> _sources.Entry:
        entry = self._by_name.get(name)
        if entry is None:
            raise FlyweightError(f"the file has no tensor {name!r}")
        return entry

    def _read(self, source: _sources.Source, entry: _sources.Entry, threads: int) -> Any:
        tensor, target = self._framework.empty(entry.dtype, entry.shape, entry.name)
        if len(target) != entry.size_bytes:
            raise FlyweightError(
                f"tensor {entry.name!r} has {entry.size_bytes} bytes, its shape asks for {len(target)}"
            )
        source.read(entry, 0, target, 1 if entry.size_bytes < _SMALL_BYTES else threads)
        return self._framework.place(tensor)

    def _read_selection(self, entry: _sources.Entry, selection: _indexing.Selection) -> Any:
        source, framework = self._opened(), self._framework
        item_bytes = _dtypes.BITS[entry.dtype] // 8
        shape, steps = selection.block_shape, selection.steps
        row_bytes = math.prod(shape[1:]) * item_bytes
        stride = steps[0].step or 1 if isinstance(steps[0], slice) else 1
        if stride > 1 and stride * row_bytes > _FAR_BYTES:
            rows = range(0, shape[0], stride)
            shape, steps = (len(rows), *shape[1:]), (slice(None), *steps[1:])
        else:
            rows = range(1)
        block, target = framework.empty(entry.dtype, shape, entry.name)
        piece_bytes = len(target) // len(rows)
        for number, row in enumerate(rows):
            if piece_bytes:
                begin = selection.begin * item_bytes + row * row_bytes
                piece = target[number * piece_bytes : (number + 1) * piece_bytes]
                source.read(entry, begin, piece, 1 if piece_bytes < _SMALL_BYTES else self._threads)
        return framework.place(framework.finish(block, steps, selection.flips, selection.shape))


class Slice:
    """A tensor that is decoded where it is indexed.

    The index is made of integers, slices with steps and an ellipsis, as in numpy.
    """

    def __init__(self, opened: safe_open, entry: _sources.Entry) -> None:
        self._handle = opened
        self._entry = entry

    def get_shape(self) -> list[int]:
        """The tensor's shape."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The tensor's element type as safetensors names it."""
        return self._entry.dtype

    def __getitem__(self, index: Any) -> Any:
        selection = _indexing.select(self._entry.shape, index)
        if selection.shape == self._entry.shape and not selection.flips:
            return self._handle.get_tensor(self._entry.name)
        if _dtypes.BITS.get(self._entry.dtype, 1) % 8:
            raise ValueError(f"{self._entry.dtype} elements share bytes: read tensor {self._entry.name!r} whole")
        return self._handle._read_selection(self._entry, selection)
