"""Who holds a task, for how long, and what a refusal says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bptl.engines.base import LockRefused, NotFound
from tests.engines.scene import LOCK, Scene, new_worker_id

BEYOND_THE_LOCK = LOCK + timedelta(seconds=1)


def test_an_expired_lock_that_nobody_took_over_still_lets_its_worker_complete(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.advance(BEYOND_THE_LOCK)
    scene.complete(task, worker_id)
    assert scene.state(task.process_instance_id) == "COMPLETED"


def test_after_expiry_the_next_worker_owns_the_task_and_the_old_one_is_refused(scene: Scene) -> None:
    task, old = scene.started_task()
    scene.advance(BEYOND_THE_LOCK)
    again = scene.fetch_one()
    assert again.id == task.id
    with pytest.raises(LockRefused) as refused:
        scene.complete(task, old)
    assert refused.value.status == 400
    assert scene.worker.get(task.id).worker_id == again.worker_id


def test_extending_sets_the_lock_from_now(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.worker.extend(task.id, worker_id=worker_id, duration=timedelta(hours=1))
    extended = scene.worker.get(task.id).lock_expires_at
    assert extended is not None
    assert task.lock_expires_at is not None
    assert timedelta(minutes=54) < extended - task.lock_expires_at < timedelta(minutes=56)
    scene.advance(BEYOND_THE_LOCK)
    assert scene.fetch() == []


def test_another_worker_may_not_extend(scene: Scene) -> None:
    task, _ = scene.started_task()
    with pytest.raises(LockRefused):
        scene.worker.extend(task.id, worker_id=new_worker_id(), duration=LOCK)


def test_an_expired_lock_is_not_extended_even_for_its_worker(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.advance(BEYOND_THE_LOCK)
    with pytest.raises(LockRefused):
        scene.worker.extend(task.id, worker_id=worker_id, duration=LOCK)
    assert scene.worker.get(task.id).worker_id == worker_id


def test_extending_by_a_millisecond_gives_the_task_back(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.worker.extend(task.id, worker_id=worker_id, duration=timedelta(milliseconds=1))
    scene.advance(timedelta(seconds=1))
    assert scene.fetch_one().id == task.id


def test_a_duration_of_zero_is_refused(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    with pytest.raises(LockRefused):
        scene.worker.extend(task.id, worker_id=worker_id, duration=timedelta())


def test_unlocking_asks_for_no_owner(scene: Scene) -> None:
    task, _ = scene.started_task()
    scene.worker.unlock(task.id)
    found = scene.worker.get(task.id)
    assert (found.worker_id, found.lock_expires_at) == (None, None)
    assert scene.fetch_one().id == task.id


def test_a_suspended_instance_refuses_and_its_lock_stays_ours(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    path = f"process-instance/{task.process_instance_id}/suspended"
    scene.wire.good("PUT", path, {"suspended": True})
    with pytest.raises(LockRefused):
        scene.complete(task, worker_id)
    found = scene.worker.get(task.id)
    assert (found.suspended, found.worker_id) == (True, worker_id)
    scene.wire.good("PUT", path, {"suspended": False})
    scene.complete(task, worker_id)
    assert scene.state(task.process_instance_id) == "COMPLETED"


def test_a_completed_task_does_not_exist_any_more(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.complete(task, worker_id)
    for call in (
        lambda: scene.complete(task, worker_id),
        lambda: scene.worker.extend(task.id, worker_id=worker_id, duration=LOCK),
        lambda: scene.worker.unlock(task.id),
        lambda: scene.worker.get(task.id),
        lambda: scene.worker.error_details(task.id),
        lambda: scene.worker.set_retries(task.id, 1),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_task_of_a_deleted_instance_does_not_exist_any_more(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.wire.good("DELETE", f"process-instance/{task.process_instance_id}")
    with pytest.raises(NotFound):
        scene.complete(task, worker_id)
