"""Which plans PostgreSQL really used: auto_explain writes them to its log while the deployed processes work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stage.postgres import Postgres, connect

LIBRARIES = "shared_preload_libraries=pg_stat_statements,auto_explain"
"""What PostgreSQL must be started with; as long as nobody switches it on, auto_explain does nothing."""

GROWING = frozenset({"tasks_task", "tasks_lease", "tasks_effect", "tasks_event", "tasks_fetch"})
"""Tables that grow with the tasks."""

_ON = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_format": "json",
    "auto_explain.log_nested_statements": "on",
}


@dataclass(slots=True)
class Plans:
    """How many plans were seen of how many statements, and how often each table was read in sequence."""

    plans: int = 0
    statements: set[str] = field(default_factory=set)
    in_sequence: Counter[str] = field(default_factory=Counter)
    culprits: dict[str, str] = field(default_factory=dict)
    """Table that grows → a statement that reads it in sequence."""

    def add(self, text: str, plan: dict[str, Any]) -> None:
        """One plan of one statement."""
        self.plans += 1
        self.statements.add(text)
        for node in _nodes(plan):
            if node["Node Type"] == "Seq Scan":
                table = node["Relation Name"]
                self.in_sequence[table] += 1
                if table in GROWING:
                    self.culprits[table] = text


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _nodes(inner)


@contextmanager
def watched(postgres: Postgres, *, into: Plans) -> Iterator[None]:
    """Add the plans of all statements of the block when it ends."""
    begin = postgres.log.stat().st_size
    _set(postgres, on=True)
    try:
        yield
    finally:
        _set(postgres, on=False)
    for text, plan in logged(postgres.log, begin=begin):
        into.add(text, plan)


def _set(postgres: Postgres, *, on: bool) -> None:
    with connect(postgres.environment()) as connection:
        for name, value in _ON.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'" if on else f"ALTER SYSTEM RESET {name}")
        connection.execute("SELECT pg_reload_conf()")


def logged(log: Path, *, begin: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements with their plans that a log of PostgreSQL holds from a byte on."""
    for found in _read(log, begin):
        yield " ".join(found["Query Text"].split()), found["Plan"]


def _read(log: Path, begin: int) -> Iterator[dict[str, Any]]:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").split("\n")
    plan: list[str] | None = None
    for line in lines:
        if plan is not None and line.startswith("\t"):
            plan.append(line)
            continue
        if plan:
            yield json.loads("\n".join(plan))
        plan = [] if line.endswith("plan:") else None
    if plan:
        yield json.loads("\n".join(plan))
