"""What the profile of full tables makes of what it saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.figures import Figures
from benchmarks.growth import EMPTY, FILLED, Grown
from benchmarks.pages import Took
from benchmarks.plans import Plans, logged
from benchmarks.visits import Visited

LOG = """2026-01-01 LOG:  duration: 0.047 ms  plan:
\t{
\t  "Query Text": "SELECT 1 FROM tasks_task t JOIN tasks_process p ON true",
\t  "Plan": {
\t    "Node Type": "Nested Loop",
\t    "Plans": [
\t      {"Node Type": "Seq Scan", "Relation Name": "tasks_process"},
\t      {"Node Type": "Index Scan", "Relation Name": "tasks_task"}
\t    ]
\t  }
\t}
2026-01-01 LOG:  checkpoint starting: time
2026-01-01 LOG:  duration: 9.1 ms  plan:
\t{
\t  "Query Text": "DELETE FROM tasks_lease",
\t  "Plan": {"Node Type": "ModifyTable", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "tasks_lease"}]}
\t}
"""

FIGURES = Figures(
    *("run", 100, 1.0, 1.0, 1.0, 1.0, 1.0),
    cpu_ms=1.0,
    pg_ms=0.5,
    broker_ms=0.1,
    sql=0.5,
    commands=1.0,
    engine_share=0.1,
    engine_ms_per_request=0.1,
)


def test_the_plans_in_the_log_say_which_tables_are_read_in_sequence(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text("earlier\n" + LOG)
    plans = Plans()
    for text, plan in logged(log, begin=len("earlier\n")):
        plans.add(text, plan)
    assert (plans.plans, len(plans.statements)) == (2, 2)
    assert plans.in_sequence == {"tasks_process": 1, "tasks_lease": 1}
    assert plans.culprits == {"tasks_lease": "DELETE FROM tasks_lease"}, "a table of processes does not grow"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, ""),
        ({"pg_ms": 0.54, "sql": 0.54, "seconds": 1.2}, ""),
        ({"pg_ms": 0.4, "seconds": 0.5}, ""),
        ({"pg_ms": 0.56}, "pg_ms a task: 1.12 times"),
        ({"sql": 0.56}, "sql a task: 1.12 times"),
        ({"seconds": 1.3}, "tasks/s: 0.77 times"),
        ({"missing": 1}, "full tables: 1 tasks missing or doubled"),
    ],
)
def test_what_costs_more_on_full_tables_is_a_fault(change: dict[str, float], fault: str) -> None:
    grown = Grown(1, runs={EMPTY: [FIGURES], FILLED: [replace(FIGURES, **change)]})  # type: ignore[arg-type]
    assert [found[: len(fault)] for found in grown.faults()] == ([fault] if fault else [])


def test_a_slow_page_and_a_table_read_in_sequence_are_faults() -> None:
    grown = Grown(1, runs={EMPTY: [FIGURES], FILLED: [FIGURES]})
    grown.pages = [Took("/fast/", 150.0, 900.0), Took("/slow/", 151.0, 151.0)]
    grown.plans.culprits["tasks_lease"] = "DELETE FROM tasks_lease"
    assert grown.faults() == ["tasks_lease is read in sequence: DELETE FROM tasks_lease", "/slow/: p95 151 ms"]


def test_a_page_that_is_slow_or_was_not_visited_is_a_fault() -> None:
    visited = Visited(1, {"fast": Took("/fast/", 300.0, 900.0), "slow": Took("/slow/", 301.0, 301.0)})
    visited.lists = [Took("/tasks/", 302.0, 302.0)]
    visited.missing = ["new-page: no value for thing_id"]
    assert visited.faults() == ["new-page: no value for thing_id", "/slow/: p95 301 ms", "/tasks/: p95 302 ms"]
