"""Files and folders that appear complete, or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil


def write(path: pathlib.Path, content: bytes) -> None:
    """Gives `path` this content: written beside it, flushed, renamed, and the folder flushed."""
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.tmp")
    with contextlib.ExitStack() as undo:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        undo.callback(os.unlink, temporary)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        undo.pop_all()
    sync_folder(path.parent)


def sync_folder(folder: pathlib.Path) -> None:
    """Flushes the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: pathlib.Path) -> None:
    """Removes a folder; what is left by an interruption has a hidden name, and no part of it the old one."""
    hidden = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.removing")
    os.rename(folder, hidden)
    sync_folder(folder.parent)
    shutil.rmtree(hidden)
