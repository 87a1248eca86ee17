"""An effect of which nobody knows: the task is parked at its engine, and a person's word moves it on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bptl.tasks import actions, leases
from bptl.tasks.actions import ActionRefused
from bptl.tasks.delivery import outbox
from bptl.tasks.delivery.report import Answer, Report, Verdict, send
from bptl.tasks.error_groups import group_of
from bptl.tasks.execution.outcomes import doubt
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, TransitionRefused
from bptl.tasks.models import Effect, Event, Lease, Task
from tests.integration.ledger import (
    KEY,
    Run,
    Service,
    doubtful,
    end_lease,
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
)
from tests.integration.scene import Scene, age_lease, due_now, events, fresh, lease_of

WHO: dict[str, Any] = {"actor": "Saskia", "reason": "I looked in the register"}


# parked


def test_an_uncertain_task_is_an_incident_at_its_engine_and_is_fetched_no_more(scene: Scene) -> None:
    run = parked(scene)
    task = fresh(run.claim)
    assert (task.status, task.outcome, task.parked, task.lease_id) == (Status.UNCERTAIN, "", True, run.claim.lease_id)
    (failure,) = scene.there.failures
    assert failure.message.startswith(
        f"uncertain, a person must decide: effect '{KEY}' may have happened: TimeoutError"
    )
    assert (failure.retries, failure.details.partition("\n")[0]) == (0, str(run.claim.lease_id))
    assert events(task) == ["task.uncertain"]
    assert lease_of(task).error == {"message": task.report_error}
    scene.there.advance(3600)
    assert scene.fetch(scene.process()).leased == {}


def test_a_task_is_parked_once(scene: Scene) -> None:
    parked(scene)
    assert park(scene) == 0
    assert scene.there.calls["failure"] == 1


def test_a_dead_process_parks_nothing(scene: Scene) -> None:
    doubtful(scene)
    dead = scene.process()
    scene.bury(dead)
    assert outbox.take_doubts(dead) == []


def test_two_processes_do_not_park_the_same_task_at_once(scene: Scene) -> None:
    doubtful(scene)
    assert len(outbox.take_doubts(scene.process())) == 1
    assert outbox.take_doubts(scene.process()) == []


def test_a_parking_that_the_engine_did_not_answer_is_repeated(scene: Scene) -> None:
    run = doubtful(scene)
    scene.there.cut("failure", executed=False, times=3)
    with_answer = 0
    for _ in range(4):
        due_now(run.claim)
        park(scene)
        with_answer += fresh(run.claim).parked
    assert (with_answer, external(scene, run).retries) == (1, 0)


def test_a_parking_whose_answer_was_lost_is_noted_by_its_repetition(scene: Scene) -> None:
    run = doubtful(scene)
    scene.there.cut("failure", executed=True)
    park(scene)
    assert not fresh(run.claim).parked
    due_now(run.claim)
    park(scene)
    assert fresh(run.claim).parked


def test_a_parking_whose_lock_is_somebody_else_s_leaves_it_to_the_next_lease(scene: Scene) -> None:
    run = doubtful(scene)
    scene.there.lock(external(scene, run), "somebody-else")
    park(scene)
    task = fresh(run.claim)
    assert (task.status, task.lease_id, task.parked) == (Status.UNCERTAIN, None, False)
    assert lease_of(task).ended_as == LeaseEnd.REFUSED
    assert park(scene) == 0


def test_a_task_that_was_cancelled_at_its_engine_still_asks_its_person(scene: Scene) -> None:
    run = doubtful(scene)
    scene.there.remove(external(scene, run))
    park(scene)
    task = fresh(run.claim)
    assert (task.status, task.parked) == (Status.UNCERTAIN, True)
    actions.settle_effect(row(run).id, happened=True, **WHO)
    look(scene, run)
    assert fresh(run.claim).status == Status.LOST


def test_a_lease_that_has_ended_makes_no_task_uncertain(scene: Scene) -> None:
    run = first_run(scene)
    error = run.left_open()
    end_lease(scene, run)
    assert not doubt(run.claim.task_id, run.claim.lease_id, str(error))
    assert fresh(run.claim).status == Status.RETURNED


def test_a_verdict_of_an_earlier_lease_does_not_park_the_present_one(scene: Scene) -> None:
    run = doubtful(scene)
    (report,) = outbox.take_doubts(scene.process())
    external(scene, run).locked_until = scene.there.now() - 1
    scene.fetch(scene.process())
    outbox.settle_doubt(Verdict(report, Answer.TAKEN))
    outbox.settle_doubt(Verdict(report, Answer.LEASE_ENDED))
    task = fresh(run.claim)
    assert (task.parked, task.lease_id is None) == (False, False)


# settled by a person


def test_it_happened_and_the_next_lease_finds_its_result(scene: Scene, service: Service) -> None:
    run = parked(scene)
    assert actions.settle_effect(row(run).id, happened=True, result={"url": "https://zaken/7"}, **WHO)
    task = fresh(run.claim)
    assert (task.status, task.offer_due, task.parked, task.lease_id) == (Status.RETURNED, True, False, None)
    assert lease_of(task).ended_at is not None
    noted = row(run)
    assert (noted.end, noted.known_by, noted.result) == ("happened", "Saskia", {"url": "https://zaken/7"})
    look(scene, run)
    assert external(scene, run).retries == 1
    assert fetched_again(scene, run).once(service.create) == {"url": "https://zaken/7"}
    assert service.created == []


def test_it_did_not_happen_and_the_next_lease_does_it(scene: Scene, service: Service) -> None:
    run = parked(scene)
    assert actions.settle_effect(row(run).id, happened=False, result={"ignored": True}, **WHO)
    assert (row(run).end, row(run).result) == ("did_not_happen", None)
    look(scene, run)
    assert fetched_again(scene, run).once(service.create) == {"url": "https://zaken/1"}
    assert ends(run) == ["did_not_happen", "happened"]


def test_who_settled_what_and_why_is_kept(scene: Scene) -> None:
    run = parked(scene)
    actions.settle_effect(row(run).id, happened=True, **WHO)
    event = Event.objects.get(task_id=run.claim.task_id, name="effect.settled")
    assert event.actor == "Saskia"
    assert event.detail == {"reason": "I looked in the register", "effect": KEY, "answer": "it happened"}


def test_a_task_runs_again_only_when_the_last_open_effect_is_settled(scene: Scene) -> None:
    run = parked(scene, "create-zaak", "notify")
    assert not actions.settle_effect(row(run, "create-zaak").id, happened=True, **WHO)
    assert fresh(run.claim).status == Status.UNCERTAIN
    assert actions.settle_effect(row(run, "notify").id, happened=False, **WHO)
    assert fresh(run.claim).status == Status.RETURNED


def test_a_settled_effect_is_not_settled_twice(scene: Scene) -> None:
    run = parked(scene, "create-zaak", "notify")
    actions.settle_effect(row(run).id, happened=True, result=1, **WHO)
    with pytest.raises(ActionRefused, match="'create-zaak' is not waiting for an answer"):
        actions.settle_effect(row(run).id, happened=False, **WHO)
    assert (row(run).end, row(run).result) == ("happened", 1)


def test_nobody_is_asked_while_the_park_is_unknown(scene: Scene) -> None:
    run = doubtful(scene)
    with pytest.raises(ActionRefused, match="does not know yet that it is parked"):
        actions.settle_effect(row(run).id, happened=False, **WHO)
    with pytest.raises((ActionRefused, TransitionRefused)) as refused:
        actions.give_up(run.claim.task_id, **WHO)
    assert "needs uncertain" not in str(refused.value), "it is uncertain: the reason is another"
    task = fresh(run.claim)
    assert (task.status, row(run).end, events(task)) == (Status.UNCERTAIN, "", ["task.uncertain"])
    assert "give_up" not in actions.possible(task)


def test_an_open_effect_of_a_task_that_is_not_uncertain_is_nobody_s_question(scene: Scene) -> None:
    run = first_run(scene)
    run.left_open()
    with pytest.raises(ActionRefused, match="the task is running"):
        actions.settle_effect(row(run).id, happened=True, **WHO)
    assert row(run).end == ""


def test_a_task_without_a_lease_is_settled_too(scene: Scene) -> None:
    run = doubtful(scene)
    leases.end([run.claim.lease_id], how=LeaseEnd.EXPIRED, reason="its lock ran out")
    assert fresh(run.claim).status == Status.UNCERTAIN
    assert actions.settle_effect(row(run).id, happened=False, **WHO)
    assert fresh(run.claim).status == Status.RETURNED


def test_a_person_s_no_that_was_wrong_is_not_silent(scene: Scene, service: Service) -> None:
    """The call was still under way: a person said no, the next lease did it again, the first one answers."""
    run = first_run(scene)

    def slow(sending: Any) -> Any:
        again = next_run(scene, run)
        note_doubt(again, again.left_open())
        park(scene)
        actions.settle_effect(row(run).id, happened=False, **WHO)
        look(scene, again)
        fetched_again(scene, again).once(service.create)
        return service.create(sending)

    run.once(slow)
    assert len(service.created) == 2
    assert "effect.doubled" in events(run.claim)


def test_an_effect_that_a_repetition_has_answered_is_not_asked_about(scene: Scene, service: Service) -> None:
    """An idempotent effect, repeated under the next lease, leaves its first intent open: nobody needs to know."""
    run = first_run(scene)
    with pytest.raises(TimeoutError):
        run.once(service.create_and_fall_silent, key="set-status", idempotent=True)
    again = next_run(scene, run)
    again.once(service.create, key="set-status", idempotent=True)
    note_doubt(again, again.left_open())
    park(scene)
    assert actions.settle_effect(row(again).id, happened=True, **WHO)
    assert fresh(run.claim).status == Status.RETURNED


# given up, or completed by hand


def test_a_person_who_gives_up_leaves_the_incident_as_it_is(scene: Scene) -> None:
    run = parked(scene)
    actions.give_up(run.claim.task_id, **WHO)
    task = fresh(run.claim)
    assert (task.status, task.outcome, task.lease_id, task.parked) == (Status.DELIVERED, Outcome.FAILED, None, False)
    assert (lease_of(task).ended_as, external(scene, run).retries) == (LeaseEnd.DELIVERED, 0)
    assert task.result is not None
    assert task.result["message"] == "given up by Saskia: I looked in the register"
    assert task.error_group == group_of("demo.quick", "given up by Saskia: I looked in the register").key
    event = Event.objects.get(task=task, name="task.given_up")
    assert (event.actor, event.detail) == ("Saskia", {"reason": "I looked in the register"})
    look(scene, run)
    assert (fresh(task).status, scene.there.calls["failure"]) == (Status.DELIVERED, 1)


def test_a_task_that_was_given_up_is_tried_again_on_demand_and_still_does_not_know(
    scene: Scene, service: Service
) -> None:
    run = parked(scene)
    actions.give_up(run.claim.task_id, **WHO)
    actions.retry(run.claim.task_id, **WHO)
    again = fetched_again(scene, run)
    note_doubt(again, again.left_open())
    assert park(scene) == 1
    assert fresh(run.claim).status == Status.UNCERTAIN
    assert service.created == []


@pytest.mark.parametrize("status", [Status.RUNNING, Status.RETURNED, Status.PERFORMED])
def test_only_an_uncertain_task_is_given_up(scene: Scene, status: Status) -> None:
    task = scene.task(status, Outcome.COMPLETED if status == Status.PERFORMED else Outcome.NONE)
    with pytest.raises(TransitionRefused):
        actions.give_up(task.id, **WHO)
    assert (fresh(task).status, events(task)) == (status, [])


def test_a_task_that_was_completed_by_hand_is_reported_under_its_parked_lease(scene: Scene) -> None:
    run = parked(scene)
    actions.complete_by_hand(run.claim.task_id, {"zaakUrl": "https://zaken/7"}, **WHO)
    (report,) = outbox.take_due(scene.process())
    verdict = send(report, scene.engine)
    outbox.delivered([verdict])
    task = fresh(run.claim)
    assert (verdict.answer, task.status, task.by_hand) == (Answer.TAKEN, Status.DELIVERED, True)
    assert scene.there.completed[run.claim.external_id] == {"zaakUrl": "https://zaken/7"}


def test_a_task_that_was_completed_by_hand_long_after_its_park_reaches_the_engine_all_the_same(scene: Scene) -> None:
    """The lock ran out and its holder is gone: should its last lease no longer do, the next one delivers it."""
    worker = scene.process()
    run = first_run(scene, worker)
    note_doubt(run, run.left_open())
    park(scene, worker)
    age_lease(run.claim, seconds=86_400)
    scene.there.advance(86_400)
    scene.bury(worker)
    actions.complete_by_hand(run.claim.task_id, {}, **WHO)
    look(scene, run)
    deliver(scene, run)
    assert (fresh(run.claim).status, run.claim.external_id in scene.there.completed) == (Status.DELIVERED, True)


def deliver(scene: Scene, run: Run) -> None:
    """What workers, poller and sweep do, in turn, until it is delivered."""
    worker = scene.process()
    for _ in range(4):
        reports: list[Report] = outbox.take_due(worker)
        outbox.delivered([send(report, scene.engine) for report in reports])
        if fresh(run.claim).status == Status.DELIVERED:
            return
        look(scene, run)
        scene.fetch(worker)


# what must not be


def test_an_uncertain_task_has_one_live_lease_at_most(scene: Scene) -> None:
    run = parked(scene)
    external(scene, run).retries = 1
    scene.fetch(scene.process())
    assert Lease.objects.filter(task_id=run.claim.task_id, ended_at=None).count() == 1
    assert Task.objects.filter(status=Status.UNCERTAIN).count() == 1


def test_a_reason_that_no_database_takes_makes_the_task_uncertain_all_the_same(scene: Scene) -> None:
    run = first_run(scene)
    assert doubt(run.claim.task_id, run.claim.lease_id, "cut after \x00 and \ud800")
    assert fresh(run.claim).status == Status.UNCERTAIN


def test_the_settle_time_is_no_less_than_the_give_up_time(scene: Scene) -> None:
    run = first_run(scene)
    run.left_open(gives_up_after=timedelta(seconds=9), settles_after=timedelta(seconds=3))
    noted = row(run)
    assert noted.settles_at - noted.gives_up_at == timedelta(seconds=3)
    assert noted.gives_up_at - noted.intended_at == timedelta(seconds=9)
    assert Effect.objects.filter(end="").count() == 1
