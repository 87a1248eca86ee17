"""The traces V1–V10 that broke earlier wordings of the design: each is closed, by its name.

From the breadth-first search of the lifecycle (4 million states); ``tests/integration/model`` looks for more of them.
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.db.models.functions import Now

from bptl.tasks import actions, effects, leases
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Report, Verdict, send
from bptl.tasks.execution.claim import Claim, claim
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, outcomes_of
from bptl.tasks.models import Effect, Event
from bptl.tasks.upkeep.sweep import sweep
from bptl.work_units.contract import DidNotHappen, Refused, Sending, Uncertain
from tests.doubles.engine import FakeEngine
from tests.integration.ledger import (
    KEY,
    Run,
    Service,
    doubtful,
    ends,
    external,
    fetched_again,
    first_run,
    look,
    next_run,
    note_doubt,
    park,
    parked,
    row,
    silent,
)
from tests.integration.scene import Scene, age_lease, completed, due_now, events, fresh, lease_of
from tests.integration.tasks.reports import deliver, due, first_report

HAPPENED, DID_NOT = Effect.End.HAPPENED.value, Effect.End.DID_NOT_HAPPEN.value
WHO = {"actor": "Saskia", "reason": "I looked in the register"}

LIVE = [
    (Status.QUEUED, Outcome.NONE),
    (Status.RUNNING, Outcome.NONE),
    *((Status.WAITING, outcome) for outcome in outcomes_of(Status.WAITING)),
    *((Status.PERFORMED, outcome) for outcome in outcomes_of(Status.PERFORMED)),
]


@pytest.mark.parametrize(("status", "outcome"), LIVE)
def test_v01_not_found_to_an_extension_loses_only_what_has_no_outcome(
    scene: Scene, status: Status, outcome: Outcome
) -> None:
    task = scene.task(status, outcome, live=True)
    leases.end([lease_of(task).id], how=LeaseEnd.LOST, reason="404")
    held = status in {Status.QUEUED, Status.RUNNING}
    assert fresh(task).status == (Status.LOST if held else status)
    assert fresh(task).outcome == outcome


def test_v01_a_completion_that_was_taken_before_the_heartbeat_heard_not_found_is_delivered(scene: Scene) -> None:
    worker = scene.process()
    claimed = scene.performed(worker)
    report = first_report(claimed, fresh(claimed))
    leases.end([claimed.lease_id], how=LeaseEnd.LOST, reason="404 to the extension")
    assert fresh(claimed).status == Status.PERFORMED
    outbox.delivered([Verdict(report, Answer.TAKEN)])
    task = fresh(claimed)
    assert (task.status, task.outcome, task.assumed) == (Status.DELIVERED, Outcome.COMPLETED, False)


def test_v02_an_answer_that_it_was_taken_is_proof_even_after_the_lease_has_ended(
    scene: Scene, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    leases.end([claimed.lease_id], how=LeaseEnd.EXPIRED, reason="its lock ran out")
    deliver(scene, worker, report)
    assert fresh(claimed).status == Status.DELIVERED
    assert lease_of(claimed).ended_as == LeaseEnd.EXPIRED


@pytest.mark.parametrize(
    ("status", "outcome", "became"),
    [
        (Status.RETURNED, Outcome.NONE, "lost"),
        (Status.WAITING, Outcome.NONE, "lost"),
        (Status.WAITING, Outcome.COMPLETED, "lost"),
        (Status.PERFORMED, Outcome.COMPLETED, "delivered"),
        (Status.PERFORMED, Outcome.FAILED, "delivered"),
        (Status.PERFORMED, Outcome.THROWN, "delivered"),
        (Status.UNCERTAIN, Outcome.NONE, "uncertain"),
    ],
)
def test_v02_what_the_engine_no_longer_knows_comes_to_its_end(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, status: Status, outcome: Outcome, became: str
) -> None:
    task = scene.task(status, outcome, live=False, look_at=Now())
    due_now(task)
    there.tasks.clear()
    assert sweep(worker, scene.clients).looked_at == 1
    now = fresh(task)
    assert (now.status, now.outcome, now.outcome_id) == (became, outcome, task.outcome_id)
    assert now.assumed == (became == "delivered")
    assert (now.look_at is None) == (became != "uncertain")
    assert events(task) == ([] if became == "uncertain" else ["task.gone"])


def test_v03_only_the_named_reporter_sends_a_report(scene: Scene, worker: uuid.UUID, claimed: Claim) -> None:
    other = scene.process()
    assert due(other, claimed) == []
    assert [report.task_id for report in due(worker, claimed)] == [claimed.task_id]


def test_v03_whoever_takes_a_report_over_is_its_reporter_and_the_author_s_late_404_loses_nothing(
    scene: Scene, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    """The author stops after it stored; its lease ends; another delivers under the next one; then the author sends."""
    leases.end([claimed.lease_id], how=LeaseEnd.PROCESS_DEAD, reason="it stopped")
    scene.there.tasks[claimed.external_id].locked_until = scene.there.now() - 1
    other = scene.process()
    scene.fetch(other)
    (again,) = due(other, claimed)
    assert deliver(scene, other, again).answer is Answer.TAKEN
    assert deliver(scene, worker, report).answer is Answer.LOST, "it hears 404 on what it takes for its first try"
    assert (fresh(claimed).status, fresh(claimed).assumed) == (Status.DELIVERED, False)


def test_v04_a_first_try_is_counted_for_the_outcome_and_not_for_the_lease(
    scene: Scene, there: FakeEngine, worker: uuid.UUID, claimed: Claim, report: Report
) -> None:
    there.cut("complete", executed=False)
    deliver(scene, worker, report)
    there.advance(301)
    scene.fetch(worker)
    (again,) = due(scene.process(), claimed)
    assert (again.tries, again.by_author, again.lease_id) == (2, False, lease_of(claimed).id)
    there.tasks.clear()
    assert deliver(scene, worker, again).answer is Answer.ASSUMED


def test_v04_the_late_answer_of_an_older_fetch_cannot_end_the_lease_that_has_an_outcome(
    scene: Scene, there: FakeEngine
) -> None:
    process = scene.process()
    there.add()
    late = scene.announced(process)
    late_answer = scene.ask(late)
    there.advance(301)
    scene.fetch(process)
    (claimed,) = claim(process, places=1)
    store(process, [Ended(claimed.task_id, claimed.lease_id, completed())])
    scene.record(late, late_answer)
    task = fresh(claimed)
    assert (task.status, task.lease_id, task.outcome_id) == (Status.PERFORMED, claimed.lease_id, claimed.lease_id)


def test_v05_what_comes_too_late_to_the_check_is_not_sent(scene: Scene, service: Service) -> None:
    """A pause before the call: its give-up time passes, the successor asks, hears no, and acts."""
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        time.sleep(0.06)
        next_run(scene, run).once(service.create, reconcile=service.find)
        return service.create(sending)

    with pytest.raises(DidNotHappen):
        run.once(slow, reconcile=service.find, gives_up_after=timedelta(seconds=0.05))
    assert (len(service.created), ends(run)) == (1, [DID_NOT, HAPPENED])


def test_v05_the_check_refuses_after_the_give_up_time(scene: Scene, service: Service) -> None:
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        time.sleep(0.06)
        return service.create(sending)

    with pytest.raises(DidNotHappen, match="not sent in time"):
        run.once(slow, gives_up_after=timedelta(seconds=0.05))
    assert (service.created, ends(run)) == ([], [DID_NOT])


def test_v06_the_next_lease_waits_until_the_service_has_acted_and_then_asks(scene: Scene, service: Service) -> None:
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(service.create_and_fall_silent, reconcile=service.find)
    again = next_run(scene, run)
    assert again.once(service.create, reconcile=service.find) == {"url": "https://zaken/1"}
    # One transaction, so one now(): exactly the give-up time and the settle time.
    assert again.slept == [pytest.approx(32.0)]
    assert (len(service.created), service.asked) == (1, 1)
    noted = row(run)
    assert (noted.end, noted.known_by, noted.result) == (HAPPENED, "reconciled", {"url": "https://zaken/1"})
    assert ends(run) == [HAPPENED]


def test_v06_a_late_result_that_shows_a_doubling_is_never_silent(scene: Scene, service: Service) -> None:
    """V6: asked too early, the service said no; then it acted after all."""
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        sending.check()
        next_run(scene, run).once(service.create, reconcile=lambda: None)
        return service.create(sending)

    run.once(slow, reconcile=lambda: None)
    assert len(service.created) == 2
    assert ends(run) == [HAPPENED, HAPPENED]
    (doubled,) = Event.objects.filter(task_id=run.claim.task_id, name="effect.doubled")
    assert doubled.detail["effect"] == KEY


def test_v07_a_late_refusal_of_an_old_attempt_does_not_hide_the_effect_of_the_live_one(
    scene: Scene, service: Service
) -> None:
    run = first_run(scene)
    inner: list[Run] = []

    def slow(_: Sending) -> None:
        inner.append(next_run(scene, run))
        with pytest.raises(TimeoutError):
            inner[0].once(service.create_and_fall_silent, idempotent=True)
        raise Refused("409")

    with pytest.raises(Refused):
        run.once(slow, idempotent=True)
    assert ends(run) == [DID_NOT, ""]
    with pytest.raises(Uncertain):
        next_run(scene, inner[0]).once(service.create)


def test_v07_a_late_result_of_an_old_attempt_never_goes_to_the_intent_of_another(scene: Scene) -> None:
    run = first_run(scene)
    inner: list[Run] = []

    def slow(_: Sending) -> str:
        inner.append(next_run(scene, run))
        with pytest.raises(TimeoutError):
            inner[0].once(silent, idempotent=True)
        return "late"

    run.once(slow, idempotent=True)
    assert (row(run).end, row(inner[0]).end) == (HAPPENED, "")


def test_v08_a_late_result_that_answers_the_last_question_lets_the_task_run_again(
    scene: Scene, service: Service
) -> None:
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        again = next_run(scene, run)
        with pytest.raises(Uncertain) as uncertain:
            again.once(service.create)
        note_doubt(again, uncertain.value)
        assert park(scene) == 1
        return service.create(sending)

    run.once(slow)
    task = fresh(run.claim)
    assert (task.status, task.offer_due, task.lease_id, task.parked) == (Status.RETURNED, True, None, False)
    assert task.look_at is not None
    assert "task.settled" in events(task)
    assert len(service.created) == 1


def test_v08_a_late_result_between_the_question_and_the_doubt_leaves_no_task_behind(
    scene: Scene, service: Service
) -> None:
    """The next lease saw the effect open; the answer comes before its doubt is committed: nothing is left to ask."""
    run = first_run(scene)

    def slow(sending: Sending) -> Any:
        again = next_run(scene, run)
        with pytest.raises(Uncertain) as uncertain:
            again.once(service.create)
        unnoted.append((again, uncertain.value))
        return service.create(sending)

    unnoted: list[tuple[Run, Uncertain]] = []
    run.once(slow)
    note_doubt(*unnoted[0])
    park(scene)
    sweep(scene.process(), scene.clients)
    assert fresh(run.claim).status == Status.RETURNED


def test_v08_a_late_result_while_the_parking_is_under_way_does_not_leave_the_task_parked(
    scene: Scene, service: Service
) -> None:
    """The failure that parks may reach the engine after its retries were given back."""
    run = first_run(scene)
    worker = scene.process()
    under_way: list[Report] = []

    def slow(sending: Sending) -> Any:
        again = next_run(scene, run)
        with pytest.raises(Uncertain) as uncertain:
            again.once(service.create)
        note_doubt(again, uncertain.value)
        under_way.extend(outbox.take_doubts(worker))
        return service.create(sending)

    run.once(slow)
    sweep(worker, scene.clients)
    (report,) = under_way
    outbox.settle_doubt(send(report, scene.engine))
    due_now(run.claim)
    sweep(worker, scene.clients)
    assert scene.there.tasks[run.claim.external_id].retries == 1
    assert fetched_again(scene, run, worker).once(service.create) == {"url": "https://zaken/1"}


@pytest.mark.parametrize("answer", [Answer.TAKEN, Answer.LEASE_ENDED])
def test_v08_killed_while_the_park_is_noted_leaves_no_task_without_a_question(
    scene: Scene, service: Service, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    """The late result came between the question and the doubt; who notes the park dies before it sees that."""
    run = first_run(scene)
    unnoted: list[tuple[Run, Uncertain]] = []

    def slow(sending: Sending) -> Any:
        again = next_run(scene, run)
        with pytest.raises(Uncertain) as uncertain:
            again.once(service.create)
        unnoted.append((again, uncertain.value))
        return service.create(sending)

    run.once(slow)
    note_doubt(*unnoted[0])
    (report,) = outbox.take_doubts(scene.process())
    with monkeypatch.context() as dying:
        dying.setattr(effects, "offer_when_answered", Mock(side_effect=SystemExit))
        with pytest.raises(SystemExit):
            outbox.settle_doubt(Verdict(report, answer))
    due_now(run.claim)
    assert park(scene) == 1
    assert fresh(run.claim).status == Status.RETURNED


def test_v08_a_new_lease_of_an_uncertain_task_parks_it_again(scene: Scene) -> None:
    """V8: parked again instead of run."""
    run = parked(scene)
    external(scene, run).retries = 1
    worker = scene.process()
    assert run.claim.external_id in scene.fetch(worker).leased
    task = fresh(run.claim)
    assert (task.status, task.parked, task.attempts) == (Status.UNCERTAIN, False, 2)
    assert park(scene, worker) == 1
    task = fresh(run.claim)
    assert (task.status, task.parked, external(scene, run).retries) == (Status.UNCERTAIN, True, 0)
    assert "TimeoutError" in scene.there.failures[-1].message
    assert scene.there.failures[-1].worker_id == lease_of(task).worker_id


def test_v08_retries_are_given_back_even_when_the_first_request_is_lost(scene: Scene) -> None:
    """V8: the decision stored, but its PUT lost."""
    run = parked(scene)
    scene.there.cut("retries", executed=False, times=2)
    actions.settle_effect(row(run).id, happened=False, **WHO)
    for _ in range(2):
        look(scene, run)
        assert (external(scene, run).retries, fresh(run.claim).offer_due) == (0, True)
    look(scene, run)
    assert external(scene, run).retries == 1
    assert fetched_again(scene, run).claim.attempt == 2
    assert not fresh(run.claim).offer_due


def test_v08_a_failure_that_arrives_after_the_retries_were_given_back_does_not_strand_the_task(scene: Scene) -> None:
    """V8: a delayed failure after the PUT. The engine takes it: the worker id is still that of the parked lease."""
    run = doubtful(scene)
    (delayed,) = outbox.take_doubts(scene.process())
    due_now(run.claim)
    assert park(scene) == 1
    actions.settle_effect(row(run).id, happened=False, **WHO)
    look(scene, run)
    send(delayed, scene.engine)
    assert external(scene, run).retries == 0
    look(scene, run)
    assert external(scene, run).retries == 1


def test_v08_a_parked_lease_is_not_extended_and_does_not_expire(scene: Scene) -> None:
    """V8: the parked lock extended and refused."""
    worker = scene.process()
    run = first_run(scene, worker)
    note_doubt(run, run.left_open())
    assert [held.lease_id for held in leases.held_by(worker)] == [run.claim.lease_id]
    park(scene, worker)
    assert leases.held_by(worker) == []
    age_lease(run.claim, seconds=3600)
    scene.bury(worker)
    look(scene, run)
    task = fresh(run.claim)
    assert (task.status, task.parked, task.lease_id) == (Status.UNCERTAIN, True, run.claim.lease_id)


def test_v08_killed_before_the_park_was_noted_another_process_parks_it(scene: Scene) -> None:
    dead = scene.process()
    run = first_run(scene, dead)
    note_doubt(run, run.left_open())
    (report,) = outbox.take_doubts(dead)
    send(report, scene.engine)
    scene.bury(dead)
    look(scene, run)
    assert fresh(run.claim).lease_id == run.claim.lease_id, "its lease does not end with its holder"
    due_now(run.claim)
    assert park(scene) == 1
    task = fresh(run.claim)
    assert (task.parked, len(scene.there.failures)) == (True, 2)
    assert external(scene, run).retries == 0


@pytest.mark.parametrize("live", [True, False])
def test_v09_a_completion_that_was_stored_is_kept_whether_or_not_a_lease_lives(scene: Scene, live: bool) -> None:
    """The rows allow it and no end or beginning of a lease loses it; the token that brings it is not built yet."""
    task = scene.task(Status.WAITING, Outcome.COMPLETED, live=live)
    if live:
        assert leases.end([lease_of(task).id], how=LeaseEnd.EXPIRED, reason="its lock ran out") == 1
    scene.there.tasks[task.external_id].locked_until = None
    assert scene.fetch(scene.process()).leased.keys() == {task.external_id}
    now = fresh(task)
    assert (now.status, now.outcome, now.outcome_id) == (Status.WAITING, Outcome.COMPLETED, task.outcome_id)
    assert (now.result, now.lease_id) == (task.result, lease_of(task).id)
    assert claim(now.lease_id or uuid.uuid4(), places=1) == []


def test_v10_a_failure_that_the_engine_has_heard_unnoticed_is_run_again_and_not_told_twice(
    scene: Scene, there: FakeEngine
) -> None:
    process = scene.process()
    failed = scene.task(Status.PERFORMED, Outcome.FAILED, live=False, holder=process)
    external = there.tasks[failed.external_id]
    external.retries, external.error_details = 1, f"{failed.outcome_id}\nit broke"
    scene.fetch(process)
    assert (fresh(failed).status, fresh(failed).engine_retries) == (Status.QUEUED, 1)
    assert [found.task_id for found in claim(process, places=1)] == [failed.id]


def test_v10_a_failure_of_an_older_lease_is_not_taken_for_this_one(scene: Scene, there: FakeEngine) -> None:
    failed = scene.task(Status.PERFORMED, Outcome.FAILED, live=False)
    there.tasks[failed.external_id].error_details = f"{uuid.uuid4()}\nan older failure"
    scene.fetch(scene.process())
    assert fresh(failed).status == Status.PERFORMED
