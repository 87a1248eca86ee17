"""Completed, failed, thrown: what the engine makes of a report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest

from bptl.engines.base import EngineConflict, EngineRefused, EngineUnavailable, ExternalTask, NotFound
from bptl.engines.variables import decode_all, encode_all
from tests.engines.scene import WORKER, Scene

NO_TIME = timedelta()


def fail(
    scene: Scene, task: ExternalTask, *, retries: int = 0, wait: timedelta = NO_TIME, message: str = "broken"
) -> None:
    assert task.worker_id
    scene.worker.fail(
        task.id,
        worker_id=task.worker_id,
        message=message,
        details=f"why it is {message}",
        retries=retries,
        retry_timeout=wait,
        variables=encode_all({"failures": 1}),
    )


def incidents(scene: Scene, task: ExternalTask) -> list[tuple[str, str]]:
    found = scene.wire.good("GET", f"incident?processInstanceId={task.process_instance_id}")
    return [(incident["incidentType"], incident["incidentMessage"]) for incident in found]


def test_completing_continues_the_process_with_our_variables(scene: Scene) -> None:
    task, worker_id = scene.started_task("two")
    scene.worker.complete(
        task.id,
        worker_id=worker_id,
        variables=encode_all({"answer": 42}),
        local_variables=encode_all({"mine": "only"}),
    )
    following = scene.fetch_one(variables=["answer", "mine"])
    assert following.activity_id == "second"
    assert decode_all(following.variables) == {"answer": 42}


def test_a_failure_without_retries_is_an_incident_and_is_not_fetched_again(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    fail(scene, task, retries=0)
    assert incidents(scene, task) == [("failedExternalTask", "broken")]
    scene.advance(timedelta(days=1))
    assert scene.fetch() == []
    found = scene.worker.get(task.id)
    assert (found.retries, found.error_message, found.worker_id) == (0, "broken", worker_id)
    assert scene.worker.error_details(task.id) == "why it is broken"


def test_a_task_that_never_failed_has_no_error_details(scene: Scene) -> None:
    task, _ = scene.started_task()
    assert scene.worker.error_details(task.id) == ""


def test_new_retries_end_the_incident(scene: Scene) -> None:
    task, _ = scene.started_task()
    fail(scene, task, retries=0)
    scene.worker.set_retries(task.id, 2)
    assert incidents(scene, task) == []
    again = scene.fetch_one()
    assert (again.retries, again.error_message, again.error_details) == (2, "broken", "why it is broken")


def test_the_worker_counts_retries_and_the_engine_waits(scene: Scene) -> None:
    task, _ = scene.started_task()
    assert task.retries is None
    fail(scene, task, retries=2, wait=timedelta(minutes=10))
    scene.advance(timedelta(minutes=9))
    assert scene.fetch() == []
    scene.advance(timedelta(minutes=2))
    again = scene.fetch_one()
    assert again.retries == 2
    assert decode_all(again.variables)["failures"] == 1
    fail(scene, again, retries=1)
    assert scene.fetch_one().retries == 1


def test_the_same_lease_may_still_complete_after_its_failure(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    fail(scene, task, retries=0)
    scene.complete(task, worker_id)
    assert scene.state(task.process_instance_id) == "COMPLETED"
    assert incidents(scene, task) == []


def test_a_second_failure_makes_no_second_incident(scene: Scene) -> None:
    task, _ = scene.started_task()
    fail(scene, task, retries=0)
    fail(scene, task, retries=0, message="broken again")
    assert len(incidents(scene, task)) == 1


def test_a_long_message_is_cut_where_the_engine_would_cut_it(scene: Scene) -> None:
    task, _ = scene.started_task()
    fail(scene, task, message="𝄞" * 700)
    assert scene.worker.get(task.id).error_message == "𝄞" * 332 + "…"


def test_what_a_database_cannot_store_does_not_stop_a_failure(scene: Scene) -> None:
    task, _ = scene.started_task()
    fail(scene, task, message="nul \0 and half \ud800")
    assert scene.worker.get(task.id).error_message == "nul \ufffd and half ?"


def test_a_caught_bpmn_error_takes_its_way_with_code_message_and_variables(scene: Scene) -> None:
    task, worker_id = scene.started_task("caught")
    scene.worker.throw(
        task.id, worker_id=worker_id, code="OUT-OF-STOCK", message="no more", variables=encode_all({"left": 0})
    )
    assert scene.waits_at(task.process_instance_id) == ["reorder"]
    found = decode_all(scene.worker.variables(task.process_instance_id, ["code", "text", "left"]))
    assert found == {"code": "OUT-OF-STOCK", "text": "no more", "left": 0}


def test_a_bpmn_error_that_nobody_catches_ends_the_process_in_silence(scene: Scene) -> None:
    task, worker_id = scene.started_task("caught")
    scene.worker.throw(task.id, worker_id=worker_id, code="UNKNOWN", message="")
    assert scene.state(task.process_instance_id) == "COMPLETED"
    assert incidents(scene, task) == []


def test_a_failing_next_step_refuses_the_completion_and_leaves_the_task_to_us(scene: Scene) -> None:
    task, worker_id = scene.started_task("behind")
    scene.fault("next-step", times=1)
    with pytest.raises(EngineRefused, match="told to fail"):
        scene.complete(task, worker_id, answer=42)
    assert scene.worker.get(task.id).worker_id == worker_id
    assert "answer" not in scene.worker.variables(task.process_instance_id)
    scene.complete(task, worker_id, answer=42)
    assert scene.state(task.process_instance_id) == "COMPLETED"


def test_a_completion_whose_answer_never_came_has_happened_and_is_not_found_afterwards(scene: Scene) -> None:
    task, worker_id = scene.started_task("behind")
    scene.fault("next-step", delay=timedelta(seconds=1))
    impatient = scene.house.client(WORKER[0], timeout=0.3)
    with pytest.raises(EngineUnavailable) as silence:
        impatient.complete(task.id, worker_id=worker_id, variables={})
    assert silence.value.sent is True
    # Both at once, until the first has ended: the engine lets only one of them through.
    with pytest.raises((NotFound, EngineConflict)):
        scene.complete(task, worker_id)
    with pytest.raises(NotFound):
        scene.complete(task, worker_id)
    assert scene.state(task.process_instance_id) == "COMPLETED"


def _complete_together(scene: Scene, both: Sequence[ExternalTask], **variables: str) -> list[ExternalTask]:
    """Complete two tasks at once, with slow steps behind both; answers those that met a conflict."""
    for activity in ("slow-left", "slow-right"):
        scene.fault(activity, delay=timedelta(milliseconds=700))
    together = Barrier(2)

    def complete(task: ExternalTask) -> EngineConflict | None:
        together.wait()
        try:
            scene.complete(task, None, **variables)
        except EngineConflict as error:
            return error
        return None

    running = [scene.in_background(partial(complete, task)) for task in both]
    ends = [run.result(timeout=30) for run in running]
    return [task for task, error in zip(both, ends, strict=True) if error]


def test_of_two_completions_that_meet_at_a_join_one_conflicts_and_may_be_repeated(scene: Scene) -> None:
    instance = scene.start("join")
    conflicts = _complete_together(scene, scene.fetch())
    assert len(conflicts) == 1
    assert scene.waits_at(instance) == []
    scene.complete(conflicts[0])
    assert scene.waits_at(instance) == ["joined"]


def test_of_two_branches_that_write_one_variable_one_conflicts_and_may_be_repeated(scene: Scene) -> None:
    instance = scene.start("branches", shared="before")
    conflicts = _complete_together(scene, scene.fetch(), shared="after")
    assert len(conflicts) == 1
    assert len(scene.waits_at(instance)) == 1
    scene.complete(conflicts[0], shared="after")
    assert sorted(scene.waits_at(instance)) == ["left-done", "right-done"]
