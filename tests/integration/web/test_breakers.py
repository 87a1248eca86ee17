"""Circuit breakers on pages and the command line: seen by everybody, opened and closed by operators, with a reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bptl.accounts.models import AuditEntry
from bptl.cli.main import bptl
from bptl.connections import breakers
from bptl.connections.models import Engine, Mapping, MappingService, Opening
from bptl.connections.service_models import Service
from bptl.tasks import radar
from bptl.tasks.radar import Verdict
from bptl.work_units import registry
from tests.doubles.engine import FakeEngine
from tests.integration.connections import units
from tests.integration.scene import Scene, a_scene

pytestmark = pytest.mark.django_db

REASON = "nothing listens at zaken.example.nl port 443"


@pytest.fixture
def zaken(main_engine: Engine) -> Service:
    """A service that the mapping of topic ``zaak`` uses."""
    for unit in units.ALL:
        registry.load().add(unit)
    service = Service.objects.create(
        name="zaken", kind="zrc", address="https://zaken.example.nl/zaken/api/v1/", authentication="no_auth"
    )
    mapping = Mapping.objects.create(engine=main_engine, topic="zaak", unit="test.read_anything")
    MappingService.objects.create(mapping=mapping, alias="service", service=service)
    return service


def page(client: Client, name: str, *args: int) -> str:
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.content.decode()


def audited() -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(action__startswith="breaker.").order_by("id")
    return list(rows.values_list("action", "actor", "reason"))


def in_an_hour() -> str:
    return f"{timezone.localtime() + timedelta(hours=1):%Y-%m-%dT%H:%M}"


def test_a_service_that_is_down_is_seen_on_every_page_that_answers_where_a_task_is(
    reader: Client, zaken: Service, main_engine: Engine
) -> None:
    breakers.open_automatically(zaken, reason=REASON)
    (mapping,) = Mapping.objects.filter(topic="zaak")
    for shown in (page(reader, "service", zaken.pk), page(reader, "mapping", mapping.pk), page(reader, "overview")):
        assert "zaken is down" in shown
        assert REASON in shown
    assert "Not fetched: zaken is down since" in page(reader, "topics")
    listed = page(reader, "mappings")
    assert "not fetched: down" in listed
    assert "Not fetched: zaken is down since" in listed
    assert ">active</span>" not in listed
    assert "down" in page(reader, "services")
    assert "Circuit breaker" in page(reader, "engine", main_engine.pk)


def test_the_page_keeps_the_story_of_the_last_openings(reader: Client, zaken: Service) -> None:
    breakers.open_automatically(zaken, reason=REASON)
    breakers.close(zaken, reason="2 probes in a row were good: answered in 12 ms")
    shown = page(reader, "service", zaken.pk)
    assert REASON in shown
    assert "2 probes in a row were good" in shown
    assert "zaken is down" not in shown


def test_an_operator_begins_and_ends_a_maintenance_window(operator: Client, zaken: Service) -> None:
    address = reverse("service-breaker-open", args=[zaken.pk])
    assert "1" in operator.get(address).content.decode()
    done = operator.post(address, {"reason": "release 1.6", "until": in_an_hour()})
    assert done.status_code == 302
    opening = breakers.opening(zaken)
    assert opening is not None
    assert (opening.opened_by, opening.reason) == ("operator", "release 1.6")
    assert "zaken is in maintenance" in page(operator, "service", zaken.pk)

    operator.post(reverse("service-breaker-close", args=[zaken.pk]), {"reason": "done early"})
    assert breakers.opening(zaken) is None
    assert audited() == [
        ("breaker.opened", "operator", "release 1.6"),
        ("breaker.closed", "operator", "done early"),
    ]


@pytest.mark.parametrize("said", [{"reason": "", "until": in_an_hour()}, {"reason": "release"}, {}])
def test_a_window_needs_a_reason_and_an_end(operator: Client, zaken: Service, said: dict[str, Any]) -> None:
    assert operator.post(reverse("service-breaker-open", args=[zaken.pk]), said).status_code == 200
    assert not Opening.objects.exists()


def test_a_window_that_is_over_already_is_refused(operator: Client, zaken: Service) -> None:
    said = {"reason": "release", "until": "2020-01-01T10:00"}
    answer = operator.post(reverse("service-breaker-open", args=[zaken.pk]), said)
    assert "This moment is over" in answer.content.decode()
    assert not Opening.objects.exists()


def test_who_only_looks_changes_nothing(reader: Client, zaken: Service, main_engine: Engine) -> None:
    for name, pk in (("service", zaken.pk), ("engine", main_engine.pk)):
        for verb in ("open", "close"):
            address = reverse(f"{name}-breaker-{verb}", args=[pk])
            assert reader.get(address).status_code == 403
            assert reader.post(address, {"reason": "x", "until": in_an_hour()}).status_code == 403
    assert "Fetch nothing for a while" not in page(reader, "service", zaken.pk)
    assert not Opening.objects.exists()


def test_an_engine_has_a_window_too(operator: Client, main_engine: Engine) -> None:
    operator.post(reverse("engine-breaker-open", args=[main_engine.pk]), {"reason": "upgrade", "until": in_an_hour()})
    assert "main is in maintenance" in page(operator, "engine", main_engine.pk)
    assert "maintenance" in page(operator, "engines")
    assert "main is in maintenance since" in page(operator, "overview")


def test_the_radar_says_why_a_topic_is_not_fetched(there: FakeEngine, db: None) -> None:
    with a_scene(there) as scene:
        mapping, service = bound(scene)
        other = scene.map("other")
        there.add("zaak")
        breakers.open_automatically(service, reason=REASON)
        (group,) = radar.look(within=10)
        verdicts = {row.topic: row.verdict for row in group.rows}
        assert verdicts[mapping.topic] is Verdict.DOWN
        assert verdicts[other.topic] is not Verdict.DOWN
        assert [row.topic for row in radar.findings([group]) if row.verdict is Verdict.DOWN] == ["zaak"]


def bound(scene: Scene) -> tuple[Mapping, Service]:
    registry.load().add(units.read_anything)
    mapping = scene.map("zaak", "test.read_anything")
    service = Service.objects.create(name="zaken", kind="zrc", address="http://127.0.0.1:1/", authentication="no_auth")
    MappingService.objects.create(mapping=mapping, alias="service", service=service)
    return mapping, service


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bptl, ["breakers", *arguments])


def test_the_command_line_does_the_same_with_the_same_record(zaken: Service) -> None:
    assert run("list").output == "all breakers are closed\n"
    said = run("open", "--service", "zaken", "--until", in_an_hour(), "--reason", "release 1.6")
    assert said.output.startswith("zaken is open until ")
    listed = run("list").output
    assert "release 1.6" in listed
    assert run("close", "--service", "zaken", "--reason", "done").output == "zaken is closed\n"
    assert run("close", "--service", "zaken", "--reason", "done").output == "zaken was closed already\n"
    assert "done" in run("list", "--service", "zaken").output
    assert [(action, reason) for action, _actor, reason in audited()] == [
        ("breaker.opened", "release 1.6"),
        ("breaker.closed", "done"),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["open", "--until", "2099-01-01", "--reason", "x"], "name one"),
        (["open", "--service", "zaken", "--engine", "main", "--until", "2099-01-01", "--reason", "x"], "name one"),
        (["open", "--service", "onbekend", "--until", "2099-01-01", "--reason", "x"], "there is no service"),
        (["open", "--service", "zaken", "--until", "2020-01-01", "--reason", "x"], "This moment is over"),
        (["open", "--service", "zaken", "--until", "2099-01-01", "--reason", " "], "Say why"),
        (["open", "--service", "zaken", "--reason", "x"], "--until"),
        (["close", "--service", "zaken"], "--reason"),
    ],
)
def test_a_command_that_cannot_be_meant_changes_nothing(zaken: Service, arguments: list[str], says: str) -> None:
    said = run(*arguments)
    assert said.exit_code == 2
    assert says in said.output
    assert not Opening.objects.exists()
