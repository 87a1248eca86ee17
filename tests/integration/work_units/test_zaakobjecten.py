"""Objects of a zaak: related once, and every error told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bptl.clients.errors import Rejected
from bptl.work_units.contract import TryAgain
from bptl.work_units.testing import run
from bptl.work_units.zgw.inputs import NLX_PROCESS
from bptl.work_units.zgw.zaakobjecten import create_zaakobject, fetch_zaak_objects, relate_pand
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.document import services
from tests.integration.work_units.mortal import Killed, MortalWork, deaths
from tests.integration.work_units.zaak import APP, begun, hidden, prevented, tried_again, work_with, zrc

NEEDS = ("zrc",)
OBJECTS = "/zaken/api/v1/zaakobjecten"
PANDEN = [f"https://bag.example.nl/panden/03441000000{number:05d}" for number in range(3)]


def objects(zgw: ZgwDouble, zaak: str) -> list[str]:
    return [one["object"] for one in zgw.all("zaakobjecten") if one["zaak"] == zaak]


def test_panden_are_related_without_the_day_on_which_they_were_looked_at(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    panden = [f"{PANDEN[0]}?geldigOp=2026-01-05", f"{PANDEN[1]}?x=1&geldigOp=2026-01-05&y=", PANDEN[0]]
    variables = {"zaakUrl": zaak, "panden": panden, "NLXProcessId": "vergunningen", **APP}
    assert run(relate_pand, variables, work=work_with(zgw, services=NEEDS)).variables == {}
    assert objects(zgw, zaak) == [PANDEN[0], f"{PANDEN[1]}?x=1&y="]
    call = zgw.calls("POST", OBJECTS)[0]
    assert json.loads(call.content) == {
        "zaak": zaak,
        "object": PANDEN[0],
        "objectType": "pand",
        "relatieomschrijving": "",
    }
    assert call.headers[NLX_PROCESS.lower()] == "vergunningen"


def test_no_panden_are_fine(zgw: ZgwDouble) -> None:
    work = work_with(zgw, services=NEEDS)
    run(relate_pand, {"zaakUrl": begun(zgw), "panden": [], **APP}, work=work)
    assert work.calls == []


def test_a_pand_that_the_zaak_has_is_not_added_again(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    for panden in (PANDEN[:2], PANDEN):
        run(relate_pand, {"zaakUrl": zaak, "panden": panden, **APP}, work=work_with(zgw, services=NEEDS))
    assert objects(zgw, zaak) == PANDEN


def test_when_one_pand_fails_the_others_are_related_and_it_is_told(zgw: ZgwDouble) -> None:
    zaak, work = begun(zgw), work_with(zgw, services=NEEDS)
    zgw.fault(OBJECTS, kind="500-before", method="POST", times=2)
    variables = {"zaakUrl": zaak, "panden": PANDEN, **APP}
    with pytest.raises(TryAgain, match="2 errors") as raised:
        run(relate_pand, variables, work=work)
    assert all(pand in str(raised.value) for pand in PANDEN[:2])
    assert objects(zgw, zaak) == [PANDEN[2]]
    run(relate_pand, variables, work=work)
    assert sorted(objects(zgw, zaak)) == PANDEN


def test_a_long_address_is_no_obstacle(zgw: ZgwDouble) -> None:
    zaak, work = begun(zgw), work_with(zgw, services=NEEDS)
    long = [f"https://bag.example.nl/{'a' * 300}/{number}" for number in range(2)]
    run(relate_pand, {"zaakUrl": zaak, "panden": long, **APP}, work=work)
    assert objects(zgw, zaak) == long
    assert max(map(len, work.effects)) < 300


def test_an_object_is_related(zgw: ZgwDouble) -> None:
    variables = {
        "zaakUrl": begun(zgw),
        "objectUrl": "https://objecten.example.nl/1",
        "objectType": "overige",
        "objectTypeOverige": "dakkapel",
        "relatieomschrijving": "waar het om gaat",
        **APP,
    }
    answer = run(create_zaakobject, variables, work=work_with(zgw, services=NEEDS)).variables
    (made,) = zgw.all("zaakobjecten")
    assert answer == {"zaakObjectUrl": made["url"]}
    sent = {name: made[name] for name in ("objectType", "objectTypeOverige", "relatieomschrijving")}
    assert sent == {name: variables[name] for name in sent}


def test_without_a_zaak_nothing_happens(zgw: ZgwDouble) -> None:
    work = work_with(zgw, services=NEEDS)
    variables = {"zaakUrl": "", "objectUrl": PANDEN[0], "objectType": "pand", **APP}
    assert run(create_zaakobject, variables, work=work).variables == {}
    assert work.calls == []


def test_the_same_relation_is_made_once_and_another_one_beside_it(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "objectUrl": PANDEN[0], "objectType": "pand", **APP}
    first = run(create_zaakobject, variables, work=work_with(zgw, services=NEEDS)).variables
    assert run(create_zaakobject, variables, work=work_with(zgw, services=NEEDS)).variables == first
    other = {**variables, "relatieomschrijving": "het pand ernaast"}
    assert run(create_zaakobject, other, work=work_with(zgw, services=NEEDS)).variables != first
    assert zgw.count("zaakobjecten") == 2


@hidden
def test_a_zaakobject_without_an_answer_is_found(zgw: ZgwDouble, kind: Any) -> None:
    variables = {"zaakUrl": begun(zgw), "objectUrl": PANDEN[0], "objectType": "pand", **APP}
    zgw.fault(OBJECTS, kind=kind, method="POST")
    answer = tried_again(create_zaakobject, variables, work_with(zgw, services=NEEDS))
    assert answer == {"zaakObjectUrl": zgw.all("zaakobjecten")[0]["url"]}
    assert zgw.count("zaakobjecten") == 1


@prevented
def test_a_zaakobject_that_was_not_made_is_made_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    variables = {"zaakUrl": begun(zgw), "objectUrl": PANDEN[0], "objectType": "pand", **APP}
    zgw.fault(OBJECTS, kind=kind, method="POST")
    tried_again(create_zaakobject, variables, work_with(zgw, services=NEEDS))
    assert zgw.count("zaakobjecten") == 1


def test_wherever_a_process_dies_every_pand_is_related_once(zgw: ZgwDouble) -> None:
    whole = MortalWork(services(zgw))
    run(relate_pand, {"zaakUrl": begun(zgw), "panden": PANDEN, **APP}, work=whole)
    for call, moment in deaths(len(whole.calls)):
        zaak, work = begun(zgw), MortalWork(services(zgw), call=call, moment=moment)
        with pytest.raises(Killed):
            run(relate_pand, {"zaakUrl": zaak, "panden": PANDEN, **APP}, work=work)
        run(relate_pand, {"zaakUrl": zaak, "panden": PANDEN, **APP}, work=work)
        assert objects(zgw, zaak) == PANDEN, (call, moment)


def test_a_kind_of_object_that_there_is_not_is_an_incident(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "objectUrl": PANDEN[0], "objectType": "luchtkasteel", **APP}
    work = work_with(zgw, services=NEEDS)
    with zgw.violations_expected(), pytest.raises(Rejected, match="objectType"):
        run(create_zaakobject, variables, work=work)
    assert work.open_effects == set()


def test_all_objects_of_a_zaak_are_fetched_over_all_pages(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    many = [f"https://bag.example.nl/panden/{number}" for number in range(120)]
    others = zrc(zgw)
    for pand in many:
        others.create_zaakobject({"zaak": zaak, "object": pand, "objectType": "pand"})
    variables = {"hoofdZaakUrl": zaak, "NLXProcessId": "vergunningen", **APP}
    fetched = run(fetch_zaak_objects, variables, work=work_with(zgw, services=NEEDS)).variables["zaakObjects"]
    assert sorted(one["object"] for one in fetched) == sorted(many)
    assert all(call.headers[NLX_PROCESS.lower()] == "vergunningen" for call in zgw.calls("GET", OBJECTS))


@pytest.mark.parametrize("empty", [{}, {"hoofdZaakUrl": ""}])
def test_without_a_zaak_no_objects_are_fetched(zgw: ZgwDouble, empty: dict[str, str]) -> None:
    assert run(fetch_zaak_objects, {**empty, **APP}, work=work_with(zgw, services=NEEDS)).variables == {}
