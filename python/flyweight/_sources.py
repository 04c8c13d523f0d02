"""Where named tensors come from: an archive, or a plain safetensors file."""

from __future__ import annotations

import functools
import json
import math
import os
from dataclasses import dataclass
from typing import Any, Protocol

from flyweight import _core, _dtypes
from flyweight._errors import FormatError

ARCHIVE_MAGIC = b"\x89FLY\r\n\x1a\n"
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors


@dataclass(frozen=True)
class Entry:
    """A tensor: where it lies, and what its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    place: int  #: the extent's number in an archive, the offset in a plain file


@dataclass(frozen=True)
class Origin:
    """How an archive holds a tensor."""

    name: str  #: without the file's path
    kind: str  #: "" in itself, "same" as the base's, "patch"
    base_name: str  #: the tensor's name in the base
    digest: str


class Source(Protocol):
    """A file of named tensors. Any number of threads may read from it."""

    @property
    def entries(self) -> list[Entry]:
        """The tensors in file order."""

    @property
    def metadata(self) -> dict[str, str] | None:
        """The free text of the safetensors header."""

    def read(self, entry: Entry, begin: int, target: Any, threads: int) -> None:
        """Fills `target` (bytes, writable) with the tensor's bytes from `begin`."""


def open_path(path: str | os.PathLike[str], bases: list[bytes] | None = None) -> Source:
    """The tensors of an archive or of a plain safetensors file; the content decides which it is.

    `bases` is what a patch stands on.
    """
    file = _File(path)
    magic = bytearray(len(ARCHIVE_MAGIC))
    if _may_be_safetensors(bytes(magic[: file.read_into(0, magic)]), file.size):
        return PlainSource(file, os.fsdecode(path))
    return ArchiveSource(_core.Archive.from_path(os.fsencode(path), bases or []), os.fsdecode(path))


def open_bytes(data: Any) -> Source:
    """As open_path, of a file in memory: one-dimensional bytes, which the source keeps."""
    if not _may_be_safetensors(bytes(data[: len(ARCHIVE_MAGIC)]), len(data)):
        return ArchiveSource(_core.Archive.from_bytes(data), None)
    return PlainSource(_Memory(data), None)


def _may_be_safetensors(magic: bytes, size: int) -> bool:
    # No archive is: its magic, read as a length, is far over any file's size.
    return len(magic) == _LENGTH_BYTES and int.from_bytes(magic, "little") <= size - _LENGTH_BYTES


