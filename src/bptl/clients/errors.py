"""What went wrong with a call to a service, and whether the service can have acted.

    ServiceError
    ├── NotSent          no connection was opened: nothing happened, again later
    │   └── BreakerOpen      the service is known to be down: it was not called
    ├── NoAnswer         sent, cut or timed out: it may have happened, again later
    ├── Failed           a 5xx: it may have happened, again later
    ├── Busy             a 429 or 408: refused for now, nothing happened, again after ``delay``
    ├── Rejected         any other 4xx: nothing happened, repeating does not help
    │   └── NotFound         404 and 410
    ├── Redirected       a 3xx: redirects are never followed, the address must be corrected
    ├── Unreadable       a 2xx with something else than what was asked for: it may have happened
    └── ForeignAddress   an address outside the service: it was not called

``did_not_happen`` and ``again`` say the same for code that knows none of the classes: the ledger of effects and the
retry plan read them. Units raise nothing of their own for these; they catch what means something to them:

    except Rejected as rejected:
        if rejected.has("identificatie-niet-uniek"): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from bptl.lib.http import Answer
from bptl.lib.redaction import redact

TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
GONE = (404, 410)
SHOWN = 300
"""Characters of an answer's text that a message shows."""


class ServiceError(Exception):
    """A call that did not end well. ``service`` is its name, ``url`` what was called; no answer has no ``status``.

    The message may repeat what the service said: it is redacted.
    """

    did_not_happen: ClassVar[bool] = False
    """Whether the service has certainly not acted."""
    again: ClassVar[bool] = True
    """Whether the same call may go well later."""

    def __init__(
        self,
        message: str,
        *,
        service: str,
        method: str,
        url: str,
        status: int | None = None,
        delay: timedelta | None = None,
    ) -> None:
        self.service = service
        self.method = method
        self.url = url
        self.status = status
        self.delay = delay
        super().__init__(redact(message))


class NotSent(ServiceError):
    """No connection could be opened."""

    did_not_happen = True


class BreakerOpen(NotSent):
    """The circuit breaker of the service is open: who would call it now is sent away."""


class NoAnswer(ServiceError):
    """It was (partly) sent, and no whole answer came in time."""


class Failed(ServiceError):
    """A 5xx. Some services answer it to what they have done (`spec/zgw.md`: a DELETE that worked)."""


class Busy(ServiceError):
    """A 429 or 408; ``delay`` is the service's Retry-After."""

    did_not_happen = True


@dataclass(frozen=True, slots=True)
class InvalidParam:
    """One entry of ``invalidParams`` (the error format of the ZGW standard, after RFC 7807)."""

    name: str
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason or self.code}" + (f" [{self.code}]" if self.reason and self.code else "")


class Rejected(ServiceError):
    """A 4xx. ``code``, ``detail`` and ``invalid_params`` are those of the ZGW error format, empty where it has none."""

    did_not_happen = True
    again = False

    def __init__(
        self,
        message: str,
        *,
        service: str,
        method: str,
        url: str,
        status: int,
        code: str = "",
        detail: str = "",
        invalid_params: tuple[InvalidParam, ...] = (),
    ) -> None:
        self.code = code
        self.detail = detail
        self.invalid_params = invalid_params
        super().__init__(message, service=service, method=method, url=url, status=status)

    def has(self, code: str) -> bool:
        """Whether the answer, or one of its invalid params, has this code."""
        return code == self.code or any(param.code == code for param in self.invalid_params)


class NotFound(Rejected):
    """404 or 410."""


class Redirected(ServiceError):
    """A 3xx."""

    did_not_happen = True
    again = False


class Unreadable(ServiceError):
    """A good status with something that is not what was asked for, such as a login page."""


class ForeignAddress(ServiceError):
    """An absolute address that does not belong to the service: our credentials are not sent there."""

    did_not_happen = True
    again = False


def raise_for(answer: Answer, *, service: str, method: str, url: str) -> None:
    """Raise what a status other than 2xx means."""
    status = answer.status
    if 200 <= status < 300:
        return
    problem = _problem(answer)
    message = f"{service} answered {status} to {method} {url}" + (f": {_said(problem, answer)}")
    if status in {TOO_MANY_REQUESTS, REQUEST_TIMEOUT}:
        raise Busy(message, service=service, method=method, url=url, status=status, delay=retry_after(answer.headers))
    if status >= 500:
        raise Failed(message, service=service, method=method, url=url, status=status, delay=retry_after(answer.headers))
    if status >= 400:
        raise (NotFound if status in GONE else Rejected)(
            message,
            service=service,
            method=method,
            url=url,
            status=status,
            code=_text(problem.get("code")),
            detail=_text(problem.get("detail") or problem.get("title")),
            invalid_params=_invalid_params(problem),
        )
    location = answer.headers.get("Location", "")
    raise Redirected(
        f"{message}; it sends us to {location or 'nowhere'}: correct the address of the service",
        service=service,
        method=method,
        url=url,
        status=status,
    )


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


def _problem(answer: Answer) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _said(problem: Mapping[str, Any], answer: Answer) -> str:
    """The answer in one line, the cause first: every invalid param is named."""
    detail = _text(problem.get("detail") or problem.get("title"))
    params = "; ".join(str(param) for param in _invalid_params(problem))
    code = _text(problem.get("code"))
    told = " ".join(part for part in (detail, f"[{code}]" if code else "") if part)
    if params:
        return f"{params} ({told})" if told else params
    return told or " ".join(answer.text.split())[:SHOWN] or "without a word"


def _invalid_params(problem: Mapping[str, Any]) -> tuple[InvalidParam, ...]:
    entries = problem.get("invalidParams") or problem.get("invalid_params")
    if not isinstance(entries, list):
        return ()
    return tuple(
        InvalidParam(_text(entry.get("name")), _text(entry.get("code")), _text(entry.get("reason")))
        for entry in entries
        if isinstance(entry, dict)
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
