"""The process that the form of a zaaktype names is started for a zaak."""

from __future__ import annotations

from typing import Any

import pytest

from bptl.work_units.contract import NeverAgain
from bptl.work_units.testing import FakeProcesses, FakeWork, run
from bptl.work_units.zgw.process import FORM, start_process
from tests.doubles.zgw.catalogue import DOMEIN, IDENTIFICATIE
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.zaak import APP, begun, work_with, zrc


@pytest.fixture
def forms(zgw: ZgwDouble) -> str:
    return zgw.add_objecttype(FORM)


def form(zgw: ZgwDouble, forms: str, key: str = "vergunning", **changes: Any) -> str:
    data = {
        "camundaProcessDefinitionKey": key,
        "zaaktypeCatalogus": DOMEIN,
        "zaaktypeIdentificaties": ["MELDING", IDENTIFICATIE],
    }
    return zgw.add_object(forms, data | changes)


def work_of(zgw: ZgwDouble) -> FakeWork:
    return work_with(zgw, processes=FakeProcesses(definitions={"vergunning": 3, "anders": 1}))


def test_the_process_of_the_zaaktype_knows_its_zaak(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms)
    zaak = begun(zgw, omschrijving="Dakkapel", toelichting="Aan de voorkant", identificatie="Z-1")
    work = work_of(zgw)
    assert run(start_process, {"zaakUrl": zaak, "initiator": "user:jan", **APP}, work=work).variables == {}
    (started,) = work.processes.started
    assert (started.key, started.business_key) == ("vergunning", None)
    assert started.variables == {
        "bptlAppId": "bptl",
        "zaakUrl": zaak,
        "zaakIdentificatie": "Z-1",
        "zaakDetails": {
            "omschrijving": "Dakkapel",
            "zaaktypeOmschrijving": f"Zaaktype {IDENTIFICATIE}",
            "toelichting": "Aan de voorkant",
        },
        "initiator": "user:jan",
    }


def test_the_initiator_is_read_from_the_rollen_where_the_model_gives_none(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms)
    zaak = begun(zgw)
    for omschrijving, user in (("Behandelaar", "user:piet"), ("Initiator", "user:els")):
        zrc(zgw).create_rol(
            {
                "zaak": zaak,
                "roltype": zgw.catalogue.roltype(omschrijving),
                "roltoelichting": omschrijving,
                "betrokkeneType": "medewerker",
                "betrokkeneIdentificatie": {"identificatie": user},
            }
        )
    work = work_of(zgw)
    run(start_process, {"zaakUrl": zaak, **APP}, work=work)
    assert work.processes.started[0].variables["initiator"] == "user:els"


def test_without_an_initiator_the_process_gets_none(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms)
    work = work_of(zgw)
    run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work)
    assert "initiator" not in work.processes.started[0].variables


@pytest.mark.parametrize(
    "changes",
    [{"zaaktypeCatalogus": "WEG"}, {"zaaktypeIdentificaties": [f"{IDENTIFICATIE}-2"]}, {"zaaktypeIdentificaties": []}],
)
def test_the_form_of_another_zaaktype_starts_nothing(zgw: ZgwDouble, forms: str, changes: dict[str, Any]) -> None:
    form(zgw, forms, **changes)
    work = work_of(zgw)
    run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work)
    assert work.processes.started == []
    assert [event["event"] for event in work.events] == ["process.none_for_zaaktype"]


def test_of_several_forms_the_first_counts_and_the_log_says_so(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms)
    form(zgw, forms, "anders")
    work = work_of(zgw)
    run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work)
    assert len(work.processes.started) == 1
    assert "form.several" in {event["event"] for event in work.events}


def test_a_form_that_changes_between_attempts_starts_no_other_process(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms, "nieuw")
    work = work_with(zgw, effects={"choose": "vergunning"}, processes=FakeProcesses(definitions={"vergunning": 1}))
    run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work)
    assert [started.key for started in work.processes.started] == ["vergunning"]


def test_an_objecttype_with_another_name_is_given_by_its_address(zgw: ZgwDouble) -> None:
    objecttype = zgw.add_objecttype("Startformulier")
    form(zgw, objecttype)
    work = work_of(zgw)
    run(start_process, {"zaakUrl": begun(zgw), "formObjecttype": objecttype, **APP}, work=work)
    assert len(work.processes.started) == 1


def test_an_objecttype_that_is_not_there_is_an_incident_that_names_the_variable(zgw: ZgwDouble) -> None:
    with pytest.raises(NeverAgain, match=r"has no objecttypes that are named .* give formObjecttype"):
        run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work_of(zgw))


def test_a_form_without_a_key_is_an_incident(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms, "")
    with pytest.raises(NeverAgain, match="names no camundaProcessDefinitionKey"):
        run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work_of(zgw))


def test_a_definition_that_the_engine_does_not_have_is_an_incident(zgw: ZgwDouble, forms: str) -> None:
    form(zgw, forms, "weg")
    with pytest.raises(NeverAgain, match=r"'weg', which the engine does not have .*: deploy it"):
        run(start_process, {"zaakUrl": begun(zgw), **APP}, work=work_of(zgw))
