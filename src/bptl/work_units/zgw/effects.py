"""How units of this theme act on an API: each request is an effect; what was chosen before it stays chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bptl.clients.client import CONNECT_SECONDS, ServiceClient
from bptl.clients.errors import Rejected, ServiceError
from bptl.work_units.contract import Happened, Reconcile, Sending, Work

DUTCH = ZoneInfo("Europe/Amsterdam")
"""Dates of the ZGW APIs are days in the Netherlands."""

EXISTS = (400, 409)
"""Statuses by which the APIs refuse what is there already."""


def send(
    work: Work,
    client: ServiceClient,
    key: str,
    request: Callable[[], Any],
    *,
    arguments: Mapping[str, Any],
    reconcile: Reconcile,
    settles_after: timedelta = timedelta(seconds=10),
) -> Any:
    """Make ``request`` (one call of ``client``, answering JSON) once per task; see Work.once.

    ``reconcile`` is also asked when the API refuses: an earlier try that was given up may have been done after all.
    """

    def effect(sending: Sending) -> Any:
        sending.check()
        try:
            return request()
        except Rejected as refused:
            if refused.status not in EXISTS or (done := _told(reconcile)) is None:
                raise
            return done.result

    # As long as the call may take from its check: to connect, to the answer's first byte, and to its last.
    longest = CONNECT_SECONDS + 2 * client.access.timeout
    return work.once(
        key,
        effect,
        arguments=arguments,
        reconcile=reconcile,
        gives_up_after=timedelta(seconds=max(30.0, longest)),
        settles_after=settles_after,
    )


def _told(reconcile: Reconcile) -> Happened | None:
    """What the service says, or None where it does not: then the refusal is what there is to tell."""
    try:
        return reconcile()
    except ServiceError:
        return None


def choose(work: Work, choice: Callable[[], Any]) -> Any:
    """What the first attempt chose (JSON): later attempts work with the same, also after midnight.

    Nothing is sent: the ledger of effects is where a task remembers. ``choice`` may read.
    """
    return work.once("choose", lambda _: choice(), idempotent=True)


def now() -> datetime:
    """The moment, for a status: with fractions of a second, since a zaak has one status at a moment."""
    return datetime.now(UTC)


def fingerprint(value: Any) -> str:
    """Shows in an effect's arguments that a value with personal data was changed, without keeping it.

    Four hex digits of its hash: nearly every change is seen, and of all citizens some hundreds have the same.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:4]
