"""Behind a proxy: only who is named is believed, and a sub-path may be passed on or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bptl.web.proxy import BehindProxy


def seen(environ: dict[str, Any], *, trusted: list[str] | None = None, subpath: str = "") -> dict[str, Any]:
    """What the application sees of a request."""
    found: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        found.update(environ)
        return []

    defaults = {"REMOTE_ADDR": "10.0.0.9", "wsgi.url_scheme": "http", "PATH_INFO": "/"}
    BehindProxy(application, trusted=trusted or [], subpath=subpath)({**defaults, **environ}, lambda *_: lambda _: None)
    return found


HTTPS = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "203.0.113.5"}


def test_a_named_proxy_is_believed_about_https_and_the_caller() -> None:
    request = seen(HTTPS, trusted=["10.0.0.0/24"])
    assert (request["wsgi.url_scheme"], request["REMOTE_ADDR"]) == ("https", "203.0.113.5")


def test_nobody_else_is_believed_and_nothing_further_on_can_believe_it() -> None:
    request = seen({**HTTPS, "HTTP_X_FORWARDED_HOST": "evil", "HTTP_FORWARDED": "proto=https"}, trusted=["10.0.1.0/24"])
    assert (request["wsgi.url_scheme"], request["REMOTE_ADDR"]) == ("http", "10.0.0.9")
    assert not [name for name in request if "FORWARDED" in name]


def test_an_address_that_the_caller_made_up_is_not_taken_for_the_caller() -> None:
    chain = {"HTTP_X_FORWARDED_FOR": "1.2.3.4, 203.0.113.5, 10.0.0.7"}
    assert seen(chain, trusted=["10.0.0.0/24"])["REMOTE_ADDR"] == "203.0.113.5"


def test_what_is_no_address_ends_the_chain() -> None:
    assert seen({"HTTP_X_FORWARDED_FOR": "1.2.3.4, unknown"}, trusted=["10.0.0.9"])["REMOTE_ADDR"] == "10.0.0.9"


def test_a_proxy_that_arrives_by_a_socket_of_both_families_is_recognised() -> None:
    request = seen({**HTTPS, "REMOTE_ADDR": "::ffff:10.0.0.9"}, trusted=["10.0.0.9/32"])
    assert request["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize(
    ("asked", "path"),
    [("/bptl/tasks/", "/tasks/"), ("/tasks/", "/tasks/"), ("/bptl", "/"), ("/bptlx/", "/bptlx/"), ("/live", "/live")],
)
def test_a_sub_path_is_taken_off_where_it_is(asked: str, path: str) -> None:
    assert seen({"PATH_INFO": asked}, subpath="/bptl")["PATH_INFO"] == path
