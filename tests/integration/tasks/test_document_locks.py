"""W25 through the heart: a lease ends between lock and unlock, and no document stays locked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bptl.tasks.endings import Ending
from bptl.tasks.execution.outcomes import Doubt
from bptl.tasks.lifecycle import Outcome
from bptl.tasks.models import Effect
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.ledger import Run
from tests.integration.scene import Scene
from tests.integration.tasks.zgw import APPLICATION, Ends, attempt, connected_to, the_next
from tests.integration.work_units.document import document, path
from tests.integration.work_units.zaak import begun


@pytest.fixture
def connected(committed_scene: Scene, zgw: ZgwDouble) -> Iterator[Scene]:
    """A mapping of ``zgw.set_indicatie_gebruiksrecht`` whose application reaches the double."""
    with connected_to(committed_scene, zgw, "rechten", "zgw.set_indicatie_gebruiksrecht", ("zrc", "drc")) as scene:
        yield scene


def first(scene: Scene, zaak: str) -> Run:
    variables: dict[str, Any] = {
        name: {"type": "String", "value": value} for name, value in {"zaakUrl": zaak, "bptlAppId": APPLICATION}.items()
    }
    return Run(scene.claimed(scene.process(), topic="rechten", variables=variables))


@pytest.mark.parametrize(("call", "method"), [("/lock", "POST"), ("", "PATCH"), ("/unlock", "POST")])
def test_the_next_lease_goes_on_with_the_lock_and_unlocks(
    connected: Scene, zgw: ZgwDouble, call: str, method: str
) -> None:
    zaak = begun(zgw)
    documents = [document(zgw, zaak=zaak) for _ in range(2)]
    lease = first(connected, zaak)
    lease.cancellation = Ends(zgw, method, path(documents[0]) + call)
    assert attempt(lease) is None
    assert zgw.get(documents[0])["locked"] is (call != "/unlock")

    ending = attempt(the_next(connected, lease))
    assert isinstance(ending, Ending)
    assert ending.outcome is Outcome.COMPLETED
    said = [(one["indicatieGebruiksrecht"], one["locked"], one["versie"]) for one in map(zgw.get, documents)]
    assert said == [(False, False, 2)] * 2
    assert not Effect.objects.filter(end="").exists()


def test_a_lock_that_nobody_heard_of_waits_for_a_person(connected: Scene, zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    informatieobject = document(zgw, zaak=zaak)
    zgw.fault(path(informatieobject) + "/lock", kind="cut-after", method="POST")
    lease = first(connected, zaak)
    failed = attempt(lease)
    assert isinstance(failed, Ending)
    assert failed.outcome is Outcome.FAILED
    doubt = attempt(the_next(connected, lease))
    assert isinstance(doubt, Doubt)
    assert "the answer that told the lock was lost" in doubt.reason
    assert "documenten.geforceerd-unlock" in doubt.reason
    (effect,) = Effect.objects.filter(end="")
    assert effect.key.startswith("lock ")
