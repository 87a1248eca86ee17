"""A besluit in a zaak: recorded once, with the documents in which it is written down."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bptl.clients.besluiten import BesluitenClient
from bptl.clients.errors import Rejected, ServiceError
from bptl.work_units.contract import InvalidInput, NeverAgain, NotConnected, Uncertain
from bptl.work_units.testing import FakeWork, run
from bptl.work_units.zgw.besluiten import create_besluit
from bptl.work_units.zgw.effects import DUTCH
from tests.doubles.zgw.catalogue import RSIN
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.document import document, services
from tests.integration.work_units.mortal import Killed, MortalWork, deaths
from tests.integration.work_units.zaak import APP, begun, hidden, prevented, tried_again, work_with

NEEDS = ("brc", "zrc", "ztc")
BESLUITEN = "/besluiten/api/v1/besluiten"
PAIRS = "/besluiten/api/v1/besluitinformatieobjecten"


def new(zgw: ZgwDouble, zaak: str = "", **more: Any) -> dict[str, Any]:
    return {
        "zaakUrl": zaak or begun(zgw),
        "besluittypeOmschrijving": "besluit op aanvraag",
        "toelichting": "Past in het plan",
        **more,
        **APP,
    }


def others_besluit(zgw: ZgwDouble, zaak: str, **more: Any) -> str:
    today = datetime.now(DUTCH).date().isoformat()
    body = {
        "zaak": zaak,
        "besluittype": zgw.catalogue.besluittype,
        "verantwoordelijkeOrganisatie": RSIN,
        "datum": today,
        "ingangsdatum": today,
        "toelichting": "Past in het plan",
        **more,
    }
    return str(BesluitenClient(zgw.access("brc"), FakeWork()).create_besluit(body)["url"])


def test_a_besluit_is_recorded_today_for_the_organisation_of_the_zaak(zgw: ZgwDouble) -> None:
    variables = new(zgw)
    answer = run(create_besluit, variables, work=work_with(zgw, services=NEEDS)).variables
    made = zgw.get(answer["besluitUrl"])
    today = datetime.now(DUTCH).date().isoformat()
    expected = {
        "zaak": variables["zaakUrl"],
        "besluittype": zgw.catalogue.besluittype,
        "verantwoordelijkeOrganisatie": RSIN,
        "datum": today,
        "ingangsdatum": today,
        "toelichting": "Past in het plan",
    }
    assert {name: made[name] for name in expected} == expected
    assert answer["besluitIdentificatie"] == made["identificatie"] != ""


def test_everything_can_be_said_and_documents_are_attached(zgw: ZgwDouble) -> None:
    documents = [document(zgw), document(zgw)]
    given = {"verantwoordelijkeOrganisatie": "000000000", "datum": "2026-01-05", "ingangsdatum": "2026-02-01"}
    details = {"identificatie": "B-2026-1", "bestuursorgaan": "College", "vervaldatum": "2027-02-01"}
    variables = new(
        zgw,
        besluittype=zgw.catalogue.besluittype,
        **given,
        besluitDetails=details,
        informatieobjecten=[*documents, documents[0]],
    )
    work = work_with(zgw, services=("brc", "zrc"))  # the Catalogi API is not needed
    answer = run(create_besluit, variables, work=work).variables
    made = zgw.get(answer["besluitUrl"])
    assert {name: made[name] for name in (*given, *details)} == {**given, **details}
    assert answer["besluitIdentificatie"] == "B-2026-1"
    pairs = zgw.all("besluitinformatieobjecten")
    assert [(one["besluit"], one["informatieobject"]) for one in pairs] == [(made["url"], one) for one in documents]


def test_an_omschrijving_that_the_zaaktype_does_not_know_is_an_incident_with_those_it_knows(zgw: ZgwDouble) -> None:
    with pytest.raises(NeverAgain, match="it has 'Besluit op aanvraag'"):
        run(create_besluit, new(zgw, besluittypeOmschrijving="Vonnis"), work=work_with(zgw, services=NEEDS))
    assert zgw.count("besluiten") == 0


def test_an_omschrijving_needs_the_catalogi_api(zgw: ZgwDouble) -> None:
    with pytest.raises(NotConnected, match="ztc"):
        run(create_besluit, new(zgw), work=work_with(zgw, services=("brc", "zrc")))


def test_without_a_besluittype_it_is_refused(zgw: ZgwDouble) -> None:
    with pytest.raises(InvalidInput, match="give besluittype or besluittypeOmschrijving"):
        run(create_besluit, new(zgw, besluittypeOmschrijving=""), work=work_with(zgw, services=NEEDS))


def test_a_day_in_the_future_is_an_incident(zgw: ZgwDouble) -> None:
    tomorrow = (datetime.now(DUTCH).date() + timedelta(days=2)).isoformat()
    work = work_with(zgw, services=NEEDS)
    with pytest.raises(Rejected, match="datum"):
        run(create_besluit, new(zgw, datum=tomorrow), work=work)
    assert work.open_effects == set()


@hidden
@pytest.mark.parametrize("details", [{}, {"identificatie": "B-1"}])
@pytest.mark.parametrize("where", [BESLUITEN, PAIRS])
def test_what_was_done_without_an_answer_is_found_and_not_done_again(
    zgw: ZgwDouble, where: str, details: dict[str, str], kind: Any
) -> None:
    zaak = begun(zgw)
    earlier = others_besluit(zgw, zaak)  # equal to ours, but there before
    zgw.fault(where, kind=kind, method="POST")
    variables = new(zgw, zaak, besluitDetails=details, informatieobjecten=[document(zgw)])
    answer = tried_again(create_besluit, variables, work_with(zgw, services=NEEDS))
    assert answer["besluitUrl"] != earlier
    assert [zgw.count("besluiten"), zgw.count("besluitinformatieobjecten")] == [2, 1]


@prevented
@pytest.mark.parametrize("where", [BESLUITEN, PAIRS])
def test_what_was_not_done_is_done_by_the_next_attempt(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(where, kind=kind, method="POST")
    variables = new(zgw, informatieobjecten=[document(zgw)])
    tried_again(create_besluit, variables, work_with(zgw, services=NEEDS))
    assert [zgw.count("besluiten"), zgw.count("besluitinformatieobjecten")] == [1, 1]


def test_when_another_equal_besluit_came_meanwhile_a_person_says_which_is_ours(zgw: ZgwDouble) -> None:
    zaak, work = begun(zgw), work_with(zgw, services=NEEDS)
    zgw.fault(BESLUITEN, kind="cut-after", method="POST")
    with pytest.raises(ServiceError):
        run(create_besluit, new(zgw, zaak), work=work)
    theirs = others_besluit(zgw, zaak)
    with pytest.raises(Uncertain, match=theirs):
        run(create_besluit, new(zgw, zaak), work=work)


def test_the_day_of_the_first_attempt_stays(zgw: ZgwDouble) -> None:
    yesterday = (datetime.now(DUTCH).date() - timedelta(days=1)).isoformat()
    work = work_with(zgw, services=NEEDS, effects={"choose": {"today": yesterday, "before": []}})
    assert zgw.get(run(create_besluit, new(zgw), work=work).variables["besluitUrl"])["datum"] == yesterday


def test_when_one_document_cannot_be_attached_the_others_are_and_it_is_told(zgw: ZgwDouble) -> None:
    unknown = document(zgw, informatieobjecttype=zgw.catalogue.add_informatieobjecttype("Vakantiefoto"))
    known, work = document(zgw), work_with(zgw, services=NEEDS)
    with pytest.raises(Rejected, match="missing-besluittype-informatieobjecttype-relation"):
        run(create_besluit, new(zgw, informatieobjecten=[unknown, known]), work=work)
    assert [one["informatieobject"] for one in zgw.all("besluitinformatieobjecten")] == [known]


def test_a_number_that_another_besluit_has_is_an_incident(zgw: ZgwDouble) -> None:
    zaak, other = begun(zgw), begun(zgw)
    others_besluit(zgw, other, identificatie="B-1")
    variables = new(zgw, zaak, besluitDetails={"identificatie": "B-1"})
    with pytest.raises(Rejected, match="identificatie-niet-uniek"):
        run(create_besluit, variables, work=work_with(zgw, services=NEEDS))


def test_wherever_a_process_dies_there_is_one_besluit_with_its_documents(zgw: ZgwDouble) -> None:
    documents = [document(zgw), document(zgw)]
    whole = MortalWork(services(zgw))
    run(create_besluit, new(zgw, informatieobjecten=documents), work=whole)
    for call, moment in deaths(len(whole.calls)):
        variables = new(zgw, informatieobjecten=documents)
        work = MortalWork(services(zgw), call=call, moment=moment)
        with pytest.raises(Killed):
            run(create_besluit, variables, work=work)
        answer = run(create_besluit, variables, work=work).variables
        besluiten = [one["url"] for one in zgw.all("besluiten") if one["zaak"] == variables["zaakUrl"]]
        assert besluiten == [answer["besluitUrl"]], (call, moment)
        pairs = [one for one in zgw.all("besluitinformatieobjecten") if one["besluit"] == besluiten[0]]
        assert [one["informatieobject"] for one in pairs] == documents, (call, moment)
