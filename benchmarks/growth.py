"""The profile ``full-tables``: does a task, or a page, cost more beside millions of finished tasks?

Two whole BPTLs, each with PostgreSQL, broker, engine and processes of its own; the tables of one are filled. Runs are
alternated. Retention is off, so that both keep what they have, but for its own figure at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import Figures, Summary, table
from benchmarks.filling import Filled, configuration, fill
from benchmarks.load_engine import LoadEngine
from benchmarks.measure import Measured
from benchmarks.meters import SETTINGS
from benchmarks.pages import COMMANDS, Took, Visitor, addresses, command_seconds
from benchmarks.plans import LIBRARIES, Plans, watched
from benchmarks.runs import FULL, Run
from benchmarks.workers import UNIT_OF_TOPIC, Bptl
from stage.postgres import connect
from stage.processes import Stage

EMPTY, FILLED, RETAINING = "empty tables", "full tables", "full tables, retention"
EMPTY_SIDE, FULL_SIDE = "empty", "full"
FILLED_FILE = "filled.json"
"""In a folder that keeps tables: what was made."""

FOR_EVER = {f"BPTL_RETENTION_{name}_DAYS": "0" for name in ("DATA", "COMPLETED", "THROWN", "LOST", "CALL")}
SHORT = {"BPTL_RETENTION_DATA_DAYS": "30", "BPTL_RETENTION_COMPLETED_DAYS": "60"}
"""With these nearly all filled tasks are overdue: retention has work for as long as anybody measures."""

RETENTION_SECONDS = 20.0
"""Of one run (bptl.workers.jobs)."""

WATCHED_TASKS, WATCHED_RATE = 400, 20
MOST_MS = 150.0
"""p95 of a list, a search, a count."""


@dataclass(slots=True)
class Grown:
    """All that was measured."""

    tasks: int
    megabytes: dict[str, float] = field(default_factory=dict)
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    plans: Plans = field(default_factory=Plans)
    pages: list[Took] = field(default_factory=list)
    commands: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Seconds on empty and on full tables."""
    paces: list[int] = field(default_factory=list)
    """Tasks that each run of retention beside the backlog emptied or deleted; there is one run a minute."""

    def ratio(self, figure: str, *, run: str = FILLED, beside: str = EMPTY) -> float:
        """A median beside another one; 1 is the same."""
        one, other = (Summary(name, tuple(self.runs[name])).median(figure) for name in (run, beside))
        return one / other

    def faults(self) -> list[str]:
        """Where it is not flat, or cannot be believed."""
        found = []
        for name, rounds in self.runs.items():
            if wrong := sum(one.missing + one.doubled for one in rounds):
                found.append(f"{name}: {wrong} tasks missing or doubled")
        costs = {name: self.ratio(name) for name in ("pg_ms", "sql")}
        found += [
            f"{name} a task: {ratio:.2f} times that of empty tables" for name, ratio in costs.items() if ratio > 1.1
        ]
        if (ratio := self.ratio("rate")) < 0.8:
            found.append(f"tasks/s: {ratio:.2f} times that of empty tables")
        found += [f"{name} is read in sequence: {text[:200]}" for name, text in self.plans.culprits.items()]
        found += [f"{took.address}: p95 {took.p95:.0f} ms" for took in self.pages if took.p95 > MOST_MS]
        return found


def run(options: argparse.Namespace, logs: Path, say: Callable[[str], None]) -> int:
    """The whole profile; 1 when something is not flat.

    ``options.keep`` only fills tables in that folder; ``options.reuse`` measures those of such a folder.
    """
    directory = options.keep or options.reuse
    with Stage() as stage:
        full = started(stage, logs / FULL_SIDE, directory=directory, say=say)
        filled = reused(directory) if options.reuse else filled_by_copy(full.bptl, options.finished, say)
        if options.keep:
            keep(filled, directory)
            return 0
        empty = started(stage, logs / EMPTY_SIDE, say=say)
        grown = Grown(filled.tasks, megabytes=_megabytes(full.bptl))
        count = 2_000 if options.quick else 10_000
        for number in range(options.rounds + 1):
            sides = [(EMPTY, empty), (FILLED, full)]
            for name, side in sides if number % 2 else reversed(sides):
                _add(grown, name, side, count, say, warming=number == 0)
        say("looking at the plans")
        with watched(full.bptl.postgres, into=grown.plans):
            full.run(Run("watched", count=WATCHED_TASKS, rate=WATCHED_RATE))
        _look(grown, full.bptl, empty.bptl, filled, say)
        _retain(grown, full, count, options.rounds, say)
    _show(grown)
    if options.json:
        options.json.write_text(json.dumps(_everything(grown), indent=2))
    for reason in (wrong := grown.faults()):
        print(f"not flat: {reason}")
    print(_last_line(grown), flush=True)
    return 1 if wrong else 0


