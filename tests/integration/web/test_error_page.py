"""Pages of errors: what happened, what to do, no secrets, in both languages, whatever is broken."""

from __future__ import annotations

import psycopg
import pytest
from django.db import DatabaseError, OperationalError
from django.db.backends.utils import CursorWrapper
from django.template.loader import render_to_string
from django.test import Client, RequestFactory, override_settings
from django.views.debug import technical_500_response
from pytest_django.fixtures import Settings

from bptl.accounts.models import User
from bptl.connections.models import Engine
from bptl.tasks import queries
from bptl.web import error_page

pytestmark = pytest.mark.django_db

BROKER = "redis://:geheim-wachtwoord@broker:6379/0"


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@override_settings(
    DEBUG=True,
    CELERY_BROKER_URL=BROKER,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": BROKER}},
    FLOWER_BASIC_AUTH="flower:geheim-wachtwoord",
    EMAIL_HOST_PASSWORD="geheim-wachtwoord",
    BPTL_ENCRYPTION_KEYS=["geheim-wachtwoord"],
)
def test_the_page_of_an_error_shows_no_secret_of_the_settings(accept: str) -> None:
    request = RequestFactory().get("/", headers={"accept": accept})
    # Without a traceback, which would show these lines of code too.
    shown = technical_500_response(request, ZeroDivisionError, ZeroDivisionError("deliberately"), None).content.decode()
    assert "deliberately" in shown
    assert "CELERY_BROKER_URL" in shown
    assert "geheim-wachtwoord" not in shown


LANGUAGES = pytest.mark.parametrize("language", ["en", "nl"])


@LANGUAGES
def test_what_was_removed_says_what_may_have_happened_and_leads_to_its_list(reader: Client, language: str) -> None:
    words = {
        "en": ("There is no such", "Tasks that ended long ago are not kept"),
        "nl": ("bestaat niet", "Taken die lang geleden zijn geëindigd, worden niet bewaard"),
    }[language]
    for address, listed in (
        ("/tasks/999/", "/tasks/"),
        ("/engines/999/", "/engines/"),
        ("/engines/999/instances/", "/engines/"),
        ("/services/999/", "/services/"),
        ("/applications/999/", "/applications/"),
        ("/mappings/999/", "/mappings/"),
    ):
        answer = reader.get(address, headers={"accept-language": language})
        shown = answer.content.decode()
        assert (answer.status_code, words[0] in shown) == (404, True), address
        assert f'<p class="utrecht-paragraph"><a class="utrecht-link utrecht-link--html-a" href="{listed}">' in shown
    assert words[1] in reader.get("/tasks/999/", headers={"accept-language": language}).content.decode()


def test_a_stranger_learns_nothing_from_an_address_that_is_not_there(client: Client) -> None:
    answer = client.get("/nowhere/", headers={"accept-language": "en"})
    assert answer.status_code == 404
    assert "This page does not exist" in answer.content.decode()


@LANGUAGES
def test_a_fault_of_ours_is_a_page_without_the_fault(
    reader: Client, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("deliberately")

    monkeypatch.setattr(queries, "counts", broken)
    reader.raise_request_exception = False
    answer = reader.get("/", headers={"accept-language": language})
    shown = answer.content.decode()
    assert answer.status_code == 500
    assert {"en": "Something went wrong", "nl": "Er ging iets mis"}[language] in shown
    assert "deliberately" not in shown


@LANGUAGES
def test_without_its_database_bptl_says_so_and_asks_nobody_who_it_is(
    reader: Client, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    def away(*_: object, **__: object) -> object:
        raise OperationalError("connection refused") from psycopg.OperationalError("connection refused")

    reader.raise_request_exception = False
    # Whatever asks the database first: the session, before the page is reached.
    monkeypatch.setattr(CursorWrapper, "execute", away)
    answer = reader.get("/tasks/?status=queued", headers={"accept-language": language})
    shown = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert {"en": "The database of BPTL does not answer", "nl": "De database van BPTL antwoordt niet"}[
        language
    ] in shown
    assert 'href="/tasks/?status=queued"' in shown


@pytest.mark.parametrize(
    ("cause", "away"),
    [
        (psycopg.OperationalError("server closed the connection"), True),
        (psycopg.errors.CannotConnectNow(), True),
        (psycopg.errors.TooManyConnections(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        (psycopg.errors.QueryCanceled(), False),
        (psycopg.errors.DeadlockDetected(), False),
        (psycopg.errors.UndefinedColumn(), False),
    ],
)
def test_a_database_that_refuses_something_is_not_away(cause: psycopg.Error, away: bool) -> None:
    error = OperationalError("x") if isinstance(cause, psycopg.OperationalError) else DatabaseError("x")
    error.__cause__ = cause
    assert error_page.is_away(error) is away


@LANGUAGES
def test_a_form_that_is_too_large_is_a_page(reader: Client, settings: Settings, language: str) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    answer = reader.post("/account/password/", {"old_password": "x" * 2_000}, headers={"accept-language": language})
    assert answer.status_code == 413
    assert {"en": "That is too much at once", "nl": "Dat is te veel ineens"}[language] in answer.content.decode()


def test_a_host_that_is_not_ours_gets_a_page_without_details(client: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["bptl.example.nl"]
    answer = client.get("/login/", headers={"host": "elsewhere.example", "accept-language": "en"})
    assert answer.status_code == 400
    assert "BPTL does not understand this request" in answer.content.decode()


@LANGUAGES
def test_a_form_without_its_token_is_a_page(language: str) -> None:
    strict = Client(enforce_csrf_checks=True, HTTP_ACCEPT_LANGUAGE=language)
    strict.force_login(User.objects.create_user("somebody"))
    answer = strict.post("/account/password/", {"old_password": "x"})
    assert answer.status_code == 403
    assert {"en": "The form was too old", "nl": "Het formulier was te oud"}[language] in answer.content.decode()


@LANGUAGES
def test_an_address_of_forms_that_is_opened_says_that_nothing_was_sent(
    operator: Client, main_engine: Engine, language: str
) -> None:
    answer = operator.get(f"/engines/{main_engine.pk}/test/", headers={"accept-language": language})
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert {"en": "Nothing was sent", "nl": "Er is niets verstuurd"}[language] in answer.content.decode()


def test_pages_of_errors_run_no_scripts_of_their_own(reader: Client) -> None:
    for name in ("400.html", "500.html", "503.html"):
        assert "<script" not in render_to_string(name, {"again": "/"})
