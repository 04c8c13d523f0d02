"""The names of efforts."""

from __future__ import annotations

NAMES = ("fast", "balanced", "high", "max")
_ALIASES = {"inference": "balanced", "storage": "max", "best": "max"}
# What 1 to 9 mean, as with the command.
_DIGITS = ["fast", "fast", "fast", "balanced", "balanced", "balanced", "high", "high", "max"]


def number(level: str | int) -> int:
    """The number that the native half knows a level by. Raises ValueError where there is no such level."""
    if isinstance(level, int) and not isinstance(level, bool) and 1 <= level <= len(_DIGITS):
        level = _DIGITS[level - 1]
    if isinstance(level, str):
        level = _ALIASES.get(level, level)
        if level in NAMES:
            return NAMES.index(level)
    known = ", ".join([*NAMES, *_ALIASES])
    raise ValueError(f"unknown level {level!r}; known are {known} and 1 to 9")
