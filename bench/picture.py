"""Draws size against decoding speed: `python -m bench.picture RESULTS.json docs/size_speed.svg`."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from bench.figures import LABELS, CaseFigures

CASES = {"minilm.bf16": "all-MiniLM-L6-v2 in bf16", "crepe.bf16": "CREPE in bf16"}
WIDTH, HEIGHT = 960, 520
PANEL_TOP, PANEL_HEIGHT, PANEL_WIDTH = 112, 330, 400
PANEL_LEFTS = (62, 536)
SPEEDS = (0.5, 24.0)
SPEED_TICKS = (0.5, 1, 2, 4, 8, 16)
# What is this much larger than the median is drawn at the upper edge, with its size written out.
FAR_PERCENT = 5
FONT, CHARACTER_WIDTH, OWN_LABEL_WIDTH = 13, 7.3, 66

# A card with its own background, so that it reads on any page; the colours follow the reader's theme.
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #3d444d; }
.card { fill: #ffffff; stroke: #d1d9e0; }
.panel { fill: #f6f8fa; stroke: #d1d9e0; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.memory { stroke: #818b98; stroke-width: 1.5; stroke-dasharray: 5 4; }
.leader { stroke: #818b98; stroke-width: 1; }
.peer { fill: #59636e; }
.own { fill: #d1570a; }
.title { font-size: 19px; font-weight: 600; fill: #1f2328; }
.subtitle { font-size: 14px; fill: #59636e; }
.case { font-size: 15px; font-weight: 600; fill: #1f2328; }
line.own { stroke: #d1570a; stroke-width: 2; }
text.own { font-weight: 600; fill: #bc4c00; }
text.name { font-size: 18px; font-weight: 700; }
.tick { font-size: 12px; fill: #59636e; }
@media (prefers-color-scheme: dark) {
  text { fill: #d1d7e0; }
  .card { fill: #0d1117; stroke: #3d444d; }
  .panel { fill: #151b23; stroke: #3d444d; }
  .grid { stroke: #2a313c; }
  .memory, .leader { stroke: #7d8590; }
  .peer { fill: #9198a1; }
  .own { fill: #ff9b50; }
  .title, .case { fill: #f0f6fc; }
  .subtitle, .tick { fill: #9198a1; }
  line.own { stroke: #ff9b50; }
  text.own { fill: #ffb077; }
}
"""


@dataclass
class Point:
    label: str
    x: float
    y: float
    own: bool
    far: bool


@dataclass
class Box:
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def overlaps(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: Box) -> bool:
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


