"""What pages and commands ask of the heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Count, Q
from django.db.models.functions import Now

from bptl.tasks.models import DEAD_AFTER, Event, Fetch, Lease, Process, ProcessKind, Task


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Filters that combine; empty ones leave out. ``before_id`` continues a list (newest first)."""

    status: str = ""
    outcome: str = ""
    engine: str = ""
    topic: str = ""
    process_instance_id: str = ""
    business_key: str = ""
    before_id: int | None = None

    def q(self) -> Q:
        """The filter as Django's Q."""
        names = {
            "status": self.status,
            "outcome": self.outcome,
            "engine__name": self.engine,
            "topic": self.topic,
            "process_instance_id": self.process_instance_id,
            "business_key": self.business_key,
            "id__lt": self.before_id,
        }
        return Q(**{name: value for name, value in names.items() if value})


def tasks(wanted: TaskFilter, *, limit: int = 50) -> Sequence[Task]:
    """Tasks, newest first, without their variables."""
    found = (
        Task.objects.filter(wanted.q()).select_related("engine").defer("variables", "result", "extension_properties")
    )
    return list(found.order_by("-id")[:limit])


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


def story(task_id: int) -> TaskStory:
    """One task, its leases and events in order; raises Task.DoesNotExist."""
    task = Task.objects.select_related("engine", "mapping").get(id=task_id)
    return TaskStory(task, list(task.leases.order_by("number")), list(task.events.order_by("id")))


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
