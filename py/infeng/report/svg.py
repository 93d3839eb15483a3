"""A few SVG parts: axes, points, intervals, lines. Colours are CSS classes of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape


def number(value: float) -> str:
    """A number for people: three significant digits, no exponent where there need be none."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.2e}"


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from low to high, drawn from pixel a to pixel b."""

    low: float
    high: float
    a: float
    b: float

    def __call__(self, value: float) -> float:
        span = math.log(self.high / self.low)
        return self.a + (self.b - self.a) * math.log(value / self.low) / span

    def ticks(self) -> list[float]:
        """1, 2, 5 of each decade; the decades alone if that would be many."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (1,) if last - first > 3 else (1, 2, 5)
        ticks = [s * 10.0**e for e in range(first, last + 1) for s in steps]
        inside = [t for t in ticks if self.low * 0.9999 <= t <= self.high * 1.0001]
        return inside if len(inside) > 1 else [self.low, self.high]


def around(values: Sequence[float], margin: float = 1.3) -> tuple[float, float]:
    """Ends of a logarithmic axis that holds all values."""
    return min(values) / margin, max(values) * margin


@dataclass
class Drawing:
    """An SVG under construction. label: what it shows, for those who cannot see it."""

    width: int
    height: int
    label: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, anchor: str = "start", css: str = "") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}">'
            f"{escape(words)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        d = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<path d="{d}" class="{css}"/>')

    def dot(self, x: float, y: float, css: str, tip: str) -> None:
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{css}">'
            f"<title>{escape(tip)}</title></circle>"
        )

    def render(self) -> str:
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.label)}" style="max-width:{self.width}px">'
            + "".join(self.parts)
            + "</svg>"
        )


def frame(drawing: Drawing, x: Axis, y: Axis, x_title: str, y_title: str) -> None:
    """Grid, tick labels and titles."""
    for tick in x.ticks():
        drawing.line(x(tick), y.a, x(tick), y.b, "grid")
        drawing.text(x(tick), y.a + 18, number(tick), "middle", "tick")
    for tick in y.ticks():
        drawing.line(x.a, y(tick), x.b, y(tick), "grid")
        drawing.text(x.a - 8, y(tick) + 4, number(tick), "end", "tick")
    drawing.text((x.a + x.b) / 2, y.a + 40, x_title, "middle", "title")
    drawing.text(x.a, y.b - 10, y_title, "start", "title")
