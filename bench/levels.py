"""The tiers of effort that the installed flyweight knows."""

from __future__ import annotations

LEVELS = ("fast", "balanced", "high", "max")
DEFAULT = "balanced"


def known() -> list[str]:
    """Those of LEVELS that `flyweight.compress` takes, in that order."""
    import flyweight

    found = []
    for level in LEVELS:
        try:
            flyweight.compress(b"\0\0", dtype="BF16", level=level, threads=1)
        except ValueError:
            continue
        found.append(level)
    return found
