"""The value of an eigenschap of a zaak: set once, changed where it is there."""

from __future__ import annotations

from typing import Any

import pytest

from bptl.work_units.contract import BusinessError
from bptl.work_units.testing import run
from bptl.work_units.zgw.eigenschappen import create_eigenschap
from bptl.work_units.zgw.inputs import NLX_PROCESS
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.document import path, services
from tests.integration.work_units.mortal import Killed, MortalWork, deaths
from tests.integration.work_units.zaak import APP, begun, hidden, prevented, tried_again, work_with

NEEDS = ("zrc", "ztc")
KOSTEN = {"naam": "bouwkosten", "waarde": "1200"}


def values(zgw: ZgwDouble, zaak: str) -> list[tuple[str, str]]:
    return [(one["naam"], one["waarde"]) for one in zgw.all("zaakeigenschappen") if one["zaak"] == zaak]


def test_an_eigenschap_gets_its_value(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    variables = {"zaakUrl": zaak, "eigenschap": KOSTEN, "NLXProcessId": "vergunningen", **APP}
    assert run(create_eigenschap, variables, work=work_with(zgw, services=NEEDS)).variables == {}
    assert values(zgw, zaak) == [("bouwkosten", "1200")]
    (call,) = zgw.calls("POST", path(zaak) + "/zaakeigenschappen")
    assert call.headers[NLX_PROCESS.lower()] == "vergunningen"


def test_a_number_is_a_value_too(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    variables = {"zaakUrl": zaak, "eigenschap": {"naam": "bouwkosten", "waarde": 1200}, **APP}
    run(create_eigenschap, variables, work=work_with(zgw, services=NEEDS))
    assert values(zgw, zaak) == [("bouwkosten", "1200")]


def test_an_eigenschap_that_is_there_gets_the_new_value(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    for waarde in ("1200", "1300", "1300"):
        variables = {"zaakUrl": zaak, "eigenschap": {"naam": "bouwkosten", "waarde": waarde}, **APP}
        run(create_eigenschap, variables, work=work_with(zgw, services=NEEDS))
    assert values(zgw, zaak) == [("bouwkosten", "1300")]
    assert [call.method for call in zgw.requests if "/zaakeigenschappen" in call.path].count("PATCH") == 1


@pytest.mark.parametrize("empty", [None, "", {}, {"naam": "bouwkosten", "waarde": ""}, {"naam": "bouwkosten"}])
def test_without_a_value_nothing_happens(zgw: ZgwDouble, empty: Any) -> None:
    work = work_with(zgw, services=NEEDS)
    run(create_eigenschap, {"zaakUrl": begun(zgw), "eigenschap": empty, **APP}, work=work)
    assert work.calls == []


def test_a_name_that_the_zaaktype_does_not_know_is_an_error_for_the_model(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "eigenschap": {"naam": "schoenmaat", "waarde": "42"}, **APP}
    with pytest.raises(BusinessError, match="it has 'behandelwijze', 'bouwkosten'") as raised:
        run(create_eigenschap, variables, work=work_with(zgw, services=NEEDS))
    assert raised.value.code == "EIGENSCHAP_ONBEKEND"


def test_a_zaaktype_that_is_given_is_not_looked_up(zgw: ZgwDouble) -> None:
    variables = {"zaakUrl": begun(zgw), "eigenschap": KOSTEN, "zaaktype": zgw.catalogue.zaaktype, **APP}
    work = work_with(zgw, services=NEEDS)
    run(create_eigenschap, variables, work=work)
    assert variables["zaakUrl"] not in {call.url for call in work.calls}


def test_a_whole_zaaktype_in_that_variable_is_passed_over(zgw: ZgwDouble) -> None:
    zaak = begun(zgw)
    variables = {"zaakUrl": zaak, "eigenschap": KOSTEN, "zaaktype": {"identificatie": "VERGUNNING"}, **APP}
    run(create_eigenschap, variables, work=work_with(zgw, services=NEEDS))
    assert values(zgw, zaak) == [("bouwkosten", "1200")]


@hidden
@pytest.mark.parametrize("before", [[], ["1100"]])
def test_a_value_without_an_answer_is_found(zgw: ZgwDouble, before: list[str], kind: Any) -> None:
    zaak = begun(zgw)
    for waarde in before:
        given = {"zaakUrl": zaak, "eigenschap": {**KOSTEN, "waarde": waarde}, **APP}
        run(create_eigenschap, given, work=work_with(zgw, services=NEEDS))
    zgw.fault("*/zaakeigenschappen*", kind=kind, method="PATCH" if before else "POST")
    tried_again(create_eigenschap, {"zaakUrl": zaak, "eigenschap": KOSTEN, **APP}, work_with(zgw, services=NEEDS))
    assert values(zgw, zaak) == [("bouwkosten", "1200")]


@prevented
def test_a_value_that_was_not_set_is_set_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    zaak = begun(zgw)
    zgw.fault("*/zaakeigenschappen", kind=kind, method="POST")
    tried_again(create_eigenschap, {"zaakUrl": zaak, "eigenschap": KOSTEN, **APP}, work_with(zgw, services=NEEDS))
    assert values(zgw, zaak) == [("bouwkosten", "1200")]


def test_wherever_a_process_dies_the_value_is_set_once(zgw: ZgwDouble) -> None:
    whole = MortalWork(services(zgw))
    run(create_eigenschap, {"zaakUrl": begun(zgw), "eigenschap": KOSTEN, **APP}, work=whole)
    for call, moment in deaths(len(whole.calls)):
        zaak, work = begun(zgw), MortalWork(services(zgw), call=call, moment=moment)
        with pytest.raises(Killed):
            run(create_eigenschap, {"zaakUrl": zaak, "eigenschap": KOSTEN, **APP}, work=work)
        run(create_eigenschap, {"zaakUrl": zaak, "eigenschap": KOSTEN, **APP}, work=work)
        assert values(zgw, zaak) == [("bouwkosten", "1200")], (call, moment)
