"""What happened in a test, in the order of time: what it did itself, and what each attempt did by BPTL's rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stage.postgres import connect
from stage.topology import Topology


class Chronicle:
    """For who reads a failure, or a log of a whole run."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._added: list[tuple[datetime, str]] = []

    def add(self, text: str) -> None:
        """Something that the test did or saw now."""
        self._added.append((datetime.now(UTC), text))

    def effects(self) -> list[tuple[str, str]]:
        """Of each ended effect the first word of its key, and by what its end is known."""
        found = self._rows("SELECT key, known_by FROM tasks_effect WHERE ended_at IS NOT NULL")
        return [(key.split()[0], known_by) for key, known_by in found]

    def lines(self) -> list[str]:
        """Everything, oldest first; times are UTC."""
        rows = [(at, f"    {case} {topic:<17} {text}") for at, case, topic, text in self._rows(_STEPS)]
        told = sorted([*self._added, *rows], key=lambda line: line[0])
        return [f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3] + f"  {text}" for at, text in told]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self._topology.postgres.environment()) as connection:
            return connection.execute(query.encode()).fetchall()


_STEPS = """
SELECT step.at, t.business_key, t.topic, step.text
  FROM tasks_task t
  JOIN (
       SELECT l.task_id, l.claimed_at AS at, format('attempt %s starts in pid %s', l.number, p.pid) AS text
         FROM tasks_lease l JOIN tasks_process p ON p.id = l.holder_id
    UNION ALL
       SELECT task_id, performed_at, format('attempt %s %s%s', number, outcome, ': ' || (error ->> 'message'))
         FROM tasks_lease
    UNION ALL
       SELECT task_id, ended_at, format('attempt %s ended as %s', number, ended_as) FROM tasks_lease
    UNION ALL
       SELECT e.task_id, e.intended_at, format('attempt %s is about to %s', l.number, e.key)
         FROM tasks_effect e JOIN tasks_lease l ON l.id = e.lease_id
    UNION ALL
       SELECT e.task_id, e.ended_at, format('%s of attempt %s: %s, known by %s', e.key, l.number, e."end", e.known_by)
         FROM tasks_effect e JOIN tasks_lease l ON l.id = e.lease_id
    UNION ALL
       SELECT task_id, at, name || ' ' || detail FROM tasks_event
  ) step ON step.task_id = t.id
 WHERE step.at IS NOT NULL
"""
