"""The table of answers: what each status, type and code means for us."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bptl.engines.base import (
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    InvalidRequest,
    LockRefused,
    NotAuthenticated,
    NotAuthorized,
    NotFound,
    WrongAddress,
)
from bptl.engines.camunda7.errors import Operation, from_answer, from_silence
from bptl.lib.http import Answer, AnswerUnknown, NeverSent

PAGE = b"<html><title>404 Not Found</title></html>"


def answer(status: int, body: bytes | dict[str, Any] | list[Any] = b"", **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=content
    )


def engine(kind: str, message: str = "text", code: int | None = None) -> dict[str, Any]:
    return {"type": kind, "message": message, "code": code}


TABLE: list[tuple[str, Answer, Operation, type[EngineError]]] = [
    ("wrong worker", answer(400, engine("RestException")), Operation.TASK, LockRefused),
    ("expired or suspended", answer(400, engine("SuspendedEntityInteractionException")), Operation.TASK, LockRefused),
    ("unreadable value", answer(400, engine("InvalidRequestException")), Operation.TASK, InvalidRequest),
    ("no such message", answer(400, engine("RestException")), Operation.OTHER, EngineRefused),
    ("broken model", answer(400, engine("ParseException")), Operation.OTHER, InvalidRequest),
    ("broken JSON", answer(400, b"Unexpected character"), Operation.FETCH, InvalidRequest),
    ("no login", answer(401), Operation.TASK, NotAuthenticated),
    ("no login, with text", answer(401, engine("InvalidRequestException")), Operation.OTHER, NotAuthenticated),
    ("no right", answer(403, engine("AuthorizationException")), Operation.TASK, NotAuthorized),
    ("a firewall", answer(403, PAGE), Operation.TASK, NotAuthorized),
    ("task gone", answer(404, engine("RestException")), Operation.TASK, NotFound),
    ("instance gone", answer(404, engine("InvalidRequestException")), Operation.OTHER, NotFound),
    ("unknown path", answer(404, engine("NotFoundException", "HTTP 404 Not Found")), Operation.TASK, WrongAddress),
    ("a proxy's 404", answer(404, PAGE), Operation.TASK, WrongAddress),
    ("another application's 404", answer(404, {"status": 404, "path": "/x"}), Operation.TASK, WrongAddress),
    (
        "unknown engine, with login",
        answer(404, engine("InvalidRequestException", "Process engine x not available")),
        Operation.TASK,
        WrongAddress,
    ),
    (
        "unknown engine, without login",
        answer(400, engine("InvalidRequestException", "No process engine available")),
        Operation.TASK,
        WrongAddress,
    ),
    ("a login page", answer(302), Operation.TASK, WrongAddress),
    ("somebody else's success", answer(200, PAGE), Operation.TASK, WrongAddress),
    ("wrong method", answer(405, engine("NotAllowedException")), Operation.OTHER, InvalidRequest),
    ("proxy: slow client", answer(408), Operation.TASK, EngineUnavailable),
    ("proxy: too large", answer(413, PAGE), Operation.TASK, InvalidRequest),
    ("too many requests", answer(429), Operation.FETCH, EngineUnavailable),
    ("optimistic locking", answer(500, engine("OptimisticLockingException", code=1)), Operation.TASK, EngineConflict),
    ("optimistic locking, old", answer(500, engine("OptimisticLockingException")), Operation.TASK, EngineConflict),
    ("optimistic locking inside", answer(500, engine("RestException", code=1)), Operation.OTHER, EngineConflict),
    ("deadlock", answer(500, engine("ProcessEngineException", code=10000)), Operation.TASK, EngineConflict),
    ("foreign key", answer(500, engine("ProcessEngineException", code=10001)), Operation.TASK, EngineRefused),
    ("too long", answer(500, engine("ProcessEngineException", code=10002)), Operation.TASK, InvalidRequest),
    ("a failing step", answer(500, engine("ProcessEngineException", code=0)), Operation.TASK, EngineRefused),
    ("a custom code", answer(500, engine("RestException", code=20000)), Operation.TASK, EngineRefused),
    ("queue full", answer(500, engine("InvalidRequestException")), Operation.FETCH, EngineUnavailable),
    (
        "shutting down",
        answer(500, engine("RestException", "Request rejected due to shutdown of application server.")),
        Operation.FETCH,
        EngineUnavailable,
    ),
    ("no database", answer(500, engine("CannotCreateTransactionException")), Operation.TASK, EngineUnavailable),
    ("a bad fetch", answer(500, engine("ProcessEngineException", code=0)), Operation.FETCH, EngineRefused),
    ("a broken server", answer(500, PAGE), Operation.TASK, EngineUnavailable),
    ("a JSON that is no object", answer(500, [1]), Operation.TASK, EngineUnavailable),
    ("bad gateway", answer(502, PAGE), Operation.TASK, EngineUnavailable),
    ("poll superseded", answer(503), Operation.FETCH, EngineUnavailable),
    ("gateway time-out", answer(504, PAGE), Operation.TASK, EngineUnavailable),
]


@pytest.mark.parametrize(("given", "operation", "error"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_an_answer_means_one_error(given: Answer, operation: Operation, error: type[EngineError]) -> None:
    found = from_answer(given, operation=operation)
    assert type(found) is error
    assert found.status == given.status
    assert found.message


def test_an_infrastructure_s_refusal_may_have_been_carried_out() -> None:
    for status in (408, 502, 503, 504):
        error = from_answer(answer(status))
        assert isinstance(error, EngineUnavailable)
        assert error.sent is True


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta()),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wish_to_wait_is_understood(value: str, wait: timedelta | None) -> None:
    error = from_answer(answer(503, retry_after=value))
    assert isinstance(error, EngineUnavailable)
    assert error.retry_after == wait


def test_missing_rights_are_named() -> None:
    body = {
        **engine("AuthorizationException"),
        "missingAuthorizations": [
            {"permissionName": "UPDATE", "resourceName": "ProcessInstance", "resourceId": "7"},
            {"permissionName": "UPDATE_INSTANCE", "resourceName": "ProcessDefinition", "resourceId": None},
        ],
    }
    error = from_answer(answer(403, body), operation=Operation.TASK)
    assert isinstance(error, NotAuthorized)
    assert error.missing == ("UPDATE on ProcessInstance 7", "UPDATE_INSTANCE on ProcessDefinition *")


def test_the_old_form_of_a_missing_right_is_named() -> None:
    old = {**engine("AuthorizationException"), "permissionName": "READ", "resourceName": "X", "resourceId": "1"}
    error = from_answer(answer(403, old))
    assert isinstance(error, NotAuthorized)
    assert error.missing == ("READ on X 1",)


def test_silence_says_whether_the_request_left() -> None:
    cause = OSError("refused")
    assert from_silence(NeverSent("POST", "http://engine/", cause)).sent is False
    assert from_silence(AnswerUnknown("POST", "http://engine/", cause)).sent is True
