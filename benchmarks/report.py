"""What a benchmark says: the table, what stands below it, and everything as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.figures import HEAD, Figures, Summary, last_line, table

_MEDIANS = ("rate", "fetched", "p50", "p95", "p99", "cpu_ms", "pg_ms", "broker_ms", "sql", "commands", "engine_share")

_SHOWN_TEXT = 90


def show(
    summaries: Mapping[str, Summary],
    others: Mapping[str, Sequence[float]],
    memory: Mapping[str, Sequence[float]],
    *,
    shared_out: float,
) -> None:
    """Print the table of all runs, the other figures, and where the time of BPTL's backlog went."""
    if summaries:
        print("\n" + table(HEAD, [summary.row() for summary in summaries.values()]) + "\n")
    for summary in summaries.values():
        if parts := [one.extra["part_of_theory"] for one in summary.rounds if "part_of_theory" in one.extra]:
            print(f"{summary.name}: {100 * statistics.median(parts):.0f} % of what its places allow")
    for name, values in others.items():
        print(f"{name}: {statistics.median(values):.2f}")
    total = sum(sum(sizes) for sizes in memory.values())
    each = ", ".join(f"{name} {' + '.join(f'{size:.0f}' for size in sizes)}" for name, sizes in memory.items())
    print(f"resident MB: {total:.0f} in all, {shared_out:.0f} with shared pages counted once: {each}")
    if requests := [one.engine_ms_per_request for summary in summaries.values() for one in summary.rounds]:
        print(f"load engine: {min(requests):.3f} to {max(requests):.3f} ms CPU a request")
    if "bptl" in summaries:
        _show_backlog(summaries["bptl"].rounds)


def _show_backlog(rounds: Sequence[Figures]) -> None:
    last = rounds[-1]
    rows = [
        (
            one["text"][:_SHOWN_TEXT],
            f"{one['calls'] / last.tasks:.3f}",
            *(f"{one[what] / last.tasks:.4f}" for what in ("plan_ms", "execution_ms")),
        )
        for one in last.extra["statements"][:10]
    ]
    print("\n" + table(("statement of bptl, most time first", "a task", "plan ms", "execution ms"), rows))
    used = {name: statistics.median([one.extra["cpu_ms"][name] for one in rounds]) for name in last.extra["cpu_ms"]}
    read = {name: count / last.tasks for name, count in last.extra["read_in_sequence"].items()}
    print(f"CPU ms a task of bptl: {_listed(used, '.2f')}")
    print(f"rows read in sequence a task: {_listed(read, '.1f')}")
    print(f"broker: {_listed(last.extra['commands'], 'd')}\n")


def _listed(figures: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name} {format(value, form)}" for name, value in figures.items()) or "-"


def everything(
    summaries: Mapping[str, Summary],
    others: Mapping[str, Sequence[float]],
    memory: Mapping[str, Sequence[float]],
    *,
    shared_out: float,
    quick: bool,
    wrong: Sequence[str],
) -> dict[str, Any]:
    """All figures of all rounds with their medians, and the machine that they are of, as JSON."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    runs = {
        name: {
            "medians": {figure: summary.median(figure) for figure in _MEDIANS},
            "rounds": [{"rate": one.rate, **asdict(one)} for one in summary.rounds],
        }
        for name, summary in summaries.items()
    }
    return {
        "machine": {**machine, "load_average": os.getloadavg()},
        "quick": quick,
        "valid": not wrong,
        "faults": list(wrong),
        "runs": runs,
        "others": dict(others),
        "resident_mb": dict(memory),
        "shared_out_mb": shared_out,
        "line": last_line(summaries),
    }
