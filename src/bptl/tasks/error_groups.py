"""Which failures have the same cause: what differs from task to task is masked in the message. Pure: no row, no clock.

A failed task keeps the ``key`` of its group; unit and cause are read from the message of any task of the group, so that
retention has one place less to clean: a key says nothing of anybody.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

MASK = "…"
"""Stands where a number, an id or an address was."""

KEY_LENGTH = 16
CAUSE_LENGTH = 200
_READ = 666
"""Characters of a message that are looked at: the engine has no more either."""

_VARYING = re.compile(
    r"""
    (?P<said>\b(?:HTTP|answered|status)\s\d{3}\b)                # which answer it was is the cause
    | (?P<url>\bhttps?://[^\s<>"'(){}\[\]]+)
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                               # an address of somebody
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
    | \b(?=(?:[a-z_]*\d){3})\w{8,}\b                             # an id of letters and digits
    | \b\d\w*(?:[.,:+-]\d\w*)*                                   # numbers, times, addresses of hosts
    """,
    re.VERBOSE | re.IGNORECASE,
)
_VERSION = re.compile(r"v\d+(?:\.\d+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one unit with one cause. ``key``: 16 hexadecimal digits; ``unit`` is empty where none is known."""

    key: str
    unit: str
    cause: str


def group_of(unit: str, message: str) -> ErrorGroup:
    """The group of a failure: by the unit that ran, and the first line of its message with all that varies masked."""
    cause = cause_of(message)
    digest = hashlib.blake2b(f"{unit}\n{cause}".encode(), digest_size=KEY_LENGTH // 2)
    return ErrorGroup(digest.hexdigest(), unit, cause)


def cause_of(message: str) -> str:
    """The first line of a message without numbers, ids and addresses: at most 200 characters.

    The status of an answer stays (``HTTP 404``, ``answered 503``), and of a URL the host and the path without ids.
    """
    first, _, _ = message[:_READ].strip().partition("\n")
    masked = _VARYING.sub(_masked, first)
    return masked if len(masked) <= CAUSE_LENGTH else masked[: CAUSE_LENGTH - 1] + "…"


def _masked(found: re.Match[str]) -> str:
    if found["said"]:
        return found["said"]
    if not found["url"]:
        return MASK
    url = found["url"].rstrip(".,:;")
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    path = "/".join(MASK if _varies(segment) else segment for segment in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc}{path}{found['url'][len(url) :]}"


def _varies(segment: str) -> bool:
    return any(letter.isdigit() for letter in segment) and not _VERSION.fullmatch(segment)
