"""What no text may show, in the forms in which it comes."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from bptl.lib import redaction
from bptl.lib.redaction import hides, is_bsn, redact, remember

SECRET = "Zeer-Geheim7"


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_remembered", {})
    monkeypatch.setattr(redaction, "_known", ())


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: {SECRET}",
        f"{{'Authorization': 'ApiKey {SECRET}', 'Accept': '*/*'}}",
        f'{{"Authorization": "{SECRET}"}}',
        f"X-Api-Key: {SECRET}",
        f"Cookie: bptl_sessionid={SECRET}; other=1",
        f"Set-Cookie: sessionid={SECRET}",
        f"Basic {base64.b64encode(f'bptl:{SECRET}'.encode()).decode()}",
        f"password={SECRET}",
        f"password: {SECRET}",
        f"wachtwoord={SECRET}",
        f"db_password = '{SECRET}'",
        f'{{"client_secret": "{SECRET}"}}',
        f"{{'refresh_token': '{SECRET}'}}",
        f'{{"token": "{SECRET}"}}',
        f"token={SECRET}&x=1",
        f"the token: {SECRET}",
        f"GET /dl?id=1&token={SECRET}&x=2",
        f"https://example.nl/a?X-Amz-Signature={SECRET}",
        f"https://example.nl/a?sig={SECRET}#part",
        f"redis://:{SECRET}@broker:6379/0",
        f"postgres://bptl:{SECRET}@db/bptl",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}",
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text: str) -> None:
    assert SECRET not in redact(text)
    assert base64.b64encode(f"bptl:{SECRET}".encode()).decode() not in redact(text)


def test_a_web_token_is_known_by_its_form() -> None:
    assert redact("got eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJicHRsIn0.c2ln-_X for it") == "got *** for it"


def test_the_rest_of_the_text_stays() -> None:
    assert redact(f"GET https://zaken.nl/x?a=1&token={SECRET}&b=2 answered 401") == (
        "GET https://zaken.nl/x?a=1&token=***&b=2 answered 401"
    )
    assert (
        redact(f"Authorization: Bearer {SECRET}\nAccept: text/html") == "Authorization: Bearer ***\nAccept: text/html"
    )


@pytest.mark.parametrize(
    "text",
    [
        "token lost; see https://example.com:8443/a@b",
        "the basic rules of the token endpoint",
        "no token: the server is away",
        "key: create-zaak",
        "https://example.nl/zaken?identificatie=ZAAK-1&page=2",
        "secretary of the board",
        "zaak 123456789 of 2026-11-26",
    ],
)
def test_words_that_are_no_credentials_stay(text: str) -> None:
    assert redact(text) == text


def test_a_bsn_is_taken_out_by_its_eleven_test_and_other_numbers_stay() -> None:
    assert is_bsn("111222333")
    assert redact("BSN 111222333, zaak 123456789") == "BSN ***, zaak 123456789"


def test_a_known_secret_is_found_in_each_form_in_which_it_travels() -> None:
    secret = 'een "zin" & nog wat'
    remember(secret)
    forms = (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode())
    assert len(set(forms)) == 4
    for form in forms:
        assert redact(f"it answered {form} to us") == "it answered *** to us"


def test_of_two_known_secrets_the_longer_one_leaves_nothing_behind() -> None:
    remember("geheim-een")
    remember("geheim-een-en-twee")
    assert redact("x geheim-een-en-twee y") == "x *** y"


def test_a_short_word_is_no_secret_that_can_be_looked_for() -> None:
    remember("bptl")
    assert redact("bptl is well") == "bptl is well"


def test_the_newest_secrets_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MOST_KNOWN", 8)
    for number in range(20):
        remember(f"geheim-nummer-{number}!")
    assert redact("geheim-nummer-19!") == "***"
    assert redact("geheim-nummer-0!") == "geheim-nummer-0!"


@pytest.mark.parametrize("name", ["password", "client_secret", "X-API-Key", "Authorization", "inp_bsn", "aanvragerBsn"])
def test_some_fields_are_never_shown(name: str) -> None:
    assert hides(name)


@pytest.mark.parametrize("name", ["key", "task_id", "topic", "zaak", "tokens"])
def test_others_are(name: str) -> None:
    assert not hides(name)
