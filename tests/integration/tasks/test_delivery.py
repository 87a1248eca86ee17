"""The outbox: what is due, who reports it, and what each answer does to the rows."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

from django.db.models.functions import Now

from bptl.tasks import actions
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.outbox import LATER_WAITS, REFUSAL_WAITS
from bptl.tasks.delivery.report import Answer, Report, Verdict, park, send
from bptl.tasks.endings import Ending
from bptl.tasks.execution.claim import Claim
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Event, Process, Task
from bptl.tasks.upkeep.sweep import sweep
from tests.doubles.engine import FakeEngine
from tests.integration.scene import RESULTS, Scene, completed, events, fresh, lease_of
from tests.integration.tasks.reports import deliver, due, first_report

# answers


def test_a_report_that_is_taken_ends_the_lease(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, report: Report
) -> None:
    deliver(scene, worker, report)
    task = Task.objects.get()
    assert (task.status, task.outcome, task.assumed) == (Status.DELIVERED, Outcome.COMPLETED, False)
    assert (task.lease_id, task.reporter_id, task.next_report_at, task.look_at) == (None, None, None, None)
    assert lease_of(task).ended_as == LeaseEnd.DELIVERED
    assert there.completed == {task.external_id: {"leges": 75.0}}


def test_a_group_is_noted_at_once(scene: Scene, worker: uuid.UUID) -> None:
    reports = [first_report(claimed, fresh(claimed)) for claimed in (scene.performed(worker) for _ in range(3))]
    outbox.delivered(Verdict(report, Answer.TAKEN) for report in reports)
    assert Task.objects.filter(status=Status.DELIVERED).count() == 3
    outbox.delivered([])


def test_proof_ends_a_newer_lease_of_the_same_outcome_too(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    verdict = Verdict(report, Answer.TAKEN)
    there.advance(301)
    scene.fetch(worker)
    outbox.delivered([verdict])
    task = fresh(claimed)
    assert (task.status, task.lease_id, lease_of(task).ended_as) == (Status.DELIVERED, None, LeaseEnd.DELIVERED)


def test_proof_of_another_outcome_moves_nothing(claimed: Claim, report: Report) -> None:
    outbox.delivered([Verdict(replace(report, outcome_id=uuid.uuid4()), Answer.TAKEN)])
    assert fresh(claimed).status == Status.PERFORMED


def test_a_task_that_was_cancelled_at_the_engine_is_lost_on_the_author_s_first_try(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    there.tasks.clear()
    assert deliver(scene, worker, report).answer is Answer.LOST
    task = fresh(claimed)
    assert (task.status, task.outcome, task.lease_id, task.look_at) == (Status.LOST, Outcome.COMPLETED, None, None)
    assert (lease_of(task).ended_as, events(task)) == (LeaseEnd.LOST, ["task.lost"])


def test_a_completion_whose_answer_was_cut_off_is_assumed_to_be_delivered(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    there.cut("complete", executed=True)
    assert deliver(scene, worker, report).answer is Answer.LATER
    assert fresh(claimed).status == Status.PERFORMED
    (again,) = due(worker, claimed)
    assert (again.tries, again.by_author) == (2, False)
    assert deliver(scene, worker, again).answer is Answer.ASSUMED
    task = fresh(claimed)
    assert (task.status, task.assumed, lease_of(task).ended_as) == (Status.DELIVERED, True, LeaseEnd.DELIVERED)


def reported(scene: Scene, worker: uuid.UUID, outcome: Outcome) -> tuple[Claim, Report]:
    """A task with an outcome other than a completion, whose first report is under way."""
    ending = Ending(outcome, RESULTS[outcome] or {})
    claimed = scene.performed(worker, ending)
    return claimed, first_report(claimed, fresh(claimed))


def test_a_failure_whose_answer_was_cut_off_is_told_again_and_counted_once(
    scene: Scene, there: FakeEngine, worker: uuid.UUID
) -> None:
    claimed, report = reported(scene, worker, Outcome.FAILED)
    there.cut("failure", executed=True)
    assert deliver(scene, worker, report).answer is Answer.LATER
    (again,) = due(worker, claimed)
    assert deliver(scene, worker, again).answer is Answer.TAKEN
    assert [failure.retries for failure in there.failures] == [2, 2]
    assert (fresh(claimed).status, there.tasks[claimed.external_id].retries) == (Status.DELIVERED, 2)


def test_a_bpmn_error_whose_answer_was_cut_off_is_assumed_to_be_thrown(
    scene: Scene, there: FakeEngine, worker: uuid.UUID
) -> None:
    claimed, report = reported(scene, worker, Outcome.THROWN)
    there.cut("bpmnError", executed=True)
    assert deliver(scene, worker, report).answer is Answer.LATER
    (again,) = due(worker, claimed)
    assert deliver(scene, worker, again).answer is Answer.ASSUMED
    task = fresh(claimed)
    assert (task.status, task.outcome, task.assumed) == (Status.DELIVERED, Outcome.THROWN, True)
    assert list(there.thrown) == [claimed.external_id]


def test_a_completion_that_never_arrived_is_sent_again(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    there.cut("complete", executed=False)
    deliver(scene, worker, report)
    (again,) = due(worker, claimed)
    assert deliver(scene, worker, again).answer is Answer.TAKEN
    assert (fresh(claimed).assumed, there.calls["complete"]) == (False, 2)


def test_a_lock_that_another_holds_ends_the_lease_and_keeps_the_result(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    there.lock(there.tasks[claimed.external_id], "somebody else")
    assert deliver(scene, worker, report).answer is Answer.LEASE_ENDED
    task = fresh(claimed)
    assert (task.status, task.outcome, task.lease_id) == (Status.PERFORMED, Outcome.COMPLETED, None)
    assert task.look_at is not None
    assert "somebody else" in task.report_error
    assert (lease_of(task).ended_as, events(task)) == (LeaseEnd.REFUSED, ["lease.refused"])
    assert due(worker, task) == []


def test_a_suspended_instance_keeps_its_result_until_it_goes_on(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    external = there.tasks[claimed.external_id]
    external.suspended = True
    for _ in range(2 * len(REFUSAL_WAITS)):
        assert deliver(scene, worker, report).answer is Answer.LATER
        (report,) = due(worker, claimed)
    assert fresh(claimed).report_refusals == 0
    external.suspended = False
    deliver(scene, worker, report)
    assert fresh(claimed).status == Status.DELIVERED


def test_silence_is_waited_out_as_long_as_it_takes_and_longer_each_time(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    waits = []
    there.cut("complete", executed=False, times=len(LATER_WAITS) + 2)
    for _ in range(len(LATER_WAITS) + 2):
        deliver(scene, worker, report)
        task = fresh(claimed)
        assert task.next_report_at is not None
        waits.append(task.next_report_at)
        (report,) = due(worker, claimed)
    assert [late - waits[0] for late in waits[: len(LATER_WAITS)]] == [wait - LATER_WAITS[0] for wait in LATER_WAITS]
    assert waits[-1] == waits[-2] == waits[-3]
    assert events(claimed) == []


def test_the_engine_s_wish_decides_when_to_come_back(worker: uuid.UUID, claimed: Claim, report: Report) -> None:
    outbox.settle(worker, Verdict(report, Answer.LATER, "busy"))
    soon = fresh(claimed).next_report_at
    outbox.settle(worker, Verdict(report, Answer.LATER, "busy", timedelta(minutes=3)))
    late = fresh(claimed).next_report_at
    assert soon is not None
    assert late is not None
    assert late - soon == timedelta(minutes=3) - LATER_WAITS[0]


def test_refusals_follow_the_plan_of_reports_and_then_the_task_is_parked_with_its_result(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    for count in range(1, len(REFUSAL_WAITS) + 1):
        there.refuse("complete", 500, "ProcessEngineException")
        assert deliver(scene, worker, report).answer is Answer.REFUSED
        assert fresh(claimed).report_refusals == count
        (report,) = due(worker, claimed)
    there.refuse("complete", 500, "ProcessEngineException")
    verdict = send(report, scene.engine)
    assert outbox.settle(worker, verdict), "the plan of reports is used up"
    park(report, scene.engine, verdict.reason)
    outbox.parked(worker, verdict)
    task = fresh(claimed)
    assert (task.status, task.parked, task.result) == (Status.PERFORMED, True, completed(leges=75).result)
    assert (task.lease_id, task.reporter_id, task.next_report_at) == (claimed.lease_id, None, None)
    assert task.look_at is not None
    assert events(task) == ["report.refused"] * len(REFUSAL_WAITS) + ["task.parked"]
    external = there.tasks[task.external_id]
    assert external.retries == 0
    assert (external.error_message or "").startswith("work done, engine refuses: ")
    assert due(worker, task) == []


def test_a_result_that_the_engine_can_never_take_is_parked_at_once(worker: uuid.UUID, report: Report) -> None:
    assert outbox.settle(worker, Verdict(report, Answer.UNACCEPTABLE, "value too long"))


def test_a_parked_task_is_completed_under_the_same_lease_when_somebody_says_deliver_again(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    verdict = Verdict(report, Answer.UNACCEPTABLE, "value too long")
    park(report, scene.engine, verdict.reason)
    outbox.parked(worker, verdict)
    actions.deliver_again(claimed.task_id, actor="Saskia", reason="the model was mended")
    other = scene.process()
    (again,) = due(other, claimed)
    assert (again.lease_id, again.refusals, lease_of(claimed).holder_id) == (claimed.lease_id, 0, other)
    deliver(scene, other, again)
    assert fresh(claimed).status == Status.DELIVERED
    assert there.completed[claimed.external_id] == {"leges": 75.0}
    assert there.calls["retries"] == 0


def test_answers_of_a_reporter_that_was_replaced_move_nothing(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    there.advance(301)
    scene.fetch(worker)
    other = scene.process()
    due(other, claimed)
    before = Task.objects.filter(id=claimed.task_id).values().get()
    for answer in (Answer.LOST, Answer.LEASE_ENDED, Answer.LATER, Answer.REFUSED):
        outbox.settle(worker, Verdict(report, answer, "late"))
    outbox.parked(worker, Verdict(report, Answer.UNACCEPTABLE, "late"))
    assert Task.objects.filter(id=claimed.task_id).values().get() == before
    assert events(claimed) == []


# taking over


def test_taking_over_names_the_reporter_counts_the_try_and_moves_the_lease(scene: Scene) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True, report_tries=2)
    Task.objects.update(next_report_at=Now())
    worker = scene.process()
    (report,) = due(worker, task)
    now, lease = fresh(task), lease_of(task)
    assert (now.reporter_id, now.report_tries, lease.holder_id) == (worker, 3, worker)
    assert (report.worker_id, report.outcome_id, report.tries) == (lease.worker_id, task.outcome_id, 3)
    assert now.next_report_at is not None
    assert outbox.take_due(worker) == [], "it is under way"


def test_a_stored_outcome_without_a_lease_waits_for_the_next_one(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False)
    Task.objects.update(next_report_at=Now())
    worker = scene.process()
    assert due(worker, task) == []
    scene.fetch(worker)
    (report,) = due(worker, task)
    deliver(scene, worker, report)
    assert fresh(task).status == Status.DELIVERED
    assert there.completed[task.external_id] == {"leges": 75.0}


def test_a_dead_process_takes_no_reports(scene: Scene) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True)
    Task.objects.update(next_report_at=Now())
    worker = scene.process()
    scene.bury(worker)
    assert due(worker, task) == []


def test_no_more_reports_are_taken_than_asked_for(scene: Scene) -> None:
    worker = scene.process()
    for _ in range(3):
        scene.task(Status.PERFORMED, Outcome.COMPLETED, live=True)
    Task.objects.update(next_report_at=Now() - timedelta(seconds=1))
    assert [len(outbox.take_due(worker, maximum=2)) for _ in range(3)] == [2, 1, 0]


def test_a_result_by_hand_is_reported_under_the_last_lease_while_the_engine_allows_it(
    scene: Scene, there: FakeEngine
) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    there.tasks[task.external_id].retries = 0
    there.lock(there.tasks[task.external_id], lease_of(task).worker_id, seconds=0)
    actions.complete_by_hand(task.id, {"leges": 80}, actor="Saskia", reason="done on paper")
    worker = scene.process()
    (report,) = due(worker, task)
    deliver(scene, worker, report)
    assert fresh(task).status == Status.DELIVERED
    assert there.completed[task.external_id] == {"leges": 80}


def test_a_result_by_hand_waits_for_the_next_lease_when_the_last_one_is_refused(
    scene: Scene, there: FakeEngine
) -> None:
    task = scene.task(Status.RETURNED)
    there.lock(there.tasks[task.external_id], "somebody else", seconds=-1)
    actions.complete_by_hand(task.id, {"leges": 80}, actor="Saskia", reason="done on paper")
    worker = scene.process()
    (report,) = due(worker, task)
    assert deliver(scene, worker, report).answer is Answer.LEASE_ENDED
    assert due(worker, task) == []
    scene.fetch(worker)
    (report,) = due(worker, task)
    deliver(scene, worker, report)
    assert there.completed[task.external_id] == {"leges": 80}


def test_a_result_by_hand_outlives_the_process_that_was_reporting_it(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.RETURNED)
    there.lock(there.tasks[task.external_id], lease_of(task).worker_id, seconds=-1)
    actions.complete_by_hand(task.id, {"leges": 80}, actor="Saskia", reason="done on paper")
    dying, worker = scene.process(), scene.process()
    assert len(due(dying, task)) == 1
    scene.bury(dying)
    sweep(worker, scene.clients)
    (report,) = due(worker, task)
    deliver(scene, worker, report)
    assert there.completed[task.external_id] == {"leges": 80}
    assert Process.objects.get(id=dying).died


def test_what_was_refused_can_be_read_in_the_events(worker: uuid.UUID, claimed: Claim, report: Report) -> None:
    outbox.settle(worker, Verdict(report, Answer.REFUSED, "a script behind it fails"))
    event = Event.objects.get(task_id=claimed.task_id)
    assert event.detail == {"reason": "a script behind it fails", "try": 1}
    assert (event.lease_id, event.actor) == (claimed.lease_id, "")
