"""Is a service, or an engine, there? Asked as its connection test asks, by one process of the fleet at a time.

A probe is good when it is answered with less than 500 before the service counts as slow, with or without a login that
is accepted: a breaker is about who answers, not about rights.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from bptl.clients.access import Access
from bptl.clients.errors import Busy, Failed, NoAnswer, NotSent, ServiceError
from bptl.connections import breakers, engines, service_check, sessions
from bptl.connections.breakers import Subject
from bptl.connections.models import Breaker, Opening
from bptl.connections.secrets import Undecryptable
from bptl.connections.service_models import Service
from bptl.engines import base
from bptl.engines.base import EngineError, EngineUnavailable
from bptl.lib.log import get_logger

log = get_logger(__name__)

LONGEST = 10.0
"""Seconds that a probe may take, however slow its service may be."""

TURN = timedelta(seconds=15)
"""So long nobody else asks what somebody is asking: longer than a probe lasts."""

GOOD_ENOUGH = 2
"""Good probes in a row that close a breaker."""

AT_ONCE = 8
LOOK_AGAIN = 0.2
"""Seconds between looks for the answer to somebody else's question."""

OUTAGES = (NotSent, NoAnswer, Failed, Busy)
"""What says that a service is down, or has no time for us; any other answer says that it is there."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe met, in words for people."""

    good: bool
    text: str


def probe(subject: Subject) -> Probed:
    """Ask a service or an engine once."""
    return _prepared(subject)()


def _prepared(subject: Subject) -> Callable[[], Probed]:
    """The question, with all that needs the database looked up; what is answered needs none."""
    if isinstance(subject, Service):
        service, access = subject, _access(subject)
        return lambda: _ask_service(service, access)
    try:
        client = engines.client(subject)
    except Undecryptable as error:
        text = str(error)
        return lambda: Probed(False, text)
    return lambda: _ask_engine(client)


def _access(service: Service) -> Access:
    """With its own login, else with that of an application, else with none: all are answers."""
    grant = None if service.has_credentials else service.grants.filter(as_service=False).first()
    if grant is not None or service.has_credentials:
        with contextlib.suppress(Undecryptable):
            return sessions.access(service, grant)
    return sessions.stranger(service)


def _ask_service(service: Service, access: Access) -> Probed:
    patience = min(service.slow_after, LONGEST)
    began = time.monotonic()
    try:
        service_check.call(service, access, timeout=patience)
    except OUTAGES as error:
        return Probed(False, str(error))
    except ServiceError as error:
        return _in_time(began, patience, f"HTTP {error.status}" if error.status else str(error))
    return _in_time(began, patience, "answered")


def _in_time(began: float, patience: float, text: str) -> Probed:
    seconds = time.monotonic() - began
    return Probed(seconds <= patience, f"{text} in {round(seconds * 1000)} ms")


def _ask_engine(client: base.Engine) -> Probed:
    began = time.monotonic()
    try:
        client.version()
    except EngineUnavailable as error:
        return Probed(False, str(error))
    except EngineError as error:
        return _in_time(began, LONGEST, str(error))
    return _in_time(began, LONGEST, "answered")


# Closing: what is open is asked from time to time.


def due() -> Sequence[Opening]:
    """Openings that are to be probed now."""
    rows = Opening.objects.filter(closed_at=None, next_probe_at__lte=Now()).order_by("next_probe_at")
    return list(rows.select_related("breaker__service", "breaker__engine"))


def run() -> int:
    """Probe what is due, all at once, each in the turn of one process; close what was good twice in a row. Answers how
    many were probed."""
    mine = [opening for opening in due() if _take_turn(opening)]
    if not mine:
        return 0
    questions = [_prepared(_subject(opening.breaker)) for opening in mine]
    with ThreadPoolExecutor(min(AT_ONCE, len(mine)), thread_name_prefix="probe") as threads:
        answers = list(threads.map(lambda question: question(), questions))
    for opening, probed in zip(mine, answers, strict=True):
        _keep(opening, probed)
    return len(mine)


def _subject(breaker: Breaker) -> Subject:
    if breaker.service is not None:
        return breaker.service
    if breaker.engine is not None:
        return breaker.engine
    raise AssertionError("the database lets no breaker be of nobody")


def _take_turn(opening: Opening) -> bool:
    still = Opening.objects.filter(pk=opening.pk, closed_at=None, next_probe_at__lte=Now())
    return bool(still.update(next_probe_at=Now() + TURN))


@transaction.atomic
def _keep(opening: Opening, probed: Probed) -> None:
    still = Opening.objects.filter(pk=opening.pk, closed_at=None)
    good = F("good_probes") + 1 if probed.good else 0
    changed = still.update(
        probes=F("probes") + 1,
        good_probes=good,
        last_probe=breakers.line(probed.text),
        next_probe_at=Now() + breakers.pause(opening.reopened),
    )
    log.info("breaker.probed", breaker=opening.breaker.name, good=probed.good, answer=probed.text)
    if changed and still.filter(good_probes__gte=GOOD_ENOUGH).exists():
        breakers.close(_subject(opening.breaker), reason=f"{GOOD_ENOUGH} probes in a row were good: {probed.text}")


# Opening: before a call that met an outage costs its task a retry, the other side is asked once.

_asking: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)


def confirm(subject: Subject, *, seen: str) -> Opening | None:
    """Whether an outage that a call has just met is one: the open breaker, or None when it answers after all.

    One process of the fleet asks for all that met it by then; ``seen`` is what a call met, in words.
    """
    breaker = breakers.of(subject)
    asked_since = _now()
    with _asking[breaker.pk]:
        deadline = time.monotonic() + TURN.total_seconds()
        while time.monotonic() < deadline:
            opening = breakers.opening(subject)
            if opening is not None:
                return opening
            if Breaker.objects.filter(pk=breaker.pk, asked_at__gte=asked_since).exists():
                return None  # somebody asked after our call had failed, and was answered
            if _take_question(breaker, asked_since):
                return _ask(subject, breaker, seen)
            time.sleep(LOOK_AGAIN)
    return None


def _now() -> datetime:
    now: datetime = Breaker.objects.values_list(Now(), flat=True)[0]
    return now


def _take_question(breaker: Breaker, asked_since: datetime) -> bool:
    free = Q(asking_until=None) | Q(asking_until__lte=Now())
    old = Q(asked_at=None) | Q(asked_at__lt=asked_since)
    return bool(Breaker.objects.filter(free, old, pk=breaker.pk).update(asking_until=Now() + TURN))


def _ask(subject: Subject, breaker: Breaker, seen: str) -> Opening | None:
    began = _now()
    try:
        probed = probe(subject)
        if not probed.good:
            return breakers.open_automatically(subject, reason=f"{seen}; asked at once: {probed.text}")
        log.info("breaker.not_opened", breaker=breaker.name, seen=seen, answer=probed.text)
        Breaker.objects.filter(pk=breaker.pk).update(asked_at=began)
        return None
    finally:
        Breaker.objects.filter(pk=breaker.pk).update(asking_until=None)
