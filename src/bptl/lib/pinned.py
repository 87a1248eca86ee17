"""One request to an address that others chose: it goes to exactly the IP address that was looked at, or nowhere.

A name is resolved once and every IP address of it is judged; the connection is opened to one of those. So a name that
answers differently the second time leads nowhere else, and whatever way of writing an address the resolver takes
(``0x7f000001``, ``[::ffff:127.0.0.1]``) is judged as what it is. Redirects are not followed, no proxy of the
environment is asked, and of the answer nothing but its head is read.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from bptl.lib.http import Answer, AnswerUnknown, NeverSent

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

CONNECT_SECONDS = 5.0
SECONDS = 10.0
"""For a whole call, connecting included; resolving is the resolver's."""

_SAFE = "/%:@!$&'()*+,;=~"
_NAT64 = IPv6Network("64:ff9b::/96")


class ForbiddenAddress(NeverSent):
    """A name leads to ``address``, which may not be reached; nothing was opened."""

    def __init__(self, method: str, place: str, address: IPAddress) -> None:
        self.address = address
        super().__init__(method, place, PermissionError(f"{address} may not be reached"))


def place_of(url: str) -> str:
    """Scheme, host and port: in path and query some receivers have their key. Empty for what is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""


def judged(address: IPAddress) -> IPAddress:
    """The address that is really reached: the IPv4 address that an IPv6 address carries in itself, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: IPAddress) -> bool:
    """Whether it is anybody's: no private, loopback, link-local (where clouds tell secrets) or multicast address."""
    reached = judged(address)
    return reached.is_global and not reached.is_multicast


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    may_reach: Callable[[IPAddress], bool],
    authorities: str | None = None,
    seconds: float = SECONDS,
) -> Answer:
    """Send one request and answer status and headers; the body is left unread.

    ``may_reach`` judges each IP address of the host. ``authorities`` is a file (PEM) of whom to trust instead of the
    system's. Raises ForbiddenAddress, NeverSent or AnswerUnknown; their texts name the place, not path and query.
    """
    parts = urlsplit(url)
    place = place_of(url)
    until = time.monotonic() + seconds
    try:
        found = _resolved(parts)
    except (OSError, UnicodeError) as error:
        raise NeverSent(method, place, error) from error
    for address in found:
        if not may_reach(address.ip):
            raise ForbiddenAddress(method, place, address.ip)
    try:
        sock = _opened(found, parts, authorities=authorities, until=until)
    except OSError as error:
        raise NeverSent(method, place, error) from error
    with closing(sock), _cut(sock, at=until) as is_cut:
        try:
            answer = _asked(sock, method, parts, headers=headers, body=body)
        except (OSError, HTTPException) as error:
            cause = TimeoutError(f"no answer within {seconds:g} s") if is_cut() else error
            raise AnswerUnknown(method, place, cause) from error
        if is_cut():
            # A head that ended in the middle reads like one that was whole.
            raise AnswerUnknown(method, place, TimeoutError(f"no answer within {seconds:g} s"))
        return answer


class _Found:
    """One address of a host, as the resolver gave it."""

    def __init__(self, family: int, sockaddr: Any) -> None:
        self.family = family
        self.sockaddr = sockaddr
        self.ip = ip_address(str(sockaddr[0]).partition("%")[0])


def _resolved(parts: SplitResult) -> list[_Found]:
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    return [_Found(entry[0], entry[4]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _opened(found: list[_Found], parts: SplitResult, *, authorities: str | None, until: float) -> socket.socket:
    """A connection to the first address that takes one. Raises the OSError of the last."""
    refusal: OSError = OSError("the host has no address")
    for address in found:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(0.1, min(CONNECT_SECONDS, until - time.monotonic())))
            sock.connect(address.sockaddr)
            if parts.scheme == "https":
                sock = _trusting(authorities).wrap_socket(sock, server_hostname=parts.hostname)
        except OSError as error:
            sock.close()
            refusal = error
        else:
            return sock
    raise refusal


@lru_cache(maxsize=32)
def _trusting(authorities: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authorities)


def _asked(sock: socket.socket, method: str, parts: SplitResult, *, headers: Mapping[str, str], body: bytes) -> Answer:
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    connection.sock = sock
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else "")
    # Who answers before the whole body was sent may close the connection behind it.
    with suppress(BrokenPipeError):
        connection.request(method, target, body=body, headers={**headers, "Connection": "close"})
    response = connection.getresponse()
    response.close()
    return Answer(response.status, dict(response.headers), b"")


@contextmanager
def _cut(sock: socket.socket, *, at: float) -> Iterator[Callable[[], bool]]:
    """End what goes on over a connection at a monotonic time: the time-out of a socket is one of each byte that comes.

    Answers whether that has happened.
    """
    left = max(0.1, at - time.monotonic())
    sock.settimeout(left)
    happened = threading.Event()

    def cut() -> None:
        happened.set()
        # Not the method of a TLS socket, which would forget its session while the other thread reads.
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(left, cut)
    timer.daemon = True
    timer.start()
    try:
        yield happened.is_set
    finally:
        timer.cancel()