def filled_by_copy(full: Bptl, tasks: int, say: Callable[[str], None]) -> Filled:
    """Fill the tables of a BPTL that runs."""
    file = full.logs / "configuration.yaml"
    file.write_text(yaml.safe_dump(configuration()))
    full.bptl("configure", str(file))
    say(f"filling: {tasks:,} finished tasks by COPY")
    filled = fill(full.postgres, tasks)
    say(f"filled in {filled.seconds:.0f} s: {sum(_megabytes(full).values()):,.0f} MB")
    return filled


def keep(filled: Filled, directory: Path) -> None:
    """Say beside kept tables what they hold."""
    (directory / FILLED_FILE).write_text(json.dumps(asdict(filled)))


def reused(directory: Path) -> Filled:
    """What the tables hold that a folder keeps."""
    return Filled(**json.loads((directory / FILLED_FILE).read_text()))


def started(stage: Stage, logs: Path, *, say: Callable[[str], None], directory: Path | None = None) -> Measured:
    """A whole BPTL whose tables keep what they have; ``directory`` keeps them when it stops."""
    logs.mkdir(parents=True, exist_ok=True)
    engine = LoadEngine(log=logs / "engine.log")
    settings = (LIBRARIES, *SETTINGS[1:])
    bptl = stage.add(Bptl(logs, engine, settings=settings, directory=directory, environment=FOR_EVER))
    say(f"starting every process of the BPTL in {logs}")
    bptl.start(unit_of_topic=UNIT_OF_TOPIC)
    return Measured(bptl, engine)


def _add(
    grown: Grown, name: str, side: Measured, count: int, say: Callable[[str], None], *, warming: bool = False
) -> None:
    figures = side.run(Run(name, count=count))
    if not warming:  # The first run finds caches empty and statements without a plan.
        grown.runs.setdefault(name, []).append(figures)
    note = " (not counted)" if warming else ""
    say(f"{name}: {figures.rate:,.0f} tasks/s, PostgreSQL {figures.pg_ms:.3f} ms, SQL {figures.sql:.2f} a task{note}")


def _look(grown: Grown, full: Bptl, empty: Bptl, filled: Filled, say: Callable[[str], None]) -> None:
    say("asking for every list, search and count")
    visitor = Visitor(full)
    grown.pages = [visitor.time(address) for address in addresses(filled)]
    for command in COMMANDS:
        took = (min(command_seconds(side, command) for _ in range(3)) for side in (empty, full))
        grown.commands[" ".join(command)] = (next(took), next(took))


def _retain(grown: Grown, full: Measured, count: int, rounds: int, say: Callable[[str], None]) -> None:
    """The same backlog while retention runs beside it all the time."""
    for name in ("work-1", "work-2"):
        full.bptl.stop_part(name)
        full.bptl.start_part(name, extra=SHORT)
    say("looking at the plans of retention")
    with watched(full.bptl.postgres, into=grown.plans):
        full.bptl.send("bptl.retain")
        time.sleep(RETENTION_SECONDS + 5)
    watched_runs = len(_retentions(full.bptl))
    for _ in range(rounds):
        full.bptl.send("bptl.retain")
        time.sleep(1)  # It has begun.
        begun = time.monotonic()
        _add(grown, RETAINING, full, count, say)
        time.sleep(max(0.0, RETENTION_SECONDS + 5 - (time.monotonic() - begun)))
    grown.paces = _retentions(full.bptl)[watched_runs:]
    say(f"tasks of each run of retention: {grown.paces}")


