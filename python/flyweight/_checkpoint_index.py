"""The index of a distributed checkpoint: what torch.distributed.checkpoint calls its metadata, as JSON.

One file, written last, that makes a folder a checkpoint. It starts with a SHA-256 of itself (taken with zeros in its
place), and nothing in it is executed: reading makes numbers, text, lists, tuples, dicts and what else _plain.py knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from flyweight import _atomic, _plain
from flyweight._errors import ChecksumError, FlyweightError, FormatError, UnsupportedVersionError

FILE_NAME = "checkpoint.fly.json"
FORMAT = "flyweight checkpoint"
VERSION = 1
_NO_DIGEST = "0" * 64
_MEMORY_FORMATS = ("contiguous_format", "channels_last", "preserve_format")


@dataclass(frozen=True)
class Stored:
    """Where an item of a checkpoint lies: as tensor `name` of archive `file`, or, an object, in the index itself."""

    file: str | None
    name: str | None = None
    value: Any = None


@dataclass
class File:
    """An archive that a checkpoint needs: one that holds its items, or one that another is a patch on."""

    size_bytes: int
    rank: int
    sha256: str  #: of the tensors as a safetensors file
    base: str | None = None  #: the archive that this one is a patch on
    depth: int = 0  #: patches that are decoded before this one
    home: str | None = None  #: the checkpoint beside this one where the archive was written, if that was another


@dataclass
class Index:
    """A checkpoint."""

    metadata: Metadata
    files: dict[str, File] = field(default_factory=dict)


def path_of(folder: pathlib.Path, rank: int | None = None) -> pathlib.Path:
    """The index of a checkpoint; with a rank, of the part that a rank saved on its own (without collectives)."""
    return folder / (FILE_NAME if rank is None else f"rank{rank:05d}.{FILE_NAME}")


def write(path: pathlib.Path, index: Index) -> None:
    """Writes the index, complete or not at all. Raises TypeError where the planner's data has no form in JSON."""
    document = {
        "format": FORMAT,
        "sha256": _NO_DIGEST,
        "version": VERSION,
        "dcp_version": index.metadata.version,
        "files": {name: _without_none(asdict(file)) for name, file in sorted(index.files.items())},
        "state": {name: _encode_entry(entry) for name, entry in index.metadata.state_dict_metadata.items()},
        "items": [_encode_item(item, stored) for item, stored in index.metadata.storage_data.items()],
        "planner_data": _plain.encode(index.metadata.planner_data, _refuse_tensor),
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    digest = hashlib.sha256(text).hexdigest()
    _atomic.write(path, text.replace(_NO_DIGEST.encode(), digest.encode(), 1))


def read(path: pathlib.Path) -> Index:
    """Reads an index. Raises FlyweightError where there is none, where it is damaged or of a newer version."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise FlyweightError(
            f"{path.parent} is no complete checkpoint: it has no {path.name}, which is written last"
        ) from None
    try:
        return _parse(_checked(text))
    except FlyweightError as error:
        error.args = (f"{path}: {error}",)
        error.filename = os.fspath(path)
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FormatError(f"{path}: the index of this checkpoint is malformed ({error})") from error


def _checked(text: bytes) -> dict[str, Any]:
    document = json.loads(text)
    if document.get("format") != FORMAT:
        raise FormatError("this is not the index of a checkpoint")
    if document["version"] != VERSION:
        raise UnsupportedVersionError(f"this checkpoint is of version {document['version']}, known is {VERSION}")
    digest = document["sha256"]
    unsigned = text.replace(digest.encode(), _NO_DIGEST.encode(), 1)
    if hashlib.sha256(unsigned).hexdigest() != digest:
        raise ChecksumError("the index of this checkpoint is damaged (its SHA-256 differs)")
    return dict(document)


def _parse(document: dict[str, Any]) -> Index:
    files = {name: _decode_file(name, description) for name, description in document["files"].items()}
    for name, file in files.items():
        if file.base is not None and (file.base not in files or files[file.base].depth != file.depth - 1):
            raise FormatError(f"archive {name} is a patch on {file.base}, which is not listed as its base")
    state = {name: _decode_entry(entry) for name, entry in document["state"].items()}
    items = dict(_decode_item(item, files) for item in document["items"])
    planner_data = _plain.decode(document["planner_data"], _refuse_tensor)
    metadata = Metadata(state, planner_data, items, version=document["dcp_version"])
    return Index(metadata, files)


def _refuse_tensor(_: Any) -> str:
    raise TypeError("a tensor where only plain objects can be")


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _decode_file(name: str, description: dict[str, Any]) -> File:
    file = File(**description)
    for part in (name, file.base, file.home):
        if part is not None and not _is_plain_name(part):
            raise FormatError(f"{part!r} is no name of a file")
    if not isinstance(file.sha256, str):
        raise FormatError(f"archive {name} has no SHA-256")
    if min(file.size_bytes, file.rank, file.depth) < 0:
        raise FormatError(f"archive {name} has a negative size, rank or depth")
    return file


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)


# What the state is made of --------------------------------------------------------------------------------------------


def _encode_entry(entry: TensorStorageMetadata | BytesStorageMetadata) -> dict[str, Any]:
    if isinstance(entry, BytesStorageMetadata):
        return {"kind": "object"}
    properties = entry.properties
    return {
        "kind": "tensor",
        "dtype": str(properties.dtype).removeprefix("torch."),
        "layout": str(properties.layout).removeprefix("torch."),
        "requires_grad": properties.requires_grad,
        "memory_format": _memory_format_name(properties.memory_format),
        "pin_memory": properties.pin_memory,
        "size": list(entry.size),
        "chunks": [[list(chunk.offsets), list(chunk.sizes)] for chunk in entry.chunks],
    }


def _decode_entry(entry: dict[str, Any]) -> TensorStorageMetadata | BytesStorageMetadata:
    if entry["kind"] == "object":
        return BytesStorageMetadata()
    if entry["kind"] != "tensor":
        raise FormatError(f"an entry of the unknown kind {entry['kind']!r}")
    layout = getattr(torch, entry["layout"], None)
    if not isinstance(layout, torch.layout) or entry["memory_format"] not in _MEMORY_FORMATS:
        raise FormatError(f"a tensor of the layout {entry['layout']!r}, {entry['memory_format']!r}")
    properties = TensorProperties(
        dtype=_plain.torch_dtype(entry["dtype"]),
        layout=layout,
        requires_grad=bool(entry["requires_grad"]),
        memory_format=getattr(torch, entry["memory_format"]),
        pin_memory=bool(entry["pin_memory"]),
    )
    size = _size(entry["size"])
    chunks = [ChunkStorageMetadata(_size(offsets), _size(sizes)) for offsets, sizes in entry["chunks"]]
    for chunk in chunks:
        if len(chunk.offsets) != len(size) or len(chunk.sizes) != len(size) or not _is_within(chunk, size):
            raise FormatError(f"a chunk {chunk} that is not within its tensor of size {list(size)}")
    return TensorStorageMetadata(properties, size, chunks)


def _memory_format_name(memory_format: torch.memory_format) -> str:
    name = str(memory_format).removeprefix("torch.")
    if name not in _MEMORY_FORMATS:
        raise TypeError(f"a tensor of memory format {name}")
    return name


def _size(dimensions: list[Any]) -> torch.Size:
    if not all(type(dimension) is int and 0 <= dimension < 1 << 63 for dimension in dimensions):
        raise FormatError(f"{dimensions} is no size")
    return torch.Size(dimensions)


def _is_within(chunk: ChunkStorageMetadata, size: torch.Size) -> bool:
    ends = (offset + length for offset, length in zip(chunk.offsets, chunk.sizes, strict=True))
    return all(end <= dimension for end, dimension in zip(ends, size, strict=True))


def _encode_item(item: MetadataIndex, stored: Stored) -> dict[str, Any]:
    offset = None if item.offset is None else list(item.offset)
    place = {"name": item.fqn, "offset": offset, "index": item.index, "file": stored.file, "tensor": stored.name}
    encoded = _without_none(place)
    return encoded if stored.name is not None else {**encoded, "value": stored.value}


def _decode_item(item: dict[str, Any], files: dict[str, File]) -> tuple[MetadataIndex, Stored]:
    offset = item.get("offset")
    file, name = item.get("file"), item.get("tensor")
    if (name is not None or file is not None) and file not in files:
        raise FormatError(f"{item['name']!r} lies in {file!r}, which is not among the archives")
    place = MetadataIndex(item["name"], None if offset is None else _size(offset), item.get("index"))
    return place, Stored(file, name, item.get("value"))
