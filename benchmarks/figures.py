"""Figures of runs: percentiles, medians of rounds, the table, and the last line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile (``share`` 0…100) of values in any order; ValueError without any."""
    if not values:
        raise ValueError("no values have no percentile")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. ``seconds`` from the first creation to the last completion; latencies in ms from created to completed,
    ``fetched`` the median from created to fetched.

    A task: CPU in ms, ``sql`` that clients send (BEGIN and COMMIT included), ``commands`` of the broker.
    ``engine_share`` is the part of a core that the load engine took. ``missing`` were not completed, ``doubled`` were
    given out or reported twice, or for somebody else's lock. ``extra`` holds what only some runs have.
    """

    name: str
    tasks: int
    seconds: float
    fetched: float
    p50: float
    p95: float
    p99: float
    cpu_ms: float
    pg_ms: float
    broker_ms: float
    sql: float
    commands: float
    engine_share: float
    engine_ms_per_request: float
    missing: int = 0
    doubled: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds


@dataclass(frozen=True, slots=True)
class Summary:
    """The rounds of one run: the median of each figure, the range of its rate, what went wrong in any."""

    name: str
    rounds: tuple[Figures, ...]

    def median(self, figure: str) -> float:
        """The median of a figure over the rounds."""
        return statistics.median([float(getattr(one, figure)) for one in self.rounds])

    def row(self) -> tuple[str, ...]:
        """The line of the table."""
        rates = [one.rate for one in self.rounds]
        spread = f"{min(rates):,.0f}–{max(rates):,.0f}"
        wrong = sum(one.missing + one.doubled for one in self.rounds)
        return (
            self.name,
            f"{self.rounds[0].tasks:,}",
            f"{self.median('rate'):,.0f}" if self.median("rate") >= 20 else f"{self.median('rate'):.1f}",
            spread,
            *(f"{self.median(name):,.1f}" for name in ("fetched", "p50", "p95", "p99")),
            *(f"{self.median(name):.2f}" for name in ("cpu_ms", "pg_ms", "broker_ms", "sql", "commands")),
            f"{self.median('engine_share'):.2f}",
            str(wrong) if wrong else "-",
        )


HEAD = (
    *("run", "tasks", "tasks/s", "min–max", "fetched", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU ms", "PG ms", "broker ms", "SQL", "commands", "engine", "wrong"),
)
"""*fetched*: ms until half of the tasks were. From *CPU ms* to *commands* a task; *engine*: its part of a core."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows below their head; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in (head, *rows))
    ]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def last_line(summaries: Mapping[str, Summary]) -> str:
    """The line for machines; ``-`` for what was not measured."""

    def said(run: str, figure: str, form: str = ".0f") -> str:
        return format(summaries[run].median(figure), form) if run in summaries else "-"

    ratio = "-"
    if {"bptl", "raw durable"} <= set(summaries):
        ratio = f"{summaries['bptl'].median('rate') / summaries['raw durable'].median('rate'):.2f}"
    parts = {
        "bptl": said("bptl", "rate"),
        "raw_durable": said("raw durable", "rate"),
        "ratio": ratio,
        "client": said("client 10", "rate"),
        "cpu_ms": said("bptl", "cpu_ms", ".2f"),
        "pg_ms": said("bptl", "pg_ms", ".2f"),
        "sql": said("bptl", "sql", ".2f"),
        "p50_10": said("bptl at 10/s", "p50", ".1f"),
        "p99_10": said("bptl at 10/s", "p99", ".1f"),
        "p99_100": said("bptl at 100/s", "p99", ".1f"),
    }
    return "bench: " + " ".join(f"{name}={value}" for name, value in parts.items())


def faults(summaries: Mapping[str, Summary]) -> list[str]:
    """Why the figures cannot be believed; empty when they can."""
    found = []
    for summary in summaries.values():
        if (share := max(one.engine_share for one in summary.rounds)) > 0.5:
            found.append(f"{summary.name}: the load engine took {share:.2f} of a core, more than half")
        counts = {what: sum(getattr(one, what) for one in summary.rounds) for what in ("missing", "doubled")}
        found += [f"{summary.name}: {count} tasks {what}" for what, count in counts.items() if count]
    if {"raw durable", "client 10"} <= set(summaries):
        times = summaries["raw durable"].median("rate") / summaries["client 10"].median("rate")
        if times < 5:
            found.append(f"the raw durable loop does only {times:.1f} times what the Python client does, less than 5")
    return found
