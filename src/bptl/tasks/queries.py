"""What pages and commands ask of the heart."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from bptl.connections.models import WITHOUT_ENGINE
from bptl.tasks import sql
from bptl.tasks.lifecycle import Status, outcomes_of
from bptl.tasks.models import DEAD_AFTER, EFFECT_DOUBLED, Effect, Event, Fetch, Lease, Process, ProcessKind, Task


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

    def q(self) -> Q:
        """The filter as Django's Q."""
        called = Q(engine=None) if self.engine == WITHOUT_ENGINE else Q()
        names = {
            "status": self.status,
            "outcome": self.outcome,
            "engine__name": "" if self.engine == WITHOUT_ENGINE else self.engine,
            "topic": self.topic,
            "process_instance_id": self.process_instance_id,
            "business_key": self.business_key,
            "id__lt": self.before_id,
        }
        return called & Q(**{name: value for name, value in names.items() if value})


def tasks(wanted: TaskFilter, *, limit: int = 50) -> Sequence[Task]:
    """Tasks, newest first, without their variables."""
    found = (
        Task.objects.filter(wanted.q()).select_related("engine").defer("variables", "result", "extension_properties")
    )
    return list(found.order_by("-id")[:limit])


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list, newest first. ``newer`` and ``older`` are the ids from which the neighbours go on, if any."""

    tasks: Sequence[Task]
    newer: int | None = None
    older: int | None = None


def page(wanted: TaskFilter, *, after_id: int | None = None, limit: int = 50) -> TaskPage:
    """At most ``limit`` tasks: the newest, those before ``wanted.before_id``, or the oldest after ``after_id``.

    It counts nothing: whether there is more is seen by reading one row more. Fewer than ``limit`` rows after
    ``after_id`` means that this is the beginning of the list, and the newest tasks are answered.
    """
    if after_id is None:
        found = list(tasks(wanted, limit=limit + 1))
        rows, more = found[:limit], len(found) > limit
        newer = rows[0].pk if rows and wanted.before_id else None
        return TaskPage(rows, newer=newer, older=rows[-1].pk if more else None)
    ascending = (
        Task.objects.filter(wanted.q(), id__gt=after_id)
        .select_related("engine")
        .defer("variables", "result", "extension_properties")
        .order_by("id")
    )
    found = list(ascending[: limit + 1])
    if len(found) <= limit:
        return page(wanted, limit=limit)
    rows = found[:limit][::-1]
    return TaskPage(rows, newer=rows[0].pk, older=rows[-1].pk)


MANY = 10_000
"""Where counting for people stops: more than this is shown as *more than*, and costs no more than this."""

_BOUNDED = """
SELECT %s AS status, %s AS outcome, count(*) AS amount
FROM (SELECT FROM tasks_task WHERE status = %s AND outcome = %s LIMIT %s) t
"""


def bounded_counts() -> dict[tuple[str, str], int]:
    """How many tasks there are by (status, outcome), each counted to ``MANY`` + 1 at most: flat cost on any table."""
    pairs = [(status.value, outcome.value) for status in Status for outcome in outcomes_of(status)]
    params = [part for status, outcome in pairs for part in (status, outcome, status, outcome, MANY + 1)]
    rows = sql.query(" UNION ALL ".join(f"({_BOUNDED})" for _ in pairs), params)
    return {(row.status, row.outcome): row.amount for row in rows}


def counts() -> dict[tuple[str, str], int]:
    """How many tasks there are by (status, outcome)."""
    rows = Task.objects.values_list("status", "outcome").annotate(amount=Count("id")).order_by()
    return {(status, outcome): amount for status, outcome, amount in rows}


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

    def attempt_of(self, effect: Effect) -> int | None:
        """The number of the lease under which an effect was intended."""
        return next((lease.number for lease in self.leases if lease.id == effect.lease_id), None)


def story(task_id: int) -> TaskStory:
    """One task, its leases, events and effects in order; raises Task.DoesNotExist."""
    task = Task.objects.select_related("engine", "mapping", "caller").get(id=task_id)
    leases = list(task.leases.order_by("number"))
    holders = Process.objects.in_bulk({lease.holder_id for lease in leases})
    return TaskStory(task, leases, list(task.events.order_by("id")), holders, list(task.effects.order_by("id")))


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
    return Task.objects.filter(engine_id=engine_id).defer("variables", "result").order_by("-id").first()


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
