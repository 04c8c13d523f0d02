"""Tables in Markdown."""

from __future__ import annotations

NOT_MEASURED = "Not measured in this run."


def table(header: list[str], rows: list[list[str]], right: bool = True) -> str:
    """All columns but the first are numbers where `right` is set."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + ("---:|" if right else "---|") * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
