"""A document from a variable: created once with its content, attached once, and never left half done."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import pytest

from bptl.clients.errors import Rejected, ServiceError
from bptl.engines.variables import File
from bptl.work_units.contract import EffectChanged, InvalidInput, NeverAgain, NotConnected, Uncertain
from bptl.work_units.testing import run
from bptl.work_units.zgw import inhoud
from bptl.work_units.zgw.documenten import add_document
from bptl.work_units.zgw.effects import DUTCH
from tests.doubles.zgw.catalogue import RSIN
from tests.doubles.zgw.double import ALL_RIGHTS, ZgwDouble
from tests.integration.work_units.document import DOCUMENTEN, document, drc, services
from tests.integration.work_units.mortal import Killed, MortalWork, deaths
from tests.integration.work_units.zaak import APP, EXTERNAL_ID, begun, hidden, prevented, tried_again, work_with, zrc

NEEDS = ("zrc", "ztc", "drc")
PAIRS = "/zaken/api/v1/zaakinformatieobjecten"
PDF = b"%PDF-1.7 een beschikking"


def new(zgw: ZgwDouble, zaak: str = "", **more: Any) -> dict[str, Any]:
    return {
        "zaakUrl": zaak or begun(zgw),
        "inhoud": "Geachte mevrouw,",
        "informatieobjecttypeOmschrijving": "beschikking",
        "titel": "Beschikking",
        "auteur": "Afdeling Vergunningen",
        **more,
        **APP,
    }


def content(zgw: ZgwDouble, informatieobject: str) -> bytes:
    return drc(zgw).content(informatieobject)


@pytest.fixture
def parts(zgw: ZgwDouble, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Content that goes in three parts."""
    monkeypatch.setattr(inhoud, "LARGEST_AT_ONCE", 100)
    zgw.part_size(60)
    return bytes(range(140))


def test_a_text_becomes_a_document_of_the_zaak(zgw: ZgwDouble) -> None:
    variables = new(zgw)
    answer = run(add_document, variables, work=work_with(zgw, services=NEEDS)).variables
    made, (pair,) = zgw.get(answer["informatieobject"]), zgw.all("zaakinformatieobjecten")
    assert answer == {"informatieobject": made["url"], "zaakinformatieobject": pair["url"]}
    assert (pair["zaak"], pair["informatieobject"]) == (variables["zaakUrl"], made["url"])
    assert content(zgw, made["url"]) == b"Geachte mevrouw,"
    expected = {
        "identificatie": EXTERNAL_ID,
        "bronorganisatie": RSIN,
        "informatieobjecttype": zgw.catalogue.informatieobjecttype("Beschikking"),
        "titel": "Beschikking",
        "auteur": "Afdeling Vergunningen",
        "creatiedatum": datetime.now(DUTCH).date().isoformat(),
        "taal": "nld",
        "vertrouwelijkheidaanduiding": "openbaar",
        "locked": False,
    }
    assert {name: made[name] for name in expected} == expected


@pytest.mark.parametrize(
    "given",
    [
        {"inhoud": File("beschikking.pdf", "application/pdf", load=lambda: PDF)},
        {"inhoud": PDF, "bestandsnaam": "beschikking.pdf"},
        {"inhoud": base64.b64encode(PDF).decode(), "inhoudCodering": "base64", "bestandsnaam": "beschikking.pdf"},
        {"inhoud": PDF, "bestandsnaam": "beschikking.pdf", "formaat": "application/pdf"},
    ],
)
def test_a_file_bytes_and_base64_do_as_well(zgw: ZgwDouble, given: dict[str, Any]) -> None:
    answer = run(add_document, new(zgw, **given), work=work_with(zgw, services=NEEDS)).variables
    made = zgw.get(answer["informatieobject"])
    assert (made["bestandsnaam"], made["formaat"], made["bestandsomvang"]) == (
        "beschikking.pdf",
        "application/pdf",
        len(PDF),
    )
    assert content(zgw, made["url"]) == PDF


def test_everything_can_be_said(zgw: ZgwDouble) -> None:
    given = {
        "informatieobjecttype": zgw.catalogue.informatieobjecttype("Aanvraag"),
        "bronorganisatie": "000000000",
        "creatiedatum": "2026-01-05",
        "taal": "fry",
        "vertrouwelijkheidaanduiding": "zaakvertrouwelijk",
    }
    details = {
        "identificatie": "BRIEF-1",
        "beschrijving": "Op verzoek",
        "status": "definitief",
        "indicatieGebruiksrecht": False,
    }
    work = work_with(zgw, services=("zrc", "drc"))  # the Catalogi API is not needed
    variables = new(zgw, **given, documentDetails=details)
    made = zgw.get(run(add_document, variables, work=work).variables["informatieobject"])
    assert {name: made[name] for name in (*given, *details)} == {**given, **details}


