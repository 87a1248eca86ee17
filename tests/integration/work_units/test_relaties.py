"""Relations of a zaak with documents and with other zaken: each once, and none lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bptl.clients.errors import Rejected
from bptl.work_units.testing import run
from bptl.work_units.zgw.inputs import NLX_PROCESS, NLX_SUBJECT
from bptl.work_units.zgw.relaties import attach_informatieobject, fetch_zaak_relaties, relate_zaak
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.document import document, path, services
from tests.integration.work_units.mortal import Killed, MortalWork, deaths
from tests.integration.work_units.zaak import APP, begun, hidden, prevented, tried_again, work_with, zrc

NEEDS = ("zrc",)
PAIRS = "/zaken/api/v1/zaakinformatieobjecten"
NLX = {"NLXProcessId": "vergunningen", "NLXSubjectIdentifier": "zaak-1"}


# documents


def test_a_document_is_attached(zgw: ZgwDouble) -> None:
    zaak, informatieobject = begun(zgw), document(zgw)
    variables = {"zaak": zaak, "informatieobject": informatieobject, **APP}
    answer = run(attach_informatieobject, variables, work=work_with(zgw, services=NEEDS)).variables
    (pair,) = zgw.all("zaakinformatieobjecten")
    assert answer == {"zaakinformatieobject": pair["url"]}
    (call,) = zgw.calls("POST", PAIRS)
    assert json.loads(call.content) == {"zaak": zaak, "informatieobject": informatieobject}


@pytest.mark.parametrize("empty", [None, ""])
def test_without_a_document_nothing_happens(zgw: ZgwDouble, empty: str | None) -> None:
    variables = {"zaakUrl": begun(zgw), "informatieobject": empty, **APP}
    work = work_with(zgw, services=NEEDS)
    assert run(attach_informatieobject, variables, work=work).variables == {}
    assert work.calls == []


def test_a_document_that_the_zaak_has_stays_as_it_is(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    informatieobject = document(zgw, zaak=zaak)
    variables = {"zaakUrl": zaak, "informatieobject": informatieobject, **APP}
    answer = run(attach_informatieobject, variables, work=work_with(zgw, services=NEEDS)).variables
    (pair,) = zgw.all("zaakinformatieobjecten")
    assert answer == {"zaakinformatieobject": pair["url"]}


@hidden
def test_an_attachment_without_an_answer_is_found(zgw: ZgwDouble, kind: Any) -> None:
    variables = {"zaakUrl": begun(zgw), "informatieobject": document(zgw), **APP}
    zgw.fault(PAIRS, kind=kind, method="POST")
    answer = tried_again(attach_informatieobject, variables, work_with(zgw, services=NEEDS))
    assert answer == {"zaakinformatieobject": zgw.all("zaakinformatieobjecten")[0]["url"]}
    assert zgw.count("zaakinformatieobjecten") == 1


@prevented
def test_an_attachment_that_was_not_made_is_made_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    variables = {"zaakUrl": begun(zgw), "informatieobject": document(zgw), **APP}
    zgw.fault(PAIRS, kind=kind, method="POST")
    tried_again(attach_informatieobject, variables, work_with(zgw, services=NEEDS))
    assert zgw.count("zaakinformatieobjecten") == 1


def test_a_document_that_the_zaaktype_does_not_know_is_an_incident(zgw: ZgwDouble) -> None:
    unknown = document(zgw, informatieobjecttype=zgw.catalogue.add_informatieobjecttype("Vakantiefoto"))
    variables = {"zaakUrl": begun(zgw), "informatieobject": unknown, **APP}
    work = work_with(zgw, services=NEEDS)
    with pytest.raises(Rejected, match="missing-zaaktype-informatieobjecttype-relation"):
        run(attach_informatieobject, variables, work=work)
    assert work.open_effects == set()


# other zaken


def relations(zgw: ZgwDouble, zaak: str) -> list[tuple[str, str]]:
    return [(one["url"], one["aardRelatie"]) for one in zgw.get(zaak)["relevanteAndereZaken"]]


def test_zaken_are_related_both_ways(zgw: ZgwDouble) -> None:
    first, second = begun(zgw), begun(zgw)
    variables = {"hoofdZaakUrl": first, "zaakUrl": second, "aardRelatie": "vervolg", **NLX, **APP}
    assert run(relate_zaak, variables, work=work_with(zgw, services=NEEDS)).variables == {}
    assert relations(zgw, first) == [(second, "vervolg")]
    assert relations(zgw, second) == [(first, "onderwerp")]
    for call in (*zgw.calls("PATCH", path(first)), *zgw.calls("PATCH", path(second))):
        sent = (call.headers[NLX_PROCESS.lower()], call.headers[NLX_SUBJECT.lower()])
        assert sent == ("vergunningen", "zaak-1")


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"aardRelatie": "bijdrage", "aardRelatieOmgekeerdeRichting": "vervolg"}, ["vervolg"]),
        ({"bijdrageAard": "bijdrage", "bijdrageAardOmgekeerdeRichting": "bijdrage"}, ["bijdrage"]),
        ({"bijdrageAard": "vervolg"}, ["onderwerp"]),
        ({"aardRelatie": "vervolg", "aardRelatieOmgekeerdeRichting": ""}, []),
        ({"aardRelatie": "onderwerp", "aardRelatieOmgekeerdeRichting": "vervolg"}, []),
    ],
)
def test_the_way_back_is_as_the_model_says(zgw: ZgwDouble, kinds: dict[str, str], expected: list[str]) -> None:
    first, second = begun(zgw), begun(zgw)
    run(relate_zaak, {"hoofdZaakUrl": first, "zaakUrl": second, **kinds, **APP}, work=work_with(zgw, services=NEEDS))
    aard = kinds.get("aardRelatie") or kinds["bijdrageAard"]
    assert relations(zgw, first) == [(second, aard)]
    assert relations(zgw, second) == [(first, kind) for kind in expected]


def test_relations_that_are_there_stay_and_none_is_doubled(zgw: ZgwDouble) -> None:
    first, second, third = begun(zgw), begun(zgw), begun(zgw)
    zrc(zgw).change_zaak(first, {"relevanteAndereZaken": [{"url": third, "aardRelatie": "onderwerp"}]})
    variables = {"hoofdZaakUrl": first, "zaakUrl": second, "aardRelatie": "onderwerp", **APP}
    for _ in range(2):
        run(relate_zaak, variables, work=work_with(zgw, services=NEEDS))
    assert relations(zgw, first) == [(third, "onderwerp"), (second, "onderwerp")]


@pytest.mark.parametrize("empty", [{}, {"hoofdZaakUrl": ""}, {"hoofdZaakUrl": None}])
def test_without_a_hoofdzaak_nothing_happens(zgw: ZgwDouble, empty: dict[str, Any]) -> None:
    work = work_with(zgw, services=NEEDS)
    run(relate_zaak, {"zaakUrl": begun(zgw), "aardRelatie": "vervolg", **empty, **APP}, work=work)
    assert work.calls == []
    assert [event["event"] for event in work.events] == ["hoofdzaak.not_given"]


def test_wherever_a_process_dies_both_zaken_get_one_relation(zgw: ZgwDouble) -> None:
    whole = MortalWork(services(zgw))
    run(relate_zaak, {"hoofdZaakUrl": begun(zgw), "zaakUrl": begun(zgw), "aardRelatie": "vervolg", **APP}, work=whole)
    for call, moment in deaths(len(whole.calls)):
        first, second = begun(zgw), begun(zgw)
        work = MortalWork(services(zgw), call=call, moment=moment)
        variables = {"hoofdZaakUrl": first, "zaakUrl": second, "aardRelatie": "vervolg", **APP}
        with pytest.raises(Killed):
            run(relate_zaak, variables, work=work)
        run(relate_zaak, variables, work=work)
        assert relations(zgw, first) == [(second, "vervolg")], (call, moment)
        assert relations(zgw, second) == [(first, "onderwerp")], (call, moment)


@hidden
def test_a_relation_without_an_answer_is_found(zgw: ZgwDouble, kind: Any) -> None:
    first, second = begun(zgw), begun(zgw)
    zgw.fault(path(first), kind=kind, method="PATCH")
    variables = {"hoofdZaakUrl": first, "zaakUrl": second, "aardRelatie": "vervolg", **APP}
    tried_again(relate_zaak, variables, work_with(zgw, services=NEEDS))
    assert relations(zgw, first) == [(second, "vervolg")]
    assert len(zgw.calls("PATCH", path(first))) == 1


def test_the_relations_of_a_zaak_are_fetched(zgw: ZgwDouble) -> None:
    first, second = begun(zgw), begun(zgw)
    zrc(zgw).change_zaak(first, {"relevanteAndereZaken": [{"url": second, "aardRelatie": "onderwerp"}]})
    fetched = run(fetch_zaak_relaties, {"hoofdZaakUrl": first, **NLX, **APP}, work=work_with(zgw, services=NEEDS))
    (relation,) = fetched.variables["zaakRelaties"]
    assert (relation["url"], relation["aardRelatie"]) == (second, "onderwerp")
    assert zgw.calls("GET", path(first))[0].headers[NLX_PROCESS.lower()] == "vergunningen"


def test_the_zaak_by_the_name_of_the_old_documentation_counts_where_the_other_is_missing(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), **APP}
    assert run(fetch_zaak_relaties, variables, work=work_with(zgw, services=NEEDS)).variables == {"zaakRelaties": []}
    empty = {**variables, "hoofdZaakUrl": ""}
    assert run(fetch_zaak_relaties, empty, work=work_with(zgw, services=NEEDS)).variables == {}
