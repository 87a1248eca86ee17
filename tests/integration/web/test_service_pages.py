"""The pages of services and applications: how they fare, who uses them, rights with credentials that nobody sees."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bptl.accounts.models import AuditEntry
from bptl.accounts.roles import Role
from bptl.connections.models import Engine, Mapping, MappingService
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.tasks.models import ServiceCall
from bptl.work_units import registry
from tests.doubles.certificates import Authority
from tests.doubles.outside import Outside
from tests.integration.connections import units
from tests.integration.web.conftest import MakeTask, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    return somebody(Role.ADMINISTRATOR)


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


@pytest.fixture
def vergunningen() -> Application:
    return Application.objects.create(app_id="https://ac.example.nl/1", label="Vergunningen", units=["test.*"])


def entered(client: Client, page: str, **changed: object) -> dict[str, object]:
    """What a browser would send for the form of ``page``: as it is, and what is changed."""
    form = client.get(page).context["form"]
    values: dict[str, Any] = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in {**values, **changed}.items() if value is not None and value is not False}


def audited(kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    rows = AuditEntry.objects.filter(object_type=f"connections.{kind}").order_by("id")
    return list(rows.values_list("action", "reason", "detail"))


def called(task: Any, *, status: int | None, minutes_ago: int, milliseconds: int = 10, error: str = "") -> ServiceCall:
    return ServiceCall.objects.create(
        task=task,
        lease_id=uuid.uuid4(),
        service="zaken",
        method="GET",
        url="https://zaken.example.nl/",
        began_at=timezone.now() - timedelta(minutes=minutes_ago),
        milliseconds=milliseconds,
        status=status,
        error=error,
    )


def test_a_service_is_added_with_a_secret_that_no_page_shows(administrator: Client) -> None:
    page, own = reverse("service-new"), Authority().issue("bptl")
    filled = {"name": "zaken", "kind": "zrc", "address": "https://zaken.example.nl/", "client_id": "bptl"}
    refused = administrator.post(page, entered(administrator, page, **filled, certificate=own.certificate, key=own.key))
    assert "secret" in refused.context["form"].errors
    assert own.key.splitlines()[1] not in refused.content.decode()
    given = {**filled, "secret": "zeer-geheim", "certificate": own.certificate, "key": own.key}
    assert administrator.post(page, entered(administrator, page, **given)).status_code == 302
    service = Service.objects.get()
    assert (service.secret, service.key.strip()) == ("zeer-geheim", own.key.strip())
    page = reverse("service-change", args=[service.pk])
    assert administrator.post(page, entered(administrator, page, forget_certificate="on")).status_code == 302
    service.refresh_from_db()
    assert (service.secret, service.encrypted_certificate, service.encrypted_key) == ("zeer-geheim", "", "")
    for shown_page in (page, reverse("service", args=[service.pk])):
        shown = administrator.get(shown_page).content.decode()
        assert "zeer-geheim" not in shown
        assert service.encrypted_secret not in shown
    assert audited("service") == [
        ("service.added", "", {}),
        ("service.changed", "", {"fields": ["forget_certificate"]}),
    ]


def test_the_test_says_what_is_wrong_and_what_is_good(operator: Client, zaken: Service, outside: Outside) -> None:
    button = reverse("service-test", args=[zaken.pk])
    assert button in operator.get(reverse("service", args=[zaken.pk])).content.decode()
    outside.answer("zaken", {"code": "invalid-client-identifier"}, status=403)
    assert "it knows no such client id" in operator.post(button).content.decode()
    outside.answer("zaken", {"results": []})
    assert "answers to its own credentials" in operator.post(button).content.decode()
    dutch = operator.post(button, headers={"accept-language": "nl"}).content.decode()
    assert "antwoordt op de eigen inloggegevens" in dutch


def test_only_operators_may_test_a_service(reader: Client, zaken: Service, outside: Outside) -> None:
    button = reverse("service-test", args=[zaken.pk])
    assert reader.post(button).status_code == 403
    assert Client().post(button).status_code == 302
    assert outside.asked == []


def test_a_service_that_refuses_our_login_fails_on_its_page_and_on_the_overview(
    reader: Client, zaken: Service, make_task: MakeTask
) -> None:
    refused = called(make_task(), status=401, minutes_ago=5)
    assert reader.get(reverse("service", args=[zaken.pk])).context["health"].failing_since == refused.began_at
    (state,) = reader.get("/").context["condition"].services
    assert (state.word.label, state.at) == ("fails", refused.began_at)


def test_a_service_shows_how_its_last_calls_went(reader: Client, zaken: Service, make_task: MakeTask) -> None:
    task, page = make_task(), reverse("service", args=[zaken.pk])
    assert "No call of a task is on record" in reader.get(page).content.decode()
    for number in range(19):
        called(task, status=200, minutes_ago=60, milliseconds=number)
    called(task, status=404, minutes_ago=30, milliseconds=900)
    health = reader.get(page).context["health"]
    assert (health.calls, health.refused, health.failed, health.p95_ms) == (20, 1, 0, 18)
    assert health.failing_since is None
    first = called(task, status=500, minutes_ago=20)
    called(task, status=None, minutes_ago=10, error="no answer in 10 s")
    answer = reader.get(page)
    assert answer.context["health"].failing_since == first.began_at
    shown = answer.content.decode()
    assert "Its calls fail since" in shown
    assert "no answer in 10 s" in shown
    assert ">fails<" in reader.get(reverse("services")).content.decode()


def test_a_service_that_mappings_use_stays_and_says_which(
    administrator: Client, zaken: Service, main_engine: Engine, vergunningen: Application
) -> None:
    mapping = Mapping.objects.create(engine=main_engine, topic="lees", unit="test.read_zaak")
    binding = MappingService.objects.create(mapping=mapping, alias="zrc", service=zaken)
    shown = administrator.get(reverse("service", args=[zaken.pk])).content.decode()
    assert "lees" in shown
    assert "test.read_zaak" in shown
    page = reverse("service-remove", args=[zaken.pk])
    refused = administrator.post(page, {"reason": "not needed"})
    assert (refused.status_code, Service.objects.count()) == (409, 1)
    assert "A mapping uses it" in refused.content.decode()
    binding.delete()
    ServiceGrant.objects.create(application=vergunningen, service=zaken, as_service=True)
    assert "The right of one application to it is removed" in administrator.get(page).content.decode()
    assert administrator.post(page, {"reason": "not needed"}).status_code == 302
    assert (Service.objects.count(), ServiceGrant.objects.count()) == (0, 0)
    assert audited("service") == [("service.deleted", "not needed", {})]


def test_a_service_is_not_called_for_a_while_for_a_reason(administrator: Client, zaken: Service) -> None:
    off = reverse("service-active", args=[zaken.pk, "off"])
    assert "not called" in administrator.post(off, {"reason": "a new version"}, follow=True).content.decode()
    zaken.refresh_from_db()
    assert zaken.active is False
    assert audited("service") == [("service.deactivated", "a new version", {})]


def test_an_application_gets_units_and_services(administrator: Client, zaken: Service) -> None:
    page = reverse("application-new")
    assert "test.*: all of this theme" in administrator.get(page).content.decode()
    filled = {"app_id": "https://ac.example.nl/applicaties/1", "label": "Vergunningen", "units": ["test.*"]}
    assert administrator.post(page, filled).status_code == 302
    application = Application.objects.get()
    assert application.units == ["test.*"]

    page = reverse("grant-new", args=[application.pk])
    given = {"service": str(zaken.pk), "client_id": "vergunningen"}
    refused = administrator.post(page, given)
    assert "Enter the secret, or choose the service" in refused.content.decode()
    assert administrator.post(page, {**given, "secret": "van-haar"}).status_code == 302
    grant = ServiceGrant.objects.get()
    assert (grant.client_id, grant.secret) == ("vergunningen", "van-haar")
    twice = administrator.post(page, {**given, "secret": "nog-een"})
    assert "has this service already" in twice.content.decode()

    page = reverse("grant-change", args=[application.pk, grant.pk])
    for shown in (administrator.get(page), administrator.get(reverse("application", args=[application.pk]))):
        assert "van-haar" not in shown.content.decode()
        assert grant.encrypted_secret not in shown.content.decode()
    assert administrator.post(page, entered(administrator, page, client_id="anders")).status_code == 302
    grant.refresh_from_db()
    assert (grant.client_id, grant.secret) == ("anders", "van-haar")
    as_service = entered(administrator, page, as_service="on", client_id="")
    assert administrator.post(page, as_service).status_code == 302
    grant.refresh_from_db()
    assert (grant.as_service, grant.encrypted_secret) == (True, "")

    page = reverse("grant-remove", args=[application.pk, grant.pk])
    assert administrator.post(page, {"reason": "no longer theirs"}).status_code == 302
    assert not ServiceGrant.objects.exists()
    assert audited("application") == [
        ("application.added", "", {}),
        ("application.changed", "", {"added": ["Vergunningen → zaken"]}),
        ("application.changed", "", {"changed": ["Vergunningen → zaken"], "fields": ["client_id"]}),
        ("application.changed", "", {"changed": ["Vergunningen → zaken"], "fields": ["as_service", "client_id"]}),
        ("application.changed", "no longer theirs", {"deleted": ["Vergunningen → zaken"]}),
    ]


def test_a_right_of_another_application_is_not_found(
    administrator: Client, zaken: Service, vergunningen: Application
) -> None:
    other = Application.objects.create(app_id="other", label="Other")
    grant = ServiceGrant.objects.create(application=vergunningen, service=zaken, as_service=True)
    for name in ("grant-change", "grant-remove"):
        assert administrator.get(reverse(name, args=[other.pk, grant.pk])).status_code == 404


def test_a_unit_that_is_no_longer_registered_stays_granted_until_somebody_takes_it_away(
    administrator: Client, vergunningen: Application
) -> None:
    Application.objects.update(units=["gone.unit", "test.*"])
    page = reverse("application-change", args=[vergunningen.pk])
    assert "gone.unit (broken: not registered)" in administrator.get(page).content.decode()
    assert administrator.post(page, entered(administrator, page, units=["test.*"])).status_code == 302
    vergunningen.refresh_from_db()
    assert vergunningen.units == ["test.*"]


def test_an_application_is_removed_or_put_to_rest_for_a_reason(
    administrator: Client, zaken: Service, vergunningen: Application
) -> None:
    ServiceGrant.objects.create(application=vergunningen, service=zaken, as_service=True)
    administrator.post(reverse("application-active", args=[vergunningen.pk, "off"]), {"reason": "a leak"})
    vergunningen.refresh_from_db()
    assert vergunningen.active is False
    page = reverse("application-remove", args=[vergunningen.pk])
    assert "Its right to one service goes with it" in administrator.get(page).content.decode()
    assert administrator.post(page, {"reason": "gone there too"}).status_code == 302
    assert (Application.objects.count(), ServiceGrant.objects.count()) == (0, 0)
    assert [row[:2] for row in audited("application")] == [
        ("application.deactivated", "a leak"),
        ("application.deleted", "gone there too"),
    ]


def test_applications_are_imported_and_a_register_that_is_down_is_a_page(administrator: Client) -> None:
    page = reverse("application-import")
    assert "There is no Autorisaties API to read" in administrator.get(page).content.decode()
    with Outside("/ac/api/v1/") as outside:
        register = Service(name="autorisaties", kind="ac", address=outside.root, client_id="bptl")
        register.secret = "zeer-geheim-en-lang-genoeg-voor-hs256"
        register.save()
        url = f"{outside.root}applicaties/1"
        found = {"url": url, "label": "Vergunningen", "clientIds": ["v"], "heeftAlleAutorisaties": True}
        outside.answer("applicaties", {"results": [found], "next": None})
        said = {"service": str(register.pk), "units": ["test.*"]}
        shown = administrator.post(page, said).content.decode()
        assert "Vergunningen" in shown
        application = Application.objects.get()
        assert (application.app_id, application.units, application.components) == (url, ["test.*"], ["*"])
        [(action, _reason, detail)] = audited("service")
        assert (action, detail["added"]) == ("applications.imported", 1)
    Service.objects.update(address="http://127.0.0.1:1/ac/api/v1/", updated_at=Now())
    down = administrator.post(page, said)
    assert down.status_code == 503
    assert "Service autorisaties does not answer" in down.content.decode()
    assert "nothing listens at" in down.content.decode()
    dutch = administrator.post(page, said, headers={"accept-language": "nl"}).content.decode()
    assert "Service autorisaties antwoordt niet" in dutch


def test_lists_that_are_empty_say_what_to_do(administrator: Client, reader: Client) -> None:
    for name, words in (("services", "No service is known yet"), ("applications", "No application is known yet")):
        assert words in reader.get(reverse(name)).content.decode()
        assert reverse(f"{name[:-1]}-new") in administrator.get(reverse(name)).content.decode()
