"""What the pictures share: a card that reads on light and dark pages, text, and boxes to place labels in."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

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
polyline.own { stroke: #d1570a; stroke-width: 2; fill: none; }
text.own { font-weight: 600; fill: #bc4c00; }
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
  polyline.own { stroke: #ff9b50; }
  text.own { fill: #ffb077; }
}
"""


@dataclass
class Box:
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def overlaps(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: Box) -> bool:
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


def text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(kind: str, from_x: float, from_y: float, to_x: float, to_y: float) -> str:
    return f'<line class="{kind}" x1="{from_x:.1f}" y1="{from_y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def rectangle(kind: str, box: Box) -> str:
    where = f'x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<rect class="{kind}" {where}/>'


def card(width: int, height: int, title: str, subtitle: str, footer: str, content: list[str]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        text(28, 38, title, "title", "start"),
        text(28, 62, subtitle, "subtitle", "start"),
        *content,
        text(28, height - 16, footer, "tick", "start"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