class ArchiveSource:
    """The tensors of an archive."""

    def __init__(self, archive: _core.Archive, path: str | None) -> None:
        self._archive = archive
        self._extents = archive.extents()
        prefixes = self._prefixes()
        self.entries = [
            Entry(prefixes[number] + name, dtype, shape, size_bytes, number)
            for number, (is_tensor, name, dtype, shape, size_bytes, _) in enumerate(self._extents)
            if is_tensor
        ]
        self._path = path

    def _prefixes(self) -> list[str]:
        """What stands before a tensor's name: nothing, in the archive of a directory its file's path and a colon."""
        if not self._archive.is_tree:
            return [""] * len(self._extents)
        files = self._archive.file_names()
        return [files[number] + ":" for number in self._archive.extent_files()]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file in the archive, in hexadecimal digits; empty for the archive of a directory."""
        return self._archive.sha256

    def origins(self) -> dict[int, Origin]:
        """How each extent is held, by its number."""
        rows = self._archive.extent_origins()
        return {n: Origin(self._extents[n][1], kind, base, digest) for n, (kind, base, digest) in enumerate(rows)}

    @functools.cached_property
    def metadata(self) -> dict[str, str] | None:
        if self._archive.container_format != "safetensors":
            return None
        return parse_header(self._header(), self._path).metadata

    def read(self, entry: Entry, begin: int, target: Any, threads: int) -> None:
        self._archive.decode_extent(entry.place, begin, target, threads)

    def _header(self) -> bytes:
        length = int.from_bytes(self._file_range(0, _LENGTH_BYTES), "little")
        if length > min(_MAX_HEADER_BYTES, self._archive.file_bytes - _LENGTH_BYTES):
            raise FormatError(f"the safetensors header claims {length} bytes")
        return self._file_range(_LENGTH_BYTES, length)

    def _file_range(self, begin: int, size: int) -> bytes:
        content = bytearray(size)
        view = memoryview(content)
        extent_begin = 0
        for number, (_, _, _, _, extent_bytes, _) in enumerate(self._extents):
            first, last = max(begin, extent_begin), min(begin + size, extent_begin + extent_bytes)
            if first < last:
                self._archive.decode_extent(number, first - extent_begin, view[first - begin : last - begin], 1)
            extent_begin += extent_bytes
        return bytes(content)


class _Memory:
    def __init__(self, data: Any) -> None:
        self._data = memoryview(data)
        self.size = len(data)

    def read_into(self, offset: int, target: Any) -> int:
        piece = self._data[offset : offset + len(target)]
        target[: len(piece)] = piece
        return len(piece)


class _File:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        # The object owns the descriptor, so that it is closed when the last reader is done.
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self.size = os.fstat(self._file.fileno()).st_size

    def read_into(self, offset: int, target: Any) -> int:
        return os.preadv(self._file.fileno(), [target], offset)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


class PlainSource:
    """The tensors of a safetensors file that was never compressed."""

    def __init__(self, content: _Memory | _File, path: str | None) -> None:
        self._content = content
        self._path = path
        length = int.from_bytes(self._bytes(0, _LENGTH_BYTES), "little")
        if length > _MAX_HEADER_BYTES:
            raise FormatError(_where(path, f"the safetensors header claims {length} bytes"))
        header = parse_header(self._bytes(_LENGTH_BYTES, length), path)
        self.metadata = header.metadata
        self.entries = header.entries(_LENGTH_BYTES + length, content.size)

    def read(self, entry: Entry, begin: int, target: Any, threads: int) -> None:
        self._fill(entry.place + begin, memoryview(target))

    def _bytes(self, offset: int, size: int) -> bytes:
        content = bytearray(size)
        self._fill(offset, memoryview(content))
        return bytes(content)

    def _fill(self, offset: int, target: memoryview) -> None:
        while len(target):
            count = self._content.read_into(offset, target)
            if count == 0:
                raise FormatError(_where(self._path, f"the file ends at byte {offset}, before its tensors do"))
            offset += count
            target = target[count:]


class Header:
    """A parsed safetensors header."""

    def __init__(self, tensors: dict[str, Any], metadata: dict[str, str] | None, path: str | None) -> None:
        self.metadata = metadata
        self._tensors = tensors
        self._path = path

    def entries(self, data_offset: int, file_bytes: int) -> list[Entry]:
        """The tensors by offset, each checked to lie in the file and to have the size of its shape."""
        found = [self._entry(name, description, data_offset) for name, description in self._tensors.items()]
        found.sort(key=lambda entry: (entry.place, entry.size_bytes))
        end = data_offset
        for entry in found:
            if entry.place < end or entry.place + entry.size_bytes > file_bytes:
                raise FormatError(_where(self._path, f"tensor {entry.name!r} overlaps another or leaves the file"))
            end = entry.place + entry.size_bytes
        return found

    def _entry(self, name: str, description: Any, data_offset: int) -> Entry:
        try:
            dtype = str(description["dtype"])
            shape = tuple(_count(dimension) for dimension in description["shape"])
            begin, end = (_count(offset) for offset in description["data_offsets"])
        except (KeyError, TypeError, ValueError):
            raise FormatError(_where(self._path, f"tensor {name!r} has a malformed description")) from None
        bits = _dtypes.BITS.get(dtype)
        if end < begin or (bits is not None and math.prod(shape) * bits != 8 * (end - begin)):
            raise FormatError(_where(self._path, f"tensor {name!r} has other bytes than its shape asks for"))
        return Entry(name, dtype, shape, end - begin, data_offset + begin)


def parse_header(content: bytes, path: str | None) -> Header:
    """Reads the JSON of a safetensors header. Raises FormatError where it is none."""
    try:
        tensors = json.loads(content.decode(), object_pairs_hook=_without_duplicates)
        metadata = tensors.pop("__metadata__", None)
        if metadata is not None and not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata is not text")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise FormatError(_where(path, f"neither a flyweight archive nor a safetensors file ({error})")) from None
    return Header(tensors, metadata, path)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("not a count")
    return value


def _where(path: str | None, message: str) -> str:
    return message if path is None else f"{path}: {message}"
