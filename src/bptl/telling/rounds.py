"""One round: look what goes wrong, plan what is told, send what is planned. Two rounds at once tell nothing twice.

Looking and planning are one transaction under a lock of PostgreSQL: whoever finds it held leaves the looking to the
other. Sending comes after the commit and outside of it, message by message.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.telling import digests, outbox, plan, watch
from bptl.telling.models import Incident, Look, Message

log = get_logger(__name__)

SECONDS = 20.0
"""Longest time of sending in one round, beside that of its last message."""

FORGOTTEN = 200
"""Most ended incidents, and most other messages, that one round deletes."""

_TURN = "SELECT pg_try_advisory_xact_lock(7201120) AS mine, now() AS now"
# The number is only ours.

_sending = threading.Lock()


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look did: failures counted and messages planned. ``mine`` is False when another process was at it."""

    mine: bool = False
    failures: int = 0
    planned: int = 0


def run() -> None:
    """One round; answers at once when this process is still busy with the one before."""
    if not _sending.acquire(blocking=False):
        return
    try:
        look()
        outbox.send(seconds=SECONDS)
    finally:
        _sending.release()


@transaction.atomic
def look() -> Looked:
    """Find what goes wrong and what is over, and plan what is told of it."""
    (turn,) = sql.query(_TURN)
    if not turn.mine:
        return Looked()
    now: datetime = turn.now
    seen, _ = Look.objects.get_or_create(id=1)
    failures = watch.failures(seen, now)
    planned = watch.states(now) + watch.quiet(now) + plan.tell_due(now) + digests.write(seen, now)
    seen.save()
    _forget(now - timedelta(days=settings.BPTL_RETENTION_INCIDENT_DAYS))
    if planned:
        log.info("incidents.told", failures=failures, messages=planned)
    return Looked(mine=True, failures=failures, planned=planned)


def _forget(before: datetime) -> None:
    """Delete incidents that ended before, with their messages, and other messages of that age."""
    ended = Incident.objects.filter(ended_at__lt=before).order_by("ended_at").values_list("id", flat=True)[:FORGOTTEN]
    if ids := list(ended):
        Incident.objects.filter(id__in=ids).delete()
    alone = Message.objects.filter(incident=None, planned_at__lt=before, next_try_at=None)
    if uuids := list(alone.order_by("planned_at").values_list("id", flat=True)[:FORGOTTEN]):
        Message.objects.filter(id__in=uuids).delete()
