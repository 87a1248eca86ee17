"""Webhooks: a signed POST of JSON to an address that an administrator entered, and into no network of others.

The receiver can tell that it comes from us and is fresh (as Stripe and GitHub do it):

    X-BPTL-Timestamp: seconds since 1970
    X-BPTL-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>
    X-BPTL-Delivery: <id of the message; the same at every try of it>

It goes out by ``bptl.clients.posting``, which looks at each IP address before it connects to it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from bptl.clients import posting

SERVICE = "webhook"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where it goes. ``allowed`` are networks (CIDR) that may be reached though they are not public."""

    url: str
    secret: str = field(repr=False)
    allowed: Sequence[str] = ()


def signature(secret: str, *, timestamp: int, body: bytes) -> str:
    """What the receiver compares with: ``sha256=`` and 64 hex digits."""
    signed = str(timestamp).encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def post(webhook: Webhook, body: bytes, *, delivery: str, timestamp: int) -> int:
    """Send ``body`` (JSON) and answer the status, a 2xx. ``timestamp`` is seconds since 1970.

    Raises ServiceError, as bptl.clients.posting.post.
    """
    return posting.post(
        webhook.url,
        service=SERVICE,
        headers={
            "Content-Type": "application/json",
            "X-BPTL-Delivery": delivery,
            "X-BPTL-Timestamp": str(timestamp),
            "X-BPTL-Signature": signature(webhook.secret, timestamp=timestamp, body=body),
        },
        body=body,
        may_reach=posting.public_or_in(webhook.allowed),
    )
