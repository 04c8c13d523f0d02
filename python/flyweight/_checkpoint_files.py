"""The archives of a distributed checkpoint: how a rank's tensors are named and laid out, found again and read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.distributed.checkpoint.planner import WriteItem

from flyweight import _atomic, _checkpoint_index, _core, _dtypes, _files, _indexing, _serialize
from flyweight import torch as fly_torch
from flyweight._checkpoint_index import File
from flyweight._errors import BaseMismatchError, ChecksumError, FlyweightError, FormatError
from flyweight._safe_open import safe_open
from flyweight._sources import ArchiveSource

_SAVING = ".saving-"
_LINK_REFUSED = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)


@dataclass(frozen=True)
class Base:
    """An archive that the next one of the same rank can be a patch on, in checkpoint `folder`."""

    folder: pathlib.Path
    name: str
    files: Mapping[str, File]

    @property
    def depth(self) -> int:
        return self.files[self.name].depth


def newest_base(folder: pathlib.Path, rank: int) -> Base | None:
    """The archive of `rank` in the newest complete checkpoint in or beside `folder`; None where there is none."""
    indexes = [path for path in folder.parent.glob(f"*/{_checkpoint_index.FILE_NAME}") if path.is_file()]
    for path in sorted(indexes, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            files = _checkpoint_index.read(path).files
            own = [name for name, file in files.items() if file.rank == rank]
            if not own:
                return None
            name = max(own, key=lambda name: files[name].depth)
            lineage(path.parent, files, name)
        except FlyweightError:
            # It is damaged, or has lost what it is a patch on: nothing to build upon.
            continue
        return Base(path.parent, name, files)
    return None


def lineage(folder: pathlib.Path, files: Mapping[str, File], name: str) -> list[pathlib.Path]:
    """Where the archives lie that `name` is a patch on, the one that stands alone first, and then its own.

    Raises BaseMismatchError where one is missing or has another size.
    """
    return [_find(folder, files, each, name) for each in _names(files, name)]


def _names(files: Mapping[str, File], name: str) -> list[str]:
    names: list[str] = []
    each: str | None = name
    while each is not None:
        names.append(each)
        each = files[each].base
    return names[::-1]


def _find(folder: pathlib.Path, files: Mapping[str, File], name: str, wanted_by: str) -> pathlib.Path:
    file = files[name]
    places = [folder / name]
    if file.home is not None:
        places.append(folder.parent / file.home / name)
    place = next((place for place in places if place.is_file()), None)
    purpose = "is part of this checkpoint" if name == wanted_by else f"{wanted_by} is a patch on it"
    if place is None:
        raise BaseMismatchError(f"{places[-1]} is missing: {purpose}")
    if place.stat().st_size != file.size_bytes:
        raise BaseMismatchError(f"{place} has {place.stat().st_size} bytes instead of {file.size_bytes}: {purpose}")
    return place


# Writing --------------------------------------------------------------------------------------------------------------


class RankArchive:
    """The archive of a rank's tensors, while it is put together."""

    def __init__(self, folder: pathlib.Path, rank: int, base: Base | None) -> None:
        self._folder, self._rank, self._base = folder, rank, base
        self._tensors: dict[str, _serialize.Tensor] = {}

    def add(self, item: WriteItem, resolve: Callable[[], torch.Tensor]) -> tuple[str, int]:
        """Takes in a tensor, which is asked for when it is written. Returns its name in the archive and its bytes."""
        described = item.tensor_data
        if described is None or described.properties.layout != torch.strided:
            raise TypeError(f"{item.index.fqn!r} cannot be saved: it is no dense tensor")
        sizes, offsets = described.chunk.sizes, described.chunk.offsets
        suffix = "" if sizes == described.size else "@" + ",".join(map(str, offsets))
        return self._keep(item.index.fqn + suffix, tuple(sizes), described.properties.dtype, resolve)

    def add_part(self, fqn: str, tensor: torch.Tensor) -> str:
        """Takes in a tensor that is part of an object. Returns its name in the archive."""
        if str(tensor.dtype) not in fly_torch._FROM_TORCH:
            raise TypeError(f"a tensor of {tensor.dtype} inside an object")
        return self._keep(fqn, tuple(tensor.shape), tensor.dtype, lambda: tensor)[0]

    def write(self, level: str | int, threads: int) -> tuple[str | None, dict[str, File]]:
        """Writes it, verified and flushed. Returns its name and all archives that it needs, itself among them.

        Those that it is a patch on are linked into its folder where that can be. Nothing is written, and the name is
        None, where no tensor was added.
        """
        if not self._tensors:
            return None, {}
        base = self._base
        bases = [] if base is None else lineage(base.folder, base.files, base.name)
        with _provisional(self._folder) as folder:
            path = folder / f"rank{self._rank:05d}.safetensors.fly"
            _save(list(self._tensors.values()), path, level, threads, bases)
            written = File(os.stat(path).st_size, self._rank, _core.Archive.from_path(os.fsencode(path)).sha256)
            if base is not None:
                written.base, written.depth = base.name, base.depth + 1
            name = _name(written)
            os.replace(path, self._folder / name)
        files = {name: written}
        for path in bases:
            assert base is not None
            files[path.name] = replace(base.files[path.name], home=_link(path, self._folder))
        _atomic.sync_folder(self._folder)
        return name, files

    def _keep(
        self, wanted: str, shape: tuple[int, ...], dtype: torch.dtype, resolve: Callable[[], torch.Tensor]
    ) -> tuple[str, int]:
        name, number = wanted, 1
        while name in self._tensors or name == "__metadata__":
            number += 1
            name = f"{wanted}~{number}"
        stored_dtype, tail = _stored_as(dtype, name)

        def data() -> Any:
            tensor = resolve()
            if tensor.dtype != dtype or tensor.shape != torch.Size(shape):
                raise FlyweightError(f"{name!r} is {tensor.dtype} {list(tensor.shape)}; planned was {dtype} {shape}")
            return fly_torch.describe(_as_stored(tensor.detach().cpu().contiguous()))[0]

        size_bytes = math.prod(shape) * torch.empty((), dtype=dtype).element_size()
        self._tensors[name] = _serialize.Tensor(name, stored_dtype, (*shape, *tail), data, size_bytes)
        return name, size_bytes


