"""The pages of engines: how they fare, what they are used for, their settings, whose secrets no page shows."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from bptl.accounts.models import AuditEntry
from bptl.accounts.roles import Role
from bptl.connections.models import Engine, Mapping
from bptl.tasks.models import Fetch, Process
from tests.doubles.certificates import Authority
from tests.doubles.engine import FakeEngine
from tests.integration.web.conftest import MakeTask, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    return somebody(Role.ADMINISTRATOR)


@pytest.fixture
def engine() -> Engine:
    engine = Engine(name="main", address="http://engine/engine-rest/", authentication="basic", username="worker")
    engine.secret = "zeer-geheim"
    engine.save()
    return engine


def audit_of_engines() -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(object_type="connections.engine")


def entered(client: Client, page: str, **changed: object) -> dict[str, object]:
    """What a browser would send for the form of ``page``: everything as it is, and what was ``changed``."""
    form = client.get(page).context["form"]
    values: dict[str, Any] = {name: form[name].value() for name in form.fields}
    values = {name: ",".join(value) if name == "tenant_ids" else value for name, value in values.items()}
    return {name: value for name, value in {**values, **changed}.items() if value is not None and value is not False}


def polled(engine: Engine, process: Process, *, how: Fetch.End, ago: timedelta) -> Fetch:
    return Fetch.objects.create(
        worker_id=f"bptl-{uuid.uuid4()}",
        engine=engine,
        process=process,
        topics=["permit"],
        max_tasks=1,
        wait_ms=1,
        lock_ms=1,
        started_at=Now() - ago,
        closed_at=Now(),
        closed_as=how,
    )


def test_a_newcomer_is_told_what_to_do_first(administrator: Client, reader: Client) -> None:
    assert reverse("engine-new") in administrator.get(reverse("engines")).content.decode()
    shown = reader.get(reverse("engines")).content.decode()
    assert "An administrator of BPTL adds it" in shown
    assert reverse("engine-new") not in shown


def test_an_engine_is_added_with_login_and_certificates_and_no_page_shows_a_secret(administrator: Client) -> None:
    page, own = reverse("engine-new"), Authority().issue("bptl")
    filled = {"name": "other", "address": "http://operaton:8080/engine-rest", "username": "worker"}
    refused = administrator.post(page, entered(administrator, page, **filled, certificate=own.certificate, key=own.key))
    assert "secret" in refused.context["form"].errors
    assert own.key.splitlines()[1] not in refused.content.decode()
    given = {**filled, "secret": "zeer-geheim", "certificate": own.certificate, "key": own.key}
    accepted = administrator.post(page, entered(administrator, page, **given), follow=True)
    engine = Engine.objects.get()
    assert (engine.secret, engine.key.strip(), engine.active) == ("zeer-geheim", own.key.strip(), True)
    assert "other is saved" in accepted.content.decode()
    for name in ("engine", "engine-change"):
        shown = administrator.get(reverse(name, args=[engine.pk])).content.decode()
        assert "other" in shown
        assert "zeer-geheim" not in shown
        assert engine.encrypted_secret not in shown
        assert own.key.splitlines()[1] not in shown
    assert list(audit_of_engines().values_list("action", "actor", "object_name")) == [
        ("engine.added", "administrator", "other")
    ]


def test_an_empty_secret_field_keeps_what_is_stored_and_a_filled_one_replaces_it(
    administrator: Client, engine: Engine
) -> None:
    page = reverse("engine-change", args=[engine.pk])
    assert administrator.post(page, entered(administrator, page, username="other")).status_code == 302
    engine.refresh_from_db()
    assert (engine.username, engine.secret) == ("other", "zeer-geheim")
    administrator.post(page, entered(administrator, page, secret="nieuw"))
    engine.refresh_from_db()
    assert engine.secret == "nieuw"
    told = AuditEntry.objects.filter(action="engine.changed").order_by("id").values_list("detail", flat=True)
    assert list(told) == [{"fields": ["username"]}, {"fields": ["secret"]}]


def test_oauth2_is_entered_and_a_certificate_taken_away(administrator: Client, engine: Engine) -> None:
    page, own = reverse("engine-change", args=[engine.pk]), Authority().issue("bptl")
    oauth2 = {"authentication": "oauth2_client_credentials", "token_address": "http://login.example.nl/token"}
    refused = administrator.post(page, entered(administrator, page, **oauth2))
    assert "token_address" in refused.context["form"].errors
    # A folded part with a fault in it is open, or nobody would find the fault.
    assert "<summary>OAuth2" not in refused.content.decode()
    oauth2["token_address"] = "https://login.example.nl/token"
    pair = {"certificate": own.certificate, "key": own.key}
    assert administrator.post(page, entered(administrator, page, **oauth2, **pair)).status_code == 302
    administrator.post(page, entered(administrator, page, forget_certificate="on"))
    engine.refresh_from_db()
    assert (engine.token_address, engine.encrypted_certificate) == ("https://login.example.nl/token", "")
    assert engine.secret == "zeer-geheim"


def test_polling_stops_and_goes_on_for_a_reason(administrator: Client, engine: Engine) -> None:
    off = reverse("engine-active", args=[engine.pk, "off"])
    assert "say why" in administrator.post(off, follow=True).content.decode()
    engine.refresh_from_db()
    assert engine.active is True
    before = engine.updated_at
    shown = administrator.post(off, {"reason": "a new release there"}, follow=True).content.decode()
    engine.refresh_from_db()
    assert (engine.active, engine.updated_at > before) == (False, True)
    assert "Poll again" in shown
    administrator.post(reverse("engine-active", args=[engine.pk, "on"]), {"reason": "it is done"})
    told = audit_of_engines().order_by("id").values_list("action", "reason")
    assert list(told) == [("engine.deactivated", "a new release there"), ("engine.activated", "it is done")]


def test_an_engine_is_removed_with_its_mappings_for_a_reason(administrator: Client, engine: Engine) -> None:
    Mapping.objects.create(engine=engine, topic="permit", unit="demo.quick")
    page = reverse("engine-remove", args=[engine.pk])
    assert "Its mapping is removed with it" in administrator.get(page).content.decode()
    assert administrator.post(page).status_code == 200
    assert Engine.objects.exists()
    shown = administrator.post(page, {"reason": "a mistake"}, follow=True).content.decode()
    assert "main is removed" in shown
    assert not Engine.objects.exists()
    assert audit_of_engines().values_list("action", "object_name", "reason").get() == (
        "engine.deleted",
        "main",
        "a mistake",
    )


def test_an_engine_with_tasks_on_record_stays(administrator: Client, main_engine: Engine, make_task: MakeTask) -> None:
    make_task()
    page = reverse("engine-remove", args=[main_engine.pk])
    for answer in (administrator.get(page), administrator.post(page, {"reason": "why not"})):
        assert answer.status_code == 409
        assert "Stop polling it instead" in answer.content.decode()
    assert Engine.objects.exists()


def test_a_test_of_the_connection_says_what_it_found_in_both_languages(operator: Client) -> None:
    engine = Engine.objects.create(name="main", address="http://127.0.0.1:1/", authentication="none")
    button = reverse("engine-test", args=[engine.pk])
    assert button in operator.get(reverse("engine", args=[engine.pk])).content.decode()
    shown = operator.post(button).content.decode()
    assert "nothing listens at 127.0.0.1 port 1" in shown
    dutch = operator.post(button, headers={"accept-language": "nl"}).content.decode()
    assert "geeft geen bruikbaar antwoord" in dutch


def test_a_test_tells_product_version_and_rights(operator: Client, there: FakeEngine) -> None:
    engine = Engine.objects.create(name="main", address=there.url, authentication="none")
    shown = operator.post(reverse("engine-test", args=[engine.pk])).content.decode()
    assert "answers: Operaton fake" in shown
    assert "CREATE on Batch" in shown


def test_only_operators_may_test(reader: Client, engine: Engine) -> None:
    assert reader.post(reverse("engine-test", args=[engine.pk])).status_code == 403
    assert "Test connection" not in reader.get(reverse("engine", args=[engine.pk])).content.decode()


def test_the_page_tells_what_the_engine_is_used_for(reader: Client, main_engine: Engine, make_task: MakeTask) -> None:
    for _ in range(2):
        make_task()
    make_task("delivered", "failed", result={"message": "no"})
    make_task("queued", topic="forgotten")
    Mapping.objects.create(engine=main_engine, topic="old", unit="gone.unit")
    answer = reader.get(reverse("engine", args=[main_engine.pk]))
    numbers = {
        mapping.topic: (tasks.tasks, tasks.under_way, tasks.trouble, bool(problems))
        for mapping, problems, tasks in answer.context["mappings"]
    }
    assert numbers == {"permit": (3, 0, 1, False), "old": (0, 0, 0, True)}
    assert answer.context["unmapped"] == ["forgotten"]
    assert "there is no work unit" in answer.content.decode()


def test_an_engine_that_stopped_answering_says_since_when(reader: Client, main_engine: Engine, worker: Process) -> None:
    Mapping.objects.create(engine=main_engine, topic="permit", unit="demo.quick")
    listed = reverse("engines")
    assert "not polled lately" in reader.get(listed).content.decode()
    polled(main_engine, worker, how=Fetch.End.ABANDONED, ago=timedelta(minutes=30))
    polled(main_engine, worker, how=Fetch.End.ANSWERED, ago=timedelta(minutes=20))
    assert ">answers<" in reader.get(listed).content.decode()
    first = polled(main_engine, worker, how=Fetch.End.ABANDONED, ago=timedelta(minutes=10))
    polled(main_engine, worker, how=Fetch.End.NEVER_SENT, ago=timedelta(minutes=5))
    polled(main_engine, worker, how=Fetch.End.COLLECTED, ago=timedelta(minutes=1))
    first.refresh_from_db()
    answer = reader.get(reverse("engine", args=[main_engine.pk]))
    assert answer.context["health"].failing_since == first.started_at
    assert "Its polls get no usable answer since" in answer.content.decode()
    assert ">no answer<" in reader.get(listed).content.decode()


def test_the_overview_leads_to_the_page_of_an_engine(reader: Client, main_engine: Engine) -> None:
    assert reverse("engine", args=[main_engine.pk]) in reader.get("/").content.decode()


def test_forms_speak_dutch(administrator: Client, engine: Engine) -> None:
    page = reverse("engine-change", args=[engine.pk])
    assert "Laat leeg om te houden" in administrator.get(page, headers={"accept-language": "nl"}).content.decode()
    assert "Leave empty to keep" in administrator.get(page).content.decode()
