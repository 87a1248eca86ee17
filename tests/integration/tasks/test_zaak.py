"""A zaak through the heart: leases end in the middle of it, the ledger and the Zaken API know how far it came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from bptl.connections import directory
from bptl.connections.models import Mapping as TopicMapping
from bptl.connections.models import MappingService
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.tasks.execution import service_calls
from bptl.tasks.execution.outcomes import Ending
from bptl.tasks.execution.run import assign, run
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.lifecycle import Outcome
from bptl.tasks.models import Effect, ServiceCall
from tests.doubles.zgw.catalogue import DOMEIN, IDENTIFICATIE, RSIN
from tests.doubles.zgw.double import LIMITED, ZgwDouble
from tests.integration.ledger import Run, next_run
from tests.integration.scene import Scene

VARIABLES = {
    "bptlAppId": "vergunningen",
    "organisatieRSIN": RSIN,
    "catalogusDomein": DOMEIN,
    "zaaktypeIdentificatie": IDENTIFICATIE,
    "initialStatusRemarks": "Via de balie",
}


@pytest.fixture
def connected(committed_scene: Scene, zgw: ZgwDouble) -> Iterator[Scene]:
    """A mapping of ``zgw.create_zaak`` whose application reaches the double."""
    directory.forget()
    mapping = committed_scene.map("zaak", "zgw.create_zaak")
    application = Application.objects.create(app_id="vergunningen", label="Vergunningen", units=["zgw.*"])
    for alias in ("zrc", "ztc"):
        service = Service.objects.create(name=alias, kind=alias, address=zgw.root(alias), authentication="zgw")
        grant = ServiceGrant(application=application, service=service, client_id=LIMITED.client_id)
        grant.secret = LIMITED.secret
        grant.save()
        MappingService.objects.create(mapping=mapping, alias=alias, service=service)
    yield committed_scene
    # Its thread has a connection of its own: the test's database could not be dropped.
    assert service_calls.stop()
    directory.forget()


def attempt(scene: Scene, lease: Run) -> Ending:
    """The unit runs under a lease, as in a worker."""
    mappings = TopicMapping.objects.select_related("engine").in_bulk()
    ending = run(assign(lease.claim, mappings), Cancellation())
    assert isinstance(ending, Ending)
    return ending


def first(scene: Scene) -> Run:
    variables: dict[str, Any] = {name: {"type": "String", "value": value} for name, value in VARIABLES.items()}
    return Run(scene.claimed(scene.process(), topic="zaak", variables=variables))


def the_next(scene: Scene, lease: Run) -> Run:
    """The process of ``lease`` was killed before it stored anything; what it sent has settled."""
    times = ("intended_at", "gives_up_at", "settles_at")
    Effect.objects.update(**{name: F(name) - timedelta(minutes=2) for name in times})
    return next_run(scene, lease)


@pytest.mark.parametrize("kind", ["cut-after", "500-after", "cut-before"])
@pytest.mark.parametrize("where", ["zaken", "statussen"])
def test_a_process_that_is_killed_at_a_call_leaves_one_of_each(
    connected: Scene, zgw: ZgwDouble, where: str, kind: Any
) -> None:
    zgw.fault(f"/zaken/api/v1/{where}", kind=kind, method="POST")
    lease = first(connected)
    assert attempt(connected, lease).outcome is Outcome.FAILED
    assert Effect.objects.filter(end="").count() == 1
    ending = attempt(connected, the_next(connected, lease))
    (zaak,), (status,) = zgw.all("zaken"), zgw.all("statussen")
    assert ending.outcome is Outcome.COMPLETED
    assert ending.result["variables"]["zaakUrl"]["value"] == zaak["url"] == status["zaak"]
    assert [zgw.count("zaken"), zgw.count("statussen")] == [1, 1]
    assert not Effect.objects.filter(end="").exists()


def test_a_process_that_is_killed_after_all_of_it_repeats_nothing(connected: Scene, zgw: ZgwDouble) -> None:
    lease = first(connected)
    done = attempt(connected, lease)
    assert attempt(connected, the_next(connected, lease)).result == done.result
    assert [zgw.count("zaken"), zgw.count("statussen")] == [1, 1]
    assert len(zgw.calls("POST", "/zaken/api/v1/zaken")) == 1


def test_the_calls_are_on_record_and_the_credentials_were_those_of_the_application(
    connected: Scene, zgw: ZgwDouble
) -> None:
    attempt(connected, first(connected))
    assert service_calls.stop()
    recorded = ServiceCall.objects.order_by("id").values_list("method", "status", "url")
    posted = [(status, url.rpartition("/")[2]) for method, status, url in recorded if method == "POST"]
    assert posted == [(201, "zaken"), (201, "statussen")]
    assert {seen.application for seen in zgw.requests} == {LIMITED.client_id}


def test_the_incident_of_a_wrong_variable_names_it(connected: Scene, zgw: ZgwDouble) -> None:
    variables = {name: {"type": "String", "value": value} for name, value in VARIABLES.items()}
    variables["zaaktypeIdentificatie"] = {"type": "String", "value": "ONBEKEND"}
    claimed = connected.claimed(connected.process(), topic="zaak", variables=variables)
    ending = attempt(connected, Run(claimed))
    assert "correct zaaktypeIdentificatie" in ending.result["message"]
    assert ending.result["retries"] == 0
    assert zgw.count("zaken") == 0
