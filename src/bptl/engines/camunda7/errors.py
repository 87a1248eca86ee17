"""The one translation of what a Camunda 7 REST API answers, or does not answer, into the errors of the left bank.

The engine tells apart by status, ``type`` and ``code``; its texts differ between the forks and are not read, except
where nothing else tells a wrong engine name from a bad request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

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
from bptl.lib.http import Answer, HttpError, NeverSent

OPTIMISTIC_LOCKING = 1
DEADLOCK = 10000
COLUMN_TOO_SMALL = 10002

# JAX-RS answers an unknown path with 404 NotFoundException; the engine's own resources name these two.
MISSING_THINGS = {"RestException", "InvalidRequestException"}
NO_SUCH_ENGINE = re.compile(r"^(No process engine available|Process engine .* not available)")
SHUTTING_DOWN = re.compile(r"shutdown of application server")

# Spring's words for an engine without its database; a transaction that failed at its end may have ended well.
WITHOUT_DATABASE = {
    "CannotCreateTransactionException",
    "CannotGetJdbcConnectionException",
    "TransactionSystemException",
}


class Operation(Enum):
    """What was asked, where the meaning of an answer depends on it."""

    FETCH = auto()
    TASK = auto()
    OTHER = auto()


def from_silence(error: HttpError) -> EngineUnavailable:
    """No answer: whether the request can have acted is what the HTTP client says."""
    return EngineUnavailable(str(error), sent=not isinstance(error, NeverSent))


def from_answer(answer: Answer, *, operation: Operation = Operation.OTHER) -> EngineError:
    """The error that an unwanted ``answer`` means; ``operation`` is what was asked."""
    status = answer.status
    body = _engine_body(answer)
    if status == 401:
        return NotAuthenticated("the engine does not accept these credentials (401)", status=status)
    if status in {429, 503}:
        text = body["message"] if body else f"the engine or its proxy asks for patience ({status})"
        return EngineUnavailable(text, sent=True, retry_after=_retry_after(answer.headers), status=status)
    if body is None:
        return _from_elsewhere(answer)
    kind, message, code = body["type"], body["message"], body.get("code")
    if NO_SUCH_ENGINE.search(message):
        return WrongAddress(f"no such engine behind this address: {message}", sent=True, status=status, kind=kind)
    if status == 403:
        return NotAuthorized(message, missing=_missing(body), status=status, kind=kind)
    if status >= 500:
        return _from_failure(status, kind, message, code, operation)
    return _from_refusal(status, kind, message, code, operation)


def _from_refusal(status: int, kind: str, message: str, code: int | None, operation: Operation) -> EngineError:
    if status == 404 and kind not in MISSING_THINGS:
        return WrongAddress(f"no REST API of an engine at this path: {message}", sent=True, status=status, kind=kind)
    if status == 404:
        return NotFound(message, status=status, kind=kind, code=code)
    if status == 400 and operation is Operation.TASK and kind != "InvalidRequestException":
        return LockRefused(message, status=status, kind=kind, code=code)
    if status == 400 and kind == "RestException":
        return EngineRefused(message, status=status, kind=kind, code=code)
    return InvalidRequest(message, status=status, kind=kind, code=code)


def _from_failure(status: int, kind: str, message: str, code: int | None, operation: Operation) -> EngineError:
    if code in {OPTIMISTIC_LOCKING, DEADLOCK} or kind == "OptimisticLockingException":
        return EngineConflict(message, status=status, kind=kind, code=code)
    if code == COLUMN_TOO_SMALL:
        return InvalidRequest(message, status=status, kind=kind, code=code)
    queue_is_full = operation is Operation.FETCH and kind == "InvalidRequestException"
    if queue_is_full or kind in WITHOUT_DATABASE or SHUTTING_DOWN.search(message):
        return EngineUnavailable(message, sent=True, status=status, kind=kind, code=code)
    return EngineRefused(message, status=status, kind=kind, code=code)


def _from_elsewhere(answer: Answer) -> EngineError:
    """An answer without the engine's error body: a proxy's, the servlet container's or another application's."""
    status = answer.status
    excerpt = " ".join(answer.text.split())[:200]
    text = f"HTTP {status} without an engine's message: {excerpt}" if excerpt else f"HTTP {status} without a message"
    if status == 403:
        return NotAuthorized(text)
    if status == 408 or status >= 500:
        return EngineUnavailable(text, sent=True, status=status)
    if status in {400, 411, 413, 414, 415, 422, 431}:
        return InvalidRequest(text, status=status)
    return WrongAddress(text, sent=True, status=status)


def _engine_body(answer: Answer) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        return None
    return {**body, "message": body.get("message") or body["type"]}


def _missing(body: Mapping[str, Any]) -> Sequence[str]:
    entries = body.get("missingAuthorizations") or [body]
    return tuple(
        f"{entry.get('permissionName')} on {entry.get('resourceName')} {entry.get('resourceId') or '*'}"
        for entry in entries
        if entry.get("permissionName")
    )


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isdigit():
        return timedelta(seconds=int(value))
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(timedelta(), moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC))
