"""``/live`` and ``/ready`` for the platform: yes or no, nothing else, without login.

They are answered before every other middleware: a probe calls an address instead of a known host, has no session,
and must not wait for the database just to hear that the process lives.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse

from bptl.lib.log import get_logger

logger = get_logger(__name__)


class HealthMiddleware:
    """Answers ``GET /live`` and ``GET /ready``; passes on everything else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._migrated = False

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/live":
            return _answer(True)
        if request.path_info == "/ready":
            return _answer(self._ready())
        return self._get_response(request)

    def _ready(self) -> bool:
        try:
            # Applied migrations stay applied while this process lives, so the costly question is asked until it is yes.
            if not self._migrated:
                self._migrated = migrated()
            else:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
        except DatabaseError as error:
            logger.warning("readiness.refused", error=str(error))
            return False
        return self._migrated


def migrated() -> bool:
    """Whether the database has every migration of this installation; raises DatabaseError when it cannot be asked."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _answer(yes: bool) -> HttpResponse:
    response = HttpResponse("yes\n" if yes else "no\n", content_type="text/plain", status=200 if yes else 503)
    response["Cache-Control"] = "no-store"
    return response
