"""Callbacks: an empty POST to an address that a process named. No login goes with it, whoever's address it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bptl.clients import posting
from bptl.lib.pinned import IPAddress

SERVICE = "callback"


def post(
    url: str,
    *,
    key: str,
    may_reach: Callable[[IPAddress], bool],
    headers: Mapping[str, str],
    authorities: str | None = None,
) -> int:
    """Call and answer the status, a 2xx. ``key`` is the same at every try: by it a receiver knows a repetition.

    Raises ServiceError, as bptl.clients.posting.post.
    """
    return posting.post(
        url,
        service=SERVICE,
        headers={"Idempotency-Key": key, **headers},
        may_reach=may_reach,
        authorities=authorities,
    )
