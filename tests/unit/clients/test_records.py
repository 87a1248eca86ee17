"""What of a call is kept with its task, and what never is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bptl.clients.access import DataClass
from bptl.clients.gate import Call
from bptl.clients.records import MOST_CHARACTERS, MOST_PARSED, Record, body, kept, url
from bptl.lib.redaction import is_bsn, redact

BSN = "111222333"
ZAAK = "https://zaken.example.nl/zaken/api/v1/zaken"


def recorded(value: Any, data_class: DataClass = DataClass.ORDINARY) -> Any:
    return json.loads(body(json.dumps(value).encode(), "application/json", data_class))


def test_a_body_is_kept_as_json_that_a_person_can_read() -> None:
    assert recorded({"omschrijving": "dakkapel", "aantal": 2}) == {"omschrijving": "dakkapel", "aantal": 2}


@pytest.mark.parametrize("name", ["password", "client_secret", "clientSecret", "Authorization", "access_token", "jwt"])
def test_secrets_are_never_kept_wherever_they_stand(name: str) -> None:
    assert "geheim" not in body(json.dumps({"a": [{name: "geheim"}]}).encode(), "application/json", DataClass.ORDINARY)


@pytest.mark.parametrize("name", ["bsn", "inpBsn", "inp_bsn", "burgerservicenummer", "naamBsn"])
def test_a_bsn_is_not_kept_by_its_name(name: str) -> None:
    assert recorded({"betrokkeneIdentificatie": {name: "123"}}) == {"betrokkeneIdentificatie": {name: "***"}}


def test_a_bsn_is_not_kept_in_the_midst_of_a_text_or_as_a_number() -> None:
    assert recorded({"toelichting": f"Burger {BSN} belde", "nummer": int(BSN)}) == {
        "toelichting": "Burger *** belde",
        "nummer": "***",
    }


def test_numbers_that_cannot_be_a_bsn_and_ids_stay() -> None:
    other, uuid = "123456789", f"{BSN}-0000-4000-8000-000000000000"
    assert not is_bsn(other)
    assert redact(f"zaak {other} {uuid} ZAAK-2026-{BSN}") == f"zaak {other} {uuid} ZAAK-2026-{BSN}"


def test_of_personal_services_nobody_can_be_told_from_what_is_kept() -> None:
    person = {"geslachtsnaam": "Yılmaz", "verblijfsadres": {"postcode": "3500AA"}, "rol": "initiator"}
    assert recorded(person, DataClass.PERSONAL) == {"geslachtsnaam": "***", "verblijfsadres": "***", "rol": "initiator"}
    assert recorded(person) == person


def test_of_secret_services_only_sizes_are_kept() -> None:
    said = kept(_call(DataClass.SECRET, content=b'{"a": 1}', address=f"{ZAAK}?q=geheim"))
    assert said == Record(url=f"{ZAAK}?q=***", error="", request_body="(8 bytes of application/json)", answer_body="")


def test_a_query_says_no_more_than_a_body_may() -> None:
    assert url(f"{ZAAK}?burgerservicenummer={BSN}&status=open", DataClass.ORDINARY) == (
        f"{ZAAK}?burgerservicenummer=***&status=open"
    )
    assert url(f"https://brp.example.nl/personen/{BSN}?fields=leeftijd", DataClass.ORDINARY) == (
        "https://brp.example.nl/personen/***?fields=leeftijd"
    )


def test_documents_are_kept_by_their_size() -> None:
    assert recorded({"inhoud": "A" * 5000}) == {"inhoud": "(5000 characters)"}
    assert body(b"%PDF-1.7", "application/pdf", DataClass.ORDINARY) == "(8 bytes of application/pdf)"
    large = b'"' + b"a" * MOST_PARSED + b'"'
    assert body(large, "application/json", DataClass.ORDINARY) == f"({len(large)} bytes of application/json)"


def test_a_long_body_is_cut_and_says_so() -> None:
    said = body(json.dumps(["x" * 90] * 200).encode(), "application/json", DataClass.ORDINARY)
    assert len(said) < MOST_CHARACTERS + 100
    assert said.endswith("characters in all)")


def test_what_claims_to_be_json_and_is_not_is_kept_by_its_size() -> None:
    assert body(b"<html>geheim</html>", "application/json", DataClass.ORDINARY) == "(19 bytes of application/json)"


def test_an_error_loses_credentials_and_bsns() -> None:
    call = _call(DataClass.ORDINARY, error=f"refused: Bearer abcdefGHIJ123456 for {BSN}")
    assert kept(call).error == "refused: Bearer *** for ***"


def test_an_address_at_which_a_task_is_answered_loses_its_token_whatever_its_name() -> None:
    token = "bptl_completion_" + "aB3-_" * 8 + "xyz"
    address = f"https://bptl.example.nl/api/v1/completions/{token}"
    said = json.dumps({"antwoordHier": address, "tekst": f"Klik op {address}."}).encode()
    record = kept(_call(DataClass.ORDINARY, content=said, address=f"{ZAAK}?terug={address}", error=f"no {token}"))
    assert token not in str(record)
    assert "completions/bptl_***" in record.request_body


def _call(data_class: DataClass, *, content: bytes = b"", address: str = ZAAK, error: str = "") -> Call:
    return Call(
        service="Zaken",
        data_class=data_class,
        method="POST",
        url=address,
        began_at=datetime.now(UTC),
        seconds=0.1,
        error=error,
        request_type="application/json",
        request_body=content,
    )