def test_an_omschrijving_that_the_zaaktype_does_not_know_is_an_incident_with_those_it_knows(zgw: ZgwDouble) -> None:
    zgw.catalogue.add_informatieobjecttype("Vakantiefoto")
    variables = new(zgw, informatieobjecttypeOmschrijving="Vakantiefoto")
    with pytest.raises(NeverAgain, match="it has 'Aanvraag', 'Beschikking'"):
        run(add_document, variables, work=work_with(zgw, services=NEEDS))
    assert zgw.count("enkelvoudiginformatieobjecten") == 0


def test_an_informatieobjecttype_that_has_ended_is_not_chosen(zgw: ZgwDouble) -> None:
    with zgw.world.lock:
        (beschikking,) = zgw.world.all("informatieobjecttypen", omschrijving="Beschikking")
        beschikking["eindeGeldigheid"] = "2021-12-31"
    with pytest.raises(NeverAgain, match="no informatieobjecttypen with omschrijving 'beschikking' valid on"):
        run(add_document, new(zgw), work=work_with(zgw, services=NEEDS))


def test_an_omschrijving_needs_the_catalogi_api(zgw: ZgwDouble) -> None:
    with pytest.raises(NotConnected, match="ztc"):
        run(add_document, new(zgw), work=work_with(zgw, services=("zrc", "drc")))


def test_an_empty_file_is_no_document(zgw: ZgwDouble) -> None:
    with pytest.raises(NeverAgain, match="is empty"):
        run(add_document, new(zgw, inhoud=File("leeg.txt")), work=work_with(zgw, services=NEEDS))
    assert zgw.count("enkelvoudiginformatieobjecten") == 0


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"inhoud": ""}, "inhoud: is empty"),
        ({"inhoud": "geen base64!", "inhoudCodering": "base64"}, "inhoud: must be base64"),
        ({"informatieobjecttypeOmschrijving": ""}, "give informatieobjecttype or informatieobjecttypeOmschrijving"),
        ({"taal": "nl"}, "taal: must be text that matches"),
        ({"vertrouwelijkheidaanduiding": "geheimpje"}, "vertrouwelijkheidaanduiding: must be"),
    ],
)
def test_what_cannot_be_meant_is_refused(zgw: ZgwDouble, given: dict[str, Any], fault: str) -> None:
    work = work_with(zgw, services=NEEDS)
    with pytest.raises(InvalidInput, match=fault):
        run(add_document, new(zgw, **given), work=work)
    assert work.calls == []


