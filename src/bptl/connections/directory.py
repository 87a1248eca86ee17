"""Applications with their grants, and the registered services, as a process remembers them for a moment.

What an administrator changes counts after at most FRESH seconds. A row that was read before serves while the database
is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.db import DatabaseError, close_old_connections

from bptl.connections.service_models import Application, Service, ServiceGrant

FRESH = 2.0
"""Seconds for which rows are believed."""

MOST = 10_000
"""Answers that are remembered: names of applications come from process variables, which may hold anything."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Known:
    """An application and its grants by the service's id."""

    application: Application
    grants: dict[int, ServiceGrant]


_lock = threading.Lock()
_answers: dict[Hashable, tuple[float, Any]] = {}


def application(app_id: str) -> Known | None:
    """The application with this id, active or not; None when there is none."""
    return _remembered(("application", app_id), lambda: _application(app_id))


def services() -> list[Service]:
    """Every active service."""
    return _remembered("services", lambda: list(Service.objects.filter(active=True)))


def forget() -> None:
    """Believe nothing that was read before: for tests, and for a page that shows what it has just changed."""
    with _lock:
        _answers.clear()


def _application(app_id: str) -> Known | None:
    found = Application.objects.filter(app_id=app_id).prefetch_related("grants__service").first()
    return Known(found, {grant.service_id: grant for grant in found.grants.all()}) if found else None


def _remembered(key: Hashable, read: Callable[[], Found]) -> Found:
    known = _answers.get(key)
    now = time.monotonic()
    if known is not None and now - known[0] < FRESH:
        return cast(Found, known[1])
    try:
        answer = read()
    except DatabaseError:
        if known is None:
            raise
        close_old_connections()
        return cast(Found, known[1])
    with _lock:
        if len(_answers) >= MOST:
            _answers.clear()
        # Before the question: what changes meanwhile is asked for soon enough.
        _answers[key] = (now, answer)
    return answer
