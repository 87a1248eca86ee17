"""What an HTTP answer of a service means for a unit: try again, or never again (design, rule 6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bptl.work_units.contract import DidNotHappen, NeverAgain, Refused, TryAgain

TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408


class Unanswered(TryAgain):
    """A 5xx: the service may have acted before it failed. ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int, delay: timedelta | None = None) -> None:
        self.status = status
        super().__init__(message, delay=delay)


class Later(DidNotHappen):
    """A 429 or 408: refused for now, nothing happened. ``delay`` is the service's Retry-After."""

    def __init__(self, message: str, *, status: int, delay: timedelta | None = None) -> None:
        self.status = status
        super().__init__(message, delay=delay)


class RefusedByService(Refused):
    """Any other 4xx: refused, and not right by repeating. ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


def check(status: int, *, text: str = "", headers: Mapping[str, str] | None = None, what: str = "the service") -> None:
    """Raise what a status means; nothing for 2xx. ``text`` is shown with the error, ``what`` names who answered.

    A redirect is never followed, so a 3xx is NeverAgain: the address is wrong.
    """
    if 200 <= status < 300:
        return
    message = f"{what} answered {status}" + (f": {' '.join(text.split())[:300]}" if text.strip() else "")
    if status in {TOO_MANY_REQUESTS, REQUEST_TIMEOUT}:
        raise Later(message, status=status, delay=retry_after(headers or {}))
    if status >= 500:
        raise Unanswered(message, status=status, delay=retry_after(headers or {}))
    if status >= 400:
        raise RefusedByService(message, status=status)
    raise NeverAgain(f"{message}; give the address that it sends us to")


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Retry-After in seconds or as a date (RFC 9110, 10.2.3); None when there is none that can be read."""
    value = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if value.isdigit():
        return timedelta(seconds=int(value))
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(timedelta(), at.astimezone(UTC) - datetime.now(UTC)) if at.tzinfo else None
