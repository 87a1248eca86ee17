"""Leases that are kept, ended and given back."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from bptl.engines.base import EngineUnavailable, LockRefused
from bptl.tasks import leases
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, outcomes_of
from bptl.tasks.models import Event, Lease, Task
from tests.doubles.engine import FakeEngine
from tests.integration.scene import LOCK, Scene, age_lease, due_now, events, fresh, lease_of

LIVE = [
    (Status.QUEUED, Outcome.NONE),
    (Status.RUNNING, Outcome.NONE),
    *((Status.WAITING, outcome) for outcome in outcomes_of(Status.WAITING)),
    *((Status.PERFORMED, outcome) for outcome in outcomes_of(Status.PERFORMED)),
]


@pytest.mark.parametrize(("status", "outcome"), LIVE)
@pytest.mark.parametrize("how", set(LeaseEnd) - {LeaseEnd.LOST})
def test_a_lease_that_ends_returns_what_is_undone_and_keeps_what_is_done(
    scene: Scene, status: Status, outcome: Outcome, how: LeaseEnd
) -> None:
    task = scene.task(status, outcome, live=True)
    assert leases.end([lease_of(task).id], how=how, reason="for a reason") == 1
    now, lease = fresh(task), lease_of(task)
    held = status in {Status.QUEUED, Status.RUNNING}
    assert now.status == (Status.RETURNED if held else status)
    assert (now.outcome, now.outcome_id, now.result) == (task.outcome, task.outcome_id, task.result)
    assert (now.lease_id, now.reporter_id, now.next_report_at) == (None, None, None)
    assert now.look_at is not None
    assert (lease.ended_as, lease.ended_at is not None) == (how, True)
    event = Event.objects.get(task=task)
    assert (event.name, event.lease_id) == ("lease.ended", lease.id)
    assert event.detail == {"as": how, "reason": "for a reason"}


def test_a_lost_task_is_not_asked_about_for_ever(scene: Scene) -> None:
    task = scene.task(Status.RUNNING)
    leases.end([lease_of(task).id], how=LeaseEnd.LOST, reason="404")
    assert fresh(task).look_at is None


def test_a_lease_ends_once(scene: Scene) -> None:
    task = scene.task(Status.RUNNING)
    lease_id = lease_of(task).id
    assert leases.end([lease_id], how=LeaseEnd.EXPIRED, reason="first") == 1
    assert leases.end([lease_id], how=LeaseEnd.REFUSED, reason="second") == 0
    assert lease_of(task).ended_as == LeaseEnd.EXPIRED
    assert events(task) == ["lease.ended"]


def test_an_older_lease_ends_nothing_of_its_successor(scene: Scene, there: FakeEngine) -> None:
    worker = scene.process()
    old = scene.claimed(worker)
    there.advance(301)
    scene.fetch(worker)
    assert leases.end([old.lease_id], how=LeaseEnd.EXPIRED, reason="late") == 0
    assert (fresh(old).status, fresh(old).lease_id) == (Status.QUEUED, lease_of(old).id)


def test_many_leases_end_in_one_statement(scene: Scene) -> None:
    tasks = [scene.task(Status.RUNNING) for _ in range(3)]
    assert leases.end([lease_of(task).id for task in tasks], how=LeaseEnd.GIVEN_BACK, reason="stop") == 3
    assert leases.end([], how=LeaseEnd.GIVEN_BACK, reason="stop") == 0


def test_a_process_keeps_its_live_leases_but_no_parked_one(scene: Scene) -> None:
    worker, other = scene.process(), scene.process()
    running = scene.task(Status.RUNNING, holder=worker)
    stored = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True, holder=worker)
    scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True, holder=worker, parked=True)
    scene.task(Status.RETURNED, holder=worker)
    scene.task(Status.RUNNING, holder=other)
    held = leases.held_by(worker)
    assert {lease.task_id for lease in held} == {running.id, stored.id}
    # Made inside one transaction, whose now() is a little earlier than the statements that made them.
    assert all(0 < lease.left_ms <= lease.lock_ms + 1000 == 301_000 for lease in held)


def test_an_extension_sets_the_whole_lock_anew(scene: Scene, there: FakeEngine) -> None:
    task = scene.queued(scene.process())
    there.advance(200)
    assert extend(scene, task) is None
    there.advance(200)
    assert (there.tasks[task.external_id].locked_until or 0) > there.now()


def extend(scene: Scene, task: Task) -> LeaseEnd | None:
    lease = lease_of(task)
    return leases.extend(task.external_id, worker_id=lease.worker_id, lock_ms=lease.lock_ms, engine=scene.engine)


def test_an_extension_of_what_another_holds_says_that_the_lease_was_refused(scene: Scene, there: FakeEngine) -> None:
    task = scene.queued(scene.process())
    there.lock(there.tasks[task.external_id], "somebody else")
    assert extend(scene, task) is LeaseEnd.REFUSED


def test_an_extension_of_what_is_gone_says_so(scene: Scene, there: FakeEngine) -> None:
    task = scene.queued(scene.process())
    there.remove(there.tasks[task.external_id])
    assert extend(scene, task) is LeaseEnd.LOST


@pytest.mark.parametrize("call", ["extendLock", "get"])
def test_an_extension_without_a_usable_answer_ends_nothing(scene: Scene, there: FakeEngine, call: str) -> None:
    task = scene.queued(scene.process())
    if call == "get":
        there.lock(there.tasks[task.external_id], "somebody else")
    there.cut(call, executed=False)
    with pytest.raises(EngineUnavailable):
        extend(scene, task)


def test_a_suspended_instance_refuses_extensions_and_the_lease_lives_on_while_its_lock_does(
    scene: Scene, there: FakeEngine
) -> None:
    task = scene.queued(scene.process())
    there.tasks[task.external_id].suspended = True
    with pytest.raises(LockRefused):
        extend(scene, task)


def test_an_extension_is_noted_and_never_shortens_what_is_known(scene: Scene) -> None:
    task = scene.task(Status.RUNNING)
    lease = lease_of(task)
    later = lease.locked_until + timedelta(seconds=100)
    leases.extended([(lease.id, later)])
    leases.extended([(lease.id, later - timedelta(seconds=200))])
    assert (lease_of(task).locked_until, lease_of(task).extensions) == (later, 2)


def test_an_ended_lease_is_not_extended_any_more(scene: Scene) -> None:
    task = scene.task(Status.RETURNED)
    before = lease_of(task).locked_until
    leases.extended([(lease_of(task).id, before + LOCK)])
    leases.extended([])
    assert (lease_of(task).locked_until, lease_of(task).extensions) == (before, 0)


def test_what_is_given_back_another_fetch_gets_at_once(scene: Scene, there: FakeEngine) -> None:
    worker = scene.process()
    task = scene.queued(worker)
    lease = lease_of(task)
    leases.end([lease.id], how=LeaseEnd.GIVEN_BACK, reason="stop")
    assert leases.give_back(task.external_id, worker_id=lease.worker_id, engine=scene.engine)
    there.advance(0.01)
    assert scene.fetch(worker).leased.keys() == {task.external_id}
    assert there.calls["unlock"] == 0


def test_giving_back_takes_nothing_from_another_owner(scene: Scene, there: FakeEngine) -> None:
    task = scene.queued(scene.process())
    external = there.tasks[task.external_id]
    there.lock(external, "somebody else")
    assert leases.give_back(task.external_id, worker_id=lease_of(task).worker_id, engine=scene.engine)
    assert (external.worker_id, (external.locked_until or 0) > there.now() + 200) == ("somebody else", True)


def test_giving_back_what_is_gone_is_no_trouble(scene: Scene) -> None:
    assert leases.give_back(str(uuid.uuid4()), worker_id="bptl-x", engine=scene.engine)


def test_giving_back_to_an_engine_that_is_away_leaves_it_to_the_lock(scene: Scene, there: FakeEngine) -> None:
    task = scene.queued(scene.process())
    with there.down():
        assert not leases.give_back(task.external_id, worker_id=lease_of(task).worker_id, engine=scene.engine)


def test_due_and_age_move_only_what_they_name(scene: Scene) -> None:
    """The scene's own means of letting time pass."""
    one, two = scene.task(Status.RUNNING), scene.task(Status.RETURNED, look_at=Now() + LOCK)
    until = lease_of(two).locked_until
    age_lease(one, seconds=10)
    due_now(two)
    assert lease_of(two).locked_until == until
    assert Lease.objects.filter(task=one, locked_until__lt=until).exists()
    assert Task.objects.filter(id=two.id, look_at__lt=Now()).exists()
