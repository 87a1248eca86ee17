"""Webhooks: a signed POST of JSON to an address that an administrator entered, and into no network of others.

The receiver can tell that it comes from us and is fresh (as Stripe and GitHub do it):

    X-BPTL-Timestamp: seconds since 1970
    X-BPTL-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>
    X-BPTL-Delivery: <id of the message; the same at every try of it>

The address is resolved here, and the connection goes to exactly the address that was checked: a name that answers
differently the second time leads nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from bptl.clients.errors import NoAnswer, NotSent, raise_for
from bptl.lib.http import Answer

SERVICE = "webhook"
METHOD = "POST"
SECONDS = 10.0


class ForbiddenNetwork(NotSent):
    """The address lies in a network into which nothing is sent."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where it goes. ``allowed`` are networks (CIDR) that may be reached though they are not public."""

    url: str
    secret: str = field(repr=False)
    allowed: Sequence[str] = ()

    @property
    def place(self) -> str:
        """Scheme and host: in path and query some receivers have their key."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def signature(secret: str, *, timestamp: int, body: bytes) -> str:
    """What the receiver compares with: ``sha256=`` and 64 hex digits."""
    signed = str(timestamp).encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def post(webhook: Webhook, body: bytes, *, delivery: str, timestamp: int, seconds: float = SECONDS) -> int:
    """Send ``body`` (JSON) and answer the status, a 2xx. ``timestamp`` is seconds since 1970.

    Raises ServiceError: ForbiddenNetwork, NotSent, NoAnswer, or what the status means. Redirects are not followed.
    """
    parts = urlsplit(webhook.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = _checked(webhook, host, port)
    headers = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": "BPTL",
        "X-BPTL-Delivery": delivery,
        "X-BPTL-Timestamp": str(timestamp),
        "X-BPTL-Signature": signature(webhook.secret, timestamp=timestamp, body=body),
    }
    place = webhook.place
    pool: urllib3.HTTPConnectionPool
    timeout = urllib3.Timeout(total=seconds)
    if parts.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(address, port, timeout=timeout, server_hostname=host, assert_hostname=host)
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout=timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with pool:
        try:
            answer = pool.urlopen(
                METHOD, path, body=body, headers=headers, retries=False, assert_same_host=False, preload_content=False
            )
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise NotSent(
                f"{webhook.place} is not reached: {error}", service=SERVICE, method=METHOD, url=webhook.place
            ) from error
        except HTTPError as error:
            raise NoAnswer(
                f"{webhook.place} gave no answer: {error}", service=SERVICE, method=METHOD, url=webhook.place
            ) from error
        # What it says beside its status is not read: it could take for ever, and nobody asked for it.
        answer.release_conn()
        answer.close()
    raise_for(Answer(answer.status, dict(answer.headers), b""), service=SERVICE, method=METHOD, url=place)
    return int(answer.status)


def _checked(webhook: Webhook, host: str, port: int) -> str:
    """The IP address to which the connection goes: the first of the host's, when all of them may be reached."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSent(
            f"{webhook.place} does not resolve: {error}", service=SERVICE, method=METHOD, url=webhook.place
        ) from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not reachable(address, allowed=webhook.allowed):
            raise ForbiddenNetwork(
                f"{webhook.place} leads to {address}, which is not a public address: name its network in the setting "
                "BPTL_WEBHOOK_NETWORKS when it is meant",
                service=SERVICE,
                method=METHOD,
                url=webhook.place,
            )
    return addresses[0]


def reachable(address: str, *, allowed: Sequence[str]) -> bool:
    """Whether something may be sent to this IP address: a public one, or one of the ``allowed`` networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if any(ip in ipaddress.ip_network(network) for network in allowed):
        return True
    return ip.is_global and not ip.is_multicast
