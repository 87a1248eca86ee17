"""Locks that are kept alive from fetch to delivery, and what happens when one cannot be kept."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError

from bptl.connections.models import Engine
from bptl.tasks import leases
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Lease, ProcessKind, Task
from bptl.workers import keeper
from bptl.workers.clients import Clients
from bptl.workers.floor import Floor
from bptl.workers.keeper import Keeper, Kept
from bptl.workers.member import Member
from tests.doubles.engine import ExternalTask, FakeEngine
from tests.integration.scene import LOCK, Scene, age_lease, fresh, lease_of
from tests.integration.waiting import until
from tests.integration.workers import units


class Watched:
    """A keeper of a member of its own, and what it said was lost."""

    def __init__(self) -> None:
        self.member = Member(ProcessKind.WORK, places=4)
        self.lost: list[tuple[uuid.UUID, str]] = []
        self.keeper = Keeper(
            self.member, Clients(), on_lost=lambda lease_id, reason: self.lost.append((lease_id, reason))
        )


@pytest.fixture
def watched(scene: Scene) -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.keeper.stop()


def held(scene: Scene, watched: Watched, *, status: Status = Status.RUNNING, outcome: Outcome = Outcome.NONE) -> Task:
    return scene.task(status, outcome, live=True, holder=watched.member.id)


def external_of(there: FakeEngine, task: Task) -> ExternalTask:
    return there.tasks[task.external_id]


def test_a_lock_is_extended_when_a_third_of_it_has_passed_and_the_row_hears_of_it(
    scene: Scene, there: FakeEngine, watched: Watched
) -> None:
    early, due = held(scene, watched), held(scene, watched)
    age_lease(early, seconds=99)
    age_lease(due, seconds=101)
    before = lease_of(due).locked_until
    there.advance(101)
    watched.keeper.start()
    until(lambda: lease_of(due).extensions == 1)
    lease = lease_of(due)
    assert (lease.locked_until - before).total_seconds() > 90
    assert (external_of(there, due).locked_until or 0) - there.now() > LOCK.total_seconds() - 20
    assert (lease_of(early).extensions, there.calls["extendLock"]) == (0, 1)
    # What we believe never lasts longer than what the engine has set.
    granted = (external_of(there, due).locked_until or 0) - there.ahead
    assert lease.locked_until.timestamp() <= granted


def test_an_engine_that_does_not_answer_delays_the_locks_of_no_other(
    scene: Scene, there: FakeEngine, watched: Watched
) -> None:
    silence = threading.Event()
    stuck = [held(scene, watched) for _ in range(keeper.CALLS_AT_ONCE)]
    there.delay("extendLock", silence, times=len(stuck))
    other = FakeEngine()
    other.start()
    try:
        row = Engine.objects.create(name="other", address=other.url, authentication="none")
        elsewhere = held(scene, watched)
        other.tasks[elsewhere.external_id] = there.tasks.pop(elsewhere.external_id)
        Task.objects.filter(id=elsewhere.id).update(engine=row)
        for task in (*stuck, elsewhere):
            age_lease(task, seconds=101)
        watched.keeper.start()
        until(lambda: lease_of(elsewhere).extensions == 1)
        assert [lease_of(task).extensions for task in stuck] == [0] * len(stuck)
    finally:
        silence.set()
        other.stop()
    until(lambda: all(lease_of(task).extensions == 1 for task in stuck))


def test_a_lock_that_the_engine_refuses_to_extend_ends_its_lease_and_stops_the_work(
    scene: Scene, there: FakeEngine, watched: Watched
) -> None:
    task = held(scene, watched)
    there.lock(external_of(there, task), "somebody else")
    age_lease(task, seconds=101)
    watched.keeper.start()
    until(lambda: fresh(task).status == Status.RETURNED)
    assert lease_of(task).ended_as == LeaseEnd.REFUSED
    assert watched.lost == [(lease_of(task).id, "the engine refused to extend its lock")]


def test_v1_a_refused_extension_of_a_stored_result_keeps_the_result(
    scene: Scene, there: FakeEngine, watched: Watched
) -> None:
    task = held(scene, watched, status=Status.PERFORMED, outcome=Outcome.COMPLETED)
    there.tasks.clear()
    age_lease(task, seconds=101)
    watched.keeper.start()
    until(lambda: lease_of(task).ended_as == LeaseEnd.LOST)
    assert (fresh(task).status, fresh(task).outcome) == (Status.PERFORMED, Outcome.COMPLETED)


def test_a_task_that_is_gone_is_lost(scene: Scene, there: FakeEngine, watched: Watched) -> None:
    task = held(scene, watched)
    there.tasks.clear()
    age_lease(task, seconds=101)
    watched.keeper.start()
    until(lambda: fresh(task).status == Status.LOST)


def test_a_lock_that_ran_out_ends_as_expired_without_asking(scene: Scene, there: FakeEngine, watched: Watched) -> None:
    task = held(scene, watched)
    age_lease(task, seconds=301)
    watched.keeper.start()
    until(lambda: fresh(task).status == Status.RETURNED)
    assert (lease_of(task).ended_as, there.calls["extendLock"]) == (LeaseEnd.EXPIRED, 0)


def test_an_engine_without_an_answer_is_asked_again_while_the_lock_lasts(
    scene: Scene, there: FakeEngine, watched: Watched
) -> None:
    task = held(scene, watched)
    kept = kept_of(task, lock=3.0, left=1.9)
    there.cut("extendLock", executed=False, times=2)
    watched.keeper.hold(kept)
    watched.keeper.start()
    until(lambda: there.calls["extendLock"] >= 3 and lease_of(task).extensions >= 1)
    assert (fresh(task).status, watched.lost) == (Status.RUNNING, [])


def test_an_engine_that_stays_away_costs_the_lease(scene: Scene, there: FakeEngine, watched: Watched) -> None:
    task = held(scene, watched)
    with there.down():
        watched.keeper.hold(kept_of(task, lock=1.0, left=0.5))
        watched.keeper.start()
        until(lambda: fresh(task).status == Status.RETURNED)
    assert lease_of(task).ended_as == LeaseEnd.EXPIRED


def test_locks_are_kept_from_memory_while_the_database_is_away(
    scene: Scene, there: FakeEngine, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = held(scene, watched)
    watched.keeper.hold(kept_of(task, lock=300.0, left=300.0))
    watched.keeper.start()
    real = leases.held_by

    def away(process_id: uuid.UUID) -> list[leases.Held]:
        raise OperationalError("the database is away")

    monkeypatch.setattr(leases, "held_by", away)
    watched.keeper.hold(kept_of(task, lock=300.0, left=199.0))
    until(lambda: there.calls["extendLock"] == 1)
    assert lease_of(task).extensions == 0
    monkeypatch.setattr(leases, "held_by", real)
    until(lambda: lease_of(task).extensions == 1, what="the row hears of it when the database is back")
    assert watched.lost == []


def test_a_lease_that_others_have_ended_stops_the_work(scene: Scene, watched: Watched) -> None:
    task = held(scene, watched)
    watched.keeper.start()
    until(lambda: lease_of(task).id in watched.keeper._kept)
    leases.end([lease_of(task).id], how=LeaseEnd.GIVEN_BACK, reason="a person handed it back")
    until(lambda: watched.lost == [(lease_of(task).id, "its lease has ended")])


def test_a_lease_that_was_settled_is_nobody_s_loss(scene: Scene, there: FakeEngine, watched: Watched) -> None:
    task = held(scene, watched)
    watched.keeper.hold(kept_of(task, lock=300.0, left=300.0))
    leases.end([lease_of(task).id], how=LeaseEnd.DELIVERED, reason="")
    watched.keeper.release(lease_of(task).id)
    watched.keeper.start()
    other = held(scene, watched)
    until(lambda: lease_of(other).id in watched.keeper._kept)
    assert watched.lost == []


def test_a_unit_whose_lock_is_lost_is_told_to_stop_and_its_answer_is_not_reported(
    scene: Scene, there: FakeEngine, open_floor: Callable[..., Floor]
) -> None:
    scene.map("gated", "test.wait_at_gate")
    task = scene.queued(
        scene.process(places=1), topic="gated", variables={"gate": {"type": "String", "value": "a", "valueInfo": {}}}
    )
    age_lease(task, seconds=101)
    there.lock(external_of(there, task), "somebody else")
    open_floor()
    until(lambda: [task.external_id] == units.STOPPED)
    until(lambda: fresh(task).status == Status.RETURNED)
    assert there.calls["complete"] == 0


def kept_of(task: Task, *, lock: float, left: float) -> Kept:
    """A lock as its holder keeps it in mind; seconds."""
    lease = Lease.objects.get(id=task.last_lease_id)
    now = time.monotonic()
    return Kept(
        lease.id,
        task.engine_id,
        task.external_id,
        lease.worker_id,
        lock=lock,
        deadline=now + left,
        known_at=now,
    )
