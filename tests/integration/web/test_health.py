"""What the platform may ask without login: yes or no."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from bptl.web.health import HealthMiddleware


def middleware() -> HealthMiddleware:
    def nothing_else(request: HttpRequest) -> HttpResponse:
        raise AssertionError(f"{request.path} was passed on")

    return HealthMiddleware(nothing_else)


def asked(health: HealthMiddleware, path: str) -> tuple[int, bytes]:
    answer = health(RequestFactory().get(path))
    return answer.status_code, answer.content


def test_live_is_answered_for_any_host_without_login_or_database(client: Client) -> None:
    answer = client.get("/live", headers={"host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.content) == (200, b"yes\n")


@pytest.mark.django_db
def test_ready_is_yes_with_a_migrated_database(client: Client) -> None:
    answer = client.get("/ready", headers={"host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.content) == (200, b"yes\n")


@pytest.mark.django_db
def test_ready_is_no_while_a_migration_is_missing_and_yes_as_soon_as_it_is_there() -> None:
    health = middleware()
    ((app, newest),) = MigrationLoader(connection).graph.leaf_nodes("connections")
    MigrationRecorder(connection).record_unapplied(app, newest)
    assert asked(health, "/ready") == (503, b"no\n")
    MigrationRecorder(connection).record_applied(app, newest)
    assert asked(health, "/ready") == (200, b"yes\n")


@pytest.mark.django_db(transaction=True)
def test_ready_follows_the_database_away_and_back_and_tells_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    health = middleware()
    assert asked(health, "/ready") == (200, b"yes\n")
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        away.setitem(connection.settings_dict, "PORT", "1")
        assert asked(health, "/ready") == (503, b"no\n")
        assert asked(health, "/live") == (200, b"yes\n")
    connection.close()
    assert asked(health, "/ready") == (200, b"yes\n")
