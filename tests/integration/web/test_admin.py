"""The admin pages: nothing without login, a secret is never shown."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import User
from bptl.connections.models import Engine


@pytest.fixture
def administrator(db: None) -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(User.objects.create_superuser("admin", password="not-used-here"))
    return client


@pytest.fixture
def engine(db: None) -> Engine:
    engine = Engine(name="main", address="http://engine/engine-rest/", authentication="basic", username="worker")
    engine.secret = "zeer-geheim"
    engine.save()
    return engine


def entered(page: str, client: Client, **changed: object) -> dict[str, object]:
    """What a browser would send for the form of ``page``: everything as it is, and what was ``changed``."""
    context = client.get(page).context
    form = context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    for inline in context["inline_admin_formsets"]:
        management = inline.formset.management_form
        values |= {management.add_prefix(name): management[name].value() for name in management.fields}
    values = {name: ",".join(value) if isinstance(value, list) else value for name, value in values.items()}
    return {name: value for name, value in {**values, **changed}.items() if value is not None and value is not False}


@pytest.mark.parametrize("page", ["/admin/", "/admin/connections/engine/"])
@pytest.mark.django_db
def test_nothing_is_shown_without_login(client: Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 302
    assert answer["Location"].split("?")[0] in {"/login/", "/admin/login/"}


@pytest.mark.django_db
def test_a_login_without_the_role_sees_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("somebody"))
    assert client.get("/admin/connections/engine/").status_code == 403


def test_a_secret_is_in_no_page_in_any_form(administrator: Client, engine: Engine) -> None:
    for page in (
        reverse("admin:connections_engine_changelist"),
        reverse("admin:connections_engine_change", args=[engine.pk]),
    ):
        shown = administrator.get(page).content.decode()
        assert "main" in shown
        assert "zeer-geheim" not in shown
        assert engine.encrypted_secret not in shown


def test_an_empty_secret_field_keeps_what_is_stored(administrator: Client, engine: Engine) -> None:
    page = reverse("admin:connections_engine_change", args=[engine.pk])
    assert administrator.post(page, entered(page, administrator, username="other")).status_code == 302
    engine.refresh_from_db()
    assert (engine.username, engine.secret) == ("other", "zeer-geheim")


def test_a_new_secret_replaces_the_stored_one(administrator: Client, engine: Engine) -> None:
    page = reverse("admin:connections_engine_change", args=[engine.pk])
    assert administrator.post(page, entered(page, administrator, secret="nieuw")).status_code == 302
    engine.refresh_from_db()
    assert engine.secret == "nieuw"


def test_a_new_engine_with_a_login_needs_a_secret(administrator: Client) -> None:
    page = reverse("admin:connections_engine_add")
    filled = {"name": "other", "address": "http://operaton:8080/engine-rest", "username": "worker"}
    refused = administrator.post(page, entered(page, administrator, **filled))
    assert "secret" in refused.context["adminform"].form.errors
    accepted = administrator.post(page, entered(page, administrator, **filled, secret="pw"))
    assert accepted.status_code == 302
    assert Engine.objects.get().secret == "pw"


def test_every_list_of_the_administration_opens(administrator: Client, engine: Engine) -> None:
    index = administrator.get("/admin/").context["available_apps"]
    pages = [model["admin_url"] for app in index for model in app["models"]]
    assert "/admin/connections/engine/" in pages
    assert {page: administrator.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)


def test_the_pages_speak_dutch_unless_asked_otherwise(administrator: Client, engine: Engine) -> None:
    page = reverse("admin:connections_engine_change", args=[engine.pk])
    assert "Laat leeg om te houden" in administrator.get(page, headers={"accept-language": "nl"}).content.decode()
    assert "Leave empty to keep" in administrator.get(page).content.decode()
