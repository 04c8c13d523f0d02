"""Draws size against decoding speed: `python -m bench.picture RESULTS.json docs/size_speed.svg`."""

from __future__ import annotations

import itertools
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import svg
from bench.figures import LABELS, TIERS, CaseFigures
from bench.svg import Box

CASES = {"minilm.bf16": "all-MiniLM-L6-v2 in bf16", "crepe.bf16": "CREPE in bf16"}
WIDTH, HEIGHT = 960, 940
PANEL_LEFT, PANEL_WIDTH, PANEL_HEIGHT = 62, 870, 320
PANEL_TOPS = (112, 526)
SPEEDS = (0.012, 26.0)
SPEED_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
# What is this much larger than the median is drawn at the upper edge, with its size written out.
FAR_PERCENT = 5
FONT, CHARACTER_WIDTH, OWN_CHARACTER_WIDTH = 13, 7.3, 8.4
LINE_STEP = 4
HELD_TO_AVX2 = "flyweight-archive@avx2"


@dataclass
class Point:
    label: str
    x: float
    y: float
    own: bool
    far: bool


class Panel:
    """One model: the scales, the points and where their labels go."""

    def __init__(self, results: dict, name: str, top: float) -> None:
        self.figures = CaseFigures(name, results["cases"][name])
        self.name = name
        self.box = Box(PANEL_LEFT, top, PANEL_LEFT + PANEL_WIDTH, top + PANEL_HEIGHT)
        self.ways = self._ways()
        sizes = sorted(self.figures.size(way) for way in self.ways)
        near = [size for size in sizes if size < sizes[len(sizes) // 2] + FAR_PERCENT]
        self.low, self.high = math.floor(2 * min(near) - 0.6) / 2, math.ceil(2 * max(near) + 0.8) / 2
        self.points = {way: self._point(way, label) for way, label in self.ways.items()}
        self.memory = self.x(self.figures.speed("memcpy", "decode"))

    def _ways(self) -> dict[str, str]:
        own = {whole: level for level, (whole, _) in TIERS.items()}
        peers = {way: label for way, label in LABELS.items() if way not in ("memcpy", "zipnn", "zipnn-tensors")}
        peers[self.figures.fastest_zipnn("decode") or "zipnn"] = "ZipNN"
        ways = {**own, HELD_TO_AVX2: "balanced, AVX2", **peers}
        return {way: label for way, label in ways.items() if way in self.figures}

    def x(self, speed: float) -> float:
        share = math.log(speed / SPEEDS[0]) / math.log(SPEEDS[1] / SPEEDS[0])
        return self.box.left + self.box.width * min(1.0, max(0.0, share))

    def y(self, size: float) -> float:
        return self.box.top + self.box.height * (self.high - size) / (self.high - self.low)

    def _point(self, way: str, label: str) -> Point:
        size, speed = self.figures.size(way), self.figures.speed(way, "decode")
        far = size > self.high
        words = f"{label}: {size:.0f} %" if far else label
        y = self.box.top + 10 if far else self.y(size)
        return Point(words, self.x(speed), y, way.startswith("flyweight"), far)

    def draw(self) -> list[str]:
        markers = [_marker(point) for point in self.points.values()]
        return [*self._axes(), *self._memory(), *self._levels(), *self._labels(), *markers]

    def _axes(self) -> list[str]:
        box = self.box
        lines = [svg.rectangle("panel", box), svg.text(box.left, box.top - 12, CASES[self.name], "case", "start")]
        lines.append(svg.text(box.right, box.top - 12, "flyweight's levels", "own", "end"))
        for speed in SPEED_TICKS:
            x = self.x(speed)
            lines.append(svg.line("grid", x, box.top, x, box.bottom))
            lines.append(svg.text(x, box.bottom + 18, f"{speed:g}", "tick", "middle"))
        size = self.low
        while size <= self.high + 1e-9:
            y = self.y(size)
            lines.append(svg.line("grid", box.left, y, box.right, y))
            if size == round(size):
                lines.append(svg.text(box.left - 7, y + 4, f"{size:.0f} %", "tick", "end"))
            size += 0.5
        lines.append(svg.text(box.middle, box.bottom + 40, "decoding, GB/s a core (log scale)", "", "middle"))
        return lines

    def _memory(self) -> list[str]:
        dashed = svg.line("memory", self.memory, self.box.top, self.memory, self.box.bottom)
        return [dashed, svg.text(self.memory - 6, self.box.top + 17, "memcpy", "tick", "end")]

    def _levels(self) -> list[str]:
        """A line through flyweight's levels."""
        own = self._corners()
        corners = " ".join(f"{point.x:.1f},{point.y:.1f}" for point in own)
        return [f'<polyline class="own" points="{corners}"/>'] if len(own) > 1 else []

    def _corners(self) -> list[Point]:
        return [self.points[whole] for whole, _ in TIERS.values() if whole in self.points]

    def _along_levels(self) -> list[Box]:
        """Small boxes on that line, for labels to keep off it."""
        boxes = []
        for one, other in itertools.pairwise(self._corners()):
            steps = max(1, int(math.hypot(other.x - one.x, other.y - one.y) / LINE_STEP))
            for step in range(steps + 1):
                x = one.x + (other.x - one.x) * step / steps
                y = one.y + (other.y - one.y) * step / steps
                boxes.append(Box(x - 2, y - 2, x + 2, y + 2))
        return boxes

    def _labels(self) -> list[str]:
        """Places each label near its point where it covers nothing; a line leads there if it is not beside it."""
        points = sorted(self.points.values(), key=lambda point: (not point.own, point.y))
        taken = [Box(point.x - 7, point.y - 7, point.x + 7, point.y + 7) for point in points]
        taken.append(Box(self.memory - 2, self.box.top, self.memory + 2, self.box.bottom))
        taken.append(Box(self.memory - 60, self.box.top, self.memory, self.box.top + 24))
        taken += self._along_levels()
        lines = []
        for point in points:
            box = self._place(point, taken)
            taken.append(box)
            kind = "own" if point.own else ""
            lines += [*_leader(point, box), svg.text(box.middle, box.bottom - 4, point.label, kind, "middle")]
        return lines

    def _place(self, point: Point, taken: list[Box]) -> Box:
        width = (OWN_CHARACTER_WIDTH if point.own else CHARACTER_WIDTH) * len(point.label)
        for distance in range(11, 260, 4):
            for degrees in (0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200, 65, 295, 115, 245):
                angle = math.radians(degrees)
                x = point.x + math.cos(angle) * (distance + width / 2)
                y = point.y - math.sin(angle) * (distance + FONT / 2)
                box = Box(x - width / 2, y - FONT / 2 - 2, x + width / 2, y + FONT / 2 + 2)
                if box.inside(self.box) and not any(box.overlaps(other) for other in taken):
                    return box
        raise ValueError(f"no room for the label {point.label}")


def _leader(point: Point, box: Box) -> list[str]:
    x = min(max(point.x, box.left), box.right)
    y = min(max(point.y, box.top + 2), box.bottom - 2)
    distance = math.hypot(x - point.x, y - point.y)
    if distance < 16:
        return []
    start = 7 / distance
    return [svg.line("leader", point.x + (x - point.x) * start, point.y + (y - point.y) * start, x, y)]


def _marker(point: Point) -> str:
    kind = "own" if point.own else "peer"
    if point.far:
        x, y = point.x, point.y
        return f'<path class="{kind}" d="M{x:.1f} {y - 6:.1f} l6 11 h-12 z"/>'
    return f'<circle class="{kind}" cx="{point.x:.1f}" cy="{point.y:.1f}" r="{7 if point.own else 5}"/>'


def draw(results: dict) -> str:
    lines = []
    for name, top in zip(CASES, PANEL_TOPS, strict=True):
        lines += Panel(results, name, top).draw()
    machine = results["machine"]
    return svg.card(
        WIDTH,
        HEIGHT,
        "Size against decoding speed: lower right is better",
        "lossless, size in % of the tensor bytes, one core, warm buffers, checked byte for byte",
        f"{machine['cpu']}, {machine['date']}; triangles: above the scale; docs/results.md has all figures",
        lines,
    )


def main() -> int:
    results = json.loads(Path(sys.argv[1]).read_text())
    if not all(name in results["cases"] for name in CASES):
        print("picture: not drawn, as the run left out a case that it shows", file=sys.stderr)
        return 0
    Path(sys.argv[2]).write_text(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
