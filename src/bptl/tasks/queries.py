"""What pages and commands ask of the heart."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.db.models.lookups import Exact

from bptl.tasks import sql, walks
from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.tasks.models import (
    BACKWARDS,
    DEAD_AFTER,
    EFFECT_DOUBLED,
    OF_ENGINE,
    Callback,
    Completion,
    Effect,
    Event,
    Fetch,
    Lease,
    Process,
    ProcessKind,
    ServiceCall,
    Task,
)

MOST_CALLS = 50
"""Calls of one task that are shown."""


def of_engine(engine_id: int | None) -> Q:
    """The tasks of an engine, or of none, as the index of lists has them."""
    return Q(Exact(OF_ENGINE, engine_id or 0))


def estimate(rows: QuerySet[Any]) -> int:
    """About how many rows there are, as PostgreSQL plans for them: flat cost, as true as its last ANALYZE."""
    return walks.planned(*rows.order_by().query.sql_with_params())


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of tasks; ``about``: it is an estimate, because counting would read too much."""

    number: int
    about: bool = False

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.number + other.number, self.about or other.about)

    @property
    def rounded(self) -> int:
        """The number; an estimate in two digits, since the others would say nothing."""
        return int(float(f"{self.number:.1e}")) if self.about else self.number


MANY = 10_000
"""Where counting ends and estimating begins."""

_BOUNDED = """
SELECT %s AS status, %s AS outcome, count(*) AS amount
FROM (SELECT FROM tasks_task WHERE status = %s AND outcome = %s LIMIT %s) t
"""


def counts() -> dict[tuple[str, str], Amount]:
    """How many tasks there are by (status, outcome), those that there are: flat cost on tables of any size."""
    pairs = [(status.value, outcome.value) for status in Status for outcome in outcomes_of(status)]
    params = [part for status, outcome in pairs for part in (status, outcome, status, outcome, MANY + 1)]
    rows = sql.query(" UNION ALL ".join(f"({_BOUNDED})" for _ in pairs), params)
    return {(row.status, row.outcome): _amount(row) for row in rows if row.amount}


def _amount(row: Any) -> Amount:
    if row.amount <= MANY:
        return Amount(row.amount)
    about = estimate(Task.objects.filter(status=row.status, outcome=row.outcome))
    return Amount(max(about, row.amount), about=True)


def oldest(statuses: Collection[Status]) -> dict[Status, Task]:
    """Of each status the task that was first seen longest ago, where there is one."""
    found: dict[Status, Task] = {}
    for status in statuses:
        for outcome in outcomes_of(status):
            walk = Task.objects.filter(status=status, outcome=outcome).order_by(BACKWARDS.desc())
            task = walk.only("id", "topic", "status", "changed_at").first()
            if task is not None and (status not in found or task.pk < found[status].pk):
                found[status] = task
    return found


