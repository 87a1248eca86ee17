"""``bptl tasks`` as an operator types it."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.db.models.functions import Now

from bptl.cli.main import bptl
from bptl.tasks.endings import Ending
from bptl.tasks.error_groups import group_of
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Event, Task
from bptl.tasks.retries import NO_RETRY
from bptl.work_units import registry
from tests.integration.scene import Scene, completed, fresh
from tests.integration.tasks.test_completions import waiting
from tests.integration.workers import units


def run(line: str) -> Result:
    return CliRunner().invoke(bptl, shlex.split(line))


def test_a_list_shows_the_newest_first_and_keeps_to_its_filters(scene: Scene) -> None:
    older, newer = scene.task(Status.QUEUED), scene.task(Status.QUEUED)
    scene.task(Status.DELIVERED, Outcome.COMPLETED)

    rows = json.loads(run("tasks list --status queued --json").output)

    assert [row["id"] for row in rows] == [newer.pk, older.pk]
    assert str(newer.pk) in run("tasks list --topic topic").output


@pytest.mark.parametrize(
    "option",
    [
        "--unit demo.quick",
        "--application https://ac.example/applicaties/vth",
        "--text Dakkapel",
        "--until 2026-01-02",
        "--error {group}",
    ],
)
def test_a_list_knows_the_filters_of_the_page(scene: Scene, option: str) -> None:
    variables = {
        "bptlAppId": {"type": "String", "value": "https://ac.example/applicaties/vth"},
        "omschrijving": {"type": "String", "value": "Dakkapel van A. de Boer"},
    }
    group = group_of("demo.quick", "it broke").key
    past: dict[str, Any] = {
        "variables": variables,
        "recorded_at": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "error_group": group,
    }
    scene.task(Status.DELIVERED, Outcome.FAILED, mapping=None, error_group=group_of("demo.quick", "it hangs").key)
    wanted = scene.task(Status.DELIVERED, Outcome.FAILED, **past)

    rows = json.loads(run(f"tasks list --json {option.format(group=group)}").output)

    assert [row["id"] for row in rows] == [wanted.pk]


def test_a_moment_that_nobody_can_read_is_told_with_the_form(scene: Scene) -> None:
    answer = run("tasks list --since yesterday")
    assert answer.exit_code == 2
    assert "%Y-%m-%d" in answer.output


def test_a_long_list_is_continued_where_it_ended(scene: Scene) -> None:
    tasks = [scene.task(Status.QUEUED) for _ in range(3)]

    first = json.loads(run("tasks list --limit 2 --json").output)
    rest = json.loads(run(f"tasks list --limit 2 --before {first[-1]['id']} --json").output)

    assert [row["id"] for row in first + rest] == [task.pk for task in reversed(tasks)]


def test_a_status_that_does_not_exist_is_told_with_those_that_do(scene: Scene) -> None:
    answer = run("tasks list --status done")
    assert answer.exit_code == 2
    assert "delivered" in answer.output


def test_tasks_are_counted_by_status_and_outcome(scene: Scene) -> None:
    scene.task(Status.DELIVERED, Outcome.COMPLETED)
    scene.task(Status.DELIVERED, Outcome.THROWN)
    scene.task(Status.DELIVERED, Outcome.THROWN)

    assert json.loads(run("tasks count --json").output) == {"delivered": {"completed": 1, "thrown": 2}}
    assert "thrown" in run("tasks count").output


def test_a_failed_task_tells_its_cause_before_everything_else(scene: Scene) -> None:
    worker = scene.process()
    claimed = scene.performed(worker, Ending.failed("de Zaken API antwoordt niet", "Traceback …", NO_RETRY))

    page = run(f"tasks show {claimed.task_id}").output

    assert page.index("error: de Zaken API antwoordt niet") < page.index("walk:")
    assert "lease 1: started" in page
    assert "no retries left" in page


def test_the_page_of_a_task_names_what_came_in_and_what_went_out(scene: Scene) -> None:
    variables = {"aanvrager": {"type": "String", "value": "Ouédraogo", "valueInfo": {}}}
    claimed = scene.performed(scene.process(), completed(leges=75.0), variables=variables)

    page = run(f"tasks show {claimed.task_id}").output
    facts = json.loads(run(f"tasks show {claimed.task_id} --json").output)

    assert 'aanvrager = "Ouédraogo"' in page
    assert "leges = 75.0" in page
    assert facts["result"]["variables"]["leges"]["value"] == 75.0
    assert facts["leases"][0]["outcome"] == "completed"


@pytest.mark.parametrize(
    ("status", "outcome", "command"),
    [
        (Status.DELIVERED, Outcome.FAILED, "bptl tasks retry"),
        (Status.RETURNED, Outcome.NONE, "bptl tasks complete"),
        (Status.QUEUED, Outcome.NONE, "bptl tasks hand-back"),
        (Status.PERFORMED, Outcome.COMPLETED, "bptl tasks deliver-again"),
    ],
)
def test_the_page_of_a_task_says_what_can_be_done_now(
    scene: Scene, status: Status, outcome: Outcome, command: str
) -> None:
    task = scene.task(status, outcome)
    assert f"{command} {task.pk}" in run(f"tasks show {task.pk}").output


def test_a_failed_task_is_offered_again_and_who_asked_is_kept(scene: Scene) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    scene.there.tasks[task.external_id].retries = 0

    answer = run(f"tasks retry {task.pk} --reason 'service is back' --actor jansen")

    assert answer.exit_code == 0, answer.output
    assert scene.there.tasks[task.external_id].retries == 1
    event = Event.objects.get(task=task)
    assert (event.actor, event.detail["reason"]) == ("jansen", "service is back")


def test_variables_are_changed_before_a_failed_task_is_offered_again(scene: Scene) -> None:
    external = scene.there.add(variables={"hoogte": {"type": "String", "value": "hoog", "valueInfo": {}}}, retries=0)
    task = scene.task(
        Status.DELIVERED, Outcome.FAILED, external=external, process_instance_id=external.process_instance_id
    )

    answer = run(f"tasks retry {task.pk} --var hoogte=9.5 --reason 'typing error'")

    assert answer.exit_code == 0, answer.output
    assert (external.retries, external.variables["hoogte"]["value"]) == (1, 9.5)


def test_one_refused_retry_does_not_stop_the_others(scene: Scene) -> None:
    done = scene.task(Status.DELIVERED, Outcome.COMPLETED)
    failed = scene.task(Status.DELIVERED, Outcome.FAILED)
    scene.there.tasks[failed.external_id].retries = 0

    answer = run(f"tasks retry {done.pk} 999999 {failed.pk} --reason again")

    assert answer.exit_code == 1
    assert f"task {done.pk}: only a failed task is tried again" in answer.output
    assert "there is no task 999999" in answer.output
    assert scene.there.tasks[failed.external_id].retries == 1


@pytest.mark.parametrize("command", ["retry", "deliver-again", "complete", "give-up", "hand-back"])
def test_nobody_acts_without_saying_why(scene: Scene, command: str) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    answer = run(f"tasks {command} {task.pk}")
    assert answer.exit_code == 2
    assert "--reason" in answer.output
    assert not Event.objects.exists()


def test_a_task_is_completed_by_hand_with_typed_variables(scene: Scene) -> None:
    task = scene.task(Status.RETURNED)

    answer = run(f"""tasks complete {task.pk} --reason 'done on paper' --var 'besluit="verlenen"' --var leges=75.5""")

    assert answer.exit_code == 0, answer.output
    stored = fresh(task)
    assert (stored.status, stored.outcome, stored.by_hand) == (Status.PERFORMED, Outcome.COMPLETED, True)
    variables = (stored.result or {})["variables"]
    assert (variables["besluit"]["type"], variables["leges"]["value"]) == ("String", 75.5)


@pytest.mark.parametrize("text", ["besluit=verlenen", "besluit", "=1"])
def test_a_variable_that_is_not_json_is_told_with_an_example(scene: Scene, text: str) -> None:
    task = scene.task(Status.RETURNED)
    answer = run(f"tasks complete {task.pk} --reason x --var {text}")
    assert answer.exit_code == 2
    assert "JSON" in answer.output
    assert fresh(task).status == Status.RETURNED


def test_a_queued_task_is_handed_back_to_its_engine(scene: Scene) -> None:
    task = scene.queued(scene.process())

    answer = run(f"tasks hand-back {task.pk} --reason 'wrong mapping'")

    assert answer.exit_code == 0, answer.output
    assert fresh(task).status == Status.RETURNED


def test_a_parked_result_is_delivered_again(scene: Scene) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, parked=True)

    answer = run(f"tasks deliver-again {task.pk} --reason 'script was corrected'")

    assert answer.exit_code == 0, answer.output
    assert not fresh(task).parked
    assert scene.there.tasks[task.external_id].retries == 1


@pytest.mark.parametrize(
    "command",
    ["show", "deliver-again --reason x", "complete --reason x", "give-up --reason x", "hand-back --reason x"],
)
def test_a_task_that_does_not_exist_is_one_line(scene: Scene, command: str) -> None:
    verb, _, options = command.partition(" ")
    answer = run(f"tasks {verb} 999999 {options}")
    assert answer.exit_code == 1
    assert answer.output == "Error: there is no task 999999; see bptl tasks list\n"


@pytest.mark.parametrize(
    ("command", "status", "outcome"),
    [
        ("complete", Status.DELIVERED, Outcome.COMPLETED),
        ("hand-back", Status.DELIVERED, Outcome.COMPLETED),
        ("deliver-again", Status.DELIVERED, Outcome.COMPLETED),
        ("give-up", Status.RETURNED, Outcome.NONE),
    ],
)
def test_what_the_lifecycle_refuses_is_one_line_with_the_reason(
    scene: Scene, command: str, status: Status, outcome: Outcome
) -> None:
    task = scene.task(status, outcome)
    answer = run(f"tasks {command} {task.pk} --reason x")
    assert answer.exit_code == 1
    assert answer.output.startswith(f"Error: task {task.pk}")
    assert answer.output.count("\n") == 1
    assert not Event.objects.exists()


def test_an_engine_that_is_away_is_told_in_one_line(scene: Scene) -> None:
    task = scene.task(Status.DELIVERED, Outcome.FAILED)
    scene.row.address = "http://127.0.0.1:1/"
    scene.row.save()

    answer = run(f"tasks retry {task.pk} --reason x")

    assert answer.exit_code == 1
    assert "the engine did not do it" in answer.output
    assert [event.name for event in Event.objects.order_by("id")] == ["task.retried", "task.retry_refused"]


def test_show_says_that_retention_has_removed_the_data(scene: Scene) -> None:
    task = scene.task(Status.DELIVERED, Outcome.COMPLETED, emptied_at=Now() + timedelta(seconds=1))
    Task.objects.filter(id=task.id).update(result={"removed_by_retention": True})

    shown = run(f"tasks show {task.id}").output
    assert "data removed by retention: " in shown
    assert "variables in:\n  removed by retention" in shown
    assert "result:\n  removed by retention" in shown
    assert json.loads(run(f"tasks show {task.id} --json").output)["emptied_at"] is not None


def test_what_are_too_many_to_count_is_estimated(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bptl.tasks.queries.MANY", 1)
    monkeypatch.setattr("bptl.tasks.queries.estimate", lambda rows: 12_345)
    for _ in range(2):
        scene.task(Status.DELIVERED, Outcome.COMPLETED)
    assert "about 12000" in run("tasks count").output
    assert json.loads(run("tasks count --json").output) == {"delivered": {"completed": 12_000}}


def test_a_waiting_task_is_told_with_its_deadline_and_answered_by_hand(scene: Scene) -> None:
    registry.load.cache_clear()
    registry.load().add(units.sign)
    scene.map("sign", "test.sign")
    claimed, completion = waiting(scene)

    told = run(f"tasks show {claimed.task_id}").output
    assert "completion signed #1: waits for an answer until" in told
    assert f"bptl tasks answer {claimed.task_id}" in told
    assert completion.token not in run(f"tasks show {claimed.task_id} --json").output

    misfit = run(f"tasks answer {claimed.task_id} --reason paper")
    assert (misfit.exit_code, "variables.signedBy: is missing" in misfit.output) == (1, True)
    assert run(f"""tasks answer {claimed.task_id} --var 'signedBy="Bea"' --reason paper""").exit_code == 0
    assert fresh(claimed).outcome == Outcome.COMPLETED

    claimed, _ = waiting(scene)
    assert run(f"tasks fail {claimed.task_id} --reason 'nobody comes'").exit_code == 0
    assert fresh(claimed).outcome == Outcome.FAILED
    registry.load.cache_clear()