def _retentions(bptl: Bptl) -> list[int]:
    """What each run of retention took away so far, as the workers told: tasks emptied, and tasks deleted."""
    found = []
    for name in ("work-1", "work-2"):
        for line in bptl.part(name).log.read_text().splitlines():
            if '"retention.ran"' in line:
                said = json.loads(line)
                found.append((said["timestamp"], said.get("emptied", 0) + said.get("deleted", 0)))
    return [tasks for _at, tasks in sorted(found)]


def _megabytes(bptl: Bptl) -> dict[str, float]:
    question = (
        "SELECT relname, pg_total_relation_size(relid) / 1e6 FROM pg_stat_user_tables WHERE relname LIKE 'tasks_%'"
    )
    with connect(bptl.postgres.environment()) as connection:
        return {str(name): float(str(size)) for name, size in connection.execute(question.encode()).fetchall()}


def _show(grown: Grown) -> None:
    head = ("run", "tasks/s", "min–max", "PG ms", "SQL", "CPU ms", "p99 ms")
    rows = []
    for name, rounds in grown.runs.items():
        summary = Summary(name, tuple(rounds))
        rates = [one.rate for one in rounds]
        rows.append(
            (
                name,
                f"{summary.median('rate'):,.0f}",
                f"{min(rates):,.0f}–{max(rates):,.0f}",
                *(f"{summary.median(figure):.3f}" for figure in ("pg_ms", "sql", "cpu_ms")),
                f"{summary.median('p99'):,.0f}",
            )
        )
    print("\n" + table(head, rows) + "\n")
    sizes = ", ".join(f"{name} {size:,.0f}" for name, size in grown.megabytes.items() if size > 1)
    print(f"{grown.tasks:,} tasks take MB: {sizes}")
    plans = grown.plans
    seen = ", ".join(f"{name} {count}" for name, count in sorted(plans.in_sequence.items())) or "none"
    print(f"{plans.plans:,} plans of {len(plans.statements)} statements; tables read in sequence: {seen}")
    slowest: Sequence[Took] = sorted(grown.pages, key=lambda took: -took.p95)[:12]
    print("\n" + table(("slowest pages", "p95 ms", "longest"), [_page(took) for took in slowest]) + "\n")
    for command, (on_empty, on_full) in grown.commands.items():
        print(f"bptl {command}: {on_empty:.2f} s on empty, {on_full:.2f} s on full tables")
    print(f"a run of retention, one a minute, emptied or deleted {statistics.median(grown.paces):,.0f} tasks")


def _page(took: Took) -> tuple[str, str, str]:
    return took.address, f"{took.p95:.0f}", f"{took.longest:.0f}"


def _everything(grown: Grown) -> dict[str, Any]:
    return {
        "tasks": grown.tasks,
        "megabytes": grown.megabytes,
        "runs": {name: [{"rate": one.rate, **asdict(one)} for one in rounds] for name, rounds in grown.runs.items()},
        "plans": {"plans": grown.plans.plans, "in_sequence": dict(grown.plans.in_sequence)},
        "statements": sorted(grown.plans.statements),
        "pages": [asdict(took) for took in grown.pages],
        "commands": grown.commands,
        "paces": grown.paces,
        "faults": grown.faults(),
        "line": _last_line(grown),
    }


def _last_line(grown: Grown) -> str:
    parts = {
        "tasks": str(grown.tasks),
        "pg_ms": f"{grown.ratio('pg_ms'):.2f}",
        "sql": f"{grown.ratio('sql'):.2f}",
        "rate": f"{grown.ratio('rate'):.2f}",
        "in_sequence": str(sum(grown.plans.in_sequence[name] for name in grown.plans.culprits)),
        "page_p95": f"{max(took.p95 for took in grown.pages):.0f}",
        "retention": f"{grown.ratio('rate', run=RETAINING, beside=FILLED):.2f}",
    }
    return f"{FULL}: " + " ".join(f"{name}={value}" for name, value in parts.items())
