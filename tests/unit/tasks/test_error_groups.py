"""Four hundred failures are a few causes: what differs from task to task does not make another group."""

from __future__ import annotations

import pytest

from bptl.tasks.error_groups import CAUSE_LENGTH, KEY_LENGTH, cause_of, group_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no zaak 17", "no zaak 42"),
        ("bsn 123456782 is unknown", "bsn 999990019 is unknown"),
        ("ZAAK-2026-000123 is closed", "ZAAK-2025-900001 is closed"),
        ("took 30.5s", "took 61s"),
        (
            "instance 'c7f3b1de-18a1-4f0c-9a51-3c5ad8d7f001' is gone",
            "instance '00000000-1111-2222-3333-444444444444' is gone",
        ),
        ("cannot reach 10.0.0.5:8000", "cannot reach 127.0.0.1:5432"),
        ("at 2026-11-26T17:04:05Z it was closed", "at 2025-01-02T03:04:05+01:00 it was closed"),
        ("<Thing object at 0x7f3a9c1d2e80>", "<Thing object at 0x7f00deadbeef>"),
        ("mail to jan@gemeente.example bounced", "mail to p.de.vries@elders.example bounced"),
        ("no token 4f9ac1e27b", "no token 12ab34cd56"),
        ("it broke: 1\nTraceback one", "it broke: 2\nTraceback another"),
        (
            "zrc answered 503 to GET https://zaken.example/zaken/api/v1/zaken/6b5e?page=3: closed",
            "zrc answered 503 to GET https://zaken.example/zaken/api/v1/zaken/77aa: closed",
        ),
    ],
)
def test_what_differs_from_task_to_task_is_one_group(one: str, other: str) -> None:
    assert group_of("zgw.create_zaak", one) == group_of("zgw.create_zaak", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'zaak'", "KeyError: 'besluit'"),
        ("HTTP 404 from the service", "HTTP 503 from the service"),
        ("zrc answered 400 to POST https://a.example/zaken", "zrc answered 403 to POST https://a.example/zaken"),
        ("no answer from https://a.example/api/v1/zaken", "no answer from https://b.example/api/v1/zaken"),
        ("no answer from https://a.example/api/v1/zaken", "no answer from https://a.example/api/v1/statussen"),
        ("no answer from https://a.example/api/v1/zaken", "no answer from https://a.example/api/v2/zaken"),
        ("input of zgw.x: bsn: is missing", "input of zgw.x: naam: is missing"),
    ],
)
def test_another_cause_is_another_group(one: str, other: str) -> None:
    assert group_of("zgw.x", one).key != group_of("zgw.x", other).key


def test_the_same_words_of_another_unit_are_another_group() -> None:
    assert group_of("mail.send", "timed out").key != group_of("http.request", "timed out").key


def test_a_cause_reads_as_a_sentence() -> None:
    message = (
        "zrc answered 400 to POST https://zaken.example/zaken/api/v1/zaken/6b5e7c/rollen?x=1: "
        "betrokkene 123456782 van jan@gemeente.example bestaat niet"
    )
    assert cause_of(message) == (
        "zrc answered 400 to POST https://zaken.example/zaken/api/v1/zaken/…/rollen: betrokkene … van … bestaat niet"
    )


@pytest.mark.parametrize(
    "message", ["", "\n", "https://[", "http://[1/2: x", "a" * 100_000, "a.b+c-" * 10_000, "1" * 700]
)
def test_any_text_has_a_group(message: str) -> None:
    found = group_of("", message)
    assert len(found.key) == KEY_LENGTH
    assert len(found.cause) <= CAUSE_LENGTH


def test_a_group_is_the_same_in_every_process_and_version() -> None:
    assert group_of("mail.send", "no connection to smtp.example:25").key == "04ff143238168735"
