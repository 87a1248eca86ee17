"""Workers and an effect of which nobody knows: parked, not run again, and moved on by a person's word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.functions import Now

from bptl.tasks import actions, sql
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Effect, Lease, ProcessKind, Task
from bptl.tasks.upkeep.sweep import sweep
from bptl.workers import keeper
from bptl.workers.floor import Floor
from tests.doubles.engine import ExternalTask, FakeEngine
from tests.integration.scene import Scene, due_now, fresh, lease_of
from tests.integration.waiting import until
from tests.integration.workers import units

OpenFloor = Callable[..., Floor]
WHO = {"actor": "Saskia", "reason": "I looked at the bank"}


def text(value: str) -> dict[str, Any]:
    return {"type": "String", "value": value, "valueInfo": {}}


def fetch(scene: Scene) -> None:
    """What a poller does, with room for one more."""
    room = scene.process(places=1 + Task.objects.filter(status__in=["queued", "running"]).count())
    scene.fetch(scene.process(ProcessKind.POLL, places=0))
    scene.bury(room)


def queue(scene: Scene, there: FakeEngine, unit: str = "test.pay", **variables: Any) -> ExternalTask:
    scene.map("paying", unit)
    external = there.add("paying", variables)
    fetch(scene)
    return external


def task_of(external: ExternalTask) -> Task:
    return Task.objects.get(external_id=external.id)


def is_parked(external: ExternalTask) -> Task:
    where = Task.objects.filter(external_id=external.id, status=Status.UNCERTAIN, parked=True)
    return until(where.first, what=f"{external.id} is parked")


def becomes(external: ExternalTask, status: Status, outcome: Outcome = Outcome.NONE) -> Task:
    where = Task.objects.filter(external_id=external.id, status=status, outcome=outcome)
    return until(where.first, what=f"{external.id} is {status} {outcome}")


def settle(external: ExternalTask, *, happened: bool, result: Any = None) -> None:
    effect = Effect.objects.get(task__external_id=external.id, end="")
    assert actions.settle_effect(effect.id, happened=happened, result=result, **WHO)


def offered(scene: Scene, external: ExternalTask) -> None:
    """The sweep gives the retries back and a poller fetches it."""
    due_now(task_of(external))
    sweep(scene.process(), scene.clients)
    assert external.retries == 1
    fetch(scene)


def test_a_unit_whose_effect_broke_is_parked_and_run_no_more(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there)
    floor = open_floor()
    task = is_parked(external)
    (failure,) = there.failures
    assert failure.retries == 0
    assert failure.message.startswith("uncertain, a person must decide: effect 'pay' may have happened: TimeoutError")
    there.advance(3600)
    fetch(scene)
    until(lambda: floor.reporter.idle and not floor.running)
    assert (fresh(task).status, units.STARTED[external.id], sum(units.PAID.values())) == (Status.UNCERTAIN, 1, 1)


def test_a_parked_lock_is_not_extended(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "TICK", 0.02)
    scene.map("paying", "test.pay", lock_seconds=10)
    external = there.add("paying")
    fetch(scene)
    floor = open_floor()
    task = is_parked(external)
    until(lambda: floor.reporter.idle)
    Lease.objects.filter(id=task.last_lease_id).update(locked_until=Now())
    steady = scene.process()
    for _ in range(3):
        sweep(steady, scene.clients)
    now = fresh(task)
    assert (now.status, now.lease_id, there.calls["extendLock"]) == (Status.UNCERTAIN, task.lease_id, 0)


def test_it_happened_says_a_person_and_the_unit_ends_without_doing_it_again(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there)
    open_floor()
    is_parked(external)
    settle(external, happened=True, result="R-7")
    offered(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"receipt": "R-7"}
    assert (units.STARTED[external.id], sum(units.PAID.values())) == (2, 1)


def test_it_did_not_happen_says_a_person_and_the_unit_does_it(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there)
    open_floor()
    is_parked(external)
    external.variables["silent"] = {"type": "Boolean", "value": False, "valueInfo": {}}
    settle(external, happened=False)
    offered(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"receipt": "R-1"}
    assert set(units.PAID.values()) == {2}, "with one idempotency key: the service could have known"


def test_a_worker_that_died_before_the_park_was_noted_is_replaced(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there)
    dead = open_floor()
    there.answer("failure", 503, "not now", times=1000)
    task = becomes(external, Status.UNCERTAIN)
    dead.reporter.stop(timeout=0.5)
    Task.objects.filter(id=task.id).update(next_report_at=Now())
    there.reset_faults("failure")
    open_floor()
    assert is_parked(external).lease_id == task.lease_id
    assert external.retries == 0


def test_an_engine_that_is_away_hears_of_it_later(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    external = queue(scene, there)
    there.cut("failure", executed=False, times=2)
    open_floor()
    is_parked(external)
    assert (there.calls["failure"], len(there.failures)) == (3, 1)


def test_a_worker_that_stops_before_the_park_gives_the_task_back_and_the_next_one_parks_it(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there)
    there.answer("failure", 503, "not now", times=1000)
    floor = open_floor()
    becomes(external, Status.UNCERTAIN)
    floor.drain(grace=0.5)
    task = task_of(external)
    assert (task.status, task.lease_id, lease_of(task).ended_as) == (Status.UNCERTAIN, None, LeaseEnd.GIVEN_BACK)
    there.reset_faults("failure")
    there.advance(1)
    open_floor()
    fetch(scene)
    is_parked(external)
    assert (external.retries, units.STARTED[external.id]) == (0, 1)


def test_a_late_answer_moves_the_task_that_waits_for_it(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    """The zombie's call returns while a person is being asked."""
    silent = {"type": "Boolean", "value": False, "valueInfo": {}}
    external = queue(scene, there, gate=text("bank"), silent=silent)
    open_floor(places=2)
    first = becomes(external, Status.RUNNING)
    until(Effect.objects.filter(task=first).exists)
    Lease.objects.filter(id=first.last_lease_id).update(ended_at=Now(), ended_as=LeaseEnd.EXPIRED)
    Task.objects.filter(id=first.id).update(status=Status.RETURNED, lease_id=None)
    external.locked_until = there.now() - 1
    fetch(scene)
    is_parked(external)
    units.GATES["bank"].set()
    becomes(external, Status.RETURNED)
    offered(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"receipt": "R-1"}
    assert sum(units.PAID.values()) == 1


def test_completed_by_hand_is_delivered_under_the_parked_lease(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there)
    open_floor()
    task = is_parked(external)
    actions.complete_by_hand(task.id, {"receipt": "on paper"}, **WHO)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"receipt": "on paper"}
    assert (fresh(task).attempts, units.STARTED[external.id]) == (1, 1)


def test_a_doubt_that_cannot_be_stored_as_it_is_stops_no_other_task(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    strange = queue(scene, there, "test.doubt_unstorable")
    good = there.add()
    fetch(scene)
    open_floor()
    is_parked(strange)
    becomes(good, Status.DELIVERED, Outcome.COMPLETED)


def test_a_place_whose_database_connection_was_cut_does_the_effects_of_its_next_unit(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    silent = {"type": "Boolean", "value": False, "valueInfo": {}}
    before = queue(scene, there, silent=silent)
    open_floor(places=1)
    becomes(before, Status.DELIVERED, Outcome.COMPLETED)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    sql.query(f"{others} AND pid <> pg_backend_pid()")
    after = there.add("paying", {"silent": silent})
    fetch(scene)
    becomes(after, Status.DELIVERED, Outcome.COMPLETED)
    assert there.failures == []
    assert sum(units.PAID.values()) == 2
