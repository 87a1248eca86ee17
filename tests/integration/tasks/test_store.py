"""Outcomes are committed before anything is reported, and only under a live lease."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from bptl.tasks import leases
from bptl.tasks.endings import Ending
from bptl.tasks.error_groups import group_of
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Task
from bptl.tasks.retries import Retry
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, completed, fresh, lease_of

FAILED = Ending.failed("it broke", "Traceback", Retry(left=2, wait=timedelta(seconds=30)))
THROWN = Ending.thrown("INCOMPLETE", "no attachments", {}, catcher="yes")


@pytest.mark.parametrize("ending", [completed(leges=75), FAILED, THROWN], ids=lambda ending: ending.outcome)
def test_an_outcome_is_stored_and_its_first_report_has_begun_in_the_same_statement(
    scene: Scene, ending: Ending
) -> None:
    worker = scene.process()
    claimed = scene.claimed(worker)
    assert store(worker, [Ended(claimed.task_id, claimed.lease_id, ending)]) == {claimed.lease_id}
    task, lease = fresh(claimed), lease_of(claimed)
    assert (task.status, task.outcome, task.outcome_id) == (Status.PERFORMED, ending.outcome, claimed.lease_id)
    assert task.result == ending.result
    assert (task.reporter_id, task.report_tries, task.lease_id) == (worker, 1, claimed.lease_id)
    assert task.next_report_at is not None
    assert (lease.outcome, lease.error, lease.ended_at) == (ending.outcome, ending.error, None)
    assert lease.performed_at is not None


def test_a_failure_is_put_in_the_group_of_its_cause_and_a_success_takes_it_out(scene: Scene) -> None:
    worker = scene.process()
    retry = Retry(left=2, wait=timedelta(seconds=30))
    one, other = (
        scene.performed(worker, Ending.failed(f"no zaak {number}", "Traceback", retry, unit="zgw.create_zaak"))
        for number in (17, 42)
    )
    assert fresh(one).error_group == fresh(other).error_group == group_of("zgw.create_zaak", "no zaak 1").key
    done = scene.claimed(worker)
    Task.objects.filter(id=done.task_id).update(error_group=fresh(one).error_group)
    store(worker, [Ended(done.task_id, done.lease_id, completed())])
    assert fresh(done).error_group == ""


def test_the_lease_remembers_the_error_of_its_attempt_without_variables(scene: Scene) -> None:
    worker = scene.process()
    claimed = scene.performed(worker, THROWN)
    assert lease_of(claimed).error == {"code": "INCOMPLETE", "message": "no attachments", "catcher": "yes"}


def test_the_outcome_of_a_lease_that_has_ended_is_refused(scene: Scene) -> None:
    worker = scene.process()
    gone, good = scene.claimed(worker), scene.claimed(worker)
    leases.end([gone.lease_id], how=LeaseEnd.EXPIRED, reason="too slow")
    endings = [Ended(claimed.task_id, claimed.lease_id, completed()) for claimed in (gone, good)]
    assert store(worker, endings) == {good.lease_id}
    assert (fresh(gone).status, fresh(gone).outcome) == (Status.RETURNED, Outcome.NONE)
    assert lease_of(gone).performed_at is None


def test_a_slow_unit_cannot_write_into_the_lease_of_its_successor(scene: Scene, there: FakeEngine) -> None:
    worker = scene.process()
    slow = scene.claimed(worker)
    there.advance(301)
    scene.fetch(worker)
    assert store(worker, [Ended(slow.task_id, slow.lease_id, completed())]) == set()
    assert fresh(slow).status == Status.QUEUED


def test_the_same_outcome_can_be_stored_again_when_the_database_was_gone_before_it_answered(scene: Scene) -> None:
    worker = scene.process()
    claimed = scene.performed(worker)
    ended = Ended(claimed.task_id, claimed.lease_id, completed())
    assert store(worker, [ended]) == {claimed.lease_id}
    assert store(scene.process(), [ended]) == set()
    Task.objects.update(report_tries=2)
    assert store(worker, [ended]) == set()


def test_an_outcome_is_stored_once(scene: Scene) -> None:
    worker = scene.process()
    claimed = scene.performed(worker, completed(leges=1))
    for other in (completed(leges=2), FAILED):
        assert store(worker, [Ended(claimed.task_id, claimed.lease_id, other)]) == set()
    assert fresh(claimed).result == completed(leges=1).result


def test_a_lease_of_another_task_stores_nothing(scene: Scene) -> None:
    worker = scene.process()
    one, two = scene.claimed(worker), scene.claimed(worker)
    assert store(worker, [Ended(one.task_id, two.lease_id, completed())]) == set()
    assert store(worker, [Ended(one.task_id, uuid.uuid4(), completed())]) == set()


def test_null_characters_do_not_keep_an_outcome_from_being_stored(scene: Scene) -> None:
    worker = scene.process()
    scene.performed(worker, Ending.failed("a\x00b", "c\x00d", Retry(0, timedelta())))


def test_nothing_to_store_is_no_statement(scene: Scene) -> None:
    assert store(scene.process(), []) == set()
