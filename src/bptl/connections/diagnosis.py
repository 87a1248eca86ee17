"""Why there is no connection, in words, with what to do about it: names, ports, certificates, time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from django.utils.translation import gettext as _
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ReadTimeoutError

from bptl.lib.http import AnswerUnknown

EXPIRED, NOT_YET, UNTRUSTED, OTHER_NAME = {10}, {9}, {18, 19, 20, 21}, {62, 63, 64}
"""Verify codes of OpenSSL (x509_vfy.h)."""

NO_TLS_THERE = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"}
OUR_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "ALERT_CERTIFICATE", "UNKNOWN_CA")


def reason(error: BaseException, address: str) -> str:
    """Why ``error`` left us without a connection to ``address``; empty when it says nothing that we know."""
    parts = urlsplit(address)
    host = parts.hostname or address
    port = parts.port or (443 if parts.scheme == "https" else 80)
    told = {"host": host, "port": port}
    links = list(_links(error))
    sent = any(isinstance(link, AnswerUnknown) for link in links)
    # The most telling link first, wherever in the chain it stands.
    rules: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (ssl.SSLError, lambda link: _tls(link, host, port)),
        ((socket.gaierror, NameResolutionError), lambda _link: _unresolved() % told),
        (ConnectionRefusedError, lambda _link: _refused() % told),
        ((ReadTimeoutError, requests.ReadTimeout), lambda _link: _unanswered() % told),
        ((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), lambda _link: _cut() % told),
        ((ConnectTimeoutError, requests.ConnectTimeout), lambda _link: _unreached() % told),
        (TimeoutError, lambda _link: (_unanswered() if sent else _unreached()) % told),
    )
    for kinds, say in rules:
        for link in links:
            if isinstance(link, kinds):
                return say(link)
    return ""


def _unresolved() -> str:
    return _(
        "the name %(host)s does not resolve: correct the address, or the DNS of the machine or container on which BPTL "
        "runs"
    )


def _refused() -> str:
    return _("nothing listens at %(host)s port %(port)s: start the service, or correct the address")


def _unreached() -> str:
    return _(
        "%(host)s port %(port)s does not take connections in time: look for a firewall between, or correct the address"
    )


def _unanswered() -> str:
    return _("%(host)s took the request and did not answer in time: raise the time-out, or find out what it waits for")


def _cut() -> str:
    return _("%(host)s port %(port)s cut the connection: it may want https, a client certificate, or another address")


def _tls(error: ssl.SSLError, host: str, port: int) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in EXPIRED:
            return _("the certificate of %(host)s has expired: renew it there (or correct our clock)") % {"host": host}
        if code in NOT_YET:
            return _("the certificate of %(host)s is not valid yet: correct our clock, or theirs") % {"host": host}
        if code in UNTRUSTED:
            return _(
                "the certificate of %(host)s comes from an authority that we do not know: enter that authority's "
                "certificate as own certificate authority"
            ) % {"host": host}
        if code in OTHER_NAME:
            return _(
                "the certificate is for another name than %(host)s: use the name that stands in it, or have it renewed"
            ) % {"host": host}
        return _("the certificate of %(host)s is refused: %(reason)s") % {"host": host, "reason": error.verify_message}
    if isinstance(error, ssl.SSLEOFError):
        return _cut() % {"host": host, "port": port}
    said = error.reason or str(error)
    if said in NO_TLS_THERE:
        return _("%(host)s speaks no TLS at this port: use http://, or the port of https") % {"host": host}
    if any(word in said for word in OUR_CERTIFICATE):
        return _(
            "%(host)s wants a client certificate, or refuses ours (%(reason)s): enter one that it trusts, with its key"
        ) % {"host": host, "reason": said}
    return _("TLS with %(host)s fails: %(reason)s") % {"host": host, "reason": said}


def _links(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from, whichever way its library keeps it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
