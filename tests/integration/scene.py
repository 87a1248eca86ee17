"""What a case of the heart works with: an engine in a row, its double behind it, processes, tasks in any state."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from bptl.connections import engines
from bptl.connections.models import Engine
from bptl.connections.models import Mapping as TopicMapping
from bptl.engines import base
from bptl.engines.base import FetchRequest, TopicRequest
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.intake.fetches import FETCH_LIMIT, Announced, announce
from bptl.tasks.intake.record import Recorded, record
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Event, Lease, Process, ProcessKind, Task
from bptl.tasks.upkeep import processes
from tests.doubles.engine import ExternalTask, FakeEngine

LOCK = timedelta(seconds=300)

RESULTS: dict[Outcome, dict[str, Any] | None] = {
    Outcome.NONE: None,
    Outcome.COMPLETED: {"variables": {"leges": {"type": "Double", "value": 75.0, "valueInfo": {}}}},
    Outcome.FAILED: {"message": "it broke", "details": "Traceback", "retries": 2, "wait_ms": 30_000},
    Outcome.THROWN: {"code": "INCOMPLETE", "message": "no attachments", "variables": {}},
}

HELD = {Status.QUEUED, Status.RUNNING}


def topic_request(topic: str = "topic", **fields: Any) -> TopicRequest:
    """What a fetch asks for one topic."""
    return TopicRequest(topic=topic, lock_duration=fields.pop("lock_duration", LOCK), **fields)


@dataclass
class Scene:
    """One case. ``there`` is the double; ``engine`` is our client of it; ``row`` its row with one mapping a topic."""

    there: FakeEngine
    row: Engine
    mappings: dict[str, TopicMapping] = field(default_factory=dict)

    @property
    def engine(self) -> base.Engine:
        """The real adapter."""
        return engines.client(self.row)

    def clients(self, engine_id: int) -> base.Engine:
        """As workers find clients."""
        return engines.client(Engine.objects.get(id=engine_id))

    def map(self, topic: str = "topic", unit: str = "demo.quick", **fields: Any) -> TopicMapping:
        """A mapping of our engine."""
        self.mappings[topic] = TopicMapping.objects.create(engine=self.row, topic=topic, unit=unit, **fields)
        return TopicMapping.objects.select_related("engine").get(id=self.mappings[topic].id)

    def process(self, kind: ProcessKind = ProcessKind.WORK, *, places: int = 4, steady: bool = True) -> uuid.UUID:
        """A live process; a steady one has kept its heartbeat for a minute."""
        process_id = processes.register(kind, places=places)
        if steady:
            Process.objects.filter(id=process_id).update(steady_since=Now() - timedelta(minutes=1))
        return process_id

    def silence(self, process_id: uuid.UUID, *, seconds: float = 60) -> None:
        """The process has not beaten for so long."""
        Process.objects.filter(id=process_id).update(heartbeat_at=Now() - timedelta(seconds=seconds))

    def bury(self, process_id: uuid.UUID) -> None:
        """The process was declared dead."""
        Process.objects.filter(id=process_id).update(stopped_at=Now(), died=True)

    def announce(
        self,
        process_id: uuid.UUID,
        *,
        ordinal: int = 0,
        topics: Sequence[str] = ("topic",),
        shares: int = 1,
        wait: float = 0.0,
        most: int = FETCH_LIMIT,
        under_limits: bool = False,
    ) -> Announced | None:
        """Commit a fetch as a poller does."""
        return announce(
            self.row.pk,
            ordinal=ordinal,
            process_id=process_id,
            topics=topics,
            wait=timedelta(seconds=wait),
            shortest_lock=LOCK,
            shares=shares,
            most=most,
            under_limits=under_limits,
        )

    def announced(self, process_id: uuid.UUID) -> Announced:
        """The same where there must be room."""
        fetch = self.announce(process_id)
        assert fetch is not None
        return fetch

    def ask(self, fetch: Announced) -> Sequence[base.ExternalTask]:
        """Send an announced fetch to the engine."""
        topics = [topic_request(topic) for topic in self.mappings]
        return self.engine.fetch(FetchRequest(worker_id=fetch.worker_id, max_tasks=fetch.max_tasks, topics=topics))

    def record(self, fetch: Announced, tasks: Sequence[base.ExternalTask]) -> Recorded:
        """Record the answer of a fetch."""
        return record(fetch, tasks, mappings=self.mappings, engine=self.engine)

    def fetch(self, process_id: uuid.UUID) -> Recorded:
        """The first station of the walk, whole."""
        fetch = self.announced(process_id)
        return self.record(fetch, self.ask(fetch))

    def queued(self, process_id: uuid.UUID, **external: Any) -> Task:
        """One new task, fetched."""
        there = self.there.add(**external)
        self.fetch(process_id)
        return Task.objects.get(external_id=there.id)

    def claimed(self, process_id: uuid.UUID, **external: Any) -> Claim:
        """One new task, fetched and claimed."""
        task = self.queued(process_id, **external)
        (claimed,) = [found for found in claim(process_id, places=64) if found.task_id == task.id]
        return claimed

    def performed(self, process_id: uuid.UUID, ending: Ending | None = None, **external: Any) -> Claim:
        """One new task whose outcome is stored; its first report has begun."""
        claimed = self.claimed(process_id, **external)
        ended = Ended(claimed.task_id, claimed.lease_id, ending or completed())
        assert store(process_id, [ended]) == {claimed.lease_id}
        return claimed

    def task(
        self,
        status: Status,
        outcome: Outcome = Outcome.NONE,
        *,
        live: bool | None = None,
        holder: uuid.UUID | None = None,
        external: ExternalTask | None = None,
        **fields: Any,
    ) -> Task:
        """A task in any state that can be, with its one lease; ``live`` says whether that still is our right to it."""
        live = status in HELD if live is None else live
        there = external or self.there.add()
        lease_id = uuid.uuid4()
        worker_id = f"bptl-{uuid.uuid4()}"
        holder = holder or self.process(places=0)
        values: dict[str, Any] = {
            "external_id": there.id,
            "topic": there.topic,
            "mapping": self.mappings.get(there.topic),
            "status": status,
            "outcome": outcome,
            "outcome_id": lease_id if outcome else None,
            "result": RESULTS[outcome],
            "lease_id": lease_id if live else None,
            "last_lease_id": lease_id,
        }
        task = Task.objects.create(engine=self.row, **(values | fields))
        Lease.objects.create(
            id=lease_id,
            task=task,
            number=1,
            worker_id=worker_id,
            fetch_number=1,
            holder_id=holder,
            lock_ms=LOCK // timedelta(milliseconds=1),
            locked_until=Now() + LOCK,
            ended_at=None if live else Now(),
            ended_as="" if live else LeaseEnd.GIVEN_BACK,
        )
        if live:
            self.there.lock(there, worker_id)
        return task


def completed(**variables: float) -> Ending:
    """The ending of a unit that did its work."""
    return Ending.completed(
        {name: {"type": "Double", "value": value, "valueInfo": {}} for name, value in variables.items()}
    )


def lease_of(task: Task | Claim) -> Lease:
    """The last lease of a task."""
    task_id = task.id if isinstance(task, Task) else task.task_id
    return Lease.objects.filter(task_id=task_id).order_by("-number")[0]


def fresh(task: Task | Claim) -> Task:
    """The row as it is now."""
    return Task.objects.get(id=task.id if isinstance(task, Task) else task.task_id)


def events(task: Task | Claim) -> list[str]:
    """The names of what happened to a task."""
    found = Event.objects.filter(task_id=fresh(task).id).order_by("id")
    return [event.name for event in found]


def age_lease(task: Task | Claim, *, seconds: float) -> None:
    """Let time pass for the lock of a task, here and nowhere else."""
    lease = lease_of(task)
    Lease.objects.filter(id=lease.id).update(locked_until=F("locked_until") - timedelta(seconds=seconds))


def due_now(task: Task | Claim) -> None:
    """Let the time of the next report, and of the next look, come."""
    found = Task.objects.filter(id=fresh(task).id)
    found.exclude(next_report_at=None).update(next_report_at=Now() - timedelta(seconds=1))
    found.exclude(look_at=None).update(look_at=Now() - timedelta(seconds=1))


@contextmanager
def a_scene(there: FakeEngine) -> Iterator[Scene]:
    """A scene with one mapping, of topic ``topic``; its client is closed at the end."""
    row = Engine.objects.create(name="main", address=there.url, authentication="none")
    scene = Scene(there, row)
    scene.map()
    try:
        yield scene
    finally:
        engines.client(row).close()
