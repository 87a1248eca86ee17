"""What becomes of a task whose application or mapping lacks a right: an incident, or given back; never sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from bptl.cli.main import bptl
from bptl.connections import directory
from bptl.connections.models import Mapping, MappingService
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.tasks import queries
from bptl.tasks.endings import Ending
from bptl.tasks.execution import service_calls
from bptl.tasks.execution.claim import Claim
from bptl.tasks.execution.run import Unassignable, assign, run
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.intake import calls
from bptl.tasks.lifecycle import Outcome
from bptl.work_units import registry
from tests.doubles.outside import Outside
from tests.integration.connections import units
from tests.integration.scene import Scene

APP = "https://ac.example.nl/applicaties/1"


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as running:
        running.answer("zaken/1", {"omschrijving": "dakkapel", "bsn": "111222333"})
        yield running


@pytest.fixture
def zaken(scene: Scene, outside: Outside) -> Service:
    return prepare(scene, outside)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    directory.forget()
    yield
    directory.forget()


def prepare(scene: Scene, outside: Outside) -> Service:
    """A service, an application with a right to it, and a mapping whose unit needs it."""
    for unit in units.ALL:
        registry.load().add(unit)
    service = Service.objects.create(name="zaken", kind="zrc", address=outside.root, authentication="no_auth")
    application = Application.objects.create(app_id=APP, label="Vergunningen", units=["test.*"])
    ServiceGrant.objects.create(application=application, service=service, as_service=True)
    mapping = scene.map("topic", "test.read_zaak", business_key="zaken")
    MappingService.objects.create(mapping=mapping, alias="zrc", service=service)
    return service


def claimed(scene: Scene, app_id: str = APP) -> Claim:
    variables = {"bptlAppId": {"type": "String", "value": app_id, "valueInfo": {}}}
    return scene.claimed(scene.process(), variables=variables)


def ending(scene: Scene, claim: Claim) -> Ending:
    mapping = scene.mappings["topic"]
    ended = run(assign(claim, {mapping.pk: mapping}), Cancellation())
    assert isinstance(ended, Ending)
    return ended


def test_a_call_is_kept_with_its_task_without_what_nobody_may_see(committed_scene: Scene, outside: Outside) -> None:
    prepare(committed_scene, outside)
    claim = claimed(committed_scene)
    assert ending(committed_scene, claim).outcome is Outcome.COMPLETED
    assert service_calls.stop(timeout=10)
    (call,) = queries.story(claim.task_id).calls
    assert (call.method, call.url, call.status, call.service) == ("GET", outside.root + "zaken/1", 200, "zaken")
    assert "dakkapel" in call.answer_body
    assert "111222333" not in call.answer_body
    told = CliRunner().invoke(bptl, ["tasks", "show", str(claim.task_id)]).output
    assert f"lease 1: GET {outside.root}zaken/1 (zaken): 200 in" in told


def test_an_unknown_application_is_an_incident_at_once_and_nothing_is_sent(
    scene: Scene, zaken: Service, outside: Outside
) -> None:
    ended = ending(scene, claimed(scene, "https://ac.example.nl/applicaties/onbekend"))
    assert ended.outcome is Outcome.FAILED
    assert ended.result["retries"] == 0
    assert "no application has this id" in ended.result["message"]
    assert outside.asked == []


def test_a_missing_right_to_the_service_is_an_incident_that_names_it(
    scene: Scene, zaken: Service, outside: Outside
) -> None:
    ServiceGrant.objects.all().delete()
    ended = ending(scene, claimed(scene))
    assert ended.result["retries"] == 0
    assert "has no right to service zaken" in ended.result["message"]
    assert "bptl applications grant" in ended.result["message"]
    assert outside.asked == []


def test_a_task_whose_mapping_lost_its_service_is_not_run(scene: Scene, zaken: Service, outside: Outside) -> None:
    claim = claimed(scene)
    MappingService.objects.all().delete()
    mapping = scene.mappings["topic"]
    with pytest.raises(Unassignable, match="service zrc is missing: Zaken API"):
        assign(claim, {mapping.pk: mapping})
    assert outside.asked == []


def test_a_call_of_the_rest_api_is_refused_while_its_mapping_is_broken(zaken: Service) -> None:
    mapping = Mapping.objects.create(topic="zaak", unit="test.read_zaak")
    with pytest.raises(calls.NoSuchTopic, match="service zrc is missing"):
        calls.mapping_of("zaak")
    MappingService.objects.create(mapping=mapping, alias="zrc", service=zaken)
    assert calls.mapping_of("zaak") == mapping
