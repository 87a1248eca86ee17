"""A worker's places with its reporter: from a queued task to an outcome that the engine has taken."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from bptl.tasks import actions, quarantine
from bptl.tasks.delivery import outbox
from bptl.tasks.execution.catchers import Caught
from bptl.tasks.execution.claim import claim
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.models import Event, Lease, ProcessKind, Task
from bptl.workers import floor as floors
from bptl.workers.floor import Floor
from tests.doubles.engine import ExternalTask, FakeEngine
from tests.integration.scene import Scene, fresh, lease_of
from tests.integration.waiting import until
from tests.integration.workers import units

OpenFloor = Callable[..., Floor]


def text(value: str) -> dict[str, Any]:
    return {"type": "String", "value": value, "valueInfo": {}}


def queue(
    scene: Scene, there: FakeEngine, topic: str = "topic", *, amount: int = 1, **fields: Any
) -> list[ExternalTask]:
    """Tasks that a poller has fetched."""
    external = [there.add(topic, **fields) for _ in range(amount)]
    poller = scene.process(ProcessKind.POLL, places=0)
    room = scene.process(places=amount + Task.objects.filter(status__in=["queued", "running"]).count())
    scene.fetch(poller)
    scene.bury(room)
    return external


def task_of(external: ExternalTask) -> Task:
    return Task.objects.get(external_id=external.id)


def becomes(external: ExternalTask, status: Status, outcome: Outcome = Outcome.NONE) -> Task:
    """The task when it has come there."""
    where = Task.objects.filter(external_id=external.id, status=status, outcome=outcome)
    return until(where.first, what=f"{external.id} is {status} {outcome}")


def test_a_task_runs_and_its_result_is_delivered(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    variables = {"aanvrager": text("Saskia"), "bouwkosten": {"type": "Double", "value": 10_000.0, "valueInfo": {}}}
    (external,) = queue(scene, there, variables=variables)
    open_floor()
    task = becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed == {external.id: {"begroeting": "Geachte Saskia", "leges": 250.0}}
    assert (lease_of(task).ended_as, task.assumed) == (LeaseEnd.DELIVERED, False)
    assert there.calls["complete"] == 1


def test_many_tasks_run_in_few_places_and_each_is_done_once(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    external = queue(scene, there, amount=50)
    floor = open_floor(places=3)
    until(lambda: Task.objects.filter(status=Status.DELIVERED).count() == 50)
    until(lambda: floor.reporter.idle and not floor.running)
    assert set(there.completed) == {task.id for task in external}
    assert there.calls["complete"] == 50


def test_two_workers_share_one_queue(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("gated", "test.wait_at_gate")
    queue(scene, there, "gated", amount=4, variables={"gate": text("a")})
    one, two = open_floor(places=2), open_floor(places=2)
    until(lambda: one.running == two.running == 2)
    assert not Task.objects.filter(status=Status.QUEUED).exists()
    units.GATES["a"].set()
    until(lambda: len(there.completed) == 4)
    assert set(units.STARTED.values()) == {1}


def test_a_slow_task_holds_its_own_place_and_nobody_else_s(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("gated", "test.wait_at_gate")
    (slow,) = queue(scene, there, "gated", variables={"gate": text("a")}, priority=9)
    quick = queue(scene, there, amount=5)
    open_floor(places=2)
    until(lambda: len(there.completed) == 5)
    assert set(there.completed) == {task.id for task in quick}
    assert task_of(slow).status == Status.RUNNING


def test_a_failing_unit_makes_a_failure_with_retries_and_a_wait(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("failing", "test.try_again")
    (external,) = queue(scene, there, "failing")
    open_floor()
    task = becomes(external, Status.DELIVERED, Outcome.FAILED)
    (failure,) = there.failures
    assert (failure.message, failure.retries) == ("the register is away", 3)
    assert 51_000 <= failure.timeout <= 69_000
    assert failure.details.startswith(f"{task.outcome_id}\nTraceback")
    error = lease_of(task).error
    assert error is not None
    assert (error["message"], error["retries"]) == ("the register is away", 3)


def test_retries_count_down_and_end_in_an_incident(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("failing", "test.try_again")
    (external,) = queue(scene, there, "failing", extension_properties={"RETRY_CONFIG": "R1/PT1S"})
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    there.advance(5)
    scene.process(places=4)
    scene.fetch(scene.process(ProcessKind.POLL, places=0))
    until(lambda: len(there.failures) == 2)
    assert [failure.retries for failure in there.failures] == [1, 0]
    assert becomes(external, Status.DELIVERED, Outcome.FAILED).attempts == 2


def fetched_again(scene: Scene, external: ExternalTask) -> None:
    """The engine offers the task once more, and a poller takes it."""
    external.locked_until = scene.there.now() - 1
    room = scene.process(places=4)
    assert external.id in scene.fetch(scene.process(ProcessKind.POLL, places=0)).leased
    scene.bury(room)


def test_an_attempt_after_a_failure_repeats_no_effect(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("registering", "test.register")
    failures = {"type": "Integer", "value": 1, "valueInfo": {}}
    (external,) = queue(scene, there, "registering", variables={"naam": text("Saskia"), "failures": failures})
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    fetched_again(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"receipt": "R-Saskia"}
    assert (units.STARTED[external.id], units.PAID.total()) == (2, 1)


def test_variables_that_an_operator_changed_after_the_effect_are_an_incident_that_shows_the_difference(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("registering", "test.register")
    failures = {"type": "Integer", "value": 1, "valueInfo": {}}
    (external,) = queue(scene, there, "registering", variables={"naam": text("Saskia"), "failures": failures})
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    external.variables["naam"] = text("Titia")
    fetched_again(scene, external)
    until(lambda: external.retries == 0)
    assert "effect 'register' was recorded with other arguments (naam: then 'Saskia', now 'Titia')" in str(
        external.error_message
    )
    assert units.PAID.total() == 1


def test_a_bpmn_error_that_no_model_catches_is_an_incident_and_ends_nothing_in_silence(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bptl.tasks.execution.run.caught", lambda *_, **__: Caught.NO)
    scene.map("throwing", "test.throw")
    (external,) = queue(scene, there, "throwing")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert there.thrown == {}
    assert external.retries == 0
    assert external.error_message == "BPMN error INCOMPLETE is caught by no boundary event of the model: no attachments"


def test_a_bpmn_error_is_thrown(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("throwing", "test.throw")
    (external,) = queue(scene, there, "throwing")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.THROWN)
    thrown = there.thrown[external.id]
    assert (thrown["errorCode"], thrown["errorMessage"]) == ("INCOMPLETE", "no attachments")
    assert thrown["variables"]["missing"]["value"] == "plan"


def test_a_mapping_makes_a_bpmn_error_of_a_failure(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("failing", "test.try_again", error_codes={"HTTP 404": "ABSENT", "TryAgain": "BUSY"})
    (external,) = queue(scene, there, "failing")
    open_floor()
    task = becomes(external, Status.DELIVERED, Outcome.THROWN)
    thrown = there.thrown[external.id]
    assert (thrown["errorCode"], thrown["errorMessage"]) == ("BUSY", "the register is away")
    assert task.result is not None
    assert task.result["catcher"] == "not checked", "this engine shows no models"


def test_a_task_on_which_three_processes_died_is_left_to_a_person(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("deadly", "test.wait_at_gate")
    (external,) = queue(scene, there, "deadly")
    Task.objects.update(crashes=3)
    open_floor()
    task = becomes(external, Status.DELIVERED, Outcome.FAILED)
    (failure,) = there.failures
    assert failure.retries == 0
    said = "quarantined: 3 times a process died, or lost a place, while it ran test.wait_at_gate on this task"
    assert failure.message == said
    assert units.STARTED[external.id] == 0
    assert quarantine.exists()
    actions.retry(task.id, actor="Saskia", reason="more memory")
    assert Task.objects.get().crashes == 0
    assert not quarantine.exists()


def test_a_mapping_says_how_many_processes_may_die(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("careful", "test.wait_at_gate", quarantine_after=1)
    scene.map("patient", "test.wait_at_gate", quarantine_after=5)
    (careful,) = queue(scene, there, "careful")
    (patient,) = queue(scene, there, "patient", variables={"gate": text("open")})
    Task.objects.filter(external_id=careful.id).update(crashes=1)
    Task.objects.filter(external_id=patient.id).update(crashes=4)
    units.GATES["open"].set()
    open_floor()
    becomes(careful, Status.DELIVERED, Outcome.FAILED)
    becomes(patient, Status.DELIVERED, Outcome.COMPLETED)
    assert there.failures[0].message.startswith("quarantined: once a process died")
    assert [one.task.external_id for one in quarantine.page()] == [careful.id]


def test_invalid_input_is_an_incident_at_once_that_names_every_bad_field(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("greeting", "test.greet")
    (external,) = queue(scene, there, "greeting", variables={"age": text("old")})
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    (failure,) = there.failures
    assert failure.retries == 0
    assert "bsn: is missing" in failure.message
    assert "age: must be a whole number" in failure.message


def test_a_unit_that_tries_to_end_the_process_only_fails(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("leaving", "test.exit")
    (external,) = queue(scene, there, "leaving")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert "SystemExit" in there.failures[0].message


def test_a_result_that_cannot_be_stored_becomes_an_incident_and_stops_no_other(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("unstorable", "test.answer_unstorable")
    (bad,) = queue(scene, there, "unstorable")
    good = queue(scene, there, amount=3)
    open_floor()
    becomes(bad, Status.DELIVERED, Outcome.FAILED)
    for external in good:
        becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert [failure.retries for failure in there.failures] == [0]


@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_a_task_whose_mapping_broke_after_its_fetch_is_given_back(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, how: str
) -> None:
    mapping = scene.map("breaking")
    (external,) = queue(scene, there, "breaking")
    if how == "deleted":
        mapping.delete()
    else:
        mapping.unit = "test.quik"
        mapping.save()
    open_floor()
    task = becomes(external, Status.RETURNED)
    assert lease_of(task).ended_as == LeaseEnd.GIVEN_BACK
    assert str(Event.objects.get(task=task).detail["reason"])
    until(lambda: (external.locked_until or 0) <= there.now(), what="free for another fetch")


def test_a_run_that_takes_too_long_is_told_to_stop_and_fails(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("gated", "test.wait_at_gate", longest_run_seconds=1)
    (external,) = queue(scene, there, "gated", variables={"gate": text("never")})
    floor = open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert [external.id] == units.STOPPED
    assert there.failures[0].message.startswith("ran too long: test.wait_at_gate was cancelled after 1 s")
    assert floor.places == 4


def test_a_unit_that_does_not_stop_costs_its_place_and_the_process_its_life(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "WRITE_OFF_AFTER", 0.1)
    scene.map("gated", "test.wait_at_gate", longest_run_seconds=1)
    stubborn = {"type": "Boolean", "value": True, "valueInfo": {}}
    (external,) = queue(scene, there, "gated", variables={"gate": text("late"), "stubborn": stubborn})
    worn_out = threading.Event()
    floor = open_floor(places=2, on_worn_out=worn_out.set)
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert worn_out.wait(10)
    assert (floor.places, floor.running, floor.stuck) == (1, 0, True)
    (waiting,) = queue(scene, there)
    units.GATES["late"].set()
    until(lambda: not floor.stuck)
    assert (len(there.failures), there.completed) == (1, {}), "what it answers now is not reported"
    assert task_of(waiting).status == Status.QUEUED


def test_a_worker_that_was_told_to_stop_does_not_begin_anew_for_a_lost_place(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "WRITE_OFF_AFTER", 0.1)
    scene.map("gated", "test.wait_at_gate", longest_run_seconds=1)
    stubborn = {"type": "Boolean", "value": True, "valueInfo": {}}
    (external,) = queue(scene, there, "gated", variables={"gate": text("late"), "stubborn": stubborn})
    worn_out = threading.Event()
    floor = open_floor(places=2, on_worn_out=worn_out.set)
    becomes(external, Status.RUNNING)
    floor.stop_claiming()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    until(lambda: floor.places == 1)
    assert not worn_out.is_set()


def test_a_unit_that_never_stops_is_quarantined_with_the_last_place_that_it_may_cost(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "WRITE_OFF_AFTER", 0.1)
    scene.map("gated", "test.wait_at_gate", longest_run_seconds=1, quarantine_after=2)
    stubborn = {"type": "Boolean", "value": True, "valueInfo": {}}
    (external,) = queue(scene, there, "gated", variables={"gate": text("never"), "stubborn": stubborn})
    open_floor(places=2)
    task = becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert (task.crashes, task.quarantined_at, there.failures[0].retries) == (1, None, 3)
    fetched_again(scene, external)
    open_floor(places=2)
    until(lambda: len(there.failures) == 2)
    until(lambda: becomes(external, Status.DELIVERED, Outcome.FAILED).crashes == 2)
    assert there.failures[1].retries == 0
    (found,) = quarantine.page()
    assert (found.unit, [death.wrote_off for death in found.deaths]) == ("test.wait_at_gate", [True, True])
    assert {death.pid for death in found.deaths} == {os.getpid()}


def test_a_stopping_worker_finishes_what_runs_and_takes_nothing_new(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("gated", "test.wait_at_gate")
    (running,) = queue(scene, there, "gated", variables={"gate": text("a")})
    floor = open_floor(places=1)
    becomes(running, Status.RUNNING)
    floor.stop_claiming()
    (left,) = queue(scene, there)
    threading.Timer(0.3, units.GATES["a"].set).start()
    assert floor.drain(grace=15)
    assert task_of(running).status == Status.DELIVERED
    assert task_of(left).status == Status.QUEUED


def test_a_stopping_worker_gives_back_what_does_not_end_in_time(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("gated", "test.wait_at_gate")
    (external,) = queue(scene, there, "gated", variables={"gate": text("never")})
    floor = open_floor()
    becomes(external, Status.RUNNING)
    assert not floor.drain(grace=0.2)
    task = task_of(external)
    assert (task.status, lease_of(task).ended_as) == (Status.RETURNED, LeaseEnd.GIVEN_BACK)
    assert (external.locked_until or 0) <= there.now()
    until(lambda: [external.id] == units.STOPPED)
    assert there.calls["complete"] == 0


def test_a_stopping_worker_leaves_an_undelivered_result_to_the_next_lease(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    (external,) = queue(scene, there)
    there.answer("complete", 502, "bad gateway", times=1000)
    floor = open_floor()
    becomes(external, Status.PERFORMED, Outcome.COMPLETED)
    floor.drain(grace=0.5)
    task = task_of(external)
    assert (task.status, task.outcome, task.lease_id) == (Status.PERFORMED, Outcome.COMPLETED, None)


def test_an_engine_that_comes_back_gets_the_result_that_was_kept(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LATER_WAITS", (timedelta(seconds=0.1),))
    (external,) = queue(scene, there)
    there.cut("complete", executed=False, times=3)
    open_floor()
    task = becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert (task.report_tries, task.assumed) == (4, False)
    assert there.calls["complete"] == 4


def test_a_result_that_the_engine_refuses_again_and_again_is_parked(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "REFUSAL_WAITS", (timedelta(seconds=0.05),) * 2)
    (external,) = queue(scene, there)
    there.refuse("complete", 500, "ProcessEngineException", times=100)
    open_floor()
    until(Task.objects.filter(parked=True).exists)
    task = task_of(external)
    assert (task.status, task.outcome, there.calls["complete"]) == (Status.PERFORMED, Outcome.COMPLETED, 3)
    assert (external.retries, external.error_message) == (0, "work done, engine refuses: complete is refused")


def test_a_retry_of_work_that_the_engine_refused_only_reports_it(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody mends the model and raises the retries in the engine's own tools."""
    monkeypatch.setattr(outbox, "REFUSAL_WAITS", (timedelta(seconds=0.05),))
    scene.map("gated", "test.wait_at_gate")
    units.GATES["a"].set()
    (external,) = queue(scene, there, "gated", variables={"gate": text("a")})
    there.refuse("complete", 500, "ProcessEngineException", times=100)
    open_floor()
    until(Task.objects.filter(parked=True).exists)
    there.reset_faults("complete")
    external.retries = 1
    fetched_again(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"passed": "a"}
    assert units.STARTED[external.id] == 1


