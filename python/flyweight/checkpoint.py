"""Distributed checkpoints as archives: a StorageWriter and a StorageReader for torch.distributed.checkpoint.

Each rank writes one archive of its tensors; loading decodes the chunks of the slices that are asked for and no others,
on any number of ranks. What is no tensor is kept as JSON, and so is the index, which makes the folder a checkpoint and
is written last: no pickle is ever read.

    dcp.save(state, storage_writer=FlyweightWriter("run/step-100"))
    dcp.load(state, storage_reader=FlyweightReader("run/step-100"))
"""

from __future__ import annotations

import io
import os
import pathlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.checkpoint._nested_dict import set_element
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.planner import (
    LoadItemType,
    LoadPlan,
    LoadPlanner,
    ReadItem,
    SavePlan,
    SavePlanner,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from flyweight import _atomic, _checkpoint_files, _checkpoint_index, _levels, _plain
from flyweight._buffers import check_threads, cpu_count
from flyweight._checkpoint_index import File, Index, Stored
from flyweight._errors import FlyweightError

if TYPE_CHECKING:
    from flyweight._safe_open import safe_open

__all__ = ["FlyweightReader", "FlyweightWriter"]

_DCP_VERSION = "1.0.0"


class FlyweightWriter(StorageWriter):  # type: ignore[misc]
    """Writes a checkpoint into the folder `path`: an archive a rank, and an index when all of them are there.

    `level` is as with `compress`; `threads` is how many CPUs a rank uses, 0 for its share of all. A checkpoint that is
    in the folder already is replaced in the moment in which the new one is whole; `overwrite=False` refuses instead.

    With `base="previous"` each archive is a patch on the same rank's archive of the newest checkpoint beside this one
    (in the folder that holds `path`), and every `key_frame_every`-th checkpoint stands alone. The archives that a patch
    needs are linked into the new folder, so that older checkpoints can be deleted; on file systems without hard links
    they stay where they are, and loading says which one is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        level: str | int = "balanced",
        threads: int = 0,
        overwrite: bool = True,
        base: str | None = None,
        key_frame_every: int = 10,
    ) -> None:
        super().__init__()
        _levels.number(level)
        check_threads(threads)
        if base not in (None, "previous"):
            raise ValueError(f'base is None or "previous", not {base!r}')
        if key_frame_every < 1:
            raise ValueError(f"key_frame_every must be 1 or more, not {key_frame_every}")
        self.path = pathlib.Path(path)
        self.overwrite = overwrite
        self._level, self._threads = level, threads
        self._base, self._key_frame_every = base, key_frame_every
        self._rank, self._is_coordinator, self._alone = 0, True, False

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Called before each save; `checkpoint_id` is another folder to write to."""
        if checkpoint_id:
            self.path = pathlib.Path(checkpoint_id)

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Called on each rank. `use_collectives=False` makes each rank's part a checkpoint of its own."""
        self._rank = kwargs.get("rank") or 0
        self._is_coordinator = is_coordinator
        self._alone = not kwargs.get("use_collectives", True)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Makes the folder. Raises FileExistsError where it holds a checkpoint that may not be replaced."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.overwrite and self._index_path().exists():
            raise FileExistsError(f"{self.path} holds a checkpoint already, and overwrite is False")
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Nothing to decide: ranks choose the names of their archives."""
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Writes this rank's archive: complete, read back and verified, or not at all."""
        base = _checkpoint_files.newest_base(self.path, self._rank) if self._base and not self._alone else None
        if base is not None and base.depth + 1 >= self._key_frame_every:
            base = None
        archive = _checkpoint_files.RankArchive(self.path, self._rank, base)
        placed = [_place(item, planner, archive) for item in plan.items]
        file, files = archive.write(self._level, share_of_cpus(self._threads))
        results = []
        for item, (stored, size_bytes, is_archived) in zip(plan.items, placed, strict=True):
            written = _Written(replace(stored, file=file if is_archived else None), files)
            results.append(WriteResult(item.index, size_bytes, written))
            # All of them once is enough for the one that collects.
            files = {}
        return _finished(results)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Writes the index, after which the folder is a checkpoint; then removes archives that it replaced."""
        files, stored = _collect(results)
        _checkpoint_files.check_present(self.path, files)
        metadata.version = _DCP_VERSION
        metadata.storage_data = stored
        metadata.storage_meta = self.storage_meta()
        path = self._index_path()
        replaced = _files_named_in(path)
        _checkpoint_index.write(path, Index(metadata, files))
        _atomic.sync_folder(self.path.parent)
        for name in replaced - set(files):
            (self.path / name).unlink(missing_ok=True)
        _checkpoint_files.remove_remains(self.path)

    def storage_meta(self) -> StorageMeta:
        """What planners are told about this checkpoint."""
        return StorageMeta(checkpoint_id=self.path)

    @property
    def checkpoint_id(self) -> pathlib.Path:
        """The folder."""
        return self.path

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Whether this is a path in a file system."""
        return _is_path(checkpoint_id)

    def _index_path(self) -> pathlib.Path:
        return _checkpoint_index.path_of(self.path, self._rank if self._alone else None)


class FlyweightReader(StorageReader):  # type: ignore[misc]
    """Reads a checkpoint that FlyweightWriter wrote, on any number of ranks and with any sharding.

    Every archive is checked to be the one that the index names, and every chunk that is decoded against its checksum.
    `threads` is how many CPUs a rank uses, 0 for its share of all.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 0) -> None:
        super().__init__()
        self.path = pathlib.Path(path)
        self._threads = check_threads(threads)
        self._files: dict[str, File] = {}
        self._stored: dict[MetadataIndex, Stored] = {}
        self._state: dict[str, Any] = {}

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Called before each load; `checkpoint_id` is another folder to read from."""
        if checkpoint_id:
            self.path = pathlib.Path(checkpoint_id)

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index. Raises FlyweightError where the folder is no complete checkpoint, or its index is damaged."""
        index = _checkpoint_index.read(_checkpoint_index.path_of(self.path, kwargs.get("rank")))
        self._files = index.files
        index.metadata.storage_meta = StorageMeta(checkpoint_id=self.path)
        return index.metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Called on each rank, after read_metadata."""
        self._stored, self._state = metadata.storage_data, metadata.state_dict_metadata

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Nothing to decide."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Nothing to decide: each rank reads what it needs."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Decodes what the plan asks for, archive by archive.

        Raises FlyweightError where an archive, or one that it is a patch on, is missing, damaged or another.
        """
        by_file: dict[str | None, list[ReadItem]] = {}
        for item in plan.items:
            by_file.setdefault(self._place(item).file, []).append(item)
        threads = share_of_cpus(self._threads)
        for file, items in by_file.items():
            if file is None:
                for item in items:
                    self._read_object(item, planner, None)
                continue
            with _checkpoint_files.open_archive(self.path, self._files, file, threads) as opened:
                for item in items:
                    if item.type == LoadItemType.BYTE_IO:
                        self._read_object(item, planner, opened)
                    else:
                        self._read_tensor(item, planner, opened)
        return _finished(None)

    @property
    def checkpoint_id(self) -> pathlib.Path:
        """The folder."""
        return self.path

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Whether this is a path in a file system."""
        return _is_path(checkpoint_id)

    def _place(self, item: ReadItem) -> Stored:
        place = self._stored.get(item.storage_index)
        if place is None:
            raise FlyweightError(f"{self.path}: the index does not say where {item.storage_index} lies")
        return place

    def _read_object(self, item: ReadItem, planner: LoadPlanner, opened: safe_open | None) -> None:
        def load(name: str) -> torch.Tensor:
            if opened is None:
                raise FlyweightError(f"{self.path}: tensor {name!r} lies in no archive")
            tensor: torch.Tensor = opened.get_tensor(name)
            return tensor

        value = _plain.decode(self._place(item).value, load)
        if isinstance(planner, DefaultLoadPlanner) and type(planner).load_bytes is DefaultLoadPlanner.load_bytes:
            # What it would do with the bytes of a pickle, without one.
            if planner.flatten_state_dict:
                set_element(planner.original_state_dict, planner.mappings[item.dest_index.fqn], value)
            else:
                planner.state_dict[item.dest_index.fqn] = value
            return
        # Other planners take bytes that torch can load: made here, of an object that holds nothing but plain data.
        stream = io.BytesIO()
        torch.save(value, stream)
        stream.seek(0)
        planner.load_bytes(item, stream)

    def _read_tensor(self, item: ReadItem, planner: LoadPlanner, opened: safe_open) -> None:
        fqn, name = item.storage_index.fqn, self._place(item).name
        target = planner.resolve_tensor(item).detach()
        described = self._state.get(fqn)
        if name is None or not isinstance(described, TensorStorageMetadata):
            raise FlyweightError(f"{self.path}: {fqn!r} is no tensor in this checkpoint")
        if target.shape != torch.Size(item.lengths):
            raise FlyweightError(f"{fqn!r}: {list(item.lengths)} elements do not fit into {list(target.shape)}")
        if target.numel():
            dtype = described.properties.dtype
            _checkpoint_files.read_slice(opened, name, item.storage_offsets, item.lengths, dtype, target)
        planner.commit_tensor(item, target)


def share_of_cpus(threads: int) -> int:
    """`threads`, or, for 0, this process's share of the CPUs among the processes that torchrun started here."""
    if threads:
        return threads
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, cpu_count() // max(1, int(processes) if processes.isdecimal() else 1))


@dataclass(frozen=True)
class _Written:
    """What ranks tell the one that writes the index."""

    stored: Stored
    files: dict[str, File]


# Where an item will lie (the archive has no name yet), its bytes, and whether the archive holds any of it.
_Placed = tuple[Stored, int, bool]


def _finished(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _place(item: WriteItem, planner: SavePlanner, archive: _checkpoint_files.RankArchive) -> _Placed:
    if item.type == WriteItemType.BYTE_IO:
        return _place_object(item, planner, archive)
    name, size_bytes = archive.add(item, lambda: planner.resolve_data(item))
    return Stored(None, name), size_bytes, True


def _place_object(item: WriteItem, planner: SavePlanner, archive: _checkpoint_files.RankArchive) -> _Placed:
    fqn = item.index.fqn
    stream = planner.resolve_data(item)
    stream.seek(0)
    tensors: list[str] = []

    def keep(tensor: torch.Tensor) -> str:
        tensors.append(archive.add_part(f"{fqn}#{len(tensors)}", tensor))
        return tensors[-1]

    try:
        value = _plain.encode(torch.load(stream, map_location="cpu", weights_only=True), keep)
    except Exception as error:
        raise TypeError(
            f"{fqn!r} cannot be saved: it is neither a tensor nor made of plain data, and a checkpoint holds no pickle "
            f"({_first_line(error)})"
        ) from error
    return Stored(None, None, value), stream.getbuffer().nbytes, bool(tensors)


def _first_line(error: Exception) -> str:
    # What torch says about unsafe loading does not belong here: nothing is loaded in that way.
    lines = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line]
    return lines[0] if lines else (str(error).splitlines() or [type(error).__name__])[0]


def _collect(results: list[list[WriteResult]]) -> tuple[dict[str, File], dict[MetadataIndex, Stored]]:
    files: dict[str, File] = {}
    stored: dict[MetadataIndex, Stored] = {}
    for result in (result for of_rank in results for result in of_rank):
        files.update(result.storage_data.files)
        # Of two items in one place, one is an empty shard at the end of the tensor.
        if result.index not in stored or result.size_in_bytes:
            stored[result.index] = result.storage_data.stored
    return files, stored


def _files_named_in(index_path: pathlib.Path) -> set[str]:
    try:
        return set(_checkpoint_index.read(index_path).files)
    except FlyweightError:
        return set()


def _is_path(checkpoint_id: str | os.PathLike[str]) -> bool:
    return "://" not in os.fspath(checkpoint_id)
