"""The model's surroundings: one clock for all, an engine and a service that lose, delay and refuse on demand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection

from bptl.engines.base import Engine
from bptl.lib.http import NeverSent
from bptl.work_units.contract import Happened, Refused, Sending, TryAgain
from tests.doubles.engine import FakeEngine

START = 1_700_000_000.0

GIVES_UP = timedelta(seconds=30)
SETTLES = timedelta(seconds=5)


class StillEngine(FakeEngine):
    """The double with a clock that only the model moves, and calls that are carried out long after they were cut."""

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self.late: list[Callable[[], Any]] = []

    def now(self) -> float:
        """The model's time."""
        return START + self.ahead

    def fail_next(self, how: str, call: str) -> None:
        """Something goes wrong with the next such call."""
        match how:
            case "cut before" | "cut after":
                self.cut(call, executed=how == "cut after")
            case "late":
                self._postpone(call)
            case "refused":
                self.refuse(call, 500)
            case "away":
                self.refuse(call, 503)

    def _postpone(self, call: str) -> None:
        """The next such call is cut; it is carried out when the model says so."""

        def fault(execute: Callable[[], tuple[int, Any]]) -> None:
            self.late.append(execute)

        self._faults[call].append(fault)

    def heal(self) -> None:
        """From now on every call is answered; what was postponed happens."""
        self._faults.clear()
        for task in self.tasks.values():
            task.suspended = False
        while self.late:
            self.late.pop(0)()


@dataclass(frozen=True)
class Act:
    """One effect that really happened."""

    task: str
    number: int
    effect_id: int


@dataclass
class Service:
    """Counts what really happened. ``manners`` are how it takes the next calls; one without a manner is answered."""

    now: Callable[[], float]
    acts: list[Act] = field(default_factory=list)
    manners: list[str] = field(default_factory=list)
    pending: list[tuple[float, str, Sending, bool]] = field(default_factory=list)
    """Calls that will be carried out: not later than this time."""

    def call(self, sending: Any, task: str, *, idempotent: bool) -> int:
        """One request, sent by ``task``'s unit; answers the number of the act."""
        manner = self.manners.pop(0) if self.manners else "answers"
        match manner:
            case "refuses":
                raise Refused("the service refuses it")
            case "is not there":
                raise NeverSent("POST", "http://service/", ConnectionRefusedError())
            case "loses the request":
                raise TryAgain("no answer came")
            case "acts late":
                self.pending.append((sending.gives_up_at + SETTLES.total_seconds(), task, sending, idempotent))
                raise TryAgain("no answer came")
        number = self._act(task, sending, idempotent=idempotent)
        if manner == "loses the answer":
            raise TryAgain("no answer came")
        return number

    def land(self, *, until: float | None = None) -> None:
        """Carry out the calls under way (only those that must be by ``until``)."""
        due = [call for call in self.pending if until is None or call[0] <= until]
        self.pending = [call for call in self.pending if call not in due]
        for _, task, sending, idempotent in due:
            self._act(task, sending, idempotent=idempotent)

    def _act(self, task: str, sending: Any, *, idempotent: bool) -> int:
        done = self.number_of(task)
        if idempotent and done is not None:
            return done
        self.acts.append(Act(task, len(self.acts) + 1, sending.effect_id))
        return len(self.acts)

    def number_of(self, task: str) -> int | None:
        """Whether the effect of a task happened, and as which number."""
        return next((act.number for act in self.acts if act.task == task), None)

    def asked(self, task: str) -> Happened | None:
        """The answer to a reconciling question."""
        number = self.number_of(task)
        return None if number is None else Happened(number)

    def times(self) -> Counter[str]:
        """How often each task's effect happened."""
        return Counter(act.task for act in self.acts)


_SHIFT = """
WITH tasks AS (UPDATE tasks_task SET next_report_at = next_report_at - %(by)s, look_at = look_at - %(by)s),
leases AS (UPDATE tasks_lease SET locked_until = locked_until - %(by)s, performed_at = performed_at - %(by)s,
    claimed_at = claimed_at - %(by)s),
fetches AS (UPDATE tasks_fetch SET started_at = started_at - %(by)s, watch_until = watch_until - %(by)s),
effects AS (UPDATE tasks_effect SET gives_up_at = gives_up_at - %(by)s, settles_at = settles_at - %(by)s,
    ended_at = ended_at - %(by)s)
UPDATE tasks_process SET steady_since = steady_since - %(by)s,
    heartbeat_at = CASE WHEN id = ANY(%(beating)s::uuid[]) THEN heartbeat_at ELSE heartbeat_at - %(by)s END
"""


class World:
    """Time, the engine and the service. PostgreSQL's now() stands still in a transaction: rows are moved instead."""

    def __init__(self, there: StillEngine, engine: Engine) -> None:
        self.there = there
        self.engine = engine
        self.service = Service(self.monotonic)
        self._untold = 0.0

    def monotonic(self) -> float:
        """Seconds, as ``time.monotonic`` in the modules under test."""
        return self.there.ahead

    def tick(self) -> None:
        """A moment: what was given back for a millisecond is free."""
        self.there.advance(0.002)
        self._untold += 0.002

    def advance(self, seconds: float, *, beating: list[str]) -> None:
        """Let time pass everywhere; the processes ``beating`` keep their heartbeat meanwhile."""
        self.there.advance(seconds)
        self.service.land(until=self.monotonic())
        by = timedelta(seconds=seconds + self._untold)
        self._untold = 0.0
        with connection.cursor() as cursor:
            cursor.execute(_SHIFT, {"by": by, "beating": beating})  # type: ignore[dict-item]


class ModelTime:
    """Stands in for the module ``time`` where the heart reckons deadlines."""

    def __init__(self, world: World) -> None:
        self.monotonic = world.monotonic
        self.sleep = time.sleep
