"""Whether everything lives: engines, services, processes, queues; each state is a word with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from bptl.connections import breakers
from bptl.connections.models import Engine, Opening
from bptl.connections.service_models import Service
from bptl.lib import redis_lists
from bptl.tasks import pulse, queries, queue_lengths, radar
from bptl.tasks.models import Process
from bptl.web import breaker_words
from bptl.web.words import Word


@dataclass(frozen=True, slots=True)
class EngineState:
    """An engine, how polling goes, since when, and how many topics wait for somebody to look at them."""

    engine: Engine
    word: Word
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service and how its newest calls ended; ``error`` is what the last failing one said."""

    service: Service
    word: Word
    at: datetime | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """All of it. ``queues`` are (name, messages); ``broker`` is why they are not known, if so."""

    engines: Sequence[EngineState]
    services: Sequence[ServiceState]
    fleet: queries.Fleet
    processes: Sequence[tuple[Process, int]]
    """Those that live, with the places that are taken."""
    taken: int
    queues: Sequence[tuple[str, int]]
    broker: str


def now(groups: Sequence[radar.Group], *, within: float) -> Condition:
    """What is known now; the broker is waited for so many seconds."""
    polls = pulse.polls()
    calls = pulse.service_calls()
    fleet = queries.fleet()
    places = pulse.taken_places()
    lengths = queue_lengths.lengths(within=within)
    away = _("It has not answered yet; this page asks it again.") if lengths is None else ""
    if isinstance(lengths, redis_lists.ListsAway):
        away = _("The broker does not answer: %(reason)s. Workers still find work by themselves, a little later.") % {
            "reason": lengths.reason
        }
    stopped = breakers.open_now()
    alive = [*fleet.pollers, *fleet.workers, *fleet.beats]
    return Condition(
        engines=[
            _engine(group.engine, polls.get(group.engine.pk, pulse.Polls()), stopped.engines.get(group.engine.pk))
            for group in groups
        ],
        services=[
            _service(row, calls, stopped.services.get(row.pk))
            for row in Service.objects.filter(active=True).order_by("name")
        ],
        fleet=fleet,
        processes=[(process, places.get(process.pk, 0)) for process in alive],
        taken=sum(places.get(process.pk, 0) for process in fleet.workers),
        queues=sorted(lengths.items()) if isinstance(lengths, dict) else [],
        broker=away,
    )


def _engine(engine: Engine, polls: pulse.Polls, opening: Opening | None) -> EngineState:
    if not engine.active:
        return EngineState(engine, Word(_("inactive: not polled")), None)
    if opening is not None:
        return EngineState(engine, breaker_words.word(opening), opening.opened_at)
    if polls.failing_since is not None:
        word = Word(_("polls fail"), "danger", _("Since then no poll was answered; test the connection."))
        return EngineState(engine, word, polls.failing_since)
    if polls.answered_at is not None:
        return EngineState(engine, Word(_("answers"), "success", _("Its last poll was answered.")), polls.answered_at)
    if polls.open:
        return EngineState(engine, Word(_("first poll under way"), "active"), None)
    meaning = _("No poll in the last ten minutes: it has no active mapping, or no poller lives.")
    return EngineState(engine, Word(_("not polled"), "warning", meaning), None)


def _service(service: Service, calls: Mapping[str, pulse.Calls], opening: Opening | None) -> ServiceState:
    if opening is not None:
        return ServiceState(service, breaker_words.word(opening), opening.opened_at, opening.reason)
    known = calls.get(service.name)
    if known is None:
        return ServiceState(service, Word(_("no call lately")), None)
    if known.failing:
        return ServiceState(service, Word(_("fails"), "danger"), known.bad_at, known.error)
    return ServiceState(service, Word(_("answers"), "success"), known.good_at)
