"""The admin pages of services, applications and a mapping's services, and the button that tests a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import AuditEntry, User
from bptl.accounts.roles import Role
from bptl.connections.models import Engine
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.work_units import registry
from tests.doubles.certificates import Authority
from tests.doubles.outside import Outside
from tests.integration.connections import units
from tests.integration.web.conftest import somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(User.objects.create_superuser("admin", password="not-used-here"))
    return client


@pytest.fixture(autouse=True)
def units_that_reach() -> None:
    for unit in units.ALL:
        registry.load().add(unit)


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as running:
        yield running


@pytest.fixture
def zaken(outside: Outside) -> Service:
    made = Service(name="zaken", kind="zrc", address=outside.root, client_id="bptl")
    made.secret = "zeer-geheim-en-lang-genoeg-voor-hs256"
    made.save()
    return made


def entered(client: Client, page: str, **changed: object) -> dict[str, object]:
    """What a browser would send for the form of ``page`` and for the rows below it: as it is, and what is changed."""
    context = client.get(page).context
    form = context["adminform"].form
    values: dict[str, Any] = {name: form[name].value() for name in form.fields}
    for inline in context["inline_admin_formsets"]:
        parts = [inline.formset.management_form, *inline.formset.initial_forms]
        values |= {part.add_prefix(name): part[name].value() for part in parts for name in part.fields}
    return {name: value for name, value in {**values, **changed}.items() if value is not None and value is not False}


def test_a_service_is_made_with_a_secret_that_no_page_shows(administrator: Client) -> None:
    page = reverse("admin:connections_service_add")
    own = Authority().issue("bptl")
    filled = {"name": "zaken", "kind": "zrc", "address": "https://zaken.example.nl/", "client_id": "bptl"}
    refused = administrator.post(page, entered(administrator, page, **filled, certificate=own.certificate, key=own.key))
    assert "secret" in refused.context["adminform"].form.errors
    assert own.key.splitlines()[1] not in refused.content.decode()
    given = {**filled, "secret": "zeer-geheim", "certificate": own.certificate, "key": own.key}
    assert administrator.post(page, entered(administrator, page, **given)).status_code == 302
    service = Service.objects.get()
    assert (service.secret, service.key.strip()) == ("zeer-geheim", own.key.strip())
    page = reverse("admin:connections_service_change", args=[service.pk])
    assert administrator.post(page, entered(administrator, page, forget_certificate="on")).status_code == 302
    service.refresh_from_db()
    assert (service.secret, service.encrypted_certificate, service.encrypted_key) == ("zeer-geheim", "", "")


def test_the_button_says_what_is_wrong_and_what_is_good(
    administrator: Client, zaken: Service, outside: Outside
) -> None:
    page = reverse("admin:connections_service_change", args=[zaken.pk])
    button = reverse("admin:connections_service_test", args=[zaken.pk])
    assert button in administrator.get(page).content.decode()
    outside.answer("zaken", {"code": "invalid-client-identifier"}, status=403)
    shown = administrator.post(button, follow=True).content.decode()
    assert "it knows no such client id" in shown
    outside.answer("zaken", {"results": []})
    assert "answers to its own credentials" in administrator.post(button, follow=True).content.decode()
    dutch = administrator.post(button, follow=True, headers={"accept-language": "nl"}).content.decode()
    assert "antwoordt op de eigen inloggegevens" in dutch


def test_only_who_may_change_a_service_may_test_it(zaken: Service, outside: Outside) -> None:
    looker = somebody(Role.OPERATOR)
    assert looker.post(reverse("admin:connections_service_test", args=[zaken.pk])).status_code == 403
    assert outside.asked == []
    assert Client().post(reverse("admin:connections_service_test", args=[zaken.pk])).status_code == 302


def test_an_engine_has_the_same_button(administrator: Client) -> None:
    engine = Engine.objects.create(name="main", address="http://127.0.0.1:1/", authentication="none")
    shown = administrator.post(reverse("admin:connections_engine_test", args=[engine.pk]), follow=True)
    assert "nothing listens at 127.0.0.1 port 1" in shown.content.decode()


def test_an_application_gets_units_and_services_on_one_page(administrator: Client, zaken: Service) -> None:
    page = reverse("admin:connections_application_add")
    shown = administrator.get(page).content.decode()
    assert "test.*: all of this theme" in shown
    filled = {
        "app_id": "https://ac.example.nl/applicaties/1",
        "label": "Vergunningen",
        "units": ["test.*"],
        "grants-TOTAL_FORMS": "1",
        "grants-0-service": str(zaken.pk),
        "grants-0-client_id": "vergunningen",
    }
    refused = administrator.post(page, entered(administrator, page, **filled))
    assert "Enter the secret, or choose the service" in refused.content.decode()
    accepted = administrator.post(page, entered(administrator, page, **filled, **{"grants-0-secret": "van-haar"}))
    assert accepted.status_code == 302
    application, grant = Application.objects.get(), ServiceGrant.objects.get()
    assert (application.units, grant.client_id, grant.secret) == (["test.*"], "vergunningen", "van-haar")
    page = reverse("admin:connections_application_change", args=[application.pk])
    shown = administrator.get(page).content.decode()
    assert "van-haar" not in shown
    assert grant.encrypted_secret not in shown
    assert administrator.post(page, entered(administrator, page, label="Andere naam")).status_code == 302
    grant.refresh_from_db()
    assert grant.secret == "van-haar"
    as_service = {"grants-0-as_service": "on", "grants-0-client_id": ""}
    assert administrator.post(page, entered(administrator, page, **as_service)).status_code == 302
    grant.refresh_from_db()
    assert (grant.as_service, grant.encrypted_secret) == (True, "")


def test_the_audit_log_names_the_grants_of_an_application_and_no_secret(administrator: Client, zaken: Service) -> None:
    page = reverse("admin:connections_application_add")
    grant = {"grants-TOTAL_FORMS": "1", "grants-0-service": str(zaken.pk)}
    own = {"grants-0-client_id": "vergunningen", "grants-0-secret": "van-haar"}
    filled = {"app_id": "https://ac.example.nl/1", "label": "Vergunningen", "units": ["test.*"], **grant, **own}
    administrator.post(page, entered(administrator, page, **filled))
    page = reverse("admin:connections_application_change", args=[Application.objects.get().pk])
    administrator.post(page, entered(administrator, page, **{"grants-0-secret": "een-nieuw"}))
    administrator.post(page, entered(administrator, page, **{"grants-0-DELETE": "on"}))
    told = AuditEntry.objects.filter(action__startswith="application").order_by("id")
    assert list(told.values_list("action", "actor", "detail")) == [
        ("application.added", "admin", {"added": ["Vergunningen → zaken"]}),
        ("application.changed", "admin", {"fields": ["secret"], "changed": ["Vergunningen → zaken"]}),
        ("application.changed", "admin", {"fields": [], "deleted": ["Vergunningen → zaken"]}),
    ]
