"""Calls of services over real sockets: what each end of a call says, and what the gate hears of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
from requests import PreparedRequest
from requests.auth import AuthBase

from bptl.clients import client as client_module
from bptl.clients import errors
from bptl.clients.access import Access, Kind
from bptl.clients.client import ServiceClient
from bptl.clients.gate import Call
from bptl.clients.session import open_session


class Stopped(Exception):
    """The gate lets nothing pass."""


class Gate:
    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.calls: list[Call] = []

    def enter(self, service: str, method: str, url: str) -> None:
        if self.closed:
            raise Stopped

    def leave(self, call: Call) -> None:
        self.calls.append(call)


class Token(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Service:
    """Answers what ``answers`` says for a path: (status, headers, body); None cuts the connection."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes] | None] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                service.asked.append((self.command, self.path, dict(self.headers), body))
                answer = service.answers.get(self.path, (404, {}, b""))
                if answer is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names of http.server

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}/zaken/api/v1/"

    def answer(self, path: str, status: int, value: Any, **headers: str) -> None:
        """Answer JSON at a path below the root."""
        content = json.dumps(value).encode()
        self.answers["/zaken/api/v1/" + path] = (status, {"Content-Type": "application/json", **headers}, content)


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    thread = Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


def client(root: str, gate: Gate | None = None, **access: Any) -> ServiceClient:
    kept = open_session(access.get("outway") or root)
    return ServiceClient(Access("Zaken", Kind.ZAKEN, root, kept, **access), gate or Gate())


@contextmanager
def _closed_port() -> Iterator[int]:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield unheard.getsockname()[1]


def test_every_call_is_told_to_the_gate_with_its_bodies(service: Service) -> None:
    gate = Gate()
    service.answer("zaken", 201, {"url": "http://x/zaken/1"})
    made = client(service.root, gate).create("zaken", {"omschrijving": "dakkapel"})
    assert made == {"url": "http://x/zaken/1"}
    call = gate.calls[0]
    assert (call.method, call.url, call.status) == ("POST", service.root + "zaken", 201)
    assert json.loads(call.request_body) == {"omschrijving": "dakkapel"}
    assert json.loads(call.answer_body) == made


def test_what_the_gate_stops_is_not_sent(service: Service) -> None:
    with pytest.raises(Stopped):
        client(service.root, Gate(closed=True)).fetch("zaken/1")
    assert service.asked == []


def test_a_refusal_names_every_invalid_param_and_did_not_happen(service: Service) -> None:
    problem = {
        "code": "invalid",
        "detail": "Ongeldige invoer",
        "invalidParams": [
            {"name": "bronorganisatie", "code": "invalid-length", "reason": "RSIN moet 9 tekens lang zijn."},
            {"name": "identificatie", "code": "identificatie-niet-uniek", "reason": "Niet uniek."},
        ],
    }
    service.answer("zaken", 400, problem)
    gate = Gate()
    with pytest.raises(errors.Rejected) as raised:
        client(service.root, gate).create("zaken", {})
    assert "bronorganisatie: RSIN moet 9 tekens lang zijn. [invalid-length]" in str(raised.value)
    assert raised.value.has("identificatie-niet-uniek")
    assert raised.value.did_not_happen
    assert not raised.value.again
    assert gate.calls[0].status == 400


@pytest.mark.parametrize(
    ("status", "kind", "did_not_happen", "again"),
    [
        (404, errors.NotFound, True, False),
        (429, errors.Busy, True, True),
        (500, errors.Failed, False, True),
        (503, errors.Failed, False, True),
        (302, errors.Redirected, True, False),
    ],
)
def test_a_status_says_whether_it_happened_and_whether_to_try_again(
    service: Service, status: int, kind: type[errors.ServiceError], did_not_happen: bool, again: bool
) -> None:
    service.answer("zaken", status, {}, **{"Retry-After": "7", "Location": "http://elsewhere/"})
    with pytest.raises(kind) as raised:
        client(service.root).create("zaken", {})
    assert (raised.value.did_not_happen, raised.value.again) == (did_not_happen, again)
    if status in {429, 503}:
        assert raised.value.delay is not None
        assert raised.value.delay.total_seconds() == 7


def test_a_connection_that_cannot_be_opened_sent_nothing() -> None:
    gate = Gate()
    with _closed_port() as port, pytest.raises(errors.NotSent) as raised:
        client(f"http://127.0.0.1:{port}/", gate).create("zaken", {})
    assert raised.value.did_not_happen
    assert gate.calls[0].status is None
    assert "no connection" in gate.calls[0].error


