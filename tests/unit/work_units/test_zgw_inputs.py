"""Variables that cannot be meant are refused before any service is asked, by their names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from requests import Session

from bptl.clients.access import Access, Kind
from bptl.clients.client import ServiceClient
from bptl.work_units.contract import InvalidInput, unit_of
from bptl.work_units.description import inputs_of
from bptl.work_units.testing import FakeWork, task_facts
from bptl.work_units.zgw.closing import close_zaak
from bptl.work_units.zgw.effects import fingerprint, send
from bptl.work_units.zgw.process import start_process
from bptl.work_units.zgw.resultaten import create_resultaat
from bptl.work_units.zgw.rollen import create_rol
from bptl.work_units.zgw.statussen import create_status
from bptl.work_units.zgw.zaken import create_zaak, kenmerk_of, lookup_zaak

APP = {"bptlAppId": "app"}
ZAAK = {"zaakUrl": "https://zaken.example.nl/api/v1/zaken/2f6bb9b6-8a62-4e4c-8e42-9c7b1a3e5d11", **APP}
NEW = {"organisatieRSIN": "002220647", "zaaktype": "https://catalogi.example.nl/zaaktypen/1", **APP}
PARTY = {
    "betrokkeneType": "medewerker",
    "roltoelichting": "neemt aan",
    "betrokkeneIdentificatie": {"identificatie": "j"},
}


def faults(unit: Callable[..., Any], variables: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        unit_of(unit).read(variables)
    return [f"{fault.path}: {fault.reason}" for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("unit", "variables", "fault"),
    [
        (create_zaak, {**NEW, "bptlAppId": ""}, "bptlAppId: is missing"),
        (create_zaak, {**NEW, "organisatieRSIN": None}, "organisatieRSIN: is empty"),
        (create_zaak, {**NEW, "organisatieRSIN": 2220647}, "organisatieRSIN: must be text that matches"),
        (create_zaak, {**NEW, "zaaktype": "12"}, "zaaktype: must be the address of a resource"),
        (
            create_zaak,
            {**NEW, "zaaktype": ""},
            "(together): give zaaktype, or catalogusDomein and zaaktypeIdentificatie",
        ),
        (create_zaak, {**NEW, "zaakDetails": {"kenmerken": {}}}, "zaakDetails: kenmerken must be a list"),
        (create_zaak, {**NEW, "initialStatusRemarks": "a" * 1001}, "initialStatusRemarks: must be at most 1000"),
        (create_zaak, {**NEW, "Hoofdbehandelaar": {"roltoelichting": "x"}}, "Hoofdbehandelaar: give betrokkene (an"),
        (create_zaak, {**NEW, "NLXProcessId": "a\nb"}, "NLXProcessId: must be text that matches"),
        (create_status, ZAAK, "(together): give statusVolgnummer or statustype"),
        (create_status, {**ZAAK, "statusVolgnummer": 0}, "statusVolgnummer: must be at least 1"),
        (create_status, {**ZAAK, "zaakUrl": "https://zaken.example.nl/zaken"}, "zaakUrl: must be the address of one"),
        (create_resultaat, ZAAK, "(together): give resultaattype or omschrijving"),
        (create_rol, {**ZAAK, "omschrijving": "Beslisser"}, "betrokkene: is missing"),
        (create_rol, {**ZAAK, "omschrijving": "Beslisser", "betrokkene": None}, "(together): betrokkene is empty"),
        (
            create_rol,
            {**ZAAK, "omschrijving": "Beslisser", "betrokkene": {**PARTY, "betrokkeneType": "hond"}},
            "betrokk",
        ),
        (close_zaak, {**APP, "zaak": "x"}, "zaak: must be the address of a resource"),
        (
            lookup_zaak,
            {**APP, "identificatie": "", "bronorganisatie": "002220647"},
            "identificatie: is empty",
        ),
        (start_process, {**ZAAK, "formObjecttype": "form"}, "formObjecttype: must be the address of a resource"),
    ],
)
def test_each_fault_names_its_variable(unit: Callable[..., Any], variables: dict[str, Any], fault: str) -> None:
    found = faults(unit, variables)
    assert any(text.startswith(fault) for text in found), found


@pytest.mark.parametrize("unit", [create_zaak, close_zaak, lookup_zaak, create_status, create_resultaat, create_rol])
def test_every_unit_asks_for_its_application(unit: Callable[..., Any]) -> None:
    assert "bptlAppId: is missing: it names the application for which this is done" in faults(unit, {})


def test_an_empty_omschrijving_needs_nobody() -> None:
    inputs = unit_of(create_rol).read({**ZAAK, "omschrijving": "", "betrokkene": {"betrokkeneType": ""}})
    assert inputs.model_dump()["betrokkene"] is None


def test_the_old_name_of_the_zaak_is_read() -> None:
    inputs = unit_of(close_zaak).read({"zaak": ZAAK["zaakUrl"], **APP})
    assert inputs.model_dump()["zaakUrl"] == ZAAK["zaakUrl"]


def test_a_zaak_names_its_external_task() -> None:
    uuid = "5d3a4c0e-7f4e-4b53-b4f2-26f5b5a9a2a1"
    assert kenmerk_of(task_facts(external_id=uuid)) == {"kenmerk": uuid, "bron": "BPTL"}


def test_tasks_that_are_only_numbered_do_not_share_a_kenmerk() -> None:
    here, there = task_facts(external_id="7", engine="here"), task_facts(external_id="7", engine="there")
    again = task_facts(external_id="7", engine="here", task_id=2)
    kenmerken = {kenmerk_of(task)["kenmerk"] for task in (here, there, again)}
    assert len(kenmerken) == 3
    assert {len(kenmerk) for kenmerk in kenmerken} == {40}


def test_a_fingerprint_shows_a_change_and_not_a_person() -> None:
    bsn = {"inpBsn": "999993653"}
    assert fingerprint(bsn) == fingerprint(dict(bsn))
    assert fingerprint(bsn) != fingerprint({"inpBsn": "999990019"})
    assert len(fingerprint(bsn)) == 4


class Noting(FakeWork):
    """Notes how long its effects may take."""

    gives_up_after = timedelta()

    def once(self, *given: Any, gives_up_after: timedelta = timedelta(), **more: Any) -> Any:
        self.gives_up_after = gives_up_after
        return super().once(*given, gives_up_after=gives_up_after, **more)


@pytest.mark.parametrize(("timeout", "least"), [(10.0, 30.0), (120.0, 240.0)])
def test_a_call_that_may_take_long_is_not_asked_about_sooner(timeout: float, least: float) -> None:
    work = Noting(services={"zrc": Access("zrc", Kind.ZAKEN, "http://zaken/", Session(), timeout=timeout)})
    client = work.connect(ServiceClient, "zrc")
    assert send(work, client, "create-zaak", lambda: 1, arguments={}, reconcile=lambda: None) == 1
    assert work.gives_up_after >= timedelta(seconds=least)


def test_addresses_are_shown_as_such_and_stay_as_they_were_written() -> None:
    assert {variable.name: variable.type for variable in inputs_of(unit_of(close_zaak))} == {
        "zaakUrl": "web address",
        "resultaattype": "web address",
        "omschrijving": "text",
        "toelichting": "text",
        "statustoelichting": "text",
    }
    written = "https://Zaken.example.nl:443/zaken/2f6bb9b6-8a62-4e4c-8e42-9c7b1a3e5d11"
    assert unit_of(close_zaak).read({"zaakUrl": written, **APP}).model_dump()["zaakUrl"] == written
