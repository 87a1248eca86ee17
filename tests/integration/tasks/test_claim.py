"""Who gets a queued task."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from bptl.tasks import sessions
from bptl.tasks.execution.claim import _CLAIM, claim
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Process, ProcessKind, Task
from tests.integration.scene import LOCK, Scene, age_lease, fresh, lease_of


def test_a_claimed_task_runs_under_its_lease_which_the_worker_holds_from_now_on(scene: Scene) -> None:
    poller, worker = scene.process(ProcessKind.POLL, places=0), scene.process()
    variables = {"aanvrager": {"type": "String", "value": "Saskia", "valueInfo": {}}}
    task = scene.queued(poller, variables=variables, business_key="Z-1", retries=2)
    (claimed,) = claim(worker, places=1)
    lease = lease_of(task)
    assert (fresh(task).status, fresh(task).lease_id) == (Status.RUNNING, lease.id)
    assert (lease.holder_id, lease.claimed_at is not None) == (worker, True)
    assert (claimed.task_id, claimed.lease_id, claimed.worker_id) == (task.id, lease.id, lease.worker_id)
    assert (claimed.attempt, claimed.engine_retries, claimed.business_key) == (1, 2, "Z-1")
    assert claimed.variables == variables
    assert (claimed.lock_ms, claimed.mapping_id) == (300_000, scene.mappings["topic"].id)
    assert 0 < claimed.locked_ms <= 300_000


def test_no_more_is_claimed_than_there_are_places(scene: Scene) -> None:
    for _ in range(3):
        scene.task(Status.QUEUED)
    worker = scene.process()
    assert [len(claim(worker, places=places)) for places in (0, -1, 2, 2, 2)] == [0, 0, 2, 1, 0]


def test_higher_priority_goes_first_and_among_equals_the_older(scene: Scene) -> None:
    ids = [scene.task(Status.QUEUED, priority=priority).id for priority in (0, 5, -1, 5, 0)]
    worker = scene.process()
    order = [found.task_id for _ in range(3) for found in claim(worker, places=2)]
    assert order == [ids[1], ids[3], ids[0], ids[4], ids[2]]


@pytest.mark.parametrize("change", [{"draining": True}, {"stopped_at": Now()}])
def test_a_process_that_is_stopping_or_declared_dead_claims_nothing(scene: Scene, change: dict[str, object]) -> None:
    task = scene.task(Status.QUEUED)
    worker = scene.process()
    Process.objects.filter(id=worker).update(**change)
    assert claim(worker, places=1) == []
    assert fresh(task).status == Status.QUEUED


def test_a_stranger_claims_nothing(scene: Scene) -> None:
    scene.task(Status.QUEUED)
    assert claim(uuid.uuid4(), places=1) == []


def test_a_task_whose_lock_has_run_out_is_not_begun(scene: Scene) -> None:
    expired, good = scene.task(Status.QUEUED), scene.task(Status.QUEUED)
    age_lease(expired, seconds=LOCK.total_seconds() + 1)
    assert [found.task_id for found in claim(scene.process(), places=2)] == [good.id]


@pytest.mark.parametrize("status", set(Status) - {Status.QUEUED, Status.PERFORMED, Status.DELIVERED})
def test_only_what_is_queued_is_claimed(scene: Scene, status: Status) -> None:
    scene.task(status)
    assert claim(scene.process(), places=1) == []


def test_a_task_that_somebody_else_is_about_to_take_is_skipped_and_not_waited_for(committed_scene: Scene) -> None:
    scene = committed_scene
    first, second = scene.task(Status.QUEUED), scene.task(Status.QUEUED)
    one, two = scene.process(), scene.process()

    def other() -> list[int]:
        try:
            return [found.task_id for found in claim(two, places=2)]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        assert [found.task_id for found in claim(one, places=1)] == [first.id]
        assert threads.submit(other).result(timeout=20) == [second.id]


def test_workers_that_claim_at_once_never_get_the_same_task(committed_scene: Scene) -> None:
    scene = committed_scene
    amount, workers = 60, 4
    everything = {scene.task(Status.QUEUED, holder=None).id for _ in range(amount)}
    together = threading.Barrier(workers)

    def take(process: uuid.UUID) -> list[int]:
        found: list[int] = []
        try:
            together.wait(20)
            while claims := claim(process, places=3):
                found += [one.task_id for one in claims]
            return found
        finally:
            connection.close()

    processes = [scene.process() for _ in range(workers)]
    with ThreadPoolExecutor(workers) as threads:
        taken = [task for found in threads.map(take, processes) for task in found]
    assert len(taken) == amount
    assert set(taken) == everything
    assert not Task.objects.exclude(status=Status.RUNNING).exists()


def test_what_is_left_of_a_lock_is_told_by_the_database_s_clock(scene: Scene) -> None:
    task = scene.task(Status.QUEUED)
    age_lease(task, seconds=100)
    (claimed,) = claim(scene.process(), places=1)
    assert claimed.locked_ms == pytest.approx((LOCK - timedelta(seconds=100)).total_seconds() * 1000, abs=5000)


def test_workers_walk_the_queue_in_its_order_and_not_by_a_bitmap(scene: Scene) -> None:
    """A walk marks entries of tasks that left the queue; a bitmap would read all of them each time."""
    for _ in range(3):
        scene.task(Status.QUEUED)
    worker = scene.process()
    sessions.walk_indexes(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {_CLAIM}", [worker, 2, worker])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using task_queue on tasks_task" in plan
    assert "Bitmap" not in plan
    assert "Seq Scan" not in plan
