"""The audit log and what people did to tasks, as one list by time. Nothing is stored twice: the latter are events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from bptl.accounts import audit
from bptl.accounts.audit import Wanted
from bptl.accounts.models import AuditEntry
from bptl.tasks import queries
from bptl.tasks.models import Event

TASK = "tasks.task"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row stands: by time, then events before entries, then by number."""

    at: datetime
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.kind}~{self.number}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """The place that ``text`` says; None for none and for nonsense."""
        try:
            at, kind, number = text.split("~")
            place = cls(datetime.fromisoformat(at), kind, int(number))
        except ValueError:
            return None
        return place if place.at.tzinfo and kind in {"a", "t"} and 0 <= place.number < 2**63 else None


@dataclass(frozen=True, slots=True)
class Row:
    """Something that somebody did; ``task_id`` when it was done to a task."""

    place: Place
    at: datetime
    actor: str
    action: str
    object_type: str
    object_id: str
    object_name: str
    reason: str
    address: str
    detail: Mapping[str, Any]
    task_id: int | None = None


def page(wanted: Wanted, *, before: Place | None, limit: int) -> Sequence[Row]:
    """At most ``limit`` rows older than ``before``, newest first."""
    found = [_of_entry(entry) for entry in audit.entries(wanted).filter(_older(before, "a"))[:limit]]
    if wanted.object_type in {"", TASK}:
        acts = queries.acts(
            actor=wanted.actor,
            name=wanted.action,
            task_id=wanted.object_id,
            since=wanted.since,
            until=wanted.until,
        )
        found += [_of_event(event) for event in acts.filter(_older(before, "t"))[:limit]]
    return sorted(found, key=lambda row: row.place, reverse=True)[:limit]


def _older(before: Place | None, kind: str) -> Q:
    if before is None:
        return Q()
    if kind < before.kind:
        return Q(at__lte=before.at)
    if kind > before.kind:
        return Q(at__lt=before.at)
    return Q(at__lte=before.at) & (Q(at__lt=before.at) | Q(id__lt=before.number))


def _of_entry(entry: AuditEntry) -> Row:
    return Row(
        Place(entry.at, "a", entry.pk),
        entry.at,
        entry.actor,
        entry.action,
        entry.object_type,
        entry.object_id,
        entry.object_name,
        entry.reason,
        entry.address or "",
        entry.detail,
    )


def _of_event(event: Event) -> Row:
    detail = dict(event.detail)
    reason = str(detail.pop("reason", ""))
    return Row(
        Place(event.at, "t", event.pk),
        event.at,
        event.actor,
        event.name,
        TASK,
        str(event.task_id),
        event.task.topic,
        reason,
        "",
        detail,
        event.task_id,
    )
