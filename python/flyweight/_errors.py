"""The exceptions of flyweight, and the one place where the library's error codes become exceptions."""

from __future__ import annotations

import errno


class FlyweightError(Exception):
    """Base of every error that flyweight reports about archives and models.

    `code` is the library's number of the error and `offset` the byte at which it was noticed (0 where none applies);
    `filename` names the file, where one is concerned. What the operating system refuses is an OSError instead, and a
    call that makes no sense a ValueError or TypeError.
    """

    code: int = 90
    offset: int = 0
    filename: str | None = None


class FormatError(FlyweightError, ValueError):
    """The bytes end too early or contradict the format."""


class ChecksumError(FlyweightError):
    """The bytes parse, but they are not the bytes that were written."""


class BaseMismatchError(FlyweightError):
    """A patch was given another base than it was made from."""


class AlreadyAppliedError(BaseMismatchError):
    """A patch was given what it makes, as if it were what it was made from."""


class UnsupportedVersionError(FlyweightError):
    """Written by a newer version, or needs a feature that this one does not have."""


class LimitError(FlyweightError):
    """A declared size is over a safety limit."""


# Numbers of flyweight::ErrorCode (include/flyweight/error.h).
_CLASSES: dict[int, type[FlyweightError]] = {
    20: FormatError,
    21: FormatError,
    22: ChecksumError,
    30: UnsupportedVersionError,
    31: UnsupportedVersionError,
    40: LimitError,
    50: BaseMismatchError,
    51: AlreadyAppliedError,
}
_INVALID_ARGUMENT = 10
_IO = 60
_EXISTS = 61
_SOURCE_CHANGED = 62
_OUT_OF_MEMORY = 70


def make_error(code: int, message: str, offset: int, filename: str | None) -> Exception:
    """The exception for an error of the library."""
    if code in (_IO, _SOURCE_CHANGED):
        return OSError(errno.EIO, message, filename)
    if code == _EXISTS:
        return FileExistsError(errno.EEXIST, message, filename)
    if code == _OUT_OF_MEMORY:
        return MemoryError(message)
    if filename is not None and filename not in message:
        message = f"{filename}: {message}"
    if code == _INVALID_ARGUMENT:
        return ValueError(message)
    error = _CLASSES.get(code, FlyweightError)(message)
    error.code = code
    error.offset = offset
    error.filename = filename
    return error
