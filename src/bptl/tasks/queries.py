"""What pages and commands ask of the heart."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.db.models.lookups import Exact

from bptl.connections.models import WITHOUT_ENGINE, Engine
from bptl.tasks import sql
from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.tasks.models import (
    BACKWARDS,
    DEAD_AFTER,
    EFFECT_DOUBLED,
    OF_ENGINE,
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

_NOBODY = -1
"""Number of an engine that does not exist."""


def of_engine(engine_id: int | None) -> Q:
    """The tasks of an engine, or of none, as the index of lists has them."""
    return Q(Exact(OF_ENGINE, engine_id or 0))


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Filters that combine; empty ones leave out. ``before_id`` continues a list (newest first).

    ``engine`` is a name, or WITHOUT_ENGINE.
    """

    status: str = ""
    outcome: str = ""
    engine: str = ""
    topic: str = ""
    process_instance_id: str = ""
    business_key: str = ""
    before_id: int | None = None

    def kinds(self) -> Sequence[Q]:
        """The filter without its place in the list, as conditions that exclude each other: one for each state."""
        names = {
            "topic": self.topic,
            "process_instance_id": self.process_instance_id,
            "business_key": self.business_key,
        }
        rest = self._engine() & Q(**{name: value for name, value in names.items() if value})
        return [state & rest for state in self._states()]

    def parts(self) -> Sequence[Sequence[Q]]:
        """What is set of state, engine and topic, each alone, as ``kinds``. Empty with an instance or a business key,
        which are narrow themselves."""
        if self.process_instance_id or self.business_key:
            return []
        return [
            *([self._states()] if self.status or self.outcome else []),
            *([[self._engine()]] if self.engine else []),
            *([[Q(topic=self.topic)]] if self.topic else []),
        ]

    def _states(self) -> Sequence[Q]:
        # Each by itself: no index has the tasks of several states in the order of a list.
        if not self.status and not self.outcome:
            return [Q()]
        return [
            Q(status=status.value, outcome=outcome.value)
            for status in Status
            for outcome in outcomes_of(status)
            if self.status in {"", status} and self.outcome in {"", outcome}
        ]

    def _engine(self) -> Q:
        # By its number: of a joined name PostgreSQL cannot know how many tasks it has.
        if not self.engine:
            return Q()
        if self.engine == WITHOUT_ENGINE:
            return of_engine(None)
        return of_engine(Engine.objects.filter(name=self.engine).values_list("id", flat=True).first() or _NOBODY)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list, newest first. ``newer`` and ``older`` are the ids from which the neighbours go on, if any.

    ``searched`` counts the tasks of the narrowest filter that were looked through when the page is not full because
    the search ended there; there may be more beyond.
    """

    tasks: Sequence[Task]
    newer: int | None = None
    older: int | None = None
    searched: int = 0


SEARCHED = 10_000
"""Most tasks of the narrowest filter that one page looks through, where no index knows all its filters together."""


def page(wanted: TaskFilter, *, after_id: int | None = None, limit: int = 50) -> TaskPage:
    """At most ``limit`` tasks: the newest, those before ``wanted.before_id``, or the oldest after ``after_id``.

    It counts nothing: whether there is more is seen by reading one row more. Fewer than ``limit`` rows after
    ``after_id`` means that this is the beginning of the list, and the newest tasks are answered.
    """
    edge = _edge(wanted, after_id)
    if after_id is None:
        found = _listed(wanted.kinds(), above=edge and edge - 1, below=wanted.before_id, limit=limit + 1)
        rows, more = found[:limit], len(found) > limit
        newer = rows[0].pk if rows and wanted.before_id else None
        if edge and not more:
            return TaskPage(rows, newer=newer, older=edge, searched=SEARCHED)
        return TaskPage(rows, newer=newer, older=rows[-1].pk if more else None)
    found = _listed(wanted.kinds(), above=after_id, below=edge and edge + 1, newest_first=False, limit=limit + 1)
    rows = found[:limit][::-1]
    if edge and len(found) <= limit:
        return TaskPage(rows, newer=edge, older=rows[-1].pk if rows else after_id, searched=SEARCHED)
    if len(found) <= limit:
        return page(replace(wanted, before_id=None), limit=limit)
    return TaskPage(rows, newer=rows[0].pk, older=rows[-1].pk)


def _edge(wanted: TaskFilter, after_id: int | None) -> int | None:
    """The id at which a search for several filters ends; None when it may go on to the end of the list."""
    parts = wanted.parts()
    if len(parts) < 2:
        return None
    narrowest = min(parts, key=lambda kinds: sum(estimate(Task.objects.filter(kind)) for kind in kinds))
    newest_first = after_id is None
    below = wanted.before_id if newest_first else None
    walks = [_walk(kind, above=after_id, below=below, newest_first=newest_first) for kind in narrowest]
    ids = [walk.values_list("id", flat=True)[SEARCHED - 1 : SEARCHED].first() for walk in walks]
    edges = [edge for edge in ids if edge is not None]
    return (max if newest_first else min)(edges, default=None)


def _listed(
    kinds: Sequence[Q], *, above: int | None, below: int | None, newest_first: bool = True, limit: int
) -> list[Task]:
    """Tasks of any of ``kinds`` without what is wide, between two ids (exclusive)."""
    walks = [
        _walk(kind, above=above, below=below, newest_first=newest_first)
        .select_related("engine")
        .defer("variables", "result", "extension_properties")[:limit]
        for kind in kinds
    ]
    if len(walks) == 1:
        return list(walks[0])
    return list(Task.objects.none().union(*walks, all=True).order_by("-id" if newest_first else "id")[:limit])


def _walk(kind: Q, *, above: int | None, below: int | None, newest_first: bool) -> QuerySet[Task]:
    """Tasks of one kind in the order of the one index that has them so; all tasks in that of the primary key."""
    if not kind:
        bounds, order = {"id__gt": above, "id__lt": below}, "-id" if newest_first else "id"
    else:
        bounds = {"backwards__lt": above and -above, "backwards__gt": below and -below}
        order = "backwards" if newest_first else "-backwards"
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return Task.objects.alias(backwards=BACKWARDS).filter(kind, **given).order_by(order)


def estimate(rows: QuerySet[Any]) -> int:
    """About how many rows there are, as PostgreSQL plans for them: flat cost, as true as its last ANALYZE."""
    statement, params = rows.order_by().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", params)
        (answer,) = cursor.fetchone()
    plans = json.loads(answer) if isinstance(answer, str) else answer
    return int(plans[0]["Plan"]["Plan Rows"])


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
    """Its last calls to services, in the order in which they began."""
    earlier_calls: int = 0
    """How many calls came before those."""

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

    def attempt_of(self, row: Effect | ServiceCall) -> int | None:
        """The number of the lease under which an effect was intended, or a call made."""
        return next((lease.number for lease in self.leases if lease.id == row.lease_id), None)


def story(task_id: int) -> TaskStory:
    """One task, its leases, events, effects and calls in order; raises Task.DoesNotExist."""
    task = Task.objects.select_related("engine", "mapping", "caller").get(id=task_id)
    leases = list(task.leases.order_by("number"))
    holders = Process.objects.in_bulk({lease.holder_id for lease in leases})
    newest = list(task.service_calls.order_by("-id")[: MOST_CALLS + 1])
    earlier = task.service_calls.count() - MOST_CALLS if len(newest) > MOST_CALLS else 0
    return TaskStory(
        task,
        leases,
        list(task.events.order_by("id")),
        holders,
        list(task.effects.order_by("id")),
        calls=sorted(newest[:MOST_CALLS], key=lambda call: (call.began_at, call.pk)),
        earlier_calls=earlier,
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
