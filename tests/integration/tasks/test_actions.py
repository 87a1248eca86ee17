"""What a person does to a task: recorded with who and why, refused where the lifecycle refuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bptl.engines.base import EngineUnavailable, NotAuthorized
from bptl.engines.variables import UnsendableValue, encode
from bptl.tasks import actions
from bptl.tasks.actions import ActionRefused
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, TransitionRefused, outcomes_of
from bptl.tasks.models import Event, Task
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, events, fresh, lease_of

EVERYWHERE = [(status, outcome) for status in Status for outcome in outcomes_of(status)]
WHO: dict[str, Any] = {"actor": "Saskia", "reason": "because I know"}


def told(scene_task: int, name: str) -> dict[str, object]:
    event = Event.objects.get(task_id=scene_task, name=name)
    assert event.actor == "Saskia"
    return dict(event.detail)


def test_a_failed_task_is_offered_once_more_and_its_next_lease_runs_it(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    external = there.tasks[task.external_id]
    external.retries = 0
    actions.retry(task.id, **WHO)
    assert external.retries == 1
    assert told(task.id, "task.retried") == {"reason": "because I know"}
    scene.fetch(scene.process())
    assert fresh(task).status == Status.QUEUED


@pytest.mark.parametrize(("status", "outcome"), [case for case in EVERYWHERE if case != ("delivered", "failed")])
def test_only_a_failed_task_is_tried_again(scene: Scene, there: FakeEngine, status: Status, outcome: Outcome) -> None:
    task = scene.task(status, outcome)
    with pytest.raises(ActionRefused, match="only a failed task") as refused:
        actions.retry(task.id, **WHO)
    assert refused.value.task_id == task.id
    assert (there.calls["retries"], events(task)) == (0, [])


def test_a_retry_that_the_engine_did_not_hear_is_recorded_as_refused(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    there.tasks[task.external_id].retries = 0
    there.cut("retries", executed=False)
    with pytest.raises(EngineUnavailable):
        actions.retry(task.id, **WHO)
    assert events(task) == ["task.retried", "task.retry_refused"]


def incident(scene: Scene, there: FakeEngine, **variables: object) -> Task:
    """A failed task without retries, with these variables at the engine."""
    external = there.add(variables={name: encode(value).to_json() for name, value in variables.items()})
    external.retries = 0
    return scene.task(
        Status.DELIVERED,
        Outcome.FAILED,
        external=external,
        process_instance_id=external.process_instance_id,
        execution_id=external.process_instance_id,
    )


def test_a_retry_with_changed_variables_runs_with_them(scene: Scene, there: FakeEngine) -> None:
    task = incident(scene, there, hoogte="hoog", naam="Saskia")
    actions.retry(task.id, variables={"hoogte": 9.5}, **WHO)
    assert told(task.id, "task.retried") == {"reason": "because I know", "variables": ["hoogte"]}
    scene.fetch(scene.process())
    assert fresh(task).status == Status.QUEUED
    assert {name: typed["value"] for name, typed in fresh(task).variables.items()} == {"hoogte": 9.5, "naam": "Saskia"}


def test_a_retry_whose_variables_the_engine_refuses_offers_nothing(scene: Scene, there: FakeEngine) -> None:
    task = incident(scene, there, hoogte="hoog")
    there.refuse("setVariables", 403, "AuthorizationException")
    with pytest.raises(NotAuthorized):
        actions.retry(task.id, variables={"hoogte": 9.5}, **WHO)
    assert there.tasks[task.external_id].retries == 0
    assert there.calls["retries"] == 0
    assert events(task) == ["task.retried", "task.retry_refused"]


def test_a_retry_with_a_value_that_no_engine_takes_changes_nothing(scene: Scene, there: FakeEngine) -> None:
    task = incident(scene, there)
    with pytest.raises(UnsendableValue):
        actions.retry(task.id, variables={"hoogte": object()}, **WHO)
    assert (there.calls["setVariables"], events(task)) == (0, [])


def test_a_task_that_waits_for_its_retry_is_offered_at_once(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    external = there.tasks[task.external_id]
    external.retries, external.worker_id = 2, lease_of(task).worker_id
    external.locked_until = there.now() + 3600
    actions.retry(task.id, **WHO)
    there.advance(0.01)
    scene.fetch(scene.process())
    assert (fresh(task).status, external.retries) == (Status.QUEUED, 2)


def test_a_result_without_a_lease_is_delivered_again_under_the_next_one(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False)
    there.tasks[task.external_id].retries = 0
    actions.deliver_again(task.id, **WHO)
    assert there.tasks[task.external_id].retries == 1
    assert told(task.id, "task.delivered_again") == {"reason": "because I know"}
    scene.fetch(scene.process())
    assert fresh(task).status == Status.PERFORMED
    assert fresh(task).next_report_at is not None


def test_what_nobody_can_report_yet_keeps_no_worker_awake(scene: Scene) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False)
    actions.deliver_again(task.id, **WHO)
    assert fresh(task).next_report_at is None
    assert fresh(task).look_at is not None


@pytest.mark.parametrize(("status", "outcome"), EVERYWHERE)
def test_only_a_parked_or_lease_less_result_is_delivered_again(
    scene: Scene, there: FakeEngine, status: Status, outcome: Outcome
) -> None:
    live = status == Status.PERFORMED or None
    task = scene.task(status, outcome, live=live)
    with pytest.raises(ActionRefused, match="only a parked or lease-less result"):
        actions.deliver_again(task.id, **WHO)
    assert (there.calls["retries"], events(task)) == (0, [])


def test_the_result_of_a_call_is_not_delivered_again_and_nothing_of_it_changes(scene: Scene) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False)
    Task.objects.filter(id=task.id).update(engine=None)
    task.refresh_from_db()
    before = Task.objects.filter(id=task.id).values().get()
    assert "deliver_again" not in actions.possible(task)
    with pytest.raises(ActionRefused, match=f"repeats the call with Idempotency-Key {task.external_id}"):
        actions.deliver_again(task.id, **WHO)
    assert (Task.objects.filter(id=task.id).values().get(), events(task)) == (before, [])


@pytest.mark.parametrize(("status", "outcome"), EVERYWHERE)
def test_a_task_is_completed_by_hand_where_the_lifecycle_allows_it_and_nowhere_else(
    scene: Scene, status: Status, outcome: Outcome
) -> None:
    task = scene.task(status, outcome, report_tries=3 if outcome else 0)
    if (status, outcome) not in {("uncertain", ""), ("returned", ""), ("delivered", "failed")}:
        with pytest.raises(TransitionRefused):
            actions.complete_by_hand(task.id, {"leges": 80}, **WHO)
        assert (fresh(task).status, events(task)) == (status, [])
        return
    actions.complete_by_hand(task.id, {"leges": 80, "naam": "Saskia"}, **WHO)
    now = fresh(task)
    assert (now.status, now.outcome, now.by_hand) == (Status.PERFORMED, Outcome.COMPLETED, True)
    assert (now.report_tries, now.look_at, now.reporter_id) == (0, None, None)
    assert now.outcome_id not in {None, task.outcome_id, task.last_lease_id}
    assert now.next_report_at is not None
    assert now.result is not None
    assert now.result["variables"]["leges"] == {"type": "Integer", "value": 80, "valueInfo": {}}
    told_ = told(task.id, "task.completed_by_hand")
    assert told_ == {"reason": "because I know", "variables": ["leges", "naam"]}


def test_a_value_that_no_engine_takes_is_refused_before_anything_is_written(scene: Scene) -> None:
    task = scene.task(Status.RETURNED)
    with pytest.raises(UnsendableValue):
        actions.complete_by_hand(task.id, {"leges": object()}, **WHO)
    assert fresh(task).status == Status.RETURNED


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_a_task_that_is_handed_back_lies_in_the_engine_again(scene: Scene, there: FakeEngine, status: Status) -> None:
    task = scene.task(status)
    actions.hand_back(task.id, **WHO)
    assert (fresh(task).status, lease_of(task).ended_as) == (Status.RETURNED, LeaseEnd.GIVEN_BACK)
    assert events(task) == ["lease.ended", "task.handed_back"]
    assert told(task.id, "task.handed_back") == {"reason": "because I know"}
    there.advance(0.01)
    assert task.external_id in scene.fetch(scene.process()).leased


@pytest.mark.parametrize(("status", "outcome"), [case for case in EVERYWHERE if case[0] not in {"queued", "running"}])
def test_only_what_is_queued_or_running_is_handed_back(scene: Scene, status: Status, outcome: Outcome) -> None:
    task = scene.task(status, outcome)
    with pytest.raises(TransitionRefused):
        actions.hand_back(task.id, **WHO)
    assert (fresh(task).status, events(task)) == (status, [])


def test_handing_back_works_while_the_engine_is_away(scene: Scene, there: FakeEngine) -> None:
    task = scene.task(Status.RUNNING)
    with there.down():
        actions.hand_back(task.id, **WHO)
    assert fresh(task).status == Status.RETURNED


@pytest.mark.parametrize(("status", "outcome"), EVERYWHERE)
@pytest.mark.parametrize("live", [True, False])
def test_a_page_offers_exactly_what_will_not_be_refused(
    scene: Scene, status: Status, outcome: Outcome, live: bool
) -> None:
    if live and status in {Status.RETURNED, Status.DELIVERED, Status.LOST}:
        live = False
    if not live and status in {Status.QUEUED, Status.RUNNING}:
        live = True
    does: dict[str, Callable[[int], None]] = {
        "retry": lambda task_id: actions.retry(task_id, **WHO),
        "deliver_again": lambda task_id: actions.deliver_again(task_id, **WHO),
        "complete": lambda task_id: actions.complete_by_hand(task_id, {}, **WHO),
        "hand_back": lambda task_id: actions.hand_back(task_id, **WHO),
    }
    for name, action in does.items():
        task = scene.task(status, outcome, live=live)
        offered = name in actions.possible(task)
        try:
            action(task.id)
        except (ActionRefused, TransitionRefused):
            assert not offered, f"{name} was offered and refused"
        else:
            assert offered, f"{name} was not offered and done"
