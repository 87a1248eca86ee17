"""Circuit breakers: which services and engines are known to be down, shared by the fleet in PostgreSQL (ADR 0027).

A breaker is open while its last opening has no end. It is opened by what calls and polls meet
(``tasks.execution.outages``) or by a person, for a maintenance window; it is closed by probes (``breaker_probes``) or
by a person. Pollers hear of both from PostgreSQL itself: a trigger tells them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from bptl.connections import bindings
from bptl.connections.models import Breaker, Engine, Mapping, Opening
from bptl.connections.service_models import Service
from bptl.lib.json import storable_text
from bptl.lib.log import get_logger

log = get_logger(__name__)

Subject = Service | Engine

PROBE_EVERY = timedelta(seconds=3)
"""From one probe to the next, at first; the sweep that asks comes every four seconds."""

PROBE_EVERY_AT_MOST = timedelta(seconds=30)

SOON = timedelta(minutes=5)
"""A service's breaker that opens again within it was closed too early: it is probed half as often as before. Not that
of an engine: all that comes of it is a poll."""

FRESH = 2.0
"""Seconds for which what was read is believed; whoever would send something away because of it reads anew."""

LONGEST_WAIT = 1.0
"""Seconds for which somebody waits until another thread has read."""

LONGEST_TEXT = 700
PAGE = 10


@dataclass(frozen=True, slots=True)
class Open:
    """What is open now, by the id of the service or engine."""

    services: MappingOf[int, Opening] = field(default_factory=dict)
    engines: MappingOf[int, Opening] = field(default_factory=dict)
    names: MappingOf[str, Opening] = field(default_factory=dict)
    """The same of services, by their name."""

    def __bool__(self) -> bool:
        return bool(self.services or self.engines)

    def stops(self, mapping: Mapping) -> Opening | None:
        """Why nothing is fetched for a mapping: its engine is open, or a service that it binds. Without a query where
        its services were prefetched."""
        if not self:
            return None
        return self._engine_of(mapping) or self._service_of(mapping)

    def holds_back(self, mapping: Mapping) -> Opening | None:
        """Why a task that was fetched before is not begun: as ``stops``, but an engine that is away, and in no
        maintenance, takes its result later."""
        if not self:
            return None
        engine = self._engine_of(mapping)
        return engine if engine is not None and engine.by_hand else self._service_of(mapping)

    def _engine_of(self, mapping: Mapping) -> Opening | None:
        return self.engines.get(mapping.engine_id) if mapping.engine_id is not None else None

    def _service_of(self, mapping: Mapping) -> Opening | None:
        if self.services:
            for service in bindings.of(mapping).values():
                if service.pk in self.services:
                    return self.services[service.pk]
        return None


class _Known:
    """What this process last read."""

    def __init__(self) -> None:
        self.open = Open()
        self.read_at = float("-inf")
        self.reading = threading.Lock()


_known = _Known()


def open_now() -> Open:
    """What is open now, read from the rows."""
    read_at = time.monotonic()
    rows = Opening.objects.filter(closed_at=None).select_related("breaker__service", "breaker__engine")
    services, engines = {}, {}
    for opening in rows:
        if opening.breaker.service_id is not None:
            services[opening.breaker.service_id] = opening
        elif opening.breaker.engine_id is not None:
            engines[opening.breaker.engine_id] = opening
    found = Open(services, engines, {opening.breaker.name: opening for opening in services.values()})
    _known.open, _known.read_at = found, read_at
    return found


def lately() -> Open:
    """What was open at most 2 s ago: what the road asks. While it is read, or the database is away, what was known."""
    if time.monotonic() - _known.read_at <= FRESH:
        return _known.open
    # Who would know nothing otherwise waits for whoever reads; what is merely old is believed meanwhile.
    patience = 0.0 if _known.read_at > float("-inf") else LONGEST_WAIT
    if _known.reading.acquire(timeout=patience):
        try:
            if time.monotonic() - _known.read_at <= FRESH:
                return _known.open  # somebody else has read meanwhile
            open_now()
        except DatabaseError as error:
            log.warning("breakers.not_read", error=str(error))
            _known.read_at = time.monotonic()
        finally:
            _known.reading.release()
    return _known.open


def forget() -> None:
    """Read anew at the next question."""
    _known.open, _known.read_at = Open(), float("-inf")


def of(subject: Subject) -> Breaker:
    """The breaker of a service or an engine, made when it is first needed."""
    if isinstance(subject, Service):
        breaker, _ = Breaker.objects.select_related("service").get_or_create(service=subject)
    else:
        breaker, _ = Breaker.objects.select_related("engine").get_or_create(engine=subject)
    return breaker


def opening(subject: Subject) -> Opening | None:
    """The opening that has no end yet; None: it is closed."""
    return _openings(subject).filter(closed_at=None).first()


def history(subject: Subject, *, limit: int = PAGE) -> Sequence[Opening]:
    """Its last openings, newest first."""
    return list(_openings(subject).order_by("-id")[:limit])


def _openings(subject: Subject) -> QuerySet[Opening]:
    rows = Opening.objects.select_related("breaker__service", "breaker__engine")
    if isinstance(subject, Service):
        return rows.filter(breaker__service=subject)
    return rows.filter(breaker__engine=subject)


@transaction.atomic
def open_automatically(subject: Subject, *, reason: str) -> Opening:
    """Open a breaker because of what was seen; one that is open already stays as it is. Answers the opening."""
    breaker = _locked(subject)
    current = breaker.openings.filter(closed_at=None).first()
    if current is not None:
        return current
    last = None
    if isinstance(subject, Service):
        last = breaker.openings.filter(closed_at__gt=Now() - SOON, opened_by="").order_by("-id").first()
    reopened = last.reopened + 1 if last is not None else 0
    made = Opening.objects.create(
        breaker=breaker, reason=line(reason), reopened=reopened, next_probe_at=Now() + pause(reopened)
    )
    _known.read_at = float("-inf")
    log.warning("breaker.opened", breaker=breaker.name, reason=made.reason, reopened=reopened)
    return made


@transaction.atomic
def open_by_hand(subject: Subject, *, by: str, reason: str, until: datetime) -> Opening:
    """Open a breaker until a moment, from which on it is probed and then closes. An opening under way ends with it."""
    breaker = _locked(subject)
    for current in breaker.openings.filter(closed_at=None):
        _end(current, by=by, reason=reason)
    made = Opening.objects.create(
        breaker=breaker, opened_by=by[:150], reason=line(reason), until=until, next_probe_at=until
    )
    _known.read_at = float("-inf")
    log.warning("breaker.opened", breaker=breaker.name, reason=made.reason, by=by, until=until.isoformat())
    return made


@transaction.atomic
def close(subject: Subject, *, by: str = "", reason: str) -> Opening | None:
    """Close a breaker; answers the opening that ended, None when it was closed already."""
    breaker = _locked(subject)
    current = breaker.openings.filter(closed_at=None).first()
    if current is not None:
        _end(current, by=by, reason=reason)
        _known.read_at = float("-inf")
        log.warning("breaker.closed", breaker=breaker.name, reason=reason, by=by)
    return current


def pause(reopened: int) -> timedelta:
    """From one probe to the next of a breaker that opened so often soon after it had closed."""
    longer: timedelta = PROBE_EVERY * 2 ** min(reopened, 10)
    return min(PROBE_EVERY_AT_MOST, longer)


def remove_older(before: timedelta) -> int:
    """Delete openings that ended so long ago; answers how many."""
    return Opening.objects.filter(closed_at__lt=Now() - before).delete()[0]


def _locked(subject: Subject) -> Breaker:
    """Its breaker, for this transaction alone: one opens or closes it at a time."""
    return Breaker.objects.select_for_update().get(pk=of(subject).pk)


def _end(current: Opening, *, by: str, reason: str) -> None:
    Opening.objects.filter(pk=current.pk, closed_at=None).update(
        closed_at=Now(), closed_by=by[:150], closed_reason=line(reason), next_probe_at=None
    )


def line(text: str) -> str:
    """A text as the rows take it: one line, cut to their length."""
    one = " ".join(storable_text(text).split())
    return one if len(one) <= LONGEST_TEXT else one[: LONGEST_TEXT - 1] + "…"
