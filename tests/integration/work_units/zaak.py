"""What the tests of the ZGW units share: work with the double's services, tries, and a zaak to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from bptl.clients.access import Access
from bptl.clients.errors import ServiceError
from bptl.clients.zaken import ZakenClient
from bptl.work_units.testing import FakeProcesses, FakeWork, run, task_facts
from tests.doubles.zgw.applications import Application
from tests.doubles.zgw.catalogue import RSIN
from tests.doubles.zgw.double import LIMITED, ZgwDouble

EXTERNAL_ID = "0b1d2a64-5c0f-4a0e-9d2b-6f6f2f0a7c11"
APP = {"bptlAppId": "bptl"}
DONE_BUT_SILENT = ("500-after", "cut-after")
NOT_DONE = ("500-before", "cut-before", "503", "429")

hidden = pytest.mark.parametrize("kind", DONE_BUT_SILENT)
prevented = pytest.mark.parametrize("kind", NOT_DONE)


def work_with(
    zgw: ZgwDouble,
    *,
    application: Application = LIMITED,
    services: Sequence[str] = ("zrc", "ztc", "objects", "objecttypes"),
    more: dict[str, Access | str] | None = None,
    effects: dict[str, Any] | None = None,
    open_effects: Sequence[str] = (),
    processes: FakeProcesses | None = None,
) -> FakeWork:
    """One task's work. Run a unit with it again for the next attempt: it remembers the effects."""
    accesses: dict[str, Access | str] = {alias: zgw.access(alias, application) for alias in services}
    return FakeWork(
        task=task_facts(external_id=EXTERNAL_ID),
        services=accesses | (more or {}),
        effects=effects,
        open_effects=open_effects,
        processes=processes,
    )


def tried_again(unit: Callable[..., Any], variables: dict[str, Any], work: FakeWork, *, failures: int = 1) -> Any:
    """The variables of the attempt that ends well, after as many that end with a ServiceError worth a retry."""
    for _ in range(failures):
        with pytest.raises(ServiceError) as raised:
            run(unit, variables, work=work)
        assert raised.value.again
    return run(unit, variables, work=work).variables


def zrc(zgw: ZgwDouble, application: Application = LIMITED) -> ZakenClient:
    """Somebody else at the Zaken API."""
    return ZakenClient(zgw.access("zrc", application), FakeWork())


def begun(zgw: ZgwDouble, *, zaaktype: str = "", **more: Any) -> str:
    """The address of a zaak that is there."""
    today = zgw.world.today().isoformat()
    body = {"bronorganisatie": RSIN, "verantwoordelijkeOrganisatie": RSIN, "startdatum": today}
    return str(zrc(zgw).create_zaak({**body, "zaaktype": zaaktype or zgw.catalogue.zaaktype, **more})["url"])


def closed(zgw: ZgwDouble, resultaat: str = "Verleend") -> str:
    """The address of a zaak that has ended."""
    zaak = begun(zgw)
    others = zrc(zgw)
    others.create_resultaat({"zaak": zaak, "resultaattype": zgw.catalogue.resultaattype(resultaat)})
    moment = datetime.now(UTC).isoformat()
    others.create_status({"zaak": zaak, "statustype": zgw.catalogue.statustype(4), "datumStatusGezet": moment})
    return zaak


@contextmanager
def nothing_made(zgw: ZgwDouble) -> Iterator[None]:
    """What is inside makes no zaak, status, resultaat or rol."""
    names = ("zaken", "statussen", "resultaten", "rollen")
    before = [zgw.count(name) for name in names]
    yield
    assert [zgw.count(name) for name in names] == before
