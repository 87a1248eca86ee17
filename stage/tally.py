"""What became of the cases: the engine says which have ended, BPTL where its tasks are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from stage.topology import Topology

_FINAL = frozenset({"delivered", "lost"})


@dataclass(frozen=True, slots=True)
class Tally:
    """``ended`` and ``running`` count instances in the engine; ``counts`` is what ``bptl tasks count --json`` says."""

    ended: int
    running: int
    counts: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, topology: Topology, process: str | None = None) -> Self:
        """Of one process, or of all.

        Ask the engine first: a case that has ended there has no task that BPTL could still have to do.
        """
        rest = topology.engine.rest
        ended, running = rest.ended(key=process), rest.running(key=process)
        return cls(ended, running, json.loads(topology.bptl("tasks", "count", "--json")))

    @property
    def delivered(self) -> int:
        """Tasks whose outcome the engine has."""
        return self._tasks("delivered")

    @property
    def lost(self) -> int:
        """Tasks that the engine no longer knew when we wanted to report them."""
        return self._tasks("lost")

    @property
    def final(self) -> bool:
        """Whether no task is on its way any more."""
        return set(self.counts) <= _FINAL

    def line(self, cases: int) -> str:
        """The one line that says it all."""
        return f"{self.ended} of {cases} cases ended, {self.delivered} tasks delivered, {self.lost} lost"

    def open_lines(self) -> list[str]:
        """A line for each kind of task that is on its way."""
        return [
            f"  {amount} tasks {status} {outcome}".rstrip()
            for status, outcomes in self.counts.items()
            if status not in _FINAL
            for outcome, amount in outcomes.items()
        ]

    def _tasks(self, status: str) -> int:
        return sum(self.counts.get(status, {}).values())
