"""Files in pieces that are complete or absent, JSON from outside, and names that stay in their folder."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flyweight._errors import FormatError, LimitError

_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors")
_MAX_JSON_BYTES = 256 << 20


def write_whole(path: Path, pieces: Iterable[Any]) -> int:
    """Writes a file under another name, flushes it and gives it its own. Returns its bytes."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    size = 0
    try:
        with open(temporary, "xb", buffering=0) as file:
            for piece in pieces:
                size += _write_all(file, memoryview(piece))
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def _write_all(file: Any, piece: memoryview) -> int:
    left = piece
    while len(left):
        left = left[file.write(left) :]
    return len(piece)


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file. Raises FormatError where it is none or says something twice."""
    size = path.stat().st_size
    if size > _MAX_JSON_BYTES:
        raise LimitError(f"{path}: {size} bytes of JSON")
    try:
        content = json.loads(path.read_bytes().decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise FormatError(f"{path}: not a JSON object")
    return content


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def shard_path(folder: Path, name: Any) -> Path:
    """The file of that name in a folder. Raises FormatError for names that might lead elsewhere."""
    if not isinstance(name, str) or _SHARD.fullmatch(name) is None:
        raise FormatError(f"{folder}: {name!r} is no name of a shard")
    return folder / name