def _stored_as(dtype: torch.dtype, name: str) -> tuple[str, tuple[int, ...]]:
    """The dtype that tensors of `dtype` are stored with, and the dimensions that this adds to their shape."""
    own = fly_torch._FROM_TORCH.get(str(dtype))
    if own is not None and _dtypes.BITS[own] % 8 == 0:
        return own, ()
    if dtype == torch.complex128:
        return "F64", (2,)
    if torch.empty((), dtype=dtype).element_size() == 1:
        return "U8", ()
    raise TypeError(f"{name!r} cannot be saved: flyweight has no dtype for {dtype}")


def _as_stored(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype == torch.complex128:
        return torch.view_as_real(tensor.resolve_conj())
    if _dtypes.BITS.get(fly_torch._FROM_TORCH.get(str(tensor.dtype), ""), 1) % 8:
        return tensor.view(torch.uint8)
    return tensor


@contextlib.contextmanager
def _provisional(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory(prefix=_SAVING, dir=folder) as provisional:
        yield pathlib.Path(provisional)


def remove_remains(folder: pathlib.Path) -> None:
    """Removes what saves that were interrupted left in `folder`. No save may be under way."""
    for path in folder.glob(_SAVING + "*"):
        shutil.rmtree(path, ignore_errors=True)


def _name(file: File) -> str:
    """A name that no other archive has: what replaces a checkpoint never takes the place of a part of it."""
    description = f"{file.sha256} {file.size_bytes} {file.base}"
    return f"rank{file.rank:05d}.{hashlib.sha256(description.encode()).hexdigest()[:16]}.fly"


def _save(
    tensors: list[_serialize.Tensor], path: pathlib.Path, level: str | int, threads: int, bases: list[pathlib.Path]
) -> None:
    """Writes an archive; a patch on the last of `bases`, each of which is a patch on the one before it."""
    if not bases:
        _serialize.save_file(tensors, path, None, level, threads)
        return
    laid_out = path.with_suffix("")
    _serialize.lay_out_file(tensors, None, laid_out)
    _files.compress_file(laid_out, path, base=list(bases), level=level, threads=threads)


def _link(path: pathlib.Path, folder: pathlib.Path) -> str | None:
    """Makes an archive part of `folder` too. Returns the name of the folder it stays in where that cannot be."""
    if path.parent == folder:
        return None
    try:
        os.link(path, folder / path.name)
    except FileExistsError:
        return None
    except OSError as error:
        if error.errno not in _LINK_REFUSED:
            raise
        return path.parent.name
    return None


def check_present(folder: pathlib.Path, files: Mapping[str, File]) -> None:
    """Raises BaseMismatchError where an archive is missing or has another size than it was written with."""
    for name in files:
        lineage(folder, files, name)


# Reading --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_archive(folder: pathlib.Path, files: Mapping[str, File], name: str, threads: int) -> Iterator[safe_open]:
    """An archive of a checkpoint, with those that it is a patch on."""
    *bases, path = lineage(folder, files, name)
    with safe_open(path, framework="pt", threads=threads, base=bases or None) as opened:
        source = opened._opened()
        if not isinstance(source, ArchiveSource) or source.sha256 != files[name].sha256:
            raise ChecksumError(f"{path} is not the archive that the checkpoint was made with (its SHA-256 differs)")
        yield opened


def read_slice(
    opened: safe_open, name: str, offsets: torch.Size, lengths: torch.Size, dtype: torch.dtype, target: torch.Tensor
) -> None:
    """Fills `target` (its shape is `lengths`) with a part of tensor `name`, which was saved with dtype `dtype`."""
    entry = opened._entry(name)
    stored_dtype, tail = _stored_as(dtype, name)
    index = tuple(slice(begin, begin + length) for begin, length in zip(offsets, lengths, strict=True))
    inside = len(entry.shape) == len(index) + len(tail) and all(
        begin + length <= dimension for begin, length, dimension in zip(offsets, lengths, entry.shape, strict=False)
    )
    if entry.dtype != stored_dtype or not inside:
        raise FormatError(f"tensor {name!r} is {entry.dtype} {entry.shape}: not what the index says")
    selection = _indexing.select(entry.shape, index)
    if not tail and math.prod(selection.block_shape) == target.numel() and _can_decode_into(target, dtype):
        begin = selection.begin * _dtypes.BITS[entry.dtype] // 8
        opened._opened().read(entry, begin, fly_torch.writable_bytes(target), opened._threads)
        return
    part = opened.get_slice(name)[index]
    target.copy_(torch.view_as_complex(part) if tail else part.view(dtype))


def _can_decode_into(target: torch.Tensor, dtype: torch.dtype) -> bool:
    plain = (
        target.device.type == "cpu" and target.is_contiguous() and type(target) in (torch.Tensor, torch.nn.Parameter)
    )
    return plain and target.dtype == dtype and not target.is_conj() and not target.is_neg()
