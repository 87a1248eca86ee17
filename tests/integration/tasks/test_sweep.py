"""The sweep after whatever died, and the heartbeats by which it judges."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from bptl.tasks import actions
from bptl.tasks.execution.claim import claim
from bptl.tasks.intake.fetches import abandon
from bptl.tasks.intake.record import Recorded
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, outcomes_of
from bptl.tasks.models import Fetch, Lease, PollLeadership, Process, ProcessKind, Task
from bptl.tasks.upkeep import processes
from bptl.tasks.upkeep.sweep import Swept, sweep, tidy
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, age_lease, due_now, fresh, lease_of


@pytest.fixture
def sweeper(scene: Scene) -> uuid.UUID:
    """A worker that has kept its heartbeat for a minute."""
    return scene.process()


def swept(scene: Scene, sweeper: uuid.UUID) -> Swept:
    return sweep(sweeper, scene.clients)


# heartbeats


def test_a_process_that_beats_lives_and_one_that_was_declared_dead_must_begin_anew(scene: Scene) -> None:
    process = scene.process()
    assert processes.beat(process)
    scene.bury(process)
    assert not processes.beat(process)


def test_a_gap_in_the_heartbeat_is_remembered(scene: Scene) -> None:
    process = scene.process()
    assert processes.may_judge(process)
    scene.silence(process, seconds=11)
    assert not processes.may_judge(process)
    processes.beat(process)
    row = Process.objects.get(id=process)
    assert row.steady_since == row.heartbeat_at
    assert not processes.may_judge(process)


def test_a_heartbeat_that_is_a_little_late_is_no_gap(scene: Scene) -> None:
    process = scene.process()
    scene.silence(process, seconds=9)
    processes.beat(process)
    assert processes.may_judge(process)


def test_a_process_that_signs_off_has_not_died(scene: Scene) -> None:
    process = scene.process()
    processes.sign_off(process)
    row = Process.objects.get(id=process)
    assert (row.stopped_at is not None, row.died) == (True, False)


# the dead


def test_the_tasks_of_a_dead_process_lie_in_the_engine_again(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    dead = scene.process()
    running = scene.claimed(dead)
    queued = scene.queued(dead)
    scene.silence(dead, seconds=16)
    found = swept(scene, sweeper)
    assert (len(found.buried), found.ended) == (1, 2)
    assert Process.objects.get(id=dead).died
    for task in (fresh(running), fresh(queued)):
        assert (task.status, lease_of(task).ended_as) == (Status.RETURNED, LeaseEnd.PROCESS_DEAD)
        assert there.tasks[task.external_id].worker_id is None, "unlocked, so that a parked poll wakes"
    assert scene.fetch(sweeper).leased.keys() == {running.external_id, queued.external_id}


def test_a_process_that_signed_off_leaves_nothing_behind_either(scene: Scene, sweeper: uuid.UUID) -> None:
    stopped = scene.process()
    task = scene.queued(stopped)
    processes.sign_off(stopped)
    assert swept(scene, sweeper).ended == 1
    assert fresh(task).status == Status.RETURNED


def test_a_result_of_a_dead_process_is_kept_for_the_next_lease(scene: Scene, sweeper: uuid.UUID) -> None:
    dead = scene.process()
    claimed = scene.performed(dead)
    scene.bury(dead)
    swept(scene, sweeper)
    task = fresh(claimed)
    assert (task.status, task.outcome, task.lease_id, task.reporter_id) == (Status.PERFORMED, "completed", None, None)
    scene.fetch(sweeper)
    assert (fresh(claimed).status, claim(sweeper, places=4)) == (Status.PERFORMED, [])


def test_a_process_that_beats_keeps_its_tasks(scene: Scene, sweeper: uuid.UUID) -> None:
    task = scene.queued(scene.process(steady=False))
    scene.silence(Lease.objects.get().holder_id, seconds=14)
    assert swept(scene, sweeper) == Swept(due=1)
    assert fresh(task).status == Status.QUEUED


@pytest.mark.parametrize("heartbeat", ["fresh", "gap", "silent", "buried", "unknown"])
def test_a_sweep_without_a_steady_heartbeat_of_its_own_judges_nobody(scene: Scene, heartbeat: str) -> None:
    dead = scene.process()
    of_the_dead, expired = scene.queued(dead), scene.queued(scene.process(steady=False))
    age_lease(expired, seconds=301)
    scene.silence(dead, seconds=60)
    sweeper = scene.process(steady=heartbeat != "fresh")
    if heartbeat in {"gap", "silent"}:
        scene.silence(sweeper, seconds=11)
    if heartbeat == "gap":
        processes.beat(sweeper)
    if heartbeat == "buried":
        scene.bury(sweeper)
    found = swept(scene, uuid.uuid4() if heartbeat == "unknown" else sweeper)
    assert (found.buried, found.ended, found.freed) == ([], 0, 0)
    assert {fresh(task).status for task in (of_the_dead, expired)} == {Status.QUEUED}


def test_the_task_of_a_dead_process_that_another_holds_is_left_to_it(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    dead = scene.process()
    task = scene.queued(dead)
    there.lock(there.tasks[task.external_id], "somebody else")
    scene.bury(dead)
    swept(scene, sweeper)
    assert fresh(task).status == Status.RETURNED
    assert (there.tasks[task.external_id].worker_id, there.calls["unlock"]) == ("somebody else", 0)


def test_unlock_asks_nobody_so_it_is_used_only_while_the_lock_surely_lasts(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    dead = scene.process()
    task = scene.queued(dead)
    age_lease(task, seconds=291)
    scene.bury(dead)
    swept(scene, sweeper)
    assert (there.calls["unlock"], there.calls["extendLock"]) == (0, 1)
    there.advance(0.01)
    assert scene.fetch(sweeper).leased.keys() == {task.external_id}


def test_an_engine_that_gives_no_answer_is_asked_once_a_sweep_and_keeps_no_other_waiting(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    dead = scene.process()
    tasks = [scene.task(Status.RUNNING, holder=dead) for _ in range(3)]
    tasks += [scene.task(Status.RETURNED, look_at=Now()) for _ in range(3)]
    due_now(tasks[-1])
    scene.bury(dead)
    there.cut("get", executed=False, times=9)
    swept(scene, sweeper)
    assert there.calls["get"] == 1
    assert {fresh(task).status for task in tasks} == {Status.RETURNED}


@pytest.mark.parametrize(("parked", "status"), [(True, Status.PERFORMED), (False, Status.UNCERTAIN)])
def test_a_parked_lease_does_not_end_with_its_process_or_its_lock(
    scene: Scene, sweeper: uuid.UUID, parked: bool, status: Status
) -> None:
    dead = scene.process()
    task = scene.task(status, outcomes_of(status)[0], live=True, holder=dead, parked=parked)
    age_lease(task, seconds=301)
    scene.bury(dead)
    swept(scene, sweeper)
    assert lease_of(task).ended_at is None


def test_a_lock_that_ran_out_ends_its_lease(scene: Scene, there: FakeEngine, sweeper: uuid.UUID) -> None:
    expired, stored = scene.queued(sweeper), scene.performed(sweeper)
    for task in (expired, stored):
        age_lease(task, seconds=301)
    assert swept(scene, sweeper).ended == 2
    assert (fresh(expired).status, lease_of(expired).ended_as) == (Status.RETURNED, LeaseEnd.EXPIRED)
    assert (fresh(stored).status, lease_of(stored).ended_as) == (Status.PERFORMED, LeaseEnd.EXPIRED)


# ghosts


def test_what_a_dead_poller_s_fetch_has_locked_is_found_by_its_worker_id_and_freed(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    poller = scene.process(ProcessKind.POLL, places=0)
    fetch = scene.announced(poller)
    ghost, other = there.add(), there.add()
    there.lock(ghost, fetch.worker_id)
    there.lock(other, "somebody else")
    scene.bury(poller)
    assert swept(scene, sweeper).freed == 1
    assert (ghost.worker_id, other.worker_id) == (None, "somebody else")
    row = Fetch.objects.get()
    assert (row.closed_as, row.watch_until) == (Fetch.End.COLLECTED, row.started_at + timedelta(seconds=10))


def test_a_ghost_is_watched_until_its_poll_and_a_margin_have_passed(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    fetch = scene.announced(sweeper)
    abandon(fetch)
    swept(scene, sweeper)
    late = there.add()
    there.lock(late, fetch.worker_id)
    assert swept(scene, sweeper).freed == 1
    assert Fetch.objects.get().watch_until is not None
    Fetch.objects.update(watch_until=Now() - timedelta(seconds=1))
    there.lock(late, fetch.worker_id)
    assert swept(scene, sweeper).freed == 1
    assert Fetch.objects.get().watch_until is None
    calls = there.calls["list"]
    swept(scene, sweeper)
    assert there.calls["list"] == calls


def test_the_row_of_a_ghost_is_closed_before_anything_of_it_is_freed(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    poller = scene.process(ProcessKind.POLL, places=0)
    there.add()
    fetch = scene.announced(poller)
    answer = scene.ask(fetch)
    scene.bury(poller)
    there.refuse("list", 500)
    assert swept(scene, sweeper).freed == 0
    assert scene.record(fetch, answer) == Recorded(closed=True)
    assert not Task.objects.exists()
    assert swept(scene, sweeper).freed == 1, "it was still watched"


def test_a_ghost_that_cannot_be_collected_any_more_is_forgotten_when_its_locks_have_run_out(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    abandon(scene.announced(sweeper))
    Fetch.objects.update(watch_until=Now() - timedelta(seconds=1))
    with there.down():
        swept(scene, sweeper)
        assert Fetch.objects.get().watch_until is not None
        Fetch.objects.update(started_at=Now() - timedelta(seconds=301))
        swept(scene, sweeper)
    assert Fetch.objects.get().watch_until is None


def test_a_fetch_under_way_is_no_ghost(scene: Scene, there: FakeEngine, sweeper: uuid.UUID) -> None:
    there.add()
    fetch = scene.announced(scene.process(ProcessKind.POLL, places=0))
    answer = scene.ask(fetch)
    swept(scene, sweeper)
    assert len(scene.record(fetch, answer).leased) == 1


# looking


def test_a_parked_result_whose_task_is_gone_is_assumed_to_be_delivered_and_its_lease_ends(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True, parked=True, look_at=Now())
    due_now(task)
    there.tasks.clear()
    swept(scene, sweeper)
    assert (fresh(task).status, fresh(task).assumed, lease_of(task).ended_as) == ("delivered", True, "lost")


def test_what_lies_in_the_engine_is_asked_about_again_and_again(scene: Scene, sweeper: uuid.UUID) -> None:
    task = scene.task(Status.RETURNED, look_at=Now())
    due_now(task)
    assert [swept(scene, sweeper).looked_at for _ in range(2)] == [1, 0]
    due_now(task)
    assert swept(scene, sweeper).looked_at == 1
    assert fresh(task).status == Status.RETURNED


def test_a_failure_that_the_engine_has_heard_is_delivered(scene: Scene, there: FakeEngine, sweeper: uuid.UUID) -> None:
    task = scene.task(Status.PERFORMED, Outcome.FAILED, live=False, look_at=Now())
    due_now(task)
    external = there.tasks[task.external_id]
    external.retries, external.error_details = 0, f"{task.outcome_id}\nTraceback"
    swept(scene, sweeper)
    assert (fresh(task).status, fresh(task).outcome, fresh(task).assumed) == (Status.DELIVERED, "failed", False)


def test_a_failure_behind_the_incident_of_another_is_no_longer_reported(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    task = scene.task(Status.PERFORMED, Outcome.FAILED, live=False, look_at=Now())
    due_now(task)
    external = there.tasks[task.external_id]
    external.retries, external.error_details = 0, f"{uuid.uuid4()}\nan older one"
    swept(scene, sweeper)
    assert (fresh(task).status, external.retries) == (Status.DELIVERED, 0)


def test_a_result_by_hand_that_can_only_go_with_the_next_lease_gets_its_retries_too(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True, parked=True, by_hand=True, holder=sweeper)
    there.tasks[task.external_id].retries = 0
    actions.deliver_again(task.id, actor="Saskia", reason="the model was mended")
    age_lease(task, seconds=301)
    swept(scene, sweeper)
    assert lease_of(task).ended_as == LeaseEnd.EXPIRED
    due_now(task)
    swept(scene, sweeper)
    assert there.tasks[task.external_id].retries == 1


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.THROWN])
def test_a_result_that_stands_gets_its_retries_again_and_the_next_lease_delivers_it(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID, outcome: Outcome
) -> None:
    task = scene.task(Status.PERFORMED, outcome, live=False, look_at=Now())
    due_now(task)
    there.tasks[task.external_id].retries = 0
    swept(scene, sweeper)
    assert there.tasks[task.external_id].retries == 1
    scene.fetch(sweeper)
    assert fresh(task).status == Status.PERFORMED
    assert fresh(task).next_report_at is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"parked": True, "live": True},
        {"by_hand": True, "live": False, "next_report_at": Now() + timedelta(minutes=1)},
    ],
)
def test_a_parked_result_waits_for_its_person_and_one_by_hand_for_its_report(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID, fields: dict[str, Any]
) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, look_at=Now(), **fields)
    due_now(task)
    there.tasks[task.external_id].retries = 0
    swept(scene, sweeper)
    assert there.tasks[task.external_id].retries == 0
    assert fresh(task).status == Status.PERFORMED


def test_an_answer_about_a_task_that_got_a_new_lease_meanwhile_moves_nothing(
    scene: Scene, there: FakeEngine, sweeper: uuid.UUID
) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False, look_at=Now())
    due_now(task)

    def meanwhile(engine_id: int) -> object:
        scene.fetch(sweeper)
        there.tasks.clear()
        return scene.clients(engine_id)

    sweep(sweeper, meanwhile)  # type: ignore[arg-type]
    assert (fresh(task).status, fresh(task).lease_id) == (Status.PERFORMED, lease_of(task).id)


def test_the_sweep_counts_what_workers_can_take_now(scene: Scene, sweeper: uuid.UUID) -> None:
    stored = scene.performed(sweeper)
    scene.queued(sweeper)
    assert swept(scene, sweeper).due == 1
    due_now(stored)
    assert swept(scene, sweeper).due == 2
    Task.objects.filter(id=stored.task_id).update(parked=True)
    assert swept(scene, sweeper).due == 1


def test_rows_of_requests_that_are_over_are_taken_away_and_nothing_else(scene: Scene, sweeper: uuid.UUID) -> None:
    task = scene.queued(sweeper)
    watched, still_open = scene.announced(sweeper), scene.announced(sweeper)
    abandon(watched)
    PollLeadership.objects.create(
        engine=scene.row, ordinal=0, process_id=sweeper, expires_at=Now() - timedelta(hours=2)
    )
    PollLeadership.objects.create(engine=scene.row, ordinal=1, process_id=sweeper, expires_at=Now())
    tidy()
    assert (Fetch.objects.count(), PollLeadership.objects.get().ordinal) == (3, 1)
    Fetch.objects.update(started_at=Now() - timedelta(hours=2))
    tidy()
    assert set(Fetch.objects.values_list("id", flat=True)) == {watched.number, still_open.number}
    assert fresh(task).status == Status.QUEUED


@pytest.mark.parametrize(("status", "crashes"), [(Status.RUNNING, 1), (Status.QUEUED, 0), (Status.PERFORMED, 0)])
def test_only_a_process_that_died_while_the_unit_ran_counts_as_a_crash(
    scene: Scene, sweeper: uuid.UUID, status: Status, crashes: int
) -> None:
    gone = scene.process()
    outcome = Outcome.COMPLETED if status == Status.PERFORMED else Outcome.NONE
    task = scene.task(status, outcome, live=True, holder=gone)
    scene.silence(gone)
    swept(scene, sweeper)
    assert fresh(task).lease_id is None
    assert fresh(task).crashes == crashes