class Panel:
    """One model: the scales, the points and where their labels go."""

    def __init__(self, results: dict, name: str, left: float) -> None:
        self.figures = CaseFigures(name, results["cases"][name])
        self.name, self.left = name, left
        self.box = Box(left, PANEL_TOP, left + PANEL_WIDTH, PANEL_TOP + PANEL_HEIGHT)
        native = "AVX-512" if "avx512_vbmi2" in results["machine"]["isa"] else "AVX2"
        ways = {"flyweight-archive": native, "flyweight-archive@avx2": "AVX2"}
        ways |= {way: label for way, label in LABELS.items() if way not in ("memcpy", "zipnn", "zipnn-tensors")}
        ways[self.figures.fastest_zipnn("decode") or "zipnn"] = "ZipNN"
        self.ways = {way: label for way, label in ways.items() if way in self.figures}
        sizes = sorted(self.figures.size(way) for way in self.ways)
        near = [size for size in sizes if size < sizes[len(sizes) // 2] + FAR_PERCENT]
        self.low, self.high = math.floor(2 * min(near) - 0.6) / 2, math.ceil(2 * max(near) + 0.8) / 2
        self.points = [self._point(way, label) for way, label in self.ways.items()]

    def x(self, speed: float) -> float:
        share = math.log(speed / SPEEDS[0]) / math.log(SPEEDS[1] / SPEEDS[0])
        return self.left + PANEL_WIDTH * min(1.0, max(0.0, share))

    def y(self, size: float) -> float:
        return PANEL_TOP + PANEL_HEIGHT * (self.high - size) / (self.high - self.low)

    def _point(self, way: str, label: str) -> Point:
        size, speed = self.figures.size(way), self.figures.speed(way, "decode")
        far = size > self.high
        text = f"{label}: {size:.0f} %" if far else label
        return Point(text, self.x(speed), PANEL_TOP + 10 if far else self.y(size), way.startswith("flyweight"), far)

    def draw(self) -> list[str]:
        markers = [_marker(point) for point in self.points]
        return [*self._axes(), *self._memory(), *self._own(), *self._labels(), *markers]

    def _axes(self) -> list[str]:
        box = self.box
        lines = [f'<rect class="panel" x="{box.left}" y="{box.top}" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}"/>']
        lines.append(_text(box.left, box.top - 12, CASES[self.name], "case", "start"))
        for speed in SPEED_TICKS:
            x = self.x(speed)
            lines.append(f'<line class="grid" x1="{x:.1f}" y1="{box.top}" x2="{x:.1f}" y2="{box.bottom}"/>')
            lines.append(_text(x, box.bottom + 18, f"{speed:g}", "tick", "middle"))
        size = self.low
        while size <= self.high + 1e-9:
            y = self.y(size)
            lines.append(f'<line class="grid" x1="{box.left}" y1="{y:.1f}" x2="{box.right}" y2="{y:.1f}"/>')
            if size == round(size):
                lines.append(_text(box.left - 7, y + 4, f"{size:.0f} %", "tick", "end"))
            size += 0.5
        lines.append(
            _text((box.left + box.right) / 2, box.bottom + 40, "decoding, GB/s a core (log scale)", "", "middle")
        )
        return lines

    def _memory(self) -> list[str]:
        x = self.x(self.figures.speed("memcpy", "decode"))
        line = f'<line class="memory" x1="{x:.1f}" y1="{self.box.top}" x2="{x:.1f}" y2="{self.box.bottom}"/>'
        return [line, _text(x - 6, self.box.top + 17, "memcpy", "tick", "end")]

    def _own(self) -> list[str]:
        """flyweight's points are joined and share the name; the instruction sets stand below them."""
        own = sorted((point for point in self.points if point.own), key=lambda point: point.x)
        if not own:
            return []
        name, *labels = self._own_boxes()
        ends = f'x1="{own[0].x:.1f}" y1="{own[0].y:.1f}" x2="{own[-1].x:.1f}" y2="{own[-1].y:.1f}"'
        lines = [f'<line class="own" {ends}/>', _text(name.middle, name.bottom - 5, "flyweight", "own name", "middle")]
        for point, box in zip(own, labels, strict=True):
            lines.append(_text(box.middle, box.bottom - 4, point.label, "own", "middle"))
        return lines

    def _own_boxes(self) -> list[Box]:
        """Where the name goes, then the labels of flyweight's points from left to right."""
        own = sorted((point for point in self.points if point.own), key=lambda point: point.x)
        if not own:
            return []
        x, y = sum(point.x for point in own) / len(own), sum(point.y for point in own) / len(own)
        boxes = [Box(x - 48, y - 34, x + 48, y - 10)]
        memory = self.x(self.figures.speed("memcpy", "decode"))
        # Neighbours lean away from each other until both labels fit, and none leans on the line of memcpy.
        lean = max(8.0, (OWN_LABEL_WIDTH - (own[-1].x - own[0].x)) / 2) if len(own) > 1 else 0.0
        right = own[-1].x + lean
        right = min(right, memory - OWN_LABEL_WIDTH / 2 - 4) if own[-1].x < memory else right
        middles = [min(own[0].x - lean, right - OWN_LABEL_WIDTH), right] if len(own) > 1 else [right]
        for point, x in zip(own, middles, strict=True):
            boxes.append(Box(x - OWN_LABEL_WIDTH / 2, point.y + 10, x + OWN_LABEL_WIDTH / 2, point.y + 28))
        return boxes

    def _labels(self) -> list[str]:
        """Places each label near its point where it covers nothing; a line leads there if it is not beside it."""
        memory = self.x(self.figures.speed("memcpy", "decode"))
        taken = [Box(point.x - 7, point.y - 7, point.x + 7, point.y + 7) for point in self.points]
        taken.append(Box(memory - 2, self.box.top, memory + 2, self.box.bottom))
        taken.append(Box(memory - 60, self.box.top, memory, self.box.top + 24))
        taken += self._own_boxes()
        lines = []
        for point in sorted((point for point in self.points if not point.own), key=lambda point: point.y):
            box = self._place(point, taken)
            taken.append(box)
            lines += [*_leader(point, box), _text(box.middle, box.bottom - 4, point.label, "", "middle")]
        return lines

    def _place(self, point: Point, taken: list[Box]) -> Box:
        width = CHARACTER_WIDTH * len(point.label)
        for distance in range(11, 150, 4):
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
    from_x, from_y = point.x + (x - point.x) * start, point.y + (y - point.y) * start
    return [f'<line class="leader" x1="{from_x:.1f}" y1="{from_y:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>']


def _marker(point: Point) -> str:
    kind = "own" if point.own else "peer"
    if point.far:
        x, y = point.x, point.y
        return f'<path class="{kind}" d="M{x:.1f} {y - 6:.1f} l6 11 h-12 z"/>'
    return f'<circle class="{kind}" cx="{point.x:.1f}" cy="{point.y:.1f}" r="{7 if point.own else 5}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def draw(results: dict) -> str:
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>Size against decoding speed of flyweight and its peers; lower right is better</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        _text(28, 38, "Size against decoding speed: lower right is better", "title", "start"),
        _text(
            28,
            62,
            "lossless, size in % of the tensor bytes, one core, warm buffers, checked byte for byte",
            "subtitle",
            "start",
        ),
    ]
    for name, left in zip(CASES, PANEL_LEFTS, strict=True):
        lines += Panel(results, name, left).draw()
    machine = results["machine"]
    footer = f"{machine['cpu']}, {machine['date']}; triangles: above the scale; docs/results.md has all figures"
    lines += [_text(28, HEIGHT - 16, footer, "tick", "start"), "</svg>"]
    return "\n".join(lines) + "\n"


def main() -> int:
    results = json.loads(Path(sys.argv[1]).read_text())
    if not all(name in results["cases"] for name in CASES):
        print("picture: not drawn, as the run left out a case that it shows", file=sys.stderr)
        return 0
    Path(sys.argv[2]).write_text(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
