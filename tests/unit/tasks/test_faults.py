"""What an engine and a person read of an exception."""

from __future__ import annotations

from bptl.clients.errors import NotFound
from bptl.engines.base import EngineError
from bptl.lib.redaction import redact
from bptl.tasks.execution.faults import DETAILS_LIMIT, MESSAGE_LIMIT, details_of, message_of
from bptl.work_units.contract import FieldFault, InvalidInput, TryAgain


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        if cause is not None:
            raise error from cause
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is what the test wants
        return caught


def test_the_cause_comes_first() -> None:
    error = raised(RuntimeError("zaak not made"), cause=ConnectionError("connection refused"))
    assert message_of(error) == "ConnectionError: connection refused ← RuntimeError: zaak not made"


def test_what_was_raised_on_purpose_speaks_for_itself() -> None:
    error = raised(TryAgain("the register is closed for the night"), cause=KeyError("hours"))
    assert message_of(error) == "the register is closed for the night"


def test_every_bad_field_is_named() -> None:
    faults = [FieldFault("bsn", "is missing"), FieldFault("zaak.url", "must be a URL")]
    assert message_of(InvalidInput("zgw.x", faults)) == "input of zgw.x: bsn: is missing; zaak.url: must be a URL"


def test_an_error_without_words_is_named() -> None:
    assert message_of(TryAgain("")) == "TryAgain"
    assert "ValueError" in message_of(ValueError())


def test_a_message_has_at_most_666_characters_on_one_line_and_shows_the_cut() -> None:
    message = message_of(RuntimeError("first line\nsecond line " + "x" * 5000))
    assert len(message) == MESSAGE_LIMIT == 666
    assert message.startswith("RuntimeError: first line second line xxx")
    assert message.endswith("…")


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert message_of(first) == "RuntimeError: second ← RuntimeError: first"


def test_credentials_are_taken_out_of_message_and_details() -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.e30.abc-DEF_123"
    error = raised(
        RuntimeError(f"GET https://clerk:hunter22@zaken.example.com/x with Authorization: Bearer {secret}"),
        cause=ValueError(f"Basic {secret}"),
    )
    for text in (message_of(error), details_of(error)):
        assert secret not in text
        assert "hunter22" not in text
        assert "zaken.example.com" in text


def test_what_a_service_or_an_engine_repeats_of_a_login_is_not_in_its_error() -> None:
    said = "denied: {'Authorization': 'Bearer abcDEF123456'}"
    service = NotFound(said, service="brp", method="GET", url="https://brp.example.nl/", status=404)
    assert str(service) == str(EngineError(said)) == EngineError(said).message
    assert "abcDEF123456" not in str(service)


def test_a_bsn_in_the_address_of_a_call_travels_to_no_engine() -> None:
    url = "https://brp.example.nl/personen/111222333"
    error = NotFound(f"brp answered 404 to GET {url}", service="brp", method="GET", url=url, status=404)
    assert message_of(error) == "brp answered 404 to GET https://brp.example.nl/personen/***"
    assert "111222333" not in details_of(error)


def test_words_that_are_no_credentials_stay() -> None:
    assert redact("token lost; see https://example.com:8443/a@b") == "token lost; see https://example.com:8443/a@b"


def test_details_are_the_traceback_with_the_note_first_and_of_bounded_size() -> None:
    error = raised(RuntimeError("x" * (2 * DETAILS_LIMIT)))
    details = details_of(error, note="RETRY_CONFIG cannot be read")
    assert details.startswith("RETRY_CONFIG cannot be read\n\nTraceback")
    assert len(details) == DETAILS_LIMIT
    assert "test_faults.py" in details
