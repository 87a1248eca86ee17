"""What a storm looked like: the dashboard's panels over its time, and what the engine said, as pictures."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stage import prometheus
from stage.chart import BARE, UNITS, Chart, Point, Unit
from stage.engine_rest import EngineRefused, EngineRest
from stage.ports import HOST
from stage.prometheus import Prometheus
from stage.topology import Topology

RATES = "10s"
"""Over how long rates are taken: ten times read."""

_POINTS = 400
"""At most so many of one curve; more would not be seen."""

_SLICE = 5.0
"""Seconds over which times of cases are summed up to one point."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when (epoch seconds), and the moments in between by their name."""

    begin: float
    end: float
    marks: Mapping[str, float]

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return max(1.0, (self.end - self.begin) / _POINTS)

    def chart(self, title: str, curves: Mapping[str, Sequence[Point]], *, unit: Unit = BARE, gap: float) -> Chart:
        """A chart of curves whose points have epoch seconds."""
        moved = {
            name: [(at - self.begin, value) for at, value in points if self.begin <= at <= self.end]
            for name, points in curves.items()
        }
        marks = {name: at - self.begin for name, at in self.marks.items()}
        return Chart(title, moved, self.end - self.begin, unit=unit, marks=marks, gap=gap)


@dataclass(slots=True)
class Sky:
    """Looks about once a second at what only the engine knows; ``draw`` makes the pictures."""

    engine: EngineRest
    prometheus: Prometheus
    waiting: Callable[[], int]
    """How many cases of the storm have not ended."""

    cases: list[Point] = field(default_factory=list)
    incidents: list[Point] = field(default_factory=list)

    def look(self) -> None:
        """Note what the engine says now."""
        try:
            waiting, incidents = self.waiting(), len(self.engine.incidents())
        except (EngineRefused, OSError):
            return  # A gap in the line says so.
        now = time.time()
        self.cases.append((now, waiting))
        self.incidents.append((now, incidents))

    def draw(self, folder: Path, span: Span, *, others: Sequence[Point]) -> list[Path]:
        """Write the pictures; ``others`` are begin (epoch seconds) and duration (ms) of cases that need no service."""
        folder.mkdir(parents=True, exist_ok=True)
        engine = {"cases that have not ended": self.cases, "incidents": self.incidents}
        charts = [
            span.chart("At the engine: cases and incidents", engine, gap=15.0),
            span.chart("How long cases take that need no service", slices(others), unit=UNITS["ms"], gap=3 * _SLICE),
            *self._panels(span),
        ]
        return [_written(folder, chart) for chart in charts]

    def _panels(self, span: Span) -> Iterator[Chart]:
        for panel in prometheus.panels():
            curves: dict[str, Sequence[Point]] = {}
            for target in panel.get("targets", ()):
                expression = prometheus.filled(target["expr"], interval=RATES)
                for series in self.prometheus.over(expression, begin=span.begin, end=span.end, step=span.step):
                    name = legend(target["legendFormat"], series["metric"])
                    curves[name] = [(float(at), float(value)) for at, value in series["values"]]
            if curves:
                unit = UNITS.get(panel["fieldConfig"]["defaults"]["unit"], BARE)
                yield span.chart(panel["title"], curves, unit=unit, gap=2.5 * span.step)


@contextmanager
def watched(topology: Topology, folder: Path, *, waiting: Callable[[], int]) -> Iterator[Sky]:
    """Let Prometheus read all processes of a topology with the SETTINGS of ``stage.prometheus``."""
    addresses = [f"{HOST}:{port}" for port in prometheus.ports(topology).values()]
    with prometheus.watching(folder, addresses) as running:
        yield Sky(topology.engine.rest, running, waiting)


def legend(form: str, labels: Mapping[str, str]) -> str:
    """The name of a series as Grafana writes it: ``{{topic}} {{status}}`` with the values of its labels."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), form).strip()


def slices(times: Sequence[Point]) -> dict[str, list[Point]]:
    """The median and the longest of the values in each slice of some seconds."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for at, value in times:
        found[int(at // _SLICE)].append(value)
    middles = {number: (number + 0.5) * _SLICE for number in sorted(found)}
    return {
        "median": [(at, sorted(found[number])[len(found[number]) // 2]) for number, at in middles.items()],
        "longest": [(at, max(found[number])) for number, at in middles.items()],
    }


def _written(folder: Path, chart: Chart) -> Path:
    name = re.sub(r"[^a-z0-9]+", "-", chart.title.lower()).strip("-")
    file = folder / f"storm-{name}.svg"
    file.write_text(chart.svg())
    return file
