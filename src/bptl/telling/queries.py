"""What pages and commands ask about incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from bptl.telling import outbox, owners
from bptl.telling.models import Incident, Message

MOST_OPEN = 200
PAGE_SIZE = 50
MOST_MESSAGES = 100


@dataclass(frozen=True, slots=True)
class EndedPage:
    """Incidents that are over, newest first; ``older`` is the id from which the next page goes on, if any."""

    incidents: Sequence[Incident]
    older: int | None = None


@dataclass(frozen=True, slots=True)
class IncidentStory:
    """One incident, what was told of it, and whom the next message goes to."""

    incident: Incident
    messages: Sequence[Message]
    targets: Sequence[owners.Target]
    tasks: Sequence[int]
    """The last tasks of it, newest first."""


def _all() -> QuerySet[Incident]:
    return Incident.objects.select_related("mapping", "engine", "service").order_by("-id")


def open_incidents() -> Sequence[Incident]:
    """All that go on now, newest first; at most 200."""
    return list(_all().filter(ended_at=None)[:MOST_OPEN])


def ended(*, before_id: int | None = None, limit: int = PAGE_SIZE) -> EndedPage:
    """A page of those that are over."""
    found = _all().filter(ended_at__isnull=False)
    if before_id is not None:
        found = found.filter(id__lt=before_id)
    rows = list(found[: limit + 1])
    return EndedPage(rows[:limit], rows[limit - 1].pk if len(rows) > limit else None)


def story(incident_id: int) -> IncidentStory:
    """One incident; raises Incident.DoesNotExist."""
    incident = _all().get(id=incident_id)
    return IncidentStory(
        incident,
        list(incident.messages.order_by("-planned_at")[:MOST_MESSAGES]),
        owners.of_incident(incident),
        list(incident.sightings.order_by("-seen_at", "-task_id").values_list("task_id", flat=True)[:20]),
    )


def failing() -> Sequence[Message]:
    """Messages that no server takes and that are tried again, oldest first; at most 50."""
    return list(outbox.failing()[:50])


def given_up() -> Sequence[Message]:
    """The last messages that nobody got, newest first; without tests."""
    return list(
        Message.objects.filter(given_up_at__isnull=False).exclude(why=Message.Why.TEST).order_by("-planned_at")[:10]
    )
