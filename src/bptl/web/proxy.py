"""The web process behind a reverse proxy: whom to believe about the caller, and under which path the pages live."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Exists for type checkers only.
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")


class BehindProxy:
    """Wraps a WSGI application.

    From an address in ``trusted`` (addresses or networks) it believes X-Forwarded-Proto (``wsgi.url_scheme``) and
    X-Forwarded-For (``REMOTE_ADDR`` becomes the nearest address that is not a trusted proxy). From everybody else these
    headers are dropped, so that nothing further on can believe them. The host is that of the Host header, always.

    ``subpath`` (such as ``/bptl``) is taken off the path when it is there: a proxy may pass it on or take it off
    itself, and a probe of the platform comes without it.
    """

    def __init__(self, application: WSGIApplication, *, trusted: Sequence[str], subpath: str) -> None:
        self._application = application
        self._trusted = [ipaddress.ip_network(network) for network in trusted]
        self._subpath = subpath

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._trusts(str(environ.get("REMOTE_ADDR", ""))):
            # The value that the nearest proxy added is the last one.
            protocol = str(environ.get("HTTP_X_FORWARDED_PROTO", "")).rpartition(",")[2].strip().lower()
            if protocol in {"http", "https"}:
                environ["wsgi.url_scheme"] = protocol
            for address in reversed(str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
                if not _is_address(address.strip()):
                    break
                environ["REMOTE_ADDR"] = address.strip()
                if not self._trusts(address.strip()):
                    break
        for name in _FORWARDED:
            environ.pop(name, None)
        path = str(environ.get("PATH_INFO", ""))
        if self._subpath and (path == self._subpath or path.startswith(f"{self._subpath}/")):
            environ["PATH_INFO"] = path.removeprefix(self._subpath) or "/"
        return self._application(environ, start_response)

    def _trusts(self, address: str) -> bool:
        if not _is_address(address):
            return False
        found = ipaddress.ip_address(address)
        # A socket for both families shows IPv4 callers as ::ffff:10.0.0.1.
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
