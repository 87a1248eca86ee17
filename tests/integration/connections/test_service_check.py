"""What the test of a connection says of a service that cannot be worked with, and what to do about it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from bptl.connections import service_check
from bptl.connections.findings import Mark
from bptl.connections.service_models import Service, ServiceGrant
from tests.doubles.certificates import Authority
from tests.doubles.outside import Answer, Asked, Outside

LONG = "zeer-geheim-en-lang-genoeg-voor-hs256"


def service(address: str, **fields: Any) -> Service:
    """A Zaken API with credentials, saved."""
    written = {name: fields.pop(name) for name in ("certificate", "key", "authorities") if name in fields}
    made = Service(**{"name": "zaken", "kind": "zrc", "address": address, "client_id": "bptl", **fields})
    made.secret = "" if made.authentication == "no_auth" else LONG
    for name, value in written.items():
        setattr(made, name, value)
    made.full_clean()
    made.save()
    return made


def told(made: Service, mark: Mark = Mark.BAD) -> str:
    """What is said with this mark, in one text."""
    return "\n".join(finding.text for finding in service_check.check(made) if finding.mark is mark)


@pytest.fixture
def there() -> Iterator[Outside]:
    """A service that wants a login."""
    with Outside() as running:

        def answer(asked: Asked) -> Answer:
            known = "Authorization" in asked.headers
            return Answer(200, {"results": []}) if known else Answer(403, {"code": "not_authenticated"})

        running.answers[running.path + "zaken"] = answer
        yield running


pytestmark = pytest.mark.django_db


def test_a_service_that_answers_is_good_and_its_login_is_looked_at(there: Outside) -> None:
    found = service_check.check(service(there.root))
    assert {finding.mark for finding in found} == {Mark.GOOD}
    assert "answers to its own credentials" in found[0].text
    assert "the login is looked at" in found[-1].text


def test_a_login_that_nobody_looks_at_is_doubtful(there: Outside) -> None:
    there.answer("zaken", {"results": []})
    assert "the login was not needed" in told(service(there.root), Mark.DOUBT)


def test_every_login_that_tasks_may_use_is_tried(there: Outside, grant: ServiceGrant) -> None:
    made = grant.service
    Service.objects.filter(pk=made.pk).update(address=there.root)
    made = Service.objects.get()
    made.save()
    texts = [finding.text for finding in service_check.check(made)]
    assert any("its own credentials" in text for text in texts)
    assert any("the credentials of application Vergunningen" in text for text in texts)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(403, {"code": "jwt-expired"}), "set both by NTP"),
        (Answer(403, {"code": "invalid-jwt-signature"}), "the secret is not the one that it has"),
        (Answer(403, {"code": "invalid-client-identifier"}), "it knows no such client id"),
        (Answer(403, {"code": "permission_denied"}), "give the application rights there"),
        (Answer(403, {"detail": "Nee"}), "(403): Nee"),
        (Answer(401, {}), "does not accept its own credentials (401)"),
        (Answer(412, {}), "Accept-Crs"),
        (Answer(404, b"<html>", {"Content-Type": "text/html"}), "is not there (404): correct the address"),
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "answers a web page, not an API"),
        (Answer(302, b"", {"Location": "https://login.example.nl/"}), "https://login.example.nl/"),
        (Answer(500, {}), "fails itself (500)"),
    ],
)
def test_an_answer_is_said_in_words_with_what_to_do(there: Outside, answer: Answer, words: str) -> None:
    there.answers[there.path + "zaken"] = answer
    assert words in told(service(there.root))


def test_clocks_that_differ_are_remarked_on(there: Outside) -> None:
    there.answer("zaken", {"results": []}, Date=format_datetime(datetime.now(UTC) - timedelta(hours=1)))
    assert "differ by 36" in told(service(there.root), Mark.DOUBT)


def test_a_short_secret_is_remarked_on(there: Outside) -> None:
    made = service(there.root)
    made.secret = "kort"
    made.save()
    assert "shorter than 32 bytes" in told(made, Mark.DOUBT)


def test_a_name_that_does_not_resolve_is_said() -> None:
    assert "the name bestaat.invalid does not resolve" in told(service("https://bestaat.invalid/"))


def test_a_port_where_nothing_listens_is_said() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        assert f"nothing listens at 127.0.0.1 port {port}" in told(service(f"http://127.0.0.1:{port}/"))


def test_a_service_that_does_not_answer_in_time_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = service(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_seconds=1)
        assert "did not answer in time" in told(made)


def test_a_server_without_tls_is_said(there: Outside) -> None:
    assert "speaks no TLS" in told(service(there.root.replace("http://", "https://")))


@pytest.mark.parametrize(
    ("name", "days", "known", "words"),
    [
        ("127.0.0.1", -1, True, "has expired"),
        ("127.0.0.1", 90, False, "from an authority that we do not know"),
        ("elders.example.nl", 90, True, "is for another name than 127.0.0.1"),
    ],
)
def test_a_certificate_that_is_refused_is_said(name: str, days: int, known: bool, words: str) -> None:
    authority, stranger = Authority(), Authority("Vreemde CA")
    with Outside(pair=authority.issue(name, days=days)) as there:
        trusted = authority if known else stranger
        assert words in told(service(there.root, authorities=trusted.certificate))
        assert there.asked == []


def test_a_service_with_its_own_authority_and_our_certificate_is_reached() -> None:
    authority = Authority()
    own = authority.issue("bptl")
    with Outside(pair=authority.issue(), clients=authority.certificate) as there:
        there.answer("zaken", {"results": []})
        made = service(there.root, authorities=authority.certificate, certificate=own.certificate, key=own.key)
        found = service_check.check(made)
        assert service_check.usable(found), found
        assert any("our client certificate (CN=bptl) is good until" in finding.text for finding in found)


def test_a_missing_client_certificate_is_said() -> None:
    authority = Authority()
    with Outside(pair=authority.issue(), clients=authority.certificate) as there:
        assert "client certificate" in told(service(there.root, authorities=authority.certificate))


def test_our_certificate_that_ends_soon_is_remarked_on_and_one_that_ended_is_bad() -> None:
    authority = Authority()
    soon, over = authority.issue("bptl", days=3), authority.issue("bptl", days=-3)
    made = service("http://127.0.0.1:1/", certificate=soon.certificate, key=soon.key)
    assert "enter a new one before" in told(made, Mark.DOUBT)
    made.certificate, made.key = over.certificate, over.key
    made.save()
    assert "ended on" in told(made)


def test_a_service_for_which_nobody_has_credentials_is_said() -> None:
    made = service("http://127.0.0.1:1/")
    made.client_id = made.secret = ""
    made.full_clean()
    made.save()
    assert "no application brings any" in told(made)


def test_no_finding_repeats_a_secret(there: Outside) -> None:
    for status in (200, 401, 403, 500):
        there.answer("zaken", {}, status=status)
        made = service(there.root) if not Service.objects.exists() else Service.objects.get()
        assert LONG not in repr(service_check.check(made))


def test_own_authorities_win_over_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    (tmp_path / "others.pem").write_text(Authority("Vreemde CA").certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    with Outside(pair=authority.issue()) as there:
        there.answer("zaken", {"results": []})
        assert told(service(there.root, authorities=authority.certificate)) == ""
