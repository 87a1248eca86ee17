"""A zaak through the heart: leases end in the middle of it, the ledger and the Zaken API know how far it came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bptl.tasks.endings import Ending
from bptl.tasks.execution import service_calls
from bptl.tasks.lifecycle import Outcome
from bptl.tasks.models import Effect, ServiceCall
from tests.doubles.zgw.catalogue import DOMEIN, IDENTIFICATIE, RSIN
from tests.doubles.zgw.double import LIMITED, ZgwDouble
from tests.integration.ledger import Run
from tests.integration.scene import Scene
from tests.integration.tasks.zgw import APPLICATION, attempt, connected_to, the_next

VARIABLES = {
    "bptlAppId": APPLICATION,
    "organisatieRSIN": RSIN,
    "catalogusDomein": DOMEIN,
    "zaaktypeIdentificatie": IDENTIFICATIE,
    "initialStatusRemarks": "Via de balie",
}


@pytest.fixture
def connected(committed_scene: Scene, zgw: ZgwDouble) -> Iterator[Scene]:
    """A mapping of ``zgw.create_zaak`` whose application reaches the double."""
    with connected_to(committed_scene, zgw, "zaak", "zgw.create_zaak", ("zrc", "ztc")) as scene:
        yield scene


def ended(lease: Run) -> Ending:
    """The ending of the unit under a lease."""
    ending = attempt(lease)
    assert isinstance(ending, Ending)
    return ending


def first(scene: Scene) -> Run:
    variables: dict[str, Any] = {name: {"type": "String", "value": value} for name, value in VARIABLES.items()}
    return Run(scene.claimed(scene.process(), topic="zaak", variables=variables))


@pytest.mark.parametrize("kind", ["cut-after", "500-after", "cut-before"])
@pytest.mark.parametrize("where", ["zaken", "statussen"])
def test_a_process_that_is_killed_at_a_call_leaves_one_of_each(
    connected: Scene, zgw: ZgwDouble, where: str, kind: Any
) -> None:
    zgw.fault(f"/zaken/api/v1/{where}", kind=kind, method="POST")
    lease = first(connected)
    assert ended(lease).outcome is Outcome.FAILED
    assert Effect.objects.filter(end="").count() == 1
    ending = ended(the_next(connected, lease))
    (zaak,), (status,) = zgw.all("zaken"), zgw.all("statussen")
    assert ending.outcome is Outcome.COMPLETED
    assert ending.result["variables"]["zaakUrl"]["value"] == zaak["url"] == status["zaak"]
    assert [zgw.count("zaken"), zgw.count("statussen")] == [1, 1]
    assert not Effect.objects.filter(end="").exists()


def test_a_process_that_is_killed_after_all_of_it_repeats_nothing(connected: Scene, zgw: ZgwDouble) -> None:
    lease = first(connected)
    done = ended(lease)
    assert ended(the_next(connected, lease)).result == done.result
    assert [zgw.count("zaken"), zgw.count("statussen")] == [1, 1]
    assert len(zgw.calls("POST", "/zaken/api/v1/zaken")) == 1


def test_the_calls_are_on_record_and_the_credentials_were_those_of_the_application(
    connected: Scene, zgw: ZgwDouble
) -> None:
    ended(first(connected))
    assert service_calls.stop()
    recorded = ServiceCall.objects.order_by("id").values_list("method", "status", "url")
    posted = [(status, url.rpartition("/")[2]) for method, status, url in recorded if method == "POST"]
    assert posted == [(201, "zaken"), (201, "statussen")]
    assert {seen.application for seen in zgw.requests} == {LIMITED.client_id}


def test_the_incident_of_a_wrong_variable_names_it(connected: Scene, zgw: ZgwDouble) -> None:
    variables = {name: {"type": "String", "value": value} for name, value in VARIABLES.items()}
    variables["zaaktypeIdentificatie"] = {"type": "String", "value": "ONBEKEND"}
    claimed = connected.claimed(connected.process(), topic="zaak", variables=variables)
    ending = ended(Run(claimed))
    assert "correct zaaktypeIdentificatie" in ending.result["message"]
    assert ending.result["retries"] == 0
    assert zgw.count("zaken") == 0