def test_an_answer_that_is_cut_leaves_open_whether_it_happened(service: Service) -> None:
    service.answers["/zaken/api/v1/zaken"] = None
    with pytest.raises(errors.NoAnswer) as raised:
        client(service.root).create("zaken", {})
    assert not raised.value.did_not_happen


def test_an_answer_that_does_not_come_in_time_leaves_it_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(errors.NoAnswer):
        client(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2).create("zaken", {})


def test_a_large_body_may_take_longer_to_send_than_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.1)
    content = bytes(16 * 1024 * 1024)
    received: list[int] = []

    def read_late(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            Event().wait(0.5)
            size = 0
            while size < len(content):
                size += len(connection.recv(1024 * 1024))
            received.append(size)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        reader = Thread(target=read_late, args=(listening,), daemon=True)
        reader.start()
        root = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert client(root).call("PUT", "bestandsdelen/1", content=content).status == 200
        reader.join()
    assert received


def test_a_login_page_with_status_200_is_not_taken_for_an_answer(service: Service) -> None:
    service.answers["/zaken/api/v1/zaken/1"] = (200, {"Content-Type": "text/html"}, b"<html>Inloggen</html>")
    with pytest.raises(errors.Unreadable, match="Inloggen"):
        client(service.root).fetch("zaken/1")


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/zaken/1", "{root}../../geheim", "{root}%2e%2e/geheim", "http://127.0.0.1:1/zaken/api/v1/"],
)
def test_an_address_outside_the_service_is_never_called(service: Service, address: str) -> None:
    gate = Gate()
    with pytest.raises(errors.ForeignAddress):
        client(service.root, gate, auth=Token("geheim")).fetch(address.format(root=service.root))
    assert service.asked == []
    assert gate.calls == []


def test_pages_are_followed_to_their_end(service: Service) -> None:
    service.answer("zaken?page=2", 200, {"results": [{"nr": 2}], "next": None})
    service.answer("zaken", 200, {"results": [{"nr": 1}], "next": service.root + "zaken?page=2"})
    assert [item["nr"] for item in client(service.root).pages("zaken")] == [1, 2]


def test_pages_that_lead_back_are_told(service: Service) -> None:
    service.answer("zaken?page=2", 200, {"results": [], "next": service.root + "zaken?page=2"})
    service.answer("zaken", 200, {"results": [], "next": service.root + "zaken?page=2"})
    with pytest.raises(errors.Unreadable, match="ends"):
        list(client(service.root).pages("zaken"))


def test_a_page_at_another_service_is_not_followed(service: Service) -> None:
    service.answer("zaken", 200, {"results": [], "next": "https://evil.example/zaken?page=2"})
    with pytest.raises(errors.ForeignAddress):
        list(client(service.root, auth=Token("geheim")).pages("zaken"))


def test_a_plain_array_is_a_list_of_one_page(service: Service) -> None:
    service.answer("zaakinformatieobjecten?zaak=z", 200, [{"nr": 1}])
    assert list(client(service.root).pages("zaakinformatieobjecten", query={"zaak": "z"})) == [{"nr": 1}]


def test_cookies_of_one_application_are_not_sent_for_another(service: Service) -> None:
    service.answer("zaken/1", 200, {}, **{"Set-Cookie": "sessionid=van-app-1; Path=/"})
    session = open_session(service.root)
    for token in ("app-1", "app-2"):
        access = Access("Zaken", Kind.ZAKEN, service.root, session, auth=Token(token))
        ServiceClient(access, Gate()).fetch("zaken/1")
    assert [headers["Authorization"] for _, _, headers, _ in service.asked] == ["Bearer app-1", "Bearer app-2"]
    assert all("Cookie" not in headers for _, _, headers, _ in service.asked)


def test_through_an_outway_data_keep_the_address_of_the_service(service: Service) -> None:
    public = "https://zaken.example.nl/api/v1/"
    service.answer("zaken/1", 200, {"url": service.root + "zaken/1", "status": public + "statussen/2"})
    gate = Gate()
    zaak = client(public, gate, outway=service.root).fetch(public + "zaken/1")
    assert zaak == {"url": public + "zaken/1", "status": public + "statussen/2"}
    assert service.asked[0][1] == "/zaken/api/v1/zaken/1"
    assert gate.calls[0].url == public + "zaken/1"
