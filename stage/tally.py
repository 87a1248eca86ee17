"""What became of the cases: the engine says which have ended, BPTL where its tasks are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from stage.topology import Topology

_FINAL = frozenset({"delivered", "lost"})


@dataclass(frozen=True, slots=True)
class Tally:
    """``ended`` and ``running`` count instances in the engine; ``counts`` are the rows of ``bptl tasks count --json``."""

    ended: int
    running: int
    counts: Sequence[dict[str, Any]]

    @classmethod
    def of(cls, topology: Topology, process: str) -> Self:
        """Ask the engine first: a case that has ended there has no task that BPTL could still have to do."""
        rest = topology.engine.rest
        ended, running = rest.ended(key=process), rest.running(key=process)
        return cls(ended, running, json.loads(topology.bptl("tasks", "count", "--json")))

    @property
    def delivered(self) -> int:
        """Tasks whose outcome the engine has."""
        return self._tasks({"delivered"})

    @property
    def lost(self) -> int:
        """Tasks that the engine no longer knew when we wanted to report them."""
        return self._tasks({"lost"})

    @property
    def final(self) -> bool:
        """Whether no task is on its way any more."""
        return all(row["status"] in _FINAL for row in self.counts)

    def line(self, cases: int) -> str:
        """The one line that says it all."""
        return f"{self.ended} of {cases} cases ended, {self.delivered} tasks delivered, {self.lost} lost"

    def open_lines(self) -> list[str]:
        """A line for each kind of task that is on its way."""
        rows = [row for row in self.counts if row["status"] not in _FINAL]
        return [f"  {row['tasks']} tasks {row['status']} {row['outcome']}".rstrip() for row in rows]

    def _tasks(self, statuses: set[str]) -> int:
        return sum(row["tasks"] for row in self.counts if row["status"] in statuses)
