"""A task that waits, on its page: until when, asked by whom, and what a person does in the place of the outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from bptl.accounts.roles import Role
from bptl.tasks import answering, completions
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Completion, Event
from bptl.work_units import registry
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, a_scene, fresh
from tests.integration.tasks.test_completions import SIGNED, pass_deadline, waiting
from tests.integration.web.conftest import somebody
from tests.integration.web.test_task_actions import WHY, page, send
from tests.integration.workers import units


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    registry.load.cache_clear()
    registry.load().add(units.sign)
    with a_scene(there) as scene:
        scene.map("sign", "test.sign")
        yield scene
    registry.load.cache_clear()


def test_the_page_says_until_when_it_waits_and_who_asked(operator: Client, reader: Client, scene: Scene) -> None:
    claimed, completion = waiting(scene)
    for client in (operator, reader):
        shown = page(client, f"/tasks/{claimed.task_id}/")
        assert "Waits for somebody outside BPTL, until" in shown
        assert "Waits for an answer until" in shown
        assert "by test.sign" in shown
        assert completion.token not in shown
        assert completion.digest not in shown


def test_an_operator_answers_in_the_place_of_the_outside(operator: Client, scene: Scene) -> None:
    claimed, completion = waiting(scene)
    token = completion.token
    address = f"/tasks/{claimed.task_id}/answer/"
    asked = page(operator, address)
    assert "The address that was given out is refused from then on" in asked
    assert completion.token not in asked
    typed: dict[str, Any] = {"variable-name": ["signedBy"], "variable-type": ["String"], "variable-text": ["Bea"]}
    shown = send(operator, address, claimed.task_id, **typed)
    assert "The answer is stored; the engine is told now." in shown
    task = fresh(claimed)
    assert (task.status, task.outcome) == (Status.PERFORMED, Outcome.COMPLETED)
    event = Event.objects.get(task_id=task.pk, name="task.answered")
    assert event.actor
    assert event.detail["reason"] == WHY
    with pytest.raises(completions.NotTaken):
        answering.from_outside(token, SIGNED, digest="one")


def test_an_answer_that_does_not_fit_is_shown_with_what_was_typed(operator: Client, scene: Scene) -> None:
    claimed, _ = waiting(scene)
    typed: dict[str, Any] = {"variable-name": ["pages"], "variable-type": ["String"], "variable-text": ["many"]}
    shown = send(operator, f"/tasks/{claimed.task_id}/answer/", claimed.task_id, status=200, **typed)
    assert "The answer does not fit the work unit" in shown
    assert "variables.signedBy: is missing" in shown
    assert fresh(claimed).status == Status.WAITING


def test_an_operator_lets_it_fail(operator: Client, scene: Scene) -> None:
    claimed, completion = waiting(scene)
    send(operator, f"/tasks/{claimed.task_id}/fail/", claimed.task_id)
    task = fresh(claimed)
    assert (task.outcome, (task.result or {})["retries"]) == (Outcome.FAILED, 0)
    assert WHY in (task.result or {})["message"]
    assert Completion.objects.get(pk=completion.pk).state == Completion.State.USED


@pytest.mark.parametrize("action", ["answer", "fail"])
def test_a_task_that_does_not_wait_is_not_answered(operator: Client, scene: Scene, action: str) -> None:
    claimed = scene.claimed(scene.process(), topic="sign")
    page(operator, f"/tasks/{claimed.task_id}/{action}/", status=409)


def test_a_deadline_that_passed_and_an_answer_are_steps_of_the_walk(operator: Client, scene: Scene) -> None:
    late, completion = waiting(scene)
    pass_deadline(completion)
    completions.expire(completion.pk)
    assert "No answer came in time" in page(operator, f"/tasks/{late.task_id}/")
    claimed, completion = waiting(scene)
    answering.by_person(claimed.task_id, SIGNED, actor="Bea", reason="on paper")
    shown = page(operator, f"/tasks/{claimed.task_id}/")
    assert "Answered" in shown
    assert "by Bea" in shown


def test_an_address_in_a_variable_is_shown_to_nobody(operator: Client, scene: Scene) -> None:
    token = "bptl_completion_" + "x" * 43
    address = f"https://bptl.example.com/api/v1/completions/{token}"
    variables = {"adviesAdres": {"type": "String", "value": address, "valueInfo": {}}}
    there = scene.there.add(variables=variables)
    there.retries = 0
    task = scene.task(Status.DELIVERED, Outcome.FAILED, external=there, variables=variables)
    for path in (f"/tasks/{task.pk}/", f"/tasks/{task.pk}/retry-with-variables/"):
        shown = page(operator, path)
        assert "adviesAdres" in shown
        assert token not in shown
    assert token not in page(somebody(Role.ADMINISTRATOR), f"/admin/tasks/task/{task.pk}/change/")
