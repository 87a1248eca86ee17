"""A zaak has one resultaat; it is recorded by its type or its omschrijving."""

from __future__ import annotations

from typing import Any

import pytest

from bptl.clients.errors import Rejected
from bptl.work_units.contract import NeverAgain, NotConnected
from bptl.work_units.testing import run
from bptl.work_units.zgw.resultaten import create_resultaat
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.zaak import (
    APP,
    begun,
    closed,
    hidden,
    nothing_made,
    prevented,
    tried_again,
    work_with,
)


def test_a_resultaat_is_recorded_by_its_omschrijving_in_any_case(zgw: ZgwDouble) -> None:
    variables = {"zaak": begun(zgw), "omschrijving": "VERLEEND", "toelichting": "Past", **APP}
    url = run(create_resultaat, variables, work=work_with(zgw)).variables["resultaatUrl"]
    resultaat = zgw.get(url)
    assert resultaat["resultaattype"] == zgw.catalogue.resultaattype("Verleend")
    assert resultaat["toelichting"] == "Past"


def test_the_catalogus_is_not_needed_for_an_address(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "resultaattype": zgw.catalogue.resultaattype("Verleend"), **APP}
    run(create_resultaat, variables, work=work_with(zgw, services=["zrc"]))
    assert zgw.count("resultaten") == 1


def test_the_catalogus_is_missed_only_where_it_is_needed(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}
    with nothing_made(zgw), pytest.raises(NotConnected, match="'ztc'"):
        run(create_resultaat, variables, work=work_with(zgw, services=["zrc"]))


def test_an_unknown_omschrijving_is_an_incident_that_names_those_there_are(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "omschrijving": "Misschien", **APP}
    with nothing_made(zgw), pytest.raises(NeverAgain, match="it has 'Verleend', 'Geweigerd', 'Ingetrokken'"):
        run(create_resultaat, variables, work=work_with(zgw))


def test_an_omschrijving_that_fits_several_is_an_incident(zgw: ZgwDouble) -> None:
    zaaktype = zgw.catalogue.add_zaaktype("DUBBEL", resultaten=["Verleend", "verleend"])
    variables = {"zaakUrl": begun(zgw, zaaktype=zaaktype), "omschrijving": "Verleend", **APP}
    with nothing_made(zgw), pytest.raises(NeverAgain, match="has 2 resultaattypen"):
        run(create_resultaat, variables, work=work_with(zgw))


@hidden
def test_a_resultaat_that_was_recorded_without_an_answer_is_found(zgw: ZgwDouble, kind: Any) -> None:
    zgw.fault("/zaken/api/v1/resultaten", kind=kind, method="POST")
    made = tried_again(create_resultaat, {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}, work_with(zgw))
    assert made["resultaatUrl"] == zgw.all("resultaten")[0]["url"]


@prevented
def test_a_resultaat_that_was_not_recorded_is_recorded_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    zgw.fault("/zaken/api/v1/resultaten", kind=kind, method="POST")
    tried_again(create_resultaat, {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}, work_with(zgw))
    assert zgw.count("resultaten") == 1


def test_the_same_resultaat_that_is_there_is_taken_for_it(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}
    first = run(create_resultaat, variables, work=work_with(zgw)).variables
    assert run(create_resultaat, variables, work=work_with(zgw)).variables == first


@pytest.mark.parametrize("open_effects", [[], ["create-resultaat"]])
def test_another_resultaat_that_is_there_makes_the_service_refuse(zgw: ZgwDouble, open_effects: list[str]) -> None:
    zaak = begun(zgw)
    run(create_resultaat, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work_with(zgw))
    with nothing_made(zgw), pytest.raises(Rejected, match="Er bestaat al een resultaat"):
        run(
            create_resultaat,
            {"zaakUrl": zaak, "omschrijving": "Geweigerd", **APP},
            work=work_with(zgw, open_effects=open_effects),
        )


def test_a_limited_application_records_nothing_of_a_closed_zaak(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": closed(zgw), "omschrijving": "Geweigerd", **APP}
    with nothing_made(zgw), pytest.raises(Rejected, match="403"):
        run(create_resultaat, variables, work=work_with(zgw))