@hidden
@pytest.mark.parametrize("where", [DOCUMENTEN, PAIRS])
def test_what_was_done_without_an_answer_is_found_and_not_done_again(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(where, kind=kind, method="POST")
    answer = tried_again(add_document, new(zgw), work_with(zgw, services=NEEDS))
    assert zgw.count("enkelvoudiginformatieobjecten", EXTERNAL_ID) == 1
    assert zgw.all("zaakinformatieobjecten")[0]["url"] == answer["zaakinformatieobject"]


@prevented
@pytest.mark.parametrize("where", [DOCUMENTEN, PAIRS])
def test_what_was_not_done_is_done_by_the_next_attempt(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(where, kind=kind, method="POST")
    tried_again(add_document, new(zgw), work_with(zgw, services=NEEDS))
    assert [zgw.count("enkelvoudiginformatieobjecten"), zgw.count("zaakinformatieobjecten")] == [1, 1]


def test_even_a_task_whose_ledger_was_lost_makes_no_second_document(zgw: ZgwDouble) -> None:
    variables = new(zgw)
    first = run(add_document, variables, work=work_with(zgw, services=NEEDS)).variables
    assert run(add_document, variables, work=work_with(zgw, services=NEEDS)).variables == first
    assert zgw.count("enkelvoudiginformatieobjecten") == 1


def test_a_number_that_another_document_has_is_an_incident(zgw: ZgwDouble) -> None:
    document(zgw, identificatie="BRIEF-1")
    work = work_with(zgw, services=NEEDS)
    with pytest.raises(Rejected, match="identificatie-niet-uniek"):
        run(add_document, new(zgw, documentDetails={"identificatie": "BRIEF-1"}), work=work)
    assert zgw.count("zaakinformatieobjecten") == 0
    assert work.open_effects == set()


@hidden
def test_a_document_with_a_number_of_the_model_is_found_too(zgw: ZgwDouble, kind: Any) -> None:
    zgw.fault(DOCUMENTEN, kind=kind, method="POST")
    variables = new(zgw, documentDetails={"identificatie": "BRIEF-1"})
    tried_again(add_document, variables, work_with(zgw, services=NEEDS))
    assert zgw.count("enkelvoudiginformatieobjecten", "BRIEF-1") == 1


def test_other_content_at_a_later_attempt_is_an_incident(zgw: ZgwDouble) -> None:
    variables, work = new(zgw), work_with(zgw, services=NEEDS)
    zgw.fault(PAIRS, kind="503", method="POST")
    with pytest.raises(ServiceError):
        run(add_document, variables, work=work)
    with pytest.raises(EffectChanged, match="sha256"):
        run(add_document, {**variables, "inhoud": "Geachte heer,"}, work=work)


# in parts


def test_a_large_file_goes_in_parts(zgw: ZgwDouble, parts: bytes) -> None:
    answer = run(add_document, new(zgw, inhoud=parts), work=work_with(zgw, services=NEEDS)).variables
    made = zgw.get(answer["informatieobject"])
    assert (made["locked"], made["bestandsomvang"], made["bestandsdelen"]) == (False, len(parts), [])
    assert content(zgw, made["url"]) == parts
    assert sum(call.path.startswith("/documenten/api/v1/bestandsdelen/") for call in zgw.requests) == 3


@pytest.mark.parametrize("kind", ["500-after", "cut-after", "500-before", "cut-before", "503", "429"])
@pytest.mark.parametrize(
    ("where", "method"),
    [(DOCUMENTEN, "POST"), ("/documenten/api/v1/bestandsdelen/*", "PUT"), ("*/unlock", "POST"), (PAIRS, "POST")],
)
def test_a_large_file_is_completed_by_the_next_attempt(
    zgw: ZgwDouble, parts: bytes, where: str, method: str, kind: Any
) -> None:
    zgw.fault(where, kind=kind, method=method)
    answer = tried_again(add_document, new(zgw, inhoud=parts), work_with(zgw, services=NEEDS))
    assert content(zgw, answer["informatieobject"]) == parts
    assert zgw.get(answer["informatieobject"])["locked"] is False
    assert zgw.count("enkelvoudiginformatieobjecten") == 1


def forget(zgw: ZgwDouble, informatieobject: str) -> None:
    """Remove it, so that the next task may have the same identificatie."""
    for pair in zgw.all("zaakinformatieobjecten"):
        if pair["informatieobject"] == informatieobject:
            zrc(zgw, ALL_RIGHTS).call("DELETE", pair["url"])
    drc(zgw, ALL_RIGHTS).call("DELETE", informatieobject)


def test_wherever_a_process_dies_there_is_one_whole_document(zgw: ZgwDouble, parts: bytes) -> None:
    for inhoud_ in ("tekst", parts):
        whole = MortalWork(services(zgw))
        first = run(add_document, new(zgw, inhoud=inhoud_), work=whole).variables["informatieobject"]
        forget(zgw, first)
        for call, moment in deaths(len(whole.calls)):
            variables = new(zgw, inhoud=inhoud_)
            work = MortalWork(services(zgw), call=call, moment=moment)
            with pytest.raises(Killed):
                run(add_document, variables, work=work)
            made = run(add_document, variables, work=work).variables["informatieobject"]
            expected = inhoud_.encode() if isinstance(inhoud_, str) else inhoud_
            assert content(zgw, made) == expected, (call, moment)
            assert [one["url"] for one in zgw.all("enkelvoudiginformatieobjecten")] == [made], (call, moment)
            assert zgw.get(made)["locked"] is False, (call, moment)
            forget(zgw, made)


def test_a_service_that_does_not_tell_the_lock_beside_the_parts_is_a_question(zgw: ZgwDouble, parts: bytes) -> None:
    work = work_with(zgw, services=NEEDS)
    zgw.fault(DOCUMENTEN, kind="cut-after", method="POST")
    variables = new(zgw, inhoud=parts)
    with pytest.raises(ServiceError):
        run(add_document, variables, work=work)
    # As if the parts had been given and only the lock were left.
    (made,) = zgw.all("enkelvoudiginformatieobjecten")
    for part in zgw.world.all("bestandsdelen"):
        zgw.world.remove("bestandsdelen", part)
    with pytest.raises(Uncertain, match=f"{made['url']} waits for its content"):
        run(add_document, variables, work=work)
