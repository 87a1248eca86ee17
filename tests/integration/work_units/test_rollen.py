"""A party gets a rol once; a zac names medewerkers of whom only the user is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from bptl.clients.errors import Rejected
from bptl.work_units.contract import NeverAgain, NotConnected
from bptl.work_units.testing import run
from bptl.work_units.zgw.rollen import create_rol
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

CITIZEN = {
    "betrokkeneType": "natuurlijk_persoon",
    "roltoelichting": "vraagt aan",
    "betrokkeneIdentificatie": {"inpBsn": "999993653", "onbekendVeld": "x"},
}
USER = {
    "betrokkeneType": "medewerker",
    "roltoelichting": "beslist",
    "betrokkeneIdentificatie": {"identificatie": "user:jan", "voorletters": "", "achternaam": ""},
}
JAN = {"identificatie": "user:jan", "voorletters": "J.", "achternaam": "Jansen", "voorvoegselAchternaam": ""}


class Zac:
    """Knows who users are: ``answer``. What it was asked is in ``asked``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answer: dict[str, Any] = {"betrokkeneIdentificatie": JAN}
        zac = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                zac.asked.append((self.path, json.loads(body)))
                content = json.dumps(zac.answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def zac() -> Iterator[Zac]:
    zac = Zac()
    Thread(target=zac.server.serve_forever, args=(0.02,), daemon=True).start()
    yield zac
    zac.server.shutdown()
    zac.server.server_close()


def rol(zgw: ZgwDouble, betrokkene: Any = CITIZEN, omschrijving: Any = "Belanghebbende") -> dict[str, Any]:
    return {"zaakUrl": begun(zgw), "omschrijving": omschrijving, "betrokkene": betrokkene, **APP}


def test_a_party_gets_the_rol(zgw: ZgwDouble) -> None:
    variables = rol(zgw)
    made = zgw.get(run(create_rol, variables, work=work_with(zgw)).variables["rolUrl"])
    assert (made["zaak"], made["roltype"]) == (variables["zaakUrl"], zgw.catalogue.roltype("Belanghebbende"))
    assert (made["roltoelichting"], made["betrokkeneIdentificatie"]["inpBsn"]) == ("vraagt aan", "999993653")


def test_a_party_may_be_an_address(zgw: ZgwDouble) -> None:
    party = {**CITIZEN, "betrokkene": "https://personen.example.nl/api/v1/personen/1", "betrokkeneIdentificatie": {}}
    made = zgw.get(run(create_rol, rol(zgw, party), work=work_with(zgw)).variables["rolUrl"])
    assert made["betrokkene"] == party["betrokkene"]


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_omschrijving_does_nothing(zgw: ZgwDouble, empty: str | None) -> None:
    variables = rol(zgw, {}, empty)
    with nothing_made(zgw):
        assert run(create_rol, variables, work=work_with(zgw)).variables == {}


def test_a_group_gets_no_rol(zgw: ZgwDouble) -> None:
    variables = rol(zgw, {**USER, "betrokkeneIdentificatie": {"identificatie": "group:balie"}})
    work = work_with(zgw)
    with nothing_made(zgw):
        assert run(create_rol, variables, work=work).variables == {}
    assert [(event["event"], event["reason"]) for event in work.events] == [("rol.skipped", "group")]


def test_a_roltype_on_the_second_page_is_found(zgw: ZgwDouble) -> None:
    many = [(f"Adviseur {number}", "adviseur") for number in range(101)]
    zaaktype = zgw.catalogue.add_zaaktype("VEEL", rollen=many)
    variables = {**rol(zgw, CITIZEN, "Adviseur 100"), "zaakUrl": begun(zgw, zaaktype=zaaktype)}
    assert run(create_rol, variables, work=work_with(zgw)).variables["rolUrl"]


def test_an_unknown_roltype_is_found_out_before_the_zac_is_asked(zgw: ZgwDouble, zac: Zac) -> None:
    variables = rol(zgw, USER, "beslisser")
    with nothing_made(zgw), pytest.raises(NeverAgain, match="has no roltype 'beslisser'; it has 'Initiator', "):
        run(create_rol, variables, work=work_with(zgw, more={"zac": zac.url}))
    assert zac.asked == []


def test_the_zac_names_a_medewerker_of_whom_only_the_user_is_known(zgw: ZgwDouble, zac: Zac) -> None:
    variables = rol(zgw, USER, "Beslisser")
    made = run(create_rol, variables, work=work_with(zgw, more={"zac": zac.url})).variables
    assert zgw.get(made["rolUrl"])["betrokkeneIdentificatie"] == JAN
    path = "/api/core/rollen/medewerker/betrokkeneIdentificatie"
    assert zac.asked == [(path, {"betrokkeneIdentificatie": USER["betrokkeneIdentificatie"]})]


@pytest.mark.parametrize(
    "identificatie",
    [{"identificatie": "user:jan", "achternaam": "Jansen"}, {"identificatie": "jan"}],
)
def test_a_medewerker_who_is_named_or_no_user_needs_no_zac(zgw: ZgwDouble, identificatie: dict[str, str]) -> None:
    variables = rol(zgw, {**USER, "betrokkeneIdentificatie": identificatie}, "Beslisser")
    assert run(create_rol, variables, work=work_with(zgw)).variables["rolUrl"]


def test_a_zac_that_is_missed_is_named(zgw: ZgwDouble) -> None:
    variables = rol(zgw, USER, "Beslisser")
    with nothing_made(zgw), pytest.raises(NotConnected, match="'zac'"):
        run(create_rol, variables, work=work_with(zgw))


def test_a_zac_that_knows_nobody_is_an_incident(zgw: ZgwDouble, zac: Zac) -> None:
    zac.answer = {}
    variables = rol(zgw, USER, "Beslisser")
    with nothing_made(zgw), pytest.raises(NeverAgain, match="does not say who user:jan is"):
        run(create_rol, variables, work=work_with(zgw, more={"zac": zac.url}))


@hidden
@pytest.mark.parametrize("party", [CITIZEN, USER], ids=["citizen", "user"])
def test_a_rol_that_was_added_without_an_answer_is_found(zgw: ZgwDouble, zac: Zac, party: Any, kind: Any) -> None:
    zgw.fault("/zaken/api/v1/rollen", kind=kind, method="POST")
    made = tried_again(create_rol, rol(zgw, party), work_with(zgw, more={"zac": zac.url}))
    assert [one["url"] for one in zgw.all("rollen")] == [made["rolUrl"]]


@prevented
def test_a_rol_that_was_not_added_is_added_by_the_next_attempt(zgw: ZgwDouble, kind: Any) -> None:
    zgw.fault("/zaken/api/v1/rollen", kind=kind, method="POST")
    tried_again(create_rol, rol(zgw), work_with(zgw))
    assert zgw.count("rollen") == 1


def test_the_rol_of_another_party_is_not_taken_for_ours(zgw: ZgwDouble) -> None:
    variables = rol(zgw)
    other = {**CITIZEN, "betrokkeneIdentificatie": {"inpBsn": "999990019"}}
    run(create_rol, {**variables, "betrokkene": other}, work=work_with(zgw))
    run(create_rol, variables, work=work_with(zgw, open_effects=["create-rol"]))
    assert zgw.count("rollen") == 2


def test_a_second_initiator_is_refused_and_the_service_says_why(zgw: ZgwDouble) -> None:
    variables = rol(zgw, CITIZEN, "Initiator")
    other = {**CITIZEN, "betrokkeneIdentificatie": {"inpBsn": "999990019"}}
    run(create_rol, {**variables, "betrokkene": other}, work=work_with(zgw))
    with nothing_made(zgw), pytest.raises(Rejected, match="max-occurences"):
        run(create_rol, variables, work=work_with(zgw))


def test_a_limited_application_adds_nobody_to_a_closed_zaak(zgw: ZgwDouble) -> None:
    variables = {**rol(zgw), "zaakUrl": closed(zgw)}
    with nothing_made(zgw), pytest.raises(Rejected, match="403"):
        run(create_rol, variables, work=work_with(zgw))
