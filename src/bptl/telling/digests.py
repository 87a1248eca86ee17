"""Digests: one mail a period to each address that has something to hear, with counts instead of single tasks."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from bptl.telling import owners, plan, words
from bptl.telling.models import Incident, Look, Message, Sighting


def last_period(now: datetime) -> tuple[datetime, datetime] | None:
    """The last whole period, from and until; None when there are no digests."""
    local = timezone.localtime(now)
    if settings.BPTL_INCIDENT_DIGEST == "hourly":
        ended = local.replace(minute=0, second=0, microsecond=0)
        return ended - timedelta(hours=1), ended
    if settings.BPTL_INCIDENT_DIGEST == "daily":
        ended = local.replace(hour=settings.BPTL_INCIDENT_DIGEST_HOUR, minute=0, second=0, microsecond=0)
        if ended > local:
            ended -= timedelta(days=1)
        return ended - timedelta(days=1), ended
    return None


def write(look: Look, now: datetime) -> int:
    """Plan the digests of the last period once it has ended; answers how many."""
    period = last_period(now)
    if period is None or look.digested_until >= period[1]:
        return 0
    began, ended = max(period[0], look.digested_until), period[1]
    look.digested_until = ended
    rows: dict[str, list[tuple[Incident, int]]] = defaultdict(list)
    for incident in _happened(began, ended):
        count = Sighting.objects.filter(incident=incident, seen_at__gte=began, seen_at__lt=ended).count()
        for target in owners.of_incident(incident):
            if target.channel == Message.Channel.MAIL:
                rows[target.address].append((incident, count))
    messages = [
        plan.message(
            owners.Target(Message.Channel.MAIL, address),
            Message.Why.DIGEST,
            words.of_digest(found, began=began, ended=ended),
            period_began_at=began,
        )
        for address, found in rows.items()
    ]
    return len(Message.objects.bulk_create(messages))


def _happened(began: datetime, ended: datetime) -> list[Incident]:
    """Incidents with something new in a period, and states that lasted in it; of the last only what was told."""
    tasks = Q(sightings__seen_at__gte=began, sightings__seen_at__lt=ended)
    states = Q(tells__gt=0, sightings=None, began_at__lt=ended) & (Q(ended_at=None) | Q(ended_at__gte=began))
    found = Incident.objects.filter(tasks | states).distinct().select_related("mapping", "engine", "service")
    return list(found.order_by("id"))
