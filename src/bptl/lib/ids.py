"""Ids that grow with time, for rows of tables that never stop growing."""

from __future__ import annotations

import secrets
import time
import uuid

_RANDOM_BITS = 62


def time_ordered_id() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, 5.7): milliseconds since 1970, the fraction of that millisecond, 62 random bits.

    Made one after the other, ids are neighbours in an index: a new row touches the page that the last one did, and not
    a random one of an index that is larger than memory. They tell when they were made, so they are no secrets.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return uuid.UUID(int=value)
