"""What runs do about a service, or an engine, that is down: they open its breaker, and hand tasks back (ADR 0027).

    stopping   before a unit begins: something that its mapping needs is known to be down
    admit      before each call: its service is known to be down
    met        a unit ended with an outage: is it one? Then its task spends no retry
    judge      calls were recorded: too many of the last ones had no good answer in time
    unpolled   an engine did not answer one poll after the other: is it there at all?

On the happy path nothing is asked but what this process read at most two seconds ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from bptl.clients.errors import REQUEST_TIMEOUT, TOO_MANY_REQUESTS, BreakerOpen, ServiceError
from bptl.clients.gate import Call
from bptl.connections import breaker_probes, breakers
from bptl.connections.breaker_probes import OUTAGES
from bptl.connections.breakers import Subject
from bptl.connections.models import Engine, Mapping, Opening
from bptl.connections.service_models import Service
from bptl.engines.base import EngineUnavailable
from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.execution.faults import message_of, shortened
from bptl.tasks.execution.outcomes import HandedBack
from bptl.work_units.contract import NeverAgain

log = get_logger(__name__)

WINDOW = timedelta(seconds=60)
LOOKED_AT = 10
BAD = 5
TASKS = 2
"""A breaker opens when so many of the newest calls within the window were bad, of so many tasks: one task that a
service cannot digest keeps no other from it."""


def stopping(mapping: Mapping) -> HandedBack | None:
    """Whether a task of a mapping cannot go well now; its unit need not begin then."""
    if breakers.lately().holds_back(mapping) is None:
        return None
    # Sent away by what is known now: it may have closed since.
    opening = breakers.open_now().holds_back(mapping)
    return _handed_back(opening) if opening is not None else None


def admit(service: str, method: str, url: str) -> None:
    """Raise BreakerOpen for a call of a service whose breaker is open."""
    if service not in breakers.lately().names:
        return
    opening = breakers.open_now().names.get(service)
    if opening is not None:
        raise BreakerOpen(_said(opening), service=service, method=method, url=url)


def met(mapping: Mapping, error: BaseException) -> HandedBack | None:
    """What becomes of the task of a unit that ended with ``error``: handed back when that was an outage, which the
    other side, asked once more, confirms. None: it is a failure like others, and the retry plan applies."""
    opening = None
    with _judging(topic=mapping.topic):
        subject = None if isinstance(error, NeverAgain) else _subject(mapping, error)
        opening = breaker_probes.confirm(subject, seen=message_of(error)) if subject is not None else None
    return _handed_back(opening) if opening is not None else None


def unpolled(engine: Engine, error: EngineUnavailable, *, polls: int) -> None:
    """Open the breaker of an engine that did not answer so many polls in a row, the last one with ``error``; unless it,
    asked once more, is there. Never raises for the database: the next poll that fails asks again."""
    with _judging(engine=engine.name):
        breaker_probes.confirm(engine, seen=f"{polls} polls in a row failed ({message_of(error)})")


@contextmanager
def _judging(**what: str) -> Iterator[None]:
    """Without the database nobody is judged."""
    try:
        yield
    except DatabaseError as error:
        log.warning("outage.not_judged", error=str(error), **what)
        close_old_connections()


def _subject(mapping: Mapping, error: BaseException) -> Subject | None:
    """Whose outage it was; None when it was none, or of something that has no breaker (the mail server)."""
    for link in _causes(error):
        if isinstance(link, OUTAGES):
            return Service.objects.filter(name=link.service).first()
        if isinstance(link, EngineUnavailable):
            return mapping.engine
        if isinstance(link, ServiceError):
            return None
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _handed_back(opening: Opening) -> HandedBack:
    return HandedBack(shortened(_said(opening)))


def _said(opening: Opening) -> str:
    since = timezone.localtime(opening.opened_at)
    if opening.by_hand:
        return f"{opening.breaker} is in maintenance since {since:%H:%M}, says {opening.opened_by}: {opening.reason}"
    return f"{opening.breaker} is down since {since:%H:%M}: {opening.reason}"


# Opening by what the calls of all workers met.

_JUDGE = f"""
SELECT count(*) AS calls, count(*) FILTER (WHERE bad) AS bad, count(DISTINCT task_id) FILTER (WHERE bad) AS tasks,
    count(*) FILTER (WHERE bad AND status IS NULL) AS unanswered, count(*) FILTER (WHERE bad AND status IS NOT NULL
        AND milliseconds <= %s) AS refused, (array_agg(coalesce(nullif(error, ''), 'HTTP ' || status)) FILTER
        (WHERE bad))[1] AS error
FROM (
    SELECT c.*, c.status IS NULL OR c.status >= 500 OR c.status IN ({TOO_MANY_REQUESTS}, {REQUEST_TIMEOUT})
        OR c.milliseconds > %s AS bad
    FROM tasks_servicecall c
    WHERE c.service = %s AND c.began_at > greatest(now() - %s, (
        SELECT max(o.closed_at) FROM connections_opening o JOIN connections_breaker b ON b.id = o.breaker_id
        WHERE b.service_id = %s
    ))
    ORDER BY c.began_at DESC LIMIT {LOOKED_AT}
) newest
"""
# What was met before the breaker closed says nothing about now.


def judge(calls: Iterable[Call]) -> None:
    """Open the breakers of services whose newest calls were bad too often; asked only when one of ``calls`` was bad.

    They are recorded by now. Never raises for the database: the next bad call asks again.
    """
    names = {call.service for call in calls if _bad(call)}
    for name in names - set(breakers.lately().names) if names else ():
        with _judging(service=name):
            service = Service.objects.filter(name=name).first()
            if service is not None:
                _judge(service)


def _bad(call: Call) -> bool:
    return call.slow or call.status is None or call.status >= 500 or call.status in {TOO_MANY_REQUESTS, REQUEST_TIMEOUT}


def _judge(service: Service) -> None:
    slow = round(service.slow_after * 1000)
    (seen,) = sql.query(_JUDGE, [slow, slow, service.name, WINDOW, service.pk])
    if seen.bad < BAD or seen.tasks < TASKS:
        return
    slow_ones = seen.bad - seen.unanswered - seen.refused
    parts = {
        f"had no answer ({seen.error})": seen.unanswered,
        f"were answered that it fails ({seen.error})": seen.refused,
        f"took longer than {service.slow_after:g} s": slow_ones,
    }
    told = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
    breakers.open_automatically(service, reason=shortened(f"of the last {seen.calls} calls {told}"))
