"""A zaak is created with all that belongs to it, once, whatever happens on the way."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bptl.clients.errors import Failed, Rejected
from bptl.work_units.contract import EffectChanged, NeverAgain, NotConnected
from bptl.work_units.testing import run
from bptl.work_units.zgw.effects import DUTCH
from bptl.work_units.zgw.zaken import create_zaak, lookup_zaak
from tests.doubles.zgw.applications import EVERYDAY, Application
from tests.doubles.zgw.catalogue import DOMEIN, IDENTIFICATIE, RSIN
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.zaak import (
    APP,
    EXTERNAL_ID,
    begun,
    hidden,
    nothing_made,
    prevented,
    tried_again,
    work_with,
    zrc,
)

BY_NAME = {"organisatieRSIN": RSIN, "catalogusDomein": DOMEIN, "zaaktypeIdentificatie": IDENTIFICATIE, **APP}
CITIZEN = {"betrokkeneIdentificatie": {"inpBsn": "999993653"}}
OURS = {"kenmerk": EXTERNAL_ID, "bron": "BPTL"}
POSTS = ("zaken", "statussen", "rollen")


def direct(zgw: ZgwDouble, **more: Any) -> dict[str, Any]:
    return {"organisatieRSIN": RSIN, "zaaktype": zgw.catalogue.zaaktype, **APP, **more}


def test_a_zaak_gets_its_first_status(zgw: ZgwDouble) -> None:
    work = work_with(zgw)
    made = run(create_zaak, direct(zgw, initialStatusRemarks="Via de balie"), work=work).variables
    zaak = zgw.get(made["zaakUrl"])
    assert made == {"zaakUrl": zaak["url"], "zaakIdentificatie": zaak["identificatie"]}
    today = datetime.now(DUTCH).date().isoformat()
    assert (zaak["bronorganisatie"], zaak["verantwoordelijkeOrganisatie"]) == (RSIN, RSIN)
    assert (zaak["registratiedatum"], zaak["startdatum"]) == (today, today)
    status = zgw.get(zaak["status"])
    assert (status["statustype"], status["statustoelichting"]) == (zgw.catalogue.statustype(1), "Via de balie")
    assert zgw.count("rollen") == 0


def test_the_version_of_the_zaaktype_that_is_valid_today_counts(zgw: ZgwDouble) -> None:
    made = run(create_zaak, BY_NAME, work=work_with(zgw)).variables
    assert zgw.get(made["zaakUrl"])["zaaktype"] == zgw.catalogue.zaaktype


def test_of_two_valid_versions_the_one_without_end_counts_then_the_one_that_ends_last(zgw: ZgwDouble) -> None:
    today = datetime.now(DUTCH).date()
    zgw.catalogue.add_zaaktype("KLACHT", ends=today)
    later = zgw.catalogue.add_zaaktype("KLACHT", ends=today + timedelta(days=2))
    variables = {**BY_NAME, "zaaktypeIdentificatie": "KLACHT"}
    first = run(create_zaak, variables, work=work_with(zgw)).variables
    assert zgw.get(first["zaakUrl"])["zaaktype"] == later
    open_ended = zgw.catalogue.add_zaaktype("KLACHT")
    second = run(create_zaak, variables, work=work_with(zgw)).variables
    assert zgw.get(second["zaakUrl"])["zaaktype"] == open_ended


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"catalogusDomein": "WEG"}, "correct catalogusDomein"),
        ({"catalogusRSIN": "111222333"}, "RSIN 111222333: correct catalogusDomein, catalogusRSIN"),
        ({"zaaktypeIdentificatie": "ONBEKEND"}, "correct zaaktypeIdentificatie"),
        ({"zaaktypeIdentificatie": "OUD"}, "has no version valid on"),
        ({"zaaktypeIdentificatie": "DUBBEL"}, "2 versions with the same end"),
    ],
)
def test_a_zaaktype_that_cannot_be_found_is_an_incident_that_names_the_variable(
    zgw: ZgwDouble, changes: dict[str, str], said: str
) -> None:
    zgw.catalogue.add_zaaktype("OUD", begins=date(2019, 1, 1), ends=date(2020, 1, 1))
    zgw.catalogue.add_zaaktype("DUBBEL")
    zgw.catalogue.add_zaaktype("DUBBEL")
    with nothing_made(zgw), pytest.raises(NeverAgain, match=said):
        run(create_zaak, {**BY_NAME, **changes}, work=work_with(zgw))


def test_details_add_to_the_zaak_and_go_before_our_own_fields(zgw: ZgwDouble) -> None:
    details = {
        "omschrijving": "Dakkapel",
        "startdatum": "2026-01-05",
        "zaakgeometrie": {"type": "Point", "coordinates": [5.1, 52.1]},
        "kenmerken": [{"kenmerk": "OF-1", "bron": "Open Formulieren"}],
    }
    made = run(create_zaak, direct(zgw, zaakDetails=details), work=work_with(zgw)).variables
    zaak = zgw.get(made["zaakUrl"])
    assert {name: zaak[name] for name in details if name != "kenmerken"} == {
        name: value for name, value in details.items() if name != "kenmerken"
    }
    assert zaak["kenmerken"] == [{"kenmerk": "OF-1", "bron": "Open Formulieren"}, OURS]


def test_an_outway_is_told_why_the_zaak_is_made(zgw: ZgwDouble) -> None:
    variables = direct(zgw, NLXProcessId="vergunning", NLXSubjectIdentifier="aanvrager 7")
    run(create_zaak, variables, work=work_with(zgw))
    (call,) = zgw.calls("POST", "/zaken/api/v1/zaken")
    assert call.headers["x-nlx-request-process-id"] == "vergunning"
    assert call.headers["x-nlx-request-subject-identifier"] == "aanvrager 7"


def test_who_treats_the_zaak_gets_the_roltypen_that_the_zaaktype_has_for_it(zgw: ZgwDouble) -> None:
    made = run(create_zaak, direct(zgw, Hoofdbehandelaar=CITIZEN), work=work_with(zgw)).variables
    rollen = zgw.all("rollen")
    assert {rol["zaak"] for rol in rollen} == {made["zaakUrl"]}
    assert [(rol["omschrijving"], rol["roltoelichting"]) for rol in rollen] == [
        ("Initiator", "initiator"),
        ("Hoofdbehandelaar", "behandelaar"),
    ]
    assert [rol["betrokkeneIdentificatie"]["inpBsn"] for rol in rollen] == ["999993653"] * 2


def test_a_zaaktype_without_a_roltype_for_it_is_found_out_before_anything_is_made(zgw: ZgwDouble) -> None:
    bare = zgw.catalogue.add_zaaktype("KAAL", rollen=[("Beslisser", "beslisser")])
    variables = {**direct(zgw), "zaaktype": bare, "Hoofdbehandelaar": CITIZEN}
    with nothing_made(zgw), pytest.raises(NeverAgain, match="for the Hoofdbehandelaar; it has 'Beslisser'"):
        run(create_zaak, variables, work=work_with(zgw))


def test_a_zaaktype_without_a_first_status_is_found_out_before_anything_is_made(zgw: ZgwDouble) -> None:
    variables = {**direct(zgw), "zaaktype": zgw.catalogue.add_zaaktype("LEEG", statussen=[])}
    with nothing_made(zgw), pytest.raises(NeverAgain, match="no statustype with volgnummer 1; it has none"):
        run(create_zaak, variables, work=work_with(zgw))


def test_a_medewerker_without_a_zac_to_ask_is_found_out_before_anything_is_made(zgw: ZgwDouble) -> None:
    medewerker = {"betrokkeneType": "medewerker", "betrokkeneIdentificatie": {"identificatie": "user:jan"}}
    with nothing_made(zgw), pytest.raises(NotConnected, match="'zac'"):
        run(create_zaak, direct(zgw, Hoofdbehandelaar=medewerker), work=work_with(zgw))


def test_an_application_that_may_not_create_is_refused_and_nothing_is_left_open(zgw: ZgwDouble) -> None:
    reader = Application("lezer", "geheim-van-de-lezer" * 2, "t", scopes=EVERYDAY - {"zaken.aanmaken"})
    zgw.add_application(reader)
    work = work_with(zgw, application=reader)
    with nothing_made(zgw), pytest.raises(Rejected, match="403"):
        run(create_zaak, direct(zgw), work=work)
    assert work.open_effects == set()


# once


@hidden
@pytest.mark.parametrize("where", POSTS)
def test_what_was_done_without_an_answer_is_found_and_not_done_again(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(f"/zaken/api/v1/{where}", kind=kind, method="POST")
    made = tried_again(create_zaak, direct(zgw, Hoofdbehandelaar=CITIZEN), work_with(zgw))
    assert made["zaakUrl"] == zgw.all("zaken")[0]["url"]
    assert [zgw.count(name) for name in POSTS] == [1, 1, 2]


@prevented
@pytest.mark.parametrize("where", POSTS)
def test_what_was_not_done_is_done_by_the_next_attempt(zgw: ZgwDouble, where: str, kind: Any) -> None:
    zgw.fault(f"/zaken/api/v1/{where}", kind=kind, method="POST")
    tried_again(create_zaak, direct(zgw, Hoofdbehandelaar=CITIZEN), work_with(zgw))
    assert [zgw.count(name) for name in POSTS] == [1, 1, 2]


def test_many_bad_answers_in_a_row_make_one_zaak(zgw: ZgwDouble) -> None:
    for where in POSTS:
        zgw.fault(f"/zaken/api/v1/{where}", kind="500-before", method="POST")
        zgw.fault(f"/zaken/api/v1/{where}", kind="500-after", method="POST")
    tried_again(create_zaak, direct(zgw, Hoofdbehandelaar=CITIZEN), work_with(zgw), failures=6)
    assert [zgw.count(name) for name in POSTS] == [1, 1, 2]


def test_a_process_that_died_after_it_had_sent_leaves_one_zaak(zgw: ZgwDouble) -> None:
    zaak = begun(zgw, kenmerken=[OURS])
    begun(zgw)
    moment = datetime.now(UTC).isoformat()
    work = work_with(
        zgw,
        effects={"choose": {"moment": moment, "zaaktype": zgw.catalogue.zaaktype}},
        open_effects=["create-zaak"],
    )
    assert run(create_zaak, direct(zgw), work=work).variables["zaakUrl"] == zaak
    assert zgw.count("zaken") == 2


def test_a_process_that_died_before_it_could_send_makes_the_zaak_afterwards(zgw: ZgwDouble) -> None:
    begun(zgw)
    work = work_with(zgw, open_effects=["choose", "create-zaak"])
    run(create_zaak, direct(zgw), work=work)
    assert [OURS in zaak["kenmerken"] for zaak in zgw.all("zaken")] == [False, True]


def test_the_day_of_the_first_attempt_stays_after_midnight(zgw: ZgwDouble) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    day = yesterday.astimezone(DUTCH).date().isoformat()
    zaak = begun(zgw, startdatum=day, kenmerken=[OURS])
    effects = {"choose": {"moment": yesterday.isoformat(), "zaaktype": zgw.catalogue.zaaktype}}
    work = work_with(zgw, effects=effects, open_effects=["create-zaak"])
    assert run(create_zaak, direct(zgw), work=work).variables["zaakUrl"] == zaak
    assert datetime.fromisoformat(zgw.all("statussen")[0]["datumStatusGezet"]) == yesterday


def test_the_zaaktype_of_the_first_attempt_stays_when_a_newer_version_begins(zgw: ZgwDouble) -> None:
    zgw.fault("/zaken/api/v1/zaken", kind="500-before", method="POST")
    work = work_with(zgw)
    zgw.catalogue.add_zaaktype("KLACHT", ends=datetime.now(DUTCH).date() + timedelta(days=1))
    before = zgw.all("zaaktypen")[-1]["url"]
    variables = {**BY_NAME, "zaaktypeIdentificatie": "KLACHT"}
    with pytest.raises(Failed):
        run(create_zaak, variables, work=work)
    zgw.catalogue.add_zaaktype("KLACHT")
    made = run(create_zaak, variables, work=work).variables
    assert zgw.get(made["zaakUrl"])["zaaktype"] == before


def test_an_identificatie_of_the_model_is_sent_and_found_again(zgw: ZgwDouble) -> None:
    zgw.fault("/zaken/api/v1/zaken", kind="500-after", method="POST")
    made = tried_again(create_zaak, direct(zgw, zaakDetails={"identificatie": "Z-26-1"}), work_with(zgw))
    assert made["zaakIdentificatie"] == "Z-26-1"
    assert zgw.count("zaken", "Z-26-1") == 1


def test_a_zaak_of_somebody_else_with_that_identificatie_is_never_taken_for_ours(zgw: ZgwDouble) -> None:
    begun(zgw, identificatie="Z-26-1")
    for work in (work_with(zgw), work_with(zgw, open_effects=["create-zaak"])):
        with nothing_made(zgw), pytest.raises(Rejected, match="identificatie-niet-uniek"):
            run(create_zaak, direct(zgw, zaakDetails={"identificatie": "Z-26-1"}), work=work)


def test_a_zaak_that_an_earlier_try_made_late_is_found_when_its_identificatie_is_taken(zgw: ZgwDouble) -> None:
    zaak = begun(zgw, identificatie="Z-26-1", kenmerken=[OURS])
    variables = direct(zgw, zaakDetails={"identificatie": "Z-26-1"})
    assert run(create_zaak, variables, work=work_with(zgw)).variables["zaakUrl"] == zaak


def test_an_application_that_may_not_read_is_an_incident_and_no_second_zaak(zgw: ZgwDouble) -> None:
    writer = Application("schrijver", "geheim-van-de-schrijver" * 2, "t", scopes=EVERYDAY - {"zaken.lezen"})
    zgw.add_application(writer)
    work = work_with(zgw, application=writer)
    zgw.fault("/zaken/api/v1/zaken", kind="500-after", method="POST")
    with pytest.raises(Failed):
        run(create_zaak, direct(zgw), work=work)
    with pytest.raises(Rejected, match="403 to GET") as raised:
        run(create_zaak, direct(zgw), work=work)
    assert not raised.value.again
    assert zgw.count("zaken") == 1


def test_other_details_at_a_later_attempt_are_an_incident_and_no_second_zaak(zgw: ZgwDouble) -> None:
    work = work_with(zgw)
    run(create_zaak, direct(zgw, zaakDetails={"omschrijving": "Dakkapel"}), work=work)
    with pytest.raises(EffectChanged, match="zaakDetails"):
        run(create_zaak, direct(zgw, zaakDetails={"omschrijving": "Schutting"}), work=work)
    assert zgw.count("zaken") == 1


def test_the_ledger_keeps_nobody(zgw: ZgwDouble) -> None:
    work = work_with(zgw)
    run(create_zaak, direct(zgw, Hoofdbehandelaar=CITIZEN, zaakDetails={"toelichting": "999993653"}), work=work)
    assert "999993653" not in json.dumps([work.effects, work._arguments], default=str)


# lookup


def test_a_zaak_is_looked_up_by_its_identificatie(zgw: ZgwDouble) -> None:
    zaak = begun(zgw, identificatie="Z-26-2")
    found = run(lookup_zaak, {"identificatie": "Z-26-2", "bronorganisatie": RSIN, **APP}, work=work_with(zgw))
    assert found.variables == {"zaakUrl": zaak}


def test_a_zaak_that_is_not_there_is_null(zgw: ZgwDouble) -> None:
    found = run(lookup_zaak, {"identificatie": "Z-26-3", "bronorganisatie": RSIN, **APP}, work=work_with(zgw))
    assert found.variables == {"zaakUrl": None}
    assert list(zrc(zgw).zaken()) == []
