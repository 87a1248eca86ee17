"""What makes the address of a Redis or Valkey unfit; no message repeats it, because it may hold a password."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

SCHEMES = frozenset({"redis", "rediss", "redis+socket", "unix"})


def faults(address: str) -> Iterator[str]:
    """Say why ``address`` cannot be used, with the fix; nothing when it can."""
    example = "use redis://:PASSWORD@HOST:6379/0, or rediss:// for TLS"
    try:
        parts = urlsplit(address)
        fits = parts.scheme in SCHEMES
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        yield f"is no address of Redis or Valkey; {example}. In a password / # ? @ and : must be percent-encoded"
