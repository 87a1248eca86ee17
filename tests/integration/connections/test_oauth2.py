"""OAuth2 client credentials over TLS: asked for once, renewed in time and after a 401, the same for an engine."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest

from bptl.clients.client import ServiceClient
from bptl.clients.errors import NotSent, Rejected
from bptl.clients.gate import OpenGate
from bptl.connections import access, engines, service_check, sessions
from bptl.connections.models import Engine
from bptl.connections.service_models import Service
from bptl.lib import oauth2
from tests.doubles.certificates import Authority
from tests.doubles.outside import Answer, Asked, Outside

pytestmark = pytest.mark.django_db
SECRET = "geheim-bij-de-token-server"


class TokenServer:
    """Gives out ``token-1``, ``token-2``, …; an API that takes those which have not been withdrawn."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.given = 0
        self.lives: int | None = 3600
        self.withdrawn: set[str] = set()
        self.refuses: Answer | None = None
        self._lock = threading.Lock()
        outside.answers["/token"] = self._give
        outside.answers[outside.path + "zaken"] = self._check
        outside.answers[outside.path + "version"] = self._check

    @property
    def address(self) -> str:
        return self.outside.root.removesuffix(self.outside.path) + "/token"

    def _give(self, asked: Asked) -> Answer:
        login = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode()
        form = parse_qs(asked.body.decode())
        assert (login, form["grant_type"], form["scope"]) == (f"bptl:{SECRET}", ["client_credentials"], ["zaken"])
        if self.refuses is not None:
            return self.refuses
        with self._lock:
            self.given += 1
        # Keycloak and others give scopes that nobody asked for.
        answer: dict[str, Any] = {"access_token": f"token-{self.given}", "token_type": "Bearer", "scope": "email zaken"}
        return Answer(200, answer | ({"expires_in": self.lives} if self.lives is not None else {}))

    def _check(self, asked: Asked) -> Answer:
        token = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.withdrawn or not token.startswith("token-"):
            return Answer(401, {"code": "invalid_token"})
        return Answer(200, {"version": "2.1.4", "results": [], "token": token})


AUTHORITY = Authority()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with Outside(pair=AUTHORITY.issue()) as outside:
        yield TokenServer(outside)


@pytest.fixture
def row(tokens: TokenServer) -> Service:
    made = Service(
        name="zaken",
        kind="zrc",
        address=tokens.outside.root,
        authentication="oauth2_client_credentials",
        client_id="bptl",
        token_address=tokens.address,
        scope="zaken",
    )
    made.secret, made.authorities = SECRET, AUTHORITY.certificate
    made.full_clean()
    made.save()
    return made


def ask(row: Service) -> str:
    answer = ServiceClient(sessions.access(row, None), OpenGate()).fetch("zaken")
    return str(answer["token"])


def test_one_token_serves_all_calls_of_all_threads(tokens: TokenServer, row: Service) -> None:
    client = ServiceClient(sessions.access(row, None), OpenGate())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.fetch("zaken")["token"], range(16)))
    assert set(answers) == {"token-1"}
    assert tokens.given == 1


def test_a_token_is_renewed_before_it_ends(tokens: TokenServer, row: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(row) == "token-1"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600 - oauth2.EARLY - 5)
    assert ask(row) == "token-1"
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600 - oauth2.EARLY + 1)
    assert ask(row) == "token-2"


def test_a_token_that_is_refused_is_replaced_once_and_the_request_sent_again(tokens: TokenServer, row: Service) -> None:
    ask(row)
    tokens.withdrawn = {"token-1"}
    assert ask(row) == "token-2"
    tokens.withdrawn = {f"token-{number}" for number in range(9)}
    with pytest.raises(Rejected) as raised:
        ask(row)
    assert raised.value.status == 401
    assert tokens.given == 3


def test_a_body_is_sent_again_whole(tokens: TokenServer, row: Service) -> None:
    ask(row)
    tokens.withdrawn = {"token-1"}
    ServiceClient(sessions.access(row, None), OpenGate()).create("zaken", {"omschrijving": "dakkapel"})
    bodies = [asked.body for asked in tokens.outside.asked if asked.method == "POST" and asked.path != "/token"]
    assert bodies == [b'{"omschrijving":"dakkapel"}'] * 2


def test_a_refusal_of_the_token_server_is_final_and_says_why(tokens: TokenServer, row: Service) -> None:
    tokens.refuses = Answer(401, {"error": "invalid_client", "error_description": "onbekend"})
    with pytest.raises(Rejected, match="invalid_client") as raised:
        ask(row)
    assert raised.value.did_not_happen
    assert not raised.value.again
    assert SECRET not in repr(raised.getrepr(chain=True))
    assert any("no token" in finding.text for finding in service_check.check(row))


def test_a_token_server_that_is_away_is_tried_again_later(tokens: TokenServer, row: Service) -> None:
    tokens.refuses = Answer(503, {"error": "temporarily_unavailable"})
    with pytest.raises(NotSent) as raised:
        ask(row)
    assert raised.value.again
    tokens.refuses = None
    assert ask(row) == "token-1"


def test_a_secret_is_never_sent_to_a_token_server_without_tls(row: Service) -> None:
    row.token_address = "http://127.0.0.1/token"
    with pytest.raises(Exception, match="https"):
        row.full_clean()


def test_an_engine_logs_in_the_same_way(tokens: TokenServer) -> None:
    engine = Engine(
        name="main",
        address=tokens.outside.root,
        authentication="oauth2_client_credentials",
        username="bptl",
        token_address=tokens.address,
        scope="zaken",
    )
    engine.secret, engine.authorities = SECRET, AUTHORITY.certificate
    engine.full_clean()
    engine.save()
    live = engines.client(engine)
    assert live.version() == "2.1.4"
    tokens.withdrawn = {"token-1"}
    assert live.version() == "2.1.4"
    assert tokens.given == 2
    tokens.refuses = Answer(401, {"error": "invalid_client"})
    tokens.withdrawn = {"token-2"}
    found = access.check(engine)
    assert not found.usable
    assert "invalid_client" in found.findings[0].text
    assert SECRET not in repr(found)
    live.close()
