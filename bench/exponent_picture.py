"""Draws exponents before and after re-centring: `python -m bench.exponent_picture RESULTS.json docs/exponents.svg`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench import svg
from bench.svg import Box

WIDTH, HEIGHT = 960, 400
PANEL_TOP, PANEL_WIDTH, PANEL_HEIGHT = 116, 410, 200
PANEL_LEFTS = (62, 524)
TITLES = {"minilm.bf16": "all-MiniLM-L6-v2", "crepe.bf16": "CREPE"}
# Exponents that fewer of the values than this have are left out at both ends.
SHOWN_SHARE = 0.0005
SHARE_TICK = 0.1


def _panel(row: dict, left: float, top_share: float) -> list[str]:
    box = Box(left, PANEL_TOP, left + PANEL_WIDTH, PANEL_TOP + PANEL_HEIGHT)
    shares = {label: _shares(row[label]["counts"]) for label in ("before", "after")}
    shown = [at for at in range(256) if max(counts[at] for counts in shares.values()) >= SHOWN_SHARE]
    first, last = shown[0], shown[-1]
    slot = box.width / (last - first + 1)
    scale = box.height / top_share
    lines = [svg.rectangle("panel", box), svg.text(left, PANEL_TOP - 12, TITLES[row["case"]], "case", "start")]
    ticks = int(top_share / SHARE_TICK)
    for tick in range(ticks + 1):
        y = box.bottom - tick * SHARE_TICK * scale
        lines.append(svg.line("grid", box.left, y, box.right, y))
        lines.append(svg.text(box.left - 7, y + 4, f"{100 * tick * SHARE_TICK:.0f} %", "tick", "end"))
    for number, (label, kind) in enumerate((("before", "peer"), ("after", "own"))):
        for exponent in range(first, last + 1):
            x = box.left + slot * (exponent - first) + slot * (0.1 + 0.4 * number)
            height = shares[label][exponent] * scale
            lines.append(svg.rectangle(kind, Box(x, box.bottom - height, x + 0.4 * slot, box.bottom)))
        lines.append(_legend(row, label, kind, box, number))
    step = max(1, (last - first + 1) // 8)
    for exponent in range(first, last + 1, step):
        x = box.left + slot * (exponent - first + 0.5)
        lines.append(svg.text(x, box.bottom + 18, f"{exponent}", "tick", "middle"))
    lines.append(svg.text(box.middle, box.bottom + 38, f"exponents of {row['tensor']}", "", "middle"))
    return lines


def _legend(row: dict, label: str, kind: str, box: Box, number: int) -> str:
    words = f"{label}: {row[label]['bits']:.2f} bits"
    return svg.text(box.left + 12, box.top + 22 + 20 * number, words, "own" if kind == "own" else "", "start")


def _shares(counts: list[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts]


def draw(results: dict) -> str:
    rows = results["exponents"]
    largest = max(max(_shares(row[label]["counts"])) for row in rows for label in ("before", "after"))
    top_share = SHARE_TICK * (int(largest / SHARE_TICK) + 1)
    lines = []
    for row, left in zip(rows, PANEL_LEFTS, strict=True):
        lines += _panel(row, left, top_share)
    return svg.card(
        WIDTH,
        HEIGHT,
        "Exponents before and after re-centring",
        "share of a tensor's bf16 values with each exponent; the scale of its row and of its column taken out",
        "bits: entropy of the exponent at order 0; the tensor of each model that gains most",
        lines,
    )


def main() -> int:
    results = json.loads(Path(sys.argv[1]).read_text())
    if "exponents" not in results:
        print("exponent picture: not drawn, as the run did not count them", file=sys.stderr)
        return 0
    Path(sys.argv[2]).write_text(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
