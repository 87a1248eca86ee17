"""The admin pages: nothing without login, a broken mapping breaks no page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import User
from bptl.connections.models import Engine, Mapping


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


@pytest.fixture
def broken(engine: Engine) -> Mapping:
    return Mapping.objects.create(engine=engine, topic="old", unit="gone.unit")


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


@pytest.mark.parametrize("page", ["/admin/", "/admin/connections/mapping/"])
@pytest.mark.django_db
def test_nothing_is_shown_without_login(client: Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 302
    assert answer["Location"].split("?")[0] in {"/login/", "/admin/login/"}


@pytest.mark.django_db
def test_a_login_without_the_role_sees_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("somebody"))
    assert client.get("/admin/connections/mapping/").status_code == 403


def test_a_broken_mapping_is_marked_and_breaks_no_page(administrator: Client, broken: Mapping) -> None:
    listed = administrator.get(reverse("admin:connections_mapping_changelist")).content.decode()
    assert "there is no work unit &#x27;gone.unit&#x27;" in listed
    opened = administrator.get(reverse("admin:connections_mapping_change", args=[broken.pk])).content.decode()
    assert "gone.unit (broken: not registered)" in opened
    assert "demo.quick" in opened


def test_a_broken_mapping_can_be_mended(administrator: Client, broken: Mapping) -> None:
    page = reverse("admin:connections_mapping_change", args=[broken.pk])
    answer = administrator.post(page, entered(page, administrator, unit="demo.quick"))
    assert answer.status_code == 302
    broken.refresh_from_db()
    assert broken.unit == "demo.quick"


def test_a_unit_that_is_not_registered_cannot_be_chosen(administrator: Client, broken: Mapping) -> None:
    page = reverse("admin:connections_mapping_change", args=[broken.pk])
    answer = administrator.post(page, entered(page, administrator, unit="made.up"))
    assert "unit" in answer.context["adminform"].form.errors


def test_mappings_are_paused_and_resumed_from_the_list(administrator: Client, broken: Mapping) -> None:
    page = reverse("admin:connections_mapping_changelist")
    before = broken.updated_at
    administrator.post(page, {"action": "deactivate", "_selected_action": [broken.pk]})
    broken.refresh_from_db()
    assert broken.active is False
    assert broken.updated_at > before
    administrator.post(page, {"action": "activate", "_selected_action": [broken.pk]})
    broken.refresh_from_db()
    assert broken.active is True


def test_every_list_of_the_administration_opens(administrator: Client, broken: Mapping) -> None:
    index = administrator.get("/admin/").context["available_apps"]
    pages = [model["admin_url"] for app in index for model in app["models"]]
    assert "/admin/connections/mapping/" in pages
    assert {page: administrator.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
