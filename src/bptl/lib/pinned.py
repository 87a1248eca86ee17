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
from contextlib import contextmanager, suppress
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
        line = _Line(_opened(found, until=until))
    except OSError as error:
        raise NeverSent(method, place, error) from error
    too_late = TimeoutError(f"no answer within {seconds:g} s")
    with line.ends(at=until):
        try:
            if parts.scheme == "https":
                line.encrypt(_trusting(authorities), name=parts.hostname or "")
        except OSError as error:
            raise NeverSent(method, place, too_late if line.is_cut else error) from error
        try:
            answer = _asked(line.sock, method, parts, headers=headers, body=body)
        except (OSError, HTTPException) as error:
            raise AnswerUnknown(method, place, too_late if line.is_cut else error) from error
        if line.is_cut:
            # A head that ended in the middle reads like one that was whole.
            raise AnswerUnknown(method, place, too_late)
        return answer


class _Found:
    """One address of a host, as the resolver gave it."""

    def __init__(self, family: int, sockaddr: Any) -> None:
        self.family = family
        self.sockaddr = sockaddr
        self.ip = ip_address(str(sockaddr[0]).partition("%")[0])


def _resolved(parts: SplitResult) -> list[_Found]:
    found = socket.getaddrinfo(parts.hostname or "", _port(parts), type=socket.SOCK_STREAM)
    return [_Found(entry[0], entry[4]) for entry in found]


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _opened(found: list[_Found], *, until: float) -> socket.socket:
    """A connection to the first address that takes one. Raises the OSError of the last."""
    refusal: OSError = OSError("the host has no address")
    for address in found:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(0.1, min(CONNECT_SECONDS, until - time.monotonic())))
            sock.connect(address.sockaddr)
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
    connection = kind(parts.hostname or "", _port(parts))
    connection.sock = sock
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else "")
    # Who answers before the whole body was sent may close the connection behind it.
    with suppress(BrokenPipeError):
        connection.request(method, target, body=body, headers={**headers, "Connection": "close"})
    response = connection.getresponse()
    response.close()
    return Answer(response.status, dict(response.headers), b"")


class _Line:
    """A connection that is ended at a time, whatever goes on over it: the time-out of a socket is one of each byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._cut = threading.Event()

    @property
    def is_cut(self) -> bool:
        """Whether its time was over."""
        return self._cut.is_set()

    def encrypt(self, context: ssl.SSLContext, *, name: str) -> None:
        """Speak TLS with who can prove this name. Raises OSError."""
        secured = context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
        self.sock = secured
        secured.do_handshake()

    @contextmanager
    def ends(self, *, at: float) -> Iterator[None]:
        """Close it in the end, and end it at a monotonic time."""
        left = max(0.1, at - time.monotonic())
        self.sock.settimeout(left + 1)  # where the timer came late
        timer = threading.Timer(left, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self.sock.close()

    def _end(self) -> None:
        self._cut.set()
        # Not the method of a TLS socket, which would forget its session while the other thread reads.
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
