"""Requests to addresses that others chose, over real sockets: they go where was looked, in time, or nowhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bptl.lib import pinned
from bptl.lib.http import AnswerUnknown, NeverSent
from bptl.lib.pinned import ForbiddenAddress, IPAddress
from tests.doubles.certificates import Authority
from tests.doubles.outlet import Outlet
from tests.doubles.outside import Answer, Outside

NAME = "hooks.example.nl"


@pytest.fixture
def outlet() -> Iterator[Outlet]:
    with Outlet() as running:
        yield running


def loopback_only(address: IPAddress) -> bool:
    return str(address) == "127.0.0.1"


def post(url: str, **options: Any) -> int:
    return pinned.send("POST", url, **{"headers": {}, "may_reach": loopback_only, **options}).status


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A resolver that answers these addresses in turn; answers the names that it was asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_an_empty_post_is_what_its_receiver_sees(outlet: Outlet) -> None:
    outlet.statuses = [202]
    assert post(f"{outlet.root}a b/é?token=x y", headers={"Idempotency-Key": "7"}) == 202
    (call,) = outlet.calls
    assert (call.method, call.path, call.body, call.key) == ("POST", "/a%20b/%C3%A9?token=x%20y", b"", "7")
    assert call.headers["Content-Length"] == "0"


def test_a_name_that_leads_elsewhere_the_second_time_leads_nowhere_else(
    outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolves(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    assert post(f"http://{NAME}:{outlet.port}/") == 204
    assert asked == [NAME]
    assert outlet.calls[0].host == f"{NAME}:{outlet.port}"


@pytest.mark.parametrize("host", ["[2001:db8::1]", "xn--brger-kva.example", "bürger.example"])
def test_a_receiver_sees_the_name_that_was_asked_for(
    host: str, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, ["127.0.0.1"])
    assert post(f"http://{host}:{outlet.port}/") == 204
    assert outlet.calls[0].host == f"{host.replace('bürger', 'xn--brger-kva')}:{outlet.port}"


def test_one_address_that_may_not_be_reached_refuses_the_whole_name(
    outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    with pytest.raises(ForbiddenAddress) as raised:
        post(f"http://{NAME}:{outlet.port}/hook?token=geheim")
    assert str(raised.value.address) == "10.0.0.1"
    assert "geheim" not in str(raised.value)
    assert outlet.calls == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_no_way_of_writing_an_inner_address_is_public(host: str, outlet: Outlet) -> None:
    with pytest.raises(ForbiddenAddress):
        post(f"http://{host}:{outlet.port}/", may_reach=pinned.is_public)
    assert outlet.calls == []


def test_the_next_address_of_a_name_is_tried_when_the_first_takes_no_connection(
    outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves(monkeypatch, ["127.0.0.3", "127.0.0.1"])
    assert post(f"http://{NAME}:{outlet.port}/", may_reach=lambda _: True) == 204


def test_a_redirect_is_an_answer_and_is_not_followed(outlet: Outlet) -> None:
    outlet.statuses, outlet.location = [302], f"{outlet.root}elsewhere"
    assert post(outlet.root) == 302
    assert len(outlet.calls) == 1


def test_proxies_of_the_environment_are_not_asked(outlet: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert post(outlet.root) == 204


def test_who_answers_nothing_is_left(outlet: Outlet) -> None:
    outlet.held.set()
    with pytest.raises(AnswerUnknown, match=r"no answer within 0\.3 s"):
        post(outlet.root, seconds=0.3)


def test_a_head_that_comes_byte_by_byte_holds_nobody_longer(outlet: Outlet) -> None:
    outlet.trickles = True
    with pytest.raises(AnswerUnknown, match=r"no answer within 0\.4 s"):
        post(outlet.root, seconds=0.4)


def test_what_was_never_sent_says_so(outlet: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(NeverSent):
        post(f"http://127.0.0.1:{port}/")

    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NeverSent, match="not known"):
        post(outlet.root)


def test_a_certificate_is_that_of_the_name_though_the_address_was_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    trusted = tmp_path / "ca.pem"
    trusted.write_text(authority.certificate)
    with Outside("/", pair=authority.issue(NAME)) as outside:
        outside.answers["/hook"] = Answer(204)
        port = outside.root.rsplit(":", 1)[1].strip("/")
        resolves(monkeypatch, ["127.0.0.1"])
        assert post(f"https://{NAME}:{port}/hook", authorities=str(trusted)) == 204
        for host, authorities in (("other.example.nl", str(trusted)), (NAME, None)):
            with pytest.raises(NeverSent, match="CERTIFICATE_VERIFY_FAILED"):
                post(f"https://{host}:{port}/hook", authorities=authorities)
    assert len(outside.asked) == 1


def test_a_handshake_that_never_ends_holds_nobody_longer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NeverSent, match=r"no answer within 0\.3 s"):
        post(f"https://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.3)