@dataclass(frozen=True, slots=True)
class Held:
    """The tasks of one mapping that are here and not over, by status, and those that have failed."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    performed: int = 0
    uncertain: int = 0
    failed: int = 0

    @property
    def open(self) -> int:
        """How many are to be finished."""
        return self.queued + self.running + self.waiting + self.performed + self.uncertain


_OPEN = (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED, Status.UNCERTAIN)

_HELD = (
    "SELECT mapping_id, kind, count(*) AS amount FROM ("
    + " UNION ALL ".join(
        f"(SELECT mapping_id, '{status}' AS kind FROM tasks_task WHERE status = '{status}' LIMIT {MANY})"
        for status in _OPEN
    )
    + f""" UNION ALL (SELECT mapping_id, 'failed' AS kind FROM tasks_task
    WHERE status = '{Status.DELIVERED}' AND outcome = '{Outcome.FAILED}' ORDER BY id * -1 LIMIT {MANY})
) t WHERE mapping_id IS NOT NULL GROUP BY mapping_id, kind"""
)


def held() -> Mapping[int, Held]:
    """What is here of each mapping, by its id; a mapping without such tasks is missing.

    Flat cost: of each kind at most MANY tasks are counted, of the failed ones the newest.
    """
    found: dict[int, dict[str, int]] = {}
    for row in sql.query(_HELD):
        found.setdefault(row.mapping_id, {})[row.kind] = row.amount
    return {mapping_id: Held(**amounts) for mapping_id, amounts in found.items()}


LATEST = 100
"""Tasks by which one sees how a mapping fares."""

_LATEST = f"""
SELECT outcome, count(*) AS amount, max(changed_at) AS last FROM (
    SELECT outcome, changed_at FROM (
        SELECT mapping_id, outcome, changed_at FROM tasks_task WHERE topic = %s ORDER BY id * -1 LIMIT {MANY}
    ) of_topic WHERE mapping_id = %s AND outcome <> '' LIMIT {LATEST}
) t GROUP BY outcome
"""


@dataclass(frozen=True, slots=True)
class Fared:
    """How the latest tasks of a mapping that have an outcome ended, and when the last of them did."""

    completed: int = 0
    failed: int = 0
    thrown: int = 0
    last: datetime | None = None

    @property
    def all(self) -> int:
        """How many these are, LATEST at most."""
        return self.completed + self.failed + self.thrown


def fared(mapping_id: int, *, topic: str) -> Fared:
    """How a mapping of ``topic`` fares, by its LATEST tasks among the newest MANY of the topic."""
    rows = sql.query(_LATEST, [topic, mapping_id])
    amounts = {str(row.outcome): int(row.amount) for row in rows}
    return Fared(**amounts, last=max((row.last for row in rows), default=None))


@dataclass(frozen=True, slots=True)
class TaskStory:
    """One task with all that happened to it."""

    task: Task
    leases: Sequence[Lease]
    events: Sequence[Event]
    holders: Mapping[uuid.UUID, Process]
    """The processes that held the leases, as far as their rows are still kept."""
    effects: Sequence[Effect] = ()
    """Its rows of the ledger, in the order in which they were intended."""
    calls: Sequence[ServiceCall] = ()
    """Its last calls to services, in the order in which they began; ``has_body`` says whether bodies were kept."""
    earlier_calls: int = 0
    """How many calls came before those."""
    callbacks: Sequence[Callback] = ()
    """The callbacks that followed its completions, in their order: one at most, unless a person completed it anew."""
    completions: Sequence[Completion] = ()
    """The addresses at which somebody outside may answer, in the order in which they were asked for; no tokens."""

    @property
    def doubled(self) -> Collection[str]:
        """The keys of effects that happened more than once, in the order in which that showed."""
        return list(dict.fromkeys(event.detail["effect"] for event in self.events if event.name == EFFECT_DOUBLED))

    @property
    def questions(self) -> Sequence[Effect]:
        """The effects that a person is asked about now: open ones, once the engine holds the task back."""
        task = self.task
        if task.status != Status.UNCERTAIN or not (task.parked or task.lease_id is None):
            return []
        return [effect for effect in self.effects if not effect.end]

    @property
    def awaited(self) -> Completion | None:
        """What the task waits for now."""
        if self.task.status != Status.WAITING:
            return None
        return next((one for one in self.completions if one.state == Completion.State.AWAITED), None)

    def attempt_of(self, row: Effect | ServiceCall) -> int | None:
        """The number of the lease under which an effect was intended, or a call made."""
        return next((lease.number for lease in self.leases if lease.id == row.lease_id), None)


def story(task_id: int, *, bodies: bool = False) -> TaskStory:
    """One task, its leases, events, effects and calls in order; raises Task.DoesNotExist.

    The bodies of calls can be megabytes: without ``bodies`` each is read when it is asked for.
    """
    task = Task.objects.select_related("engine", "mapping", "caller").get(id=task_id)
    leases = list(task.leases.order_by("number"))
    holders = Process.objects.in_bulk({lease.holder_id for lease in leases})
    calls = task.service_calls.annotate(has_body=~Q(request_body="", answer_body=""))
    calls = calls if bodies else calls.defer("request_body", "answer_body")
    newest = list(calls.order_by("-id")[: MOST_CALLS + 1])
    earlier = task.service_calls.count() - MOST_CALLS if len(newest) > MOST_CALLS else 0
    return TaskStory(
        task,
        leases,
        list(task.events.order_by("id")),
        holders,
        list(task.effects.order_by("id")),
        calls=sorted(newest[:MOST_CALLS], key=lambda call: (call.began_at, call.pk)),
        earlier_calls=earlier,
        callbacks=list(task.callbacks.order_by("id")),
        completions=list(task.completions.defer("encrypted_token", "digest", "answer").order_by("id")),
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """The processes that live now, by PostgreSQL's clock."""

    workers: Sequence[Process] = field(default_factory=list)
    pollers: Sequence[Process] = field(default_factory=list)
    beats: Sequence[Process] = field(default_factory=list)

    @property
    def places(self) -> int:
        """How many units can run at once."""
        return sum(worker.places for worker in self.workers if not worker.draining)


def fleet() -> Fleet:
    """Who lives."""
    living = list(Process.objects.filter(stopped_at=None, heartbeat_at__gt=Now() - DEAD_AFTER).order_by("started_at"))
    return Fleet(
        workers=[process for process in living if process.kind == ProcessKind.WORK],
        pollers=[process for process in living if process.kind == ProcessKind.POLL],
        beats=[process for process in living if process.kind == ProcessKind.BEAT],
    )


def last_fetch(engine_id: int, *, within: timedelta) -> Fetch | None:
    """The newest fetch of an engine that is at most this old."""
    return Fetch.objects.filter(engine_id=engine_id, started_at__gt=Now() - within).order_by("-started_at").first()


def newest_task(engine_id: int) -> Task | None:
    """The task of an engine that was first seen last."""
    return Task.objects.filter(of_engine(engine_id)).defer("variables", "result").order_by(BACKWARDS).first()


def acts(
    *, actor: str = "", name: str = "", task_id: str = "", since: datetime | None = None, until: datetime | None = None
) -> QuerySet[Event]:
    """What people did to tasks, newest first. ``name`` is the beginning of an event's name; empty is no filter."""
    found = Event.objects.exclude(actor="").select_related("task").defer("task__variables", "task__result")
    if actor:
        found = found.filter(actor=actor)
    if name:
        found = found.filter(name__startswith=name)
    if task_id:
        found = found.filter(task_id=int(task_id)) if task_id.isdecimal() and len(task_id) < 19 else found.none()
    if since:
        found = found.filter(at__gte=since)
    if until:
        found = found.filter(at__lt=until)
    return found.order_by("-at", "-id")
