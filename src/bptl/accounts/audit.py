"""The audit log: who did what, when, to which object, why, and from which address. Rows are added, never changed.

What people do to tasks is not here but in the events of the task, where its page shows them too; the audit page reads
both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet

from bptl.accounts.models import AuditEntry
from bptl.lib.log import get_logger

log = get_logger(__name__)

COMMAND_LINE = "command line"
"""The actor of what was done with the ``bptl`` command: it knows no person."""


ITSELF = "BPTL"
"""The actor of what nobody does at that moment, such as the end of a pause."""


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and from which address; an empty address is none."""

    actor: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters that combine; empty ones are no filter. ``action`` matches its beginning, so ``login`` finds all."""

    actor: str = ""
    action: str = ""
    object_id: str = ""
    object_type: str = ""
    since: datetime | None = None
    until: datetime | None = None


def record(
    action: str, *, by: By, about: Model | None = None, reason: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Add a row. ``action`` is ``noun.verb_past``; ``detail`` is JSON without secrets. Commits with its transaction."""
    AuditEntry.objects.create(
        action=action,
        actor=by.actor[:150],
        address=by.address or None,
        object_type=about._meta.label_lower if about is not None else "",
        object_id=str(about.pk)[:64] if about is not None else "",
        object_name=str(about)[:200] if about is not None else "",
        reason=reason,
        detail=dict(detail or {}),
    )
    log.info("audit.recorded", action=action, actor=by.actor)


def entries(wanted: Wanted) -> QuerySet[AuditEntry]:
    """Rows that match, newest first."""
    matching = Q()
    if wanted.actor:
        matching &= Q(actor=wanted.actor)
    if wanted.action:
        matching &= Q(action__startswith=wanted.action)
    if wanted.object_type:
        matching &= Q(object_type=wanted.object_type)
    if wanted.object_id:
        matching &= Q(object_id=wanted.object_id)
    if wanted.since:
        matching &= Q(at__gte=wanted.since)
    if wanted.until:
        matching &= Q(at__lt=wanted.until)
    return AuditEntry.objects.filter(matching).order_by("-at", "-id")
