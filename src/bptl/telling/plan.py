"""When an incident is told: once when it begins, then ever more rarely while it grows, and once when it is over.

Everything here runs in the transaction of the round that decides it: a message that is planned is a row, and a row is
planned once (``message_told_once``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from bptl.telling import owners, words
from bptl.telling.models import Incident, Message
from bptl.telling.words import Told

GOES_ON_AFTER = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
"""From one message of an incident to the next; the last one repeats."""


def tell_due(now: datetime) -> int:
    """Plan what is due of open incidents; answers how many messages were planned."""
    due = (
        Incident.objects.filter(ended_at=None, tell_at__lte=now)
        .select_related("mapping", "engine", "service")
        .order_by("id")
    )
    return sum(_tell(incident, now) for incident in due)


def _tell(incident: Incident, now: datetime) -> int:
    if incident.muted_until and incident.muted_until > now:
        incident.tell_at = incident.muted_until
        incident.save(update_fields=["tell_at"])
        return 0
    why = Message.Why.GOES_ON if incident.tells else Message.Why.BEGAN
    news = not incident.tells or not incident.of_tasks or incident.count > incident.told_count
    planned = 0
    if news:
        incident.tells += 1
        incident.told_at, incident.told_count = now, incident.count
        planned = write(incident, why)
    incident.tell_at = now + GOES_ON_AFTER[min(incident.tells, len(GOES_ON_AFTER)) - 1]
    incident.save(update_fields=["tells", "told_at", "told_count", "tell_at"])
    return planned


def end(incidents: Iterable[Incident], now: datetime) -> int:
    """They are over; answers how many messages were planned. A state of which nobody was told leaves no row."""
    planned = 0
    for incident in incidents:
        if not incident.tells and not incident.of_tasks:
            incident.delete()
            continue
        muted = incident.muted_until is not None and incident.muted_until > now
        incident.ended_at, incident.tell_at = now, None
        if incident.tells and not muted and settings.BPTL_INCIDENT_TELL_END:
            incident.tells += 1
            planned += write(incident, Message.Why.OVER)
        incident.save(update_fields=["ended_at", "tell_at", "tells"])
    return planned


def write(incident: Incident, why: Message.Why) -> int:
    """One message to everybody whom the incident concerns; answers how many."""
    told = words.of_incident(incident, why)
    messages = [
        message(target, why, told, incident=incident, number=incident.tells) for target in owners.of_incident(incident)
    ]
    return len(Message.objects.bulk_create(messages))


def message(target: owners.Target, why: Message.Why, told: Told, **fields: object) -> Message:
    """A message that is not saved yet."""
    mail = target.channel == Message.Channel.MAIL
    return Message(
        why=why,
        channel=target.channel,
        recipient=target.address,
        mapping_id=target.mapping_id,
        subject=told.subject if mail else "",
        text=told.text if mail else "",
        payload={} if mail else told.payload,
        **fields,
    )
