"""A zaak is closed with its resultaat, once; what hinders is said with what to do about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from bptl.clients.documenten import DocumentenClient
from bptl.clients.errors import ForeignAddress, Rejected
from bptl.work_units.contract import NeverAgain
from bptl.work_units.testing import FakeWork, run
from bptl.work_units.zgw.closing import close_zaak
from bptl.work_units.zgw.effects import DUTCH
from tests.doubles.zgw.applications import EVERYDAY, Application
from tests.doubles.zgw.catalogue import RSIN
from tests.doubles.zgw.double import ALL_RIGHTS, ZgwDouble
from tests.integration.work_units.zaak import (
    APP,
    begun,
    closed,
    hidden,
    nothing_made,
    prevented,
    tried_again,
    work_with,
    zrc,
)


def test_a_zaak_gets_its_resultaat_and_its_end_status(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    variables = {
        "zaakUrl": zaak,
        "omschrijving": "verleend",
        "toelichting": "Past in het plan",
        "statustoelichting": "Klaar",
        **APP,
    }
    ended = run(close_zaak, variables, work=work_with(zgw)).variables
    today = datetime.now(DUTCH).date()
    assert ended == {
        "einddatum": today.isoformat(),
        "archiefnominatie": "vernietigen",
        "archiefactiedatum": zgw.get(zaak)["archiefactiedatum"],
    }
    (resultaat,) = zgw.all("resultaten")
    assert resultaat["resultaattype"] == zgw.catalogue.resultaattype("Verleend")
    assert resultaat["toelichting"] == "Past in het plan"
    (status,) = zgw.all("statussen")
    assert (status["statustype"], status["statustoelichting"]) == (zgw.catalogue.statustype(4), "Klaar")


def test_the_old_name_of_the_zaak_and_the_address_of_a_resultaattype_serve_too(zgw: ZgwDouble) -> None:
    variables = {"zaak": begun(zgw), "resultaattype": zgw.catalogue.resultaattype("Geweigerd"), **APP}
    run(close_zaak, variables, work=work_with(zgw))
    assert zgw.all("resultaten")[0]["resultaattype"] == variables["resultaattype"]


@hidden
@pytest.mark.parametrize("where", ["resultaten", "statussen"])
def test_what_was_done_without_an_answer_is_found_and_not_done_again(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(f"/zaken/api/v1/{where}", kind=kind, method="POST")
    ended = tried_again(close_zaak, {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}, work_with(zgw))
    assert ended["einddatum"] is not None
    assert [zgw.count("resultaten"), zgw.count("statussen")] == [1, 1]


@prevented
@pytest.mark.parametrize("where", ["resultaten", "statussen"])
def test_what_was_not_done_is_done_by_the_next_attempt(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(f"/zaken/api/v1/{where}", kind=kind, method="POST")
    ended = tried_again(close_zaak, {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}, work_with(zgw))
    assert ended["einddatum"] is not None
    assert [zgw.count("resultaten"), zgw.count("statussen")] == [1, 1]


def test_a_process_that_died_after_the_end_status_was_set_sets_no_other(zgw: ZgwDouble) -> None:
    zaak = closed(zgw)
    (status,) = zgw.all("statussen")
    choice = {"moment": status["datumStatusGezet"], "closed": False, "resultaat": None}
    work = work_with(zgw, effects={"choose": choice}, open_effects=["create-resultaat", "create-status"])
    run(close_zaak, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work)
    assert [zgw.count("resultaten"), zgw.count("statussen")] == [1, 1]


def test_without_any_resultaat_the_refusal_says_which_variable_to_give(zgw: ZgwDouble) -> None:
    zaak, work = begun(zgw), work_with(zgw)
    with nothing_made(zgw), pytest.raises(NeverAgain, match="give resultaattype or omschrijving"):
        run(close_zaak, {"zaakUrl": zaak, **APP}, work=work)
    assert "resultaat.not_given" in {event["event"] for event in work.events}
    assert work.open_effects == set()


def test_a_resultaat_that_is_there_is_enough(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    zrc(zgw).create_resultaat({"zaak": zaak, "resultaattype": zgw.catalogue.resultaattype("Verleend")})
    assert run(close_zaak, {"zaakUrl": zaak, **APP}, work=work_with(zgw)).variables["einddatum"]


def test_the_same_resultaat_that_is_there_stays(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    zrc(zgw).create_resultaat({"zaak": zaak, "resultaattype": zgw.catalogue.resultaattype("Verleend")})
    run(close_zaak, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work_with(zgw))
    assert zgw.count("resultaten") == 1


def test_another_resultaat_that_is_there_is_an_incident(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    zrc(zgw).create_resultaat({"zaak": zaak, "resultaattype": zgw.catalogue.resultaattype("Geweigerd")})
    with nothing_made(zgw), pytest.raises(NeverAgain, match="is there with resultaattype"):
        run(close_zaak, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work_with(zgw))


@pytest.mark.parametrize("all_rights", [False, True])
def test_a_closed_zaak_is_left_as_it_is(zgw: ZgwDouble, *, all_rights: bool) -> None:
    zaak = closed(zgw)
    work = work_with(zgw, application=ALL_RIGHTS) if all_rights else work_with(zgw)
    with nothing_made(zgw):
        ended = run(close_zaak, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work).variables
    assert ended["einddatum"] == zgw.get(zaak)["einddatum"]


def test_a_zaak_that_was_closed_with_another_resultaat_is_an_incident(zgw: ZgwDouble) -> None:
    zaak = closed(zgw, "Geweigerd")
    with nothing_made(zgw), pytest.raises(NeverAgain, match="is closed with resultaattype"):
        run(close_zaak, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work_with(zgw))


def test_a_zaaktype_without_end_status_is_found_out_before_the_resultaat_is_recorded(zgw: ZgwDouble) -> None:
    zaaktype = zgw.catalogue.add_zaaktype("OPEN", statussen=[])
    zaak = begun(zgw, zaaktype=zaaktype)
    with nothing_made(zgw), pytest.raises(NeverAgain, match="has no end status"):
        run(close_zaak, {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}, work=work_with(zgw))


@pytest.mark.parametrize(
    ("locked", "advice"),
    [(True, "let zgw.unlock_document go before"), (False, "let zgw.set_indicatie_gebruiksrecht go before")],
)
def test_a_document_that_hinders_is_said_with_the_unit_that_helps(zgw: ZgwDouble, *, locked: bool, advice: str) -> None:
    zaak = begun(zgw)
    drc = DocumentenClient(zgw.access("drc"), FakeWork())
    document = drc.create(
        "enkelvoudiginformatieobjecten",
        {
            "bronorganisatie": RSIN,
            "creatiedatum": "2026-01-05",
            "titel": "Aanvraag",
            "auteur": "Balie",
            "taal": "nld",
            "informatieobjecttype": zgw.catalogue.informatieobjecttype("Aanvraag"),
            "inhoud": "YQ==",
            "bestandsomvang": 1,
            **({"indicatieGebruiksrecht": False} if locked else {}),
        },
    )
    zrc(zgw).create_zaakinformatieobject({"zaak": zaak, "informatieobject": document["url"]})
    if locked:
        drc.create(f"{document['url']}/lock", {})
    variables = {"zaakUrl": zaak, "omschrijving": "Verleend", **APP}
    with pytest.raises(NeverAgain, match=advice):
        run(close_zaak, variables, work=work_with(zgw))
    assert zgw.get(zaak)["einddatum"] is None


def test_any_other_refusal_comes_as_the_service_said_it(zgw: ZgwDouble) -> None:
    weak = Application("zwak", "geheim-van-de-zwakke" * 2, "t", scopes=EVERYDAY - {"zaken.statussen.toevoegen"})
    zgw.add_application(weak)
    variables = {"zaakUrl": begun(zgw), "omschrijving": "Verleend", **APP}
    with pytest.raises(Rejected, match="403"):
        run(close_zaak, variables, work=work_with(zgw, application=weak))


def test_a_zaak_of_another_service_is_not_asked_for(zgw: ZgwDouble) -> None:
    foreign = "https://elders.example.nl/zaken/2f6bb9b6-8a62-4e4c-8e42-9c7b1a3e5d11"
    with pytest.raises(ForeignAddress, match="does not belong to zrc"):
        run(close_zaak, {"zaakUrl": foreign, **APP}, work=work_with(zgw))
