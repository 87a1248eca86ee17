"""A row becomes a live client, and what it may do is asked of an engine that answers as Operaton does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings

from bptl.connections import access
from bptl.connections.engines import client
from bptl.connections.findings import Mark
from bptl.connections.models import Engine, Mapping

LOGIN = "Basic " + base64.b64encode(b"worker:pw").decode()


@contextmanager
def serving(*, login: bool = True, granted: frozenset[tuple[str, str]] = frozenset()) -> Iterator[str]:
    """An engine's version and its authorization check: (permission, resource id or empty) is what the user has."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            known = self.headers.get("Authorization") == LOGIN
            if asked.path.endswith("/authorization/check"):
                query = {name: values[0] for name, values in parse_qs(asked.query).items()}
                wanted = (query["permissionName"], query.get("resourceId", ""))
                self._answer(200 if known else 401, {"authorized": wanted in granted})
            else:
                self._answer(200 if known or not login else 401, {"version": "2.1.4"})

        def _answer(self, status: int, body: dict[str, object]) -> None:
            content = json.dumps(body).encode() if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/engine-rest/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def worker(engine: Engine) -> Engine:
    engine.authentication, engine.username, engine.secret = "basic", "worker", "pw"
    engine.save()
    return engine


def found(engine: Engine, address: str) -> access.Access:
    engine.address = address
    engine.save()
    return access.check(engine)


def test_one_client_is_shared_until_the_row_changes(engine: Engine) -> None:
    first = client(engine)
    assert client(Engine.objects.get()) is first
    stale = Engine.objects.get()
    engine.save()
    second = client(engine)
    assert second is not first
    assert client(stale) is second


def test_a_user_with_the_founding_rights_may_fetch(worker: Engine) -> None:
    with serving(granted=frozenset({("READ", ""), ("UPDATE", "")})) as address:
        answer = found(worker, address)
    assert answer.usable
    assert answer.version == "2.1.4"
    assert [finding.mark for finding in answer.findings][:3] == [Mark.GOOD] * 3
    assert "authorization check" in answer.findings[2].text


def test_a_user_without_update_is_told_which_rights_to_grant(worker: Engine) -> None:
    with serving(granted=frozenset({("READ", "")})) as address:
        answer = found(worker, address)
    assert not answer.usable
    (told,) = [finding.text for finding in answer.findings if finding.mark is Mark.BAD]
    assert "READ, UPDATE and UPDATE_VARIABLE on Process Instance" in told


def test_rights_on_single_definitions_are_enough_when_the_mappings_name_them(
    worker: Engine, mapped: Callable[..., Mapping]
) -> None:
    mapped("a", definition_keys=["invoice"])
    rights = frozenset({("READ_INSTANCE", "invoice"), ("UPDATE_INSTANCE", "invoice")})
    with serving(granted=rights) as address:
        assert found(worker, address).usable
        mapped("b", definition_keys=["permit"])
        answer = found(worker, address)
    assert not answer.usable
    (told,) = [finding.text for finding in answer.findings if finding.mark is Mark.BAD]
    assert "of permit;" in told


def test_a_wrong_password_is_bad_and_not_shown(worker: Engine) -> None:
    worker.secret = "zeer-geheim"
    with serving() as address:
        answer = found(worker, address)
    assert not answer.usable
    assert "refuses our login" in answer.findings[0].text
    assert "zeer-geheim" not in repr(answer)


def test_an_engine_that_asks_nobody_to_log_in_is_usable_and_doubtful(engine: Engine) -> None:
    with serving(login=False) as address:
        answer = found(engine, address)
    assert answer.usable
    assert Mark.DOUBT in {finding.mark for finding in answer.findings}


def test_an_engine_that_does_not_answer_is_bad(engine: Engine) -> None:
    assert not access.check(engine).usable


def test_a_secret_that_no_key_opens_is_a_finding_that_names_the_setting(
    worker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [base64.urlsafe_b64encode(b"0" * 32).decode()])
    worker.save()
    answer = access.check(worker)
    assert not answer.usable
    assert "BPTL_ENCRYPTION_KEYS" in answer.findings[0].text