def test_the_unit_s_answer_is_not_reported_when_its_lease_has_ended(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("gated", "test.wait_at_gate")
    stubborn = {"type": "Boolean", "value": True, "valueInfo": {}}
    (external,) = queue(scene, there, "gated", variables={"gate": text("a"), "stubborn": stubborn})
    floor = open_floor()
    task = becomes(external, Status.RUNNING)
    Lease.objects.filter(id=task.last_lease_id).update(ended_at=Now(), ended_as=LeaseEnd.PROCESS_DEAD)
    Task.objects.filter(id=task.id).update(status=Status.RETURNED, lease_id=None)
    units.GATES["a"].set()
    until(lambda: not floor.running and floor.reporter.idle)
    assert (fresh(task).status, there.calls["complete"]) == (Status.RETURNED, 0)


def test_a_claim_whose_answer_was_cut_off_is_not_held_for_ever_by_a_worker_that_knows_nothing_of_it(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (external,) = queue(scene, there)

    def cut_off(*args: Any, **given: Any) -> Any:
        if claim(*args, **given):
            monkeypatch.setattr(floors, "claim", claim)
            raise OSError("the connection was cut after the commit")
        return []

    monkeypatch.setattr(floors, "claim", cut_off)
    monkeypatch.setattr(floors, "STRAYS_EVERY", 0.1)
    open_floor()
    task = becomes(external, Status.RETURNED)
    assert lease_of(task).ended_as == LeaseEnd.GIVEN_BACK
    assert Task.objects.filter(status=Status.RUNNING).count() == len(claim(scene.process(), places=1)) == 0
