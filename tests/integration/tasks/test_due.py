"""When a task is offered again is known, and a polling line learns it: engines wake no parked poll for that."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models.functions import Now

from bptl.tasks import actions, leases
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Verdict
from bptl.tasks.endings import Ending
from bptl.tasks.intake.due import due, forget
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Task
from bptl.tasks.retries import Retry
from bptl.tasks.upkeep.sweep import sweep
from tests.integration.ledger import KEY, parked, row
from tests.integration.scene import Scene, completed, due_now, fresh, lease_of
from tests.integration.tasks.reports import first_report

HOUR = timedelta(hours=1)


def failed(retries: int, wait: timedelta = HOUR) -> Ending:
    return Ending.failed("it broke", "Traceback", Retry(retries, wait))


def delivered(scene: Scene, ending: Ending, answer: Answer = Answer.TAKEN) -> Task:
    """A task whose outcome the engine has taken just now."""
    claimed = scene.performed(scene.process(), ending)
    outbox.delivered([Verdict(first_report(claimed, fresh(claimed)), answer)])
    return fresh(claimed)


def offered_in(task: Task) -> timedelta:
    """From the last change of the task, by PostgreSQL's clock."""
    assert task.retry_at is not None
    return task.retry_at - task.changed_at


def test_a_failure_is_offered_again_after_the_wait_that_was_reported(scene: Scene) -> None:
    assert offered_in(delivered(scene, failed(2))) == HOUR


@pytest.mark.parametrize(
    ("ending", "answer"),
    [(failed(0), Answer.TAKEN), (completed(), Answer.TAKEN), (failed(2), Answer.ASSUMED)],
    ids=["incident", "completed", "gone at the engine"],
)
def test_what_the_engine_will_not_offer_is_not_waited_for(scene: Scene, ending: Ending, answer: Answer) -> None:
    assert delivered(scene, ending, answer).retry_at is None


def test_the_next_lease_ends_the_waiting(scene: Scene) -> None:
    task = delivered(scene, failed(2, timedelta()))
    scene.there.tasks[task.external_id].locked_until = None
    scene.fetch(scene.process())
    again = fresh(task)
    assert (again.status, again.retry_at) == (Status.QUEUED, None)


def test_a_lock_that_ran_out_is_over_at_the_engine_when_it_surely_is(scene: Scene) -> None:
    claimed = scene.claimed(scene.process())
    lease = lease_of(claimed)
    leases.end([claimed.lease_id], how=LeaseEnd.EXPIRED, reason="its lock ran out")
    offered = fresh(claimed).retry_at
    assert offered is not None
    assert offered > lease.recorded_at + timedelta(milliseconds=lease.lock_ms)
    assert offered > lease.locked_until


@pytest.mark.parametrize("how", [LeaseEnd.GIVEN_BACK, LeaseEnd.PROCESS_DEAD])
def test_what_is_given_back_is_fetched_soon(scene: Scene, how: LeaseEnd) -> None:
    claimed = scene.claimed(scene.process())
    leases.end([claimed.lease_id], how=how, reason="the worker stops")
    assert timedelta() < offered_in(fresh(claimed)) < timedelta(seconds=1)


@pytest.mark.parametrize("how", [LeaseEnd.LOST, LeaseEnd.REFUSED])
def test_what_is_gone_or_another_s_is_not_waited_for(scene: Scene, how: LeaseEnd) -> None:
    claimed = scene.claimed(scene.process())
    leases.end([claimed.lease_id], how=how, reason="the engine says so")
    assert fresh(claimed).retry_at is None


def test_a_person_s_retry_is_fetched_at_once(scene: Scene) -> None:
    task = delivered(scene, failed(0))
    actions.retry(task.id, actor="anna", reason="mended")
    assert fresh(task).retry_at is not None


def test_a_settled_task_is_fetched_at_once_when_the_engine_has_its_retries_back(scene: Scene) -> None:
    run = parked(scene)
    assert actions.settle_effect(row(run, KEY).id, happened=False, actor="anna", reason="looked")
    due_now(run.claim)
    sweep(scene.process(), scene.clients)
    task = fresh(run.claim)
    assert scene.there.tasks[task.external_id].retries == 1
    assert task.retry_at is not None


def test_a_result_that_is_to_be_delivered_again_is_fetched_at_once(scene: Scene) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False)
    actions.deliver_again(task.id, actor="anna", reason="mended")
    assert fresh(task).retry_at is not None


# what a line asks


def waiting(scene: Scene, seconds: float, *, topic: str = "topic") -> Task:
    task = scene.task(Status.DELIVERED, Outcome.FAILED, external=scene.there.add(topic))
    Task.objects.filter(id=task.id).update(retry_at=Now() + timedelta(seconds=seconds))
    return task


def test_a_line_learns_what_is_due_and_when_the_next_will_be(scene: Scene) -> None:
    within = timedelta(seconds=60)
    assert (due(scene.row.pk, ["topic"], within=within).tasks, due(scene.row.pk, [], within=within).tasks) == (0, 0)
    waiting(scene, 3600)
    assert due(scene.row.pk, ["topic"], within=within).next_in is None
    waiting(scene, 30)
    soon = due(scene.row.pk, ["topic"], within=within)
    assert soon.tasks == 0
    assert soon.next_in is not None
    assert soon.next_in == pytest.approx(30, abs=5)
    waiting(scene, -1)
    waiting(scene, -2)
    waiting(scene, -1, topic="another")
    assert due(scene.row.pk, ["topic"], within=within).tasks == 2


def test_only_what_was_due_in_these_topics_is_forgotten(scene: Scene) -> None:
    past, future, other = waiting(scene, -1), waiting(scene, 30), waiting(scene, -1, topic="another")
    as_of = due(scene.row.pk, ["topic"], within=HOUR).as_of
    assert isinstance(as_of, datetime)
    forget(scene.row.pk, ["topic"], until=as_of)
    kept = set(Task.objects.exclude(retry_at=None).values_list("id", flat=True))
    assert (past.id in kept, kept) == (False, {future.id, other.id})


def test_a_fetch_of_what_is_due_asks_for_no_more_than_that(scene: Scene) -> None:
    process_id = scene.process(places=10)
    fetch = scene.announce(process_id, most=2)
    assert fetch is not None
    assert fetch.max_tasks == 2
