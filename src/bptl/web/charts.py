"""Charts of a day as paths for an inline SVG that stretches; labels are text beside it, so that they never do.

The picture has 96 columns of 10 and is 200 high. Numbers are written here: a template would put commas in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import formats, timezone

from bptl.tasks.trends import Span
from bptl.web.durations import duration

COLUMN, HEIGHT = 10, 200
LABEL_EVERY = 3
"""Hours."""

DECADES_MS = (1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000)
"""Where a scale of latencies may begin and end, and what its lines say."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a place of an axis: ``at`` is a percentage, as style attributes take it."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """``paths`` are (name of a series, its path); ``rows`` and ``columns`` the labels of both axes."""

    width: int
    height: int
    paths: Sequence[tuple[str, str]]
    rows: Sequence[Tick]
    columns: Sequence[Tick]


def throughput(spans: Sequence[Span]) -> Chart:
    """Stacked bars of what ended, by outcome."""
    top = _nice(max((span.total for span in spans), default=0))
    paths: dict[str, list[str]] = {"completed": [], "thrown": [], "failed": []}
    for column, span in enumerate(spans):
        below = 0.0
        for name, parts in paths.items():
            if amount := getattr(span, name):
                # Of many thousands one failure is still to be seen.
                high = max(HEIGHT * amount / top, 2.0)
                parts.append(f"M{column * COLUMN + 1} {HEIGHT - below:.1f}v-{high:.1f}h{COLUMN - 2}v{high:.1f}z")
                below += high
    rows = [
        Tick(f"{100 * part:.0f}%", formats.number_format(int(top * part), force_grouping=True)) for part in (0, 0.5, 1)
    ]
    return _chart(spans, [(name, "".join(parts)) for name, parts in paths.items()], rows)


def latency(spans: Sequence[Span]) -> Chart | None:
    """Lines of the median and of the 95th percentile on a scale of powers of ten; None where nothing was delivered."""
    found = [value for span in spans for value in (span.median, span.p95) if value is not None]
    if not found:
        return None
    low, high = (_ms(pick(found)) for pick in (min, max))
    bottom = max((edge for edge in DECADES_MS if edge <= low), default=DECADES_MS[0])
    top = min((edge for edge in DECADES_MS if edge >= high and edge > bottom), default=DECADES_MS[-1])

    def place(value: timedelta) -> float:
        return math.log(max(_ms(value), bottom) / bottom) / math.log(top / bottom)

    lines = [
        ("p95", _line([span.p95 for span in spans], place)),
        ("median", _line([span.median for span in spans], place)),
    ]
    rows = [
        Tick(f"{100 * place(edge):.1f}%", duration(edge))
        for edge in (timedelta(milliseconds=edge) for edge in DECADES_MS if bottom <= edge <= top)
    ]
    return _chart(spans, lines, rows)


def _line(values: Sequence[timedelta | None], place: Callable[[timedelta], float]) -> str:
    """A step for each column, joined to its neighbours; a gap where nothing is known."""
    path, drawing = [], False
    for column, value in enumerate(values):
        if value is None:
            drawing = False
            continue
        y = HEIGHT * (1 - place(value))
        path.append(f"{'L' if drawing else 'M'}{column * COLUMN} {y:.1f}h{COLUMN}")
        drawing = True
    return "".join(path)


def _chart(spans: Sequence[Span], paths: Sequence[tuple[str, str]], rows: Sequence[Tick]) -> Chart:
    columns = []
    # At either end a label would stand half outside.
    for column, span in list(enumerate(spans))[2:-3]:
        local = timezone.localtime(span.start)
        if local.minute == 0 and local.hour % LABEL_EVERY == 0:
            columns.append(Tick(f"{100 * column / len(spans):.2f}%", f"{local:%H:%M}"))
    return Chart(len(spans) * COLUMN, HEIGHT, paths, rows, columns)


def _nice(most: int) -> int:
    """The next even number of 2, 4, 10, 20, 40, 100, …: half of it is whole."""
    top = 2
    while top < most:
        top = top * 5 // 2 if str(top).startswith("4") else top * 2
    return top


def _ms(value: timedelta) -> float:
    return value / timedelta(milliseconds=1)
