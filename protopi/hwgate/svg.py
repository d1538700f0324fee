# SPDX-License-Identifier: MIT
"""Pictures for reports: SVG as text, nothing loaded from anywhere, readable on dark and light ground."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from protopi.hwgate.statistics import keep, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protopi.hwgate.power_curve import Point

#: Kind of a part -> its colour on light ground and on dark.
COLOURS = {
    "ink": ("#24292f", "#e6edf3"),
    "soft": ("#57606a", "#9198a1"),
    "ground": ("#ffffff", "#0d1117"),
    "axis": ("#8c959f", "#6e7681"),
    "grid": ("#d8dee4", "#30363d"),
    "now": ("#0969da", "#58a6ff"),
    "then": ("#9a6700", "#d29922"),
    "limit": ("#cf222e", "#ff7b72"),
    "rest": ("#8c959f", "#6e7681"),
}
#: Each part has its light colour as an attribute, for programs that read no style sheet; this is for the dark.
_DARK = "\n".join(
    f".chart .f.{kind} {{ fill: {dark} }} .chart .s.{kind} {{ stroke: {dark} }}" for kind, (_, dark) in COLOURS.items()
)
STYLE = f"@media (prefers-color-scheme: dark) {{\n{_DARK}\n}}"


def _filled(kind: str) -> str:
    return f'class="f {kind}" fill="{COLOURS[kind][0]}"'


def _drawn(kind: str) -> str:
    return f'class="s {kind}" stroke="{COLOURS[kind][0]}" stroke-width="{1 if kind in ("axis", "grid") else 2}"'


@dataclass(slots=True)
class Canvas:
    """A picture that is being drawn; `title` is its text alternative."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "ink", anchor: str = "start") -> None:
        """Words at a point: `anchor` is start, middle or end."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" {_filled(kind)} text-anchor="{anchor}">{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, dash: str = "") -> None:
        """A straight line."""
        more = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {_drawn(kind)}{more}/>')

    def dot(self, x: float, y: float, kind: str, radius: float = 4.0, words: str = "") -> None:
        """A dot; `words` are shown when one points at it."""
        note = f"<title>{escape(words)}</title>" if words else ""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {_filled(kind)}>{note}</circle>')

    def box(self, x: float, y: float, width: float, height: float, kind: str, words: str = "") -> None:
        """A filled rectangle."""
        note = f"<title>{escape(words)}</title>" if words else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
        self.parts.append(f"<rect {place} {_filled(kind)}>{note}</rect>")

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through points."""
        route = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.parts.append(f'<path d="M{route}" fill="none" {_drawn(kind)}/>')

    def render(self, *, alone: bool = False) -> str:
        """The SVG; `alone`: as a file of its own, with its colours and a ground."""
        size = f'width="{self.width}" height="{self.height}"' if alone else 'width="100%"'
        ground = f'<style>{STYLE}</style><rect width="100%" height="100%" {_filled("ground")}/>' if alone else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {self.width} {self.height}" {size} '
            f'font-family="system-ui, DejaVu Sans, sans-serif" font-size="13" role="img">'
            f"<title>{escape(self.title)}</title>{ground}{''.join(self.parts)}</svg>"
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places on the canvas."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 8) -> list[float]:
        """Round values in the range, at most so many."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step = next(s for factor in (1, 2, 2.5, 5, 10, 20) if (self.high - self.low) / (s := step * factor) <= most)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _bottom(canvas: Canvas, scale: Scale, top: float, y: float, words: str) -> None:
    """The axis below a picture, with a line for each of its ticks."""
    ticks = scale.ticks()
    digits = next(d for d in range(7) if d == 6 or all(abs(round(tick, d) - tick) < 1e-9 for tick in ticks))
    for tick in ticks:
        canvas.line(scale(tick), top, scale(tick), y, "grid")
        canvas.text(scale(tick), y + 17, f"{tick:.{digits}f}", "soft", "middle")
    canvas.line(scale.start, y, scale.end, y, "axis")
    canvas.text((scale.start + scale.end) / 2, y + 36, words, "soft", "middle")


def against_limit(times: Sequence[float], limit: float, words: str) -> str:
    """All boots on one line from zero, with the limit: how far away is it?"""
    canvas = Canvas(860, 120, f"{len(times)} boots against the limit of {limit:g} s")
    scale = Scale(0.0, max(limit, *times) * 1.06, 20, 840)
    _bottom(canvas, scale, 22, 72, words)
    canvas.line(scale(limit), 18, scale(limit), 72, "limit")
    canvas.text(scale(limit) - 5, 16, f"limit {limit:g} s", "limit", "end")
    for number, value in enumerate(times, 1):
        y = 48 + 14 * math.sin(2.4 * number)
        canvas.dot(scale(value), y, "limit" if value >= limit else "now", 4, f"{number}: {value:.3f} s")
    return canvas.render()


def distribution(times: Sequence[float], words: str, earlier: Sequence[float] = ()) -> str:
    """Each boot as a dot, equal ones piled up; below it the earlier run, if there is one.

    A boot that lies far off stands at the edge, with its time: it must not press the others together.
    """
    sets = [(list(times), "now", "this run")] + ([(list(earlier), "then", "compared with")] if earlier else [])
    near = [value for rows, _, _ in sets for value in keep(rows, rows)[0]]
    low, high = min(near), max(near)
    margin = max((high - low) * 0.06, 0.01 * high)
    scale = Scale(low - margin, high + margin, 20, 780)
    piles = [_piles([v for v in rows if scale.low <= v <= scale.high], scale, 10.0) for rows, _, _ in sets]
    heights = [34 + 10 * max((level for _, level, _ in pile), default=1) for pile in piles]
    canvas = Canvas(860, sum(heights) + 64, "the distribution of the boots")
    _bottom(canvas, scale, 0, sum(heights) + 6, words)
    y = 0.0
    for (rows, kind, name), pile, height in zip(sets, piles, heights, strict=True):
        made = summarise(rows)
        canvas.text(22, y + 16, f"{name}: {made.count} boots, median {made.median:.3f} s, p95 {made.p95:.3f} s", kind)
        y += height
        canvas.line(scale(made.median), y - height + 22, scale(made.median), y, kind)
        if scale.low <= made.p95 <= scale.high:
            canvas.line(scale(made.p95), y - height + 22, scale(made.p95), y, kind, "3 3")
        for x, level, value in pile:
            canvas.dot(x, y - 6 - 10 * (level - 1), kind, 4.4, f"{value:.3f} s")
        far = sorted(value for value in rows if not scale.low <= value <= scale.high)
        if far:
            shown = ", ".join(f"{value:.2f}" for value in far[:4]) + (" ..." if len(far) > 4 else "")
            canvas.text(856, y - 2, f"far off: {shown} s", kind, "end")
    return canvas.render()


def _piles(rows: Sequence[float], scale: Scale, width: float) -> list[tuple[float, int, float]]:
    """Place, height (1 is the lowest) and value of each dot."""
    full: dict[int, int] = {}
    placed = []
    for value in sorted(rows):
        column = round(scale(value) / width)
        full[column] = full.get(column, 0) + 1
        placed.append((column * width, full[column], value))
    return placed


def bar(parts: Sequence[tuple[float, str, str]], whole: float) -> str:
    """One boot as a bar: (seconds, class, words) side by side; `whole` seconds are its full width."""
    canvas = Canvas(260, 14, "phases of one boot")
    at = 0.0
    for value, kind, words in parts:
        width = value / whole * 260
        canvas.box(at, 1, width, 12, kind, f"{words}: {value:.3f} s")
        at += width
    return canvas.render()


def power_curve(title: str, points: Sequence[Point]) -> str:
    """The share of pairs with an alarm, by how much slower the image became, with 95 % intervals. A file of its own."""
    canvas = Canvas(860, 420, f"what the comparison finds: {title}")
    x = Scale(0, max(point.shift for point in points) * 1e3, 70, 820)
    y = Scale(0, 100, 350, 50)
    canvas.text(20, 26, f"What the comparison of two runs finds: {title}")
    for tick in (0, 25, 50, 75, 100):
        canvas.line(x.start, y(tick), x.end, y(tick), "grid")
        canvas.text(x.start - 8, y(tick) + 4, f"{tick} %", "soft", "end")
    _bottom(
        canvas,
        x,
        50,
        350,
        "ms that the second image is slower; noise: sigma 30 ms, modes 18 ms apart, 2 % a second late",
    )
    canvas.path([(x(point.shift * 1e3), y(100 * point.share)) for point in points], "now")
    for point in points:
        low, high = point.interval()
        at, here = x(point.shift * 1e3), y(100 * point.share)
        canvas.line(at, y(100 * low), at, y(100 * high), "now")
        canvas.dot(at, here, "now", 4, f"{point.alarms} of {point.pairs}")
        across, down = (0, 22) if point.share > 0.9 else (9, 14) if point.share > 0.1 else (9, -10)
        anchor = "start" if across else "middle" if point is not points[-1] else "end"
        canvas.text(at + across, here + down, f"{point.share:.1%}", "now", anchor)
    return canvas.render(alone=True)
