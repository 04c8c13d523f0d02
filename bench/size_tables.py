"""The tables of sizes alone: scenarios, quantised files, checkpoints."""

from __future__ import annotations

from bench.figures import BALANCED, LABELS, TIERS
from bench.markdown import NOT_MEASURED, table
from bench.targets import QUANTISED_SAVED

PEERS = ("zipnn", "z4ai", "bigsmall", "zstd-3")


def scenarios(results: dict) -> str:
    """Ratios: the bytes of the input over those of the result."""
    rows = results.get("scenarios", [])
    if not rows:
        return NOT_MEASURED
    columns = _columns(rows, ("z4ai", "zipnn", "bigsmall", "zstd-3"))
    lines = []
    for row in rows:
        bound = "-" if row["bound"] is None else f"{row['bound']:g}"
        ratios = [_bold(column, _ratio(row, column)) for column in columns]
        verdict = "reached" if row["bytes"] / row["codecs"][BALANCED] >= row["bar"] else "**missed**"
        lines.append([f"{row['name']}, {row['dtype']}", bound, f"{row['bar']:g}", *ratios, verdict])
    return table(["scenario", "bound", "wanted", *map(_title, columns), ""], lines)


def quantised(results: dict) -> str:
    rows = results.get("quantised", [])
    if not rows:
        return NOT_MEASURED
    columns = _columns(rows, PEERS)
    lines = []
    for row in rows:
        wanted = QUANTISED_SAVED.get(row["name"])
        saved = [_bold(column, _saved(row, column)) for column in columns]
        lines.append([row["name"], f"{row['bytes']:,}", "-" if wanted is None else f"{wanted:g}", *saved])
    return table(["file", "bytes", "wanted %", *(f"{_title(column)} %" for column in columns)], lines)


def checkpoints(results: dict) -> str:
    rows = results.get("checkpoints", [])
    if not rows:
        return NOT_MEASURED
    columns = _columns(rows, ("zipnn", "zstd-3"))
    lines = []
    for row in rows:
        sizes = [_bold(column, _size(row, column)) for column in columns]
        lines.append([row["name"], f"{row['bytes']:,}", *sizes])
    return table(["checkpoint", "bytes", *(f"{_title(column)} %" for column in columns)], lines)


def _columns(rows: list[dict], peers: tuple[str, ...]) -> list[str]:
    """flyweight's levels and those of `peers` that at least one row has."""
    wanted = [*(f"flyweight-{level}" for level in TIERS), *peers]
    return [column for column in wanted if any(row["codecs"].get(column) is not None for row in rows)]


def _title(column: str) -> str:
    return LABELS.get(column, column.removeprefix("flyweight-"))


def _bold(column: str, text: str) -> str:
    return f"**{text}**" if column == BALANCED else text


def _ratio(row: dict, column: str) -> str:
    size = row["codecs"].get(column)
    return "-" if size is None else f"{row['bytes'] / size:.4g}"


def _size(row: dict, column: str) -> str:
    size = row["codecs"].get(column)
    return "-" if size is None else f"{100 * size / row['bytes']:.2f}"


def _saved(row: dict, column: str) -> str:
    size = row["codecs"].get(column)
    return "-" if size is None else f"{100 - 100 * size / row['bytes']:.2f}"
