"""``POST /api/v1/completions/<token>``: what somebody outside hears, and who hears nothing."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from bptl.lib import log
from bptl.tasks import completions
from bptl.tasks.execution.waiting import Awaiting, wait_for
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Completion
from bptl.work_units import registry
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, a_scene, fresh
from tests.integration.tasks.test_completions import TERMS, pass_deadline
from tests.integration.workers import units

DONE = {"outcome": "completed", "variables": {"signedBy": "Saskia"}}


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    registry.load.cache_clear()
    registry.load().add(units.sign)
    with a_scene(there) as scene:
        scene.map("sign", "test.sign")
        yield scene
    registry.load.cache_clear()


@pytest.fixture
def completion(scene: Scene) -> Completion:
    """The address that a waiting task waits for."""
    claimed = scene.claimed(scene.process(), topic="sign")
    made = completions.ask(claimed.task_id, claimed.lease_id, key="signed", unit="test.sign", wait=timedelta(hours=1))
    assert wait_for(scene.process(), claimed.task_id, claimed.lease_id, Awaiting(made.pk, TERMS)) is True
    return made


@pytest.fixture
def outside() -> Client:
    """Who has no login and sends no cookie; CSRF is checked where it is checked at all."""
    return Client(enforce_csrf_checks=True, HTTP_ACCEPT_LANGUAGE="en")


def say(outside: Client, token: str, body: Any) -> Any:
    return outside.post(f"/api/v1/completions/{token}", body, content_type="application/json")


def test_the_address_that_a_unit_gives_out_is_the_one_that_answers() -> None:
    assert reverse("completion", args=["x"]) == f"/{completions.PATH}x"


def test_an_answer_is_stored_before_it_is_confirmed(outside: Client, completion: Completion) -> None:
    answer = say(outside, completion.token, DONE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert fresh(completion.task).status == Status.PERFORMED


def test_an_answer_that_is_repeated_is_confirmed_again(outside: Client, completion: Completion) -> None:
    token = completion.token
    again = {"variables": {"signedBy": "Saskia"}, "outcome": "completed"}
    assert [say(outside, token, body).status_code for body in (DONE, again)] == [204, 204]
    other = say(outside, token, {"outcome": "failed", "message": "no"})
    assert (other.status_code, other.json()["reason"]) == (409, "used")


def test_a_late_answer_hears_which_deadline_it_missed(outside: Client, completion: Completion) -> None:
    token = completion.token
    pass_deadline(completion)
    answer = say(outside, token, DONE)
    assert (answer.status_code, answer.json()["reason"]) == (409, "expired")
    deadline = Completion.objects.get(pk=completion.pk).deadline
    assert deadline.isoformat(timespec="seconds") in answer.json()["detail"]


@pytest.mark.parametrize("token", ["nothing", "bptl_completion_" + "x" * 43])
def test_an_unknown_address_says_nothing(outside: Client, completion: Completion, token: str) -> None:
    answer = say(outside, token, DONE)
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"outcome"}),
        ({"outcome": "maybe"}, {"outcome"}),
        ({"outcome": "failed"}, {"message"}),
        ({"outcome": "failed", "message": "x", "variables": {}, "retries": 5}, {"variables"}),
        ({"outcome": "failed", "message": "x", "retries": -1}, {"retries"}),
        ({"outcome": "thrown"}, {"code"}),
        ({"outcome": "thrown", "code": "NOPE"}, {"code"}),
        ({"outcome": "completed", "variables": []}, {"variables"}),
        ({"outcome": "completed", "code": "REFUSED"}, {"code"}),
        (
            {"outcome": "completed", "variables": {"pages": "x", "y": 1}},
            {f"variables.{n}" for n in ("signedBy", "pages", "y")},
        ),
    ],
)
def test_a_bad_answer_names_its_fields_and_loses_nothing(
    outside: Client, completion: Completion, body: dict[str, Any], fields: set[str]
) -> None:
    answer = say(outside, completion.token, body)
    assert (answer.status_code, set(answer.json())) == (400, fields)
    assert say(outside, completion.token, DONE).status_code == 204


def test_a_body_that_is_no_json_or_too_large_is_refused(
    outside: Client, completion: Completion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_settings, "BPTL_CALL_BYTES", 100)
    assert say(outside, completion.token, "{").status_code == 400
    assert say(outside, completion.token, {"outcome": "failed", "message": "x" * 200}).status_code == 413


def test_other_methods_tell_nothing(outside: Client, completion: Completion) -> None:
    known, unknown = (outside.get(f"/api/v1/completions/{token}") for token in (completion.token, "nothing"))
    assert (known.status_code, known.content) == (405, unknown.content)


def test_a_unit_that_is_not_installed_here_takes_no_answer_and_loses_none(
    outside: Client, completion: Completion
) -> None:
    registry.load.cache_clear()
    assert say(outside, completion.token, DONE).status_code == 503
    registry.load().add(units.sign)
    assert say(outside, completion.token, DONE).status_code == 204


def test_no_log_line_holds_a_token(outside: Client, completion: Completion, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, root = io.StringIO(), logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr("sys.stderr", lines)
    log.configure(level="DEBUG")
    token = completion.token
    try:
        for body in ({"outcome": "failed", "message": f"gone: {token}"}, DONE, {}, DONE):
            say(outside, token, body)
        logging.getLogger("django.request").warning("Not Found: /api/v1/completions/%s", token)
        log.get_logger("unit").info("asked", url=f"https://x/api/v1/completions/{token}")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert "completions/***" in lines.getvalue()
    assert token not in lines.getvalue()
    assert token not in str(fresh(completion.task).__dict__)
