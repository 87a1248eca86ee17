"""One chart of lines over time as an SVG: readable in light and dark, and without its colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
"""Seconds since the beginning, and the value then."""

WIDTH, HEIGHT = 760, 260
"""Of the whole picture without its legend, in pixels."""

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 52, 40
"""Room around the lines."""

_LIGHT = ("#0059a8", "#b34700", "#00704f", "#a8327f", "#6f5a00", "#5b3fa0", "#b3202c", "#3d5a66")
_DARK = ("#6cb6ff", "#ff9b57", "#4fd1a5", "#f29ad3", "#e0c341", "#b8a1ff", "#ff8a8f", "#a9c3cf")
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""The second sign by which lines are told apart, after their colour."""

_LEGEND_ROW, _LETTER = 18, 6.8


@dataclass(frozen=True, slots=True)
class Unit:
    """What the values are: the sign behind a number, and how many of it one value is."""

    sign: str = ""
    factor: float = 1.0


BARE = Unit()
UNITS: Mapping[str, Unit] = {
    "ops": Unit("/s"),
    "s": Unit(" s"),
    "ms": Unit(" ms"),
    "percentunit": Unit(" %", 100.0),
    "bytes": Unit(" MB", 1e-6),
}
"""By Grafana's word; every other is a bare number."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves by their name, between second 0 and ``seconds``; ``marks`` are moments by their name.

    Between two points more than ``gap`` seconds apart no line is drawn, nor at a value that is no number.
    """

    title: str
    curves: Mapping[str, Sequence[Point]]
    seconds: float
    unit: Unit = BARE
    marks: Mapping[str, float] | None = None
    gap: float = math.inf

    def svg(self) -> str:
        """The picture, a whole file."""
        rows = list(_legend_rows(list(self.curves)))
        height = HEIGHT + _LEGEND_ROW * len(rows)
        step = _step(self._highest(), about=4)
        top = step * max(1, math.ceil(self._highest() / step - 1e-9))
        size = f'width="{WIDTH}" height="{height}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {size}>',
            f"<title>{escape(self.title)}</title>",
            f"<style>{_style()}</style>",
            f'<rect class="paper" {size}/>',
            '<g font-family="system-ui, sans-serif" font-size="12">',
            f'<text x="{LEFT}" y="20" font-size="14" font-weight="600">{escape(self.title)}</text>',
            *self._axes(step=step, top=top),
            *self._marks(),
        ]
        for number, points in enumerate(self.curves.values()):
            path = "".join(self._path(points, top=top))
            parts.append(f'<path class="c{number % len(_LIGHT)}" {_dash(number)}d="{path}"/>')
        parts += self._legend(rows)
        return "\n".join([*parts, "</g>", "</svg>", ""])

    def _highest(self) -> float:
        values = [value for points in self.curves.values() for _, value in points if math.isfinite(value)]
        return max([value * self.unit.factor for value in values if value > 0], default=1.0)

    def _x(self, second: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds

    def _axes(self, *, step: float, top: float) -> Iterator[str]:
        for number in range(round(top / step) + 1):
            y = _y(number * step, top=top)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            label = f"{number * step:.6g}{self.unit.sign}"
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        minutes = _step(self.seconds / 60, about=8)
        for number in range(int(self.seconds / 60 / minutes + 1e-9) + 1):
            x = self._x(number * minutes * 60)
            yield f'<path class="grid" d="M{x:.1f} {HEIGHT - BOTTOM}v4"/>'
            label = f"{number * minutes:.6g}" + (" min" if number == 0 else "")
            yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>'

    def _marks(self) -> Iterator[str]:
        for name, second in (self.marks or {}).items():
            x = self._x(second)
            yield f'<path class="mark" d="M{x:.1f} {TOP - 12}V{HEIGHT - BOTTOM}"/>'
            yield f'<text x="{x + 4:.1f}" y="{TOP - 4}" font-style="italic">{escape(name)}</text>'

    def _path(self, points: Sequence[Point], *, top: float) -> Iterator[str]:
        before: float | None = None
        drawn = [(second, value) for second, value in points if math.isfinite(value)]
        for number, (second, value) in enumerate(drawn):
            broken = before is None or second - before > self.gap
            # What lies on a level line is left out: an hour of zeros is two points.
            level = not broken and 0 < number < len(drawn) - 1 and drawn[number - 1][1] == value == drawn[number + 1][1]
            if not level or drawn[number + 1][0] - second > self.gap:
                letter = "M" if broken else "L"
                yield f"{letter}{self._x(second):.1f} {_y(value * self.unit.factor, top=top):.1f}"
                if broken:
                    yield "h0"  # A lone point is a dot.
            before = second

    @staticmethod
    def _legend(rows: Sequence[Sequence[tuple[int, str, float]]]) -> Iterator[str]:
        for row, names in enumerate(rows):
            y = HEIGHT + _LEGEND_ROW * row
            for number, name, x in names:
                yield f'<path class="c{number % len(_LIGHT)}" {_dash(number)}d="M{x:.0f} {y}h26"/>'
                yield f'<text x="{x + 32:.0f}" y="{y + 4}">{escape(name)}</text>'


def _y(value: float, *, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def _step(highest: float, *, about: int) -> float:
    """1, 2 or 5 times a power of ten, so that about as many of it reach the highest value."""
    power: float = 10.0 ** math.floor(math.log10(highest / about))
    return next(times * power for times in (1, 2, 5, 10) if times * power * about >= highest - 1e-9)


def _dash(number: int) -> str:
    dash = _DASHES[(number + number // len(_LIGHT)) % len(_DASHES)]  # The ninth has the first colour, not its dashes.
    return f'stroke-dasharray="{dash}" ' if dash else ""


def _legend_rows(names: Sequence[str]) -> Iterator[list[tuple[int, str, float]]]:
    """Number, name and place of each curve, in as many rows as they need."""
    row: list[tuple[int, str, float]] = []
    x = float(LEFT)
    for number, name in enumerate(names):
        width = 32 + _LETTER * len(name) + 20
        if row and x + width > WIDTH:
            yield row
            row, x = [], float(LEFT)
        row.append((number, name, x))
        x += width
    if row:
        yield row


def _style() -> str:
    """Browsers also ask whether a picture stands in a dark page."""
    plain = "path{fill:none;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}"
    plain += ".grid{stroke-width:1}.mark{stroke-width:1.2;stroke-dasharray:4 4}"
    return (
        plain
        + _colours("#ffffff", "#1f2328", "#d5dae0", _LIGHT)
        + ("@media(prefers-color-scheme:dark){" + _colours("#161b22", "#e6edf3", "#3a424c", _DARK) + "}")
    )


def _colours(paper: str, ink: str, grid: str, curves: Sequence[str]) -> str:
    lines = "".join(f".c{number}{{stroke:{colour}}}" for number, colour in enumerate(curves))
    return f".paper{{fill:{paper}}}text{{fill:{ink}}}.grid{{stroke:{grid}}}.mark{{stroke:{ink}}}{lines}"
