"""What the whole fleet looks like, for monitoring: read from PostgreSQL and the broker by whoever serves the pages.

Only here, so that no two kinds of processes tell the same; two web processes do tell the same, so whoever adds up asks
for the greatest of each. Another source of numbers is one more function in ``SOURCES``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as MappingOf
from datetime import datetime
from threading import Lock

from django.db import DatabaseError
from django.db.models import Count, Sum

from bptl import __version__
from bptl.connections.models import WITHOUT_ENGINE, Engine, Mapping, Opening
from bptl.lib.instruments import Gauge, Labels, Registry
from bptl.lib.log import get_logger
from bptl.tasks import limits, pulse, queries, queue_lengths, sql, standing
from bptl.tasks.models import ProcessKind
from bptl.telling.models import Incident, Kind

log = get_logger(__name__)

FLEET = Registry()
"""The same for every web process, whichever is asked."""

FRESH = 4.0
"""Seconds for which what was read serves the next who ask."""

BROKER_SECONDS = 1.0


def _gauge(name: str, help: str, labels: Labels = ()) -> Gauge:
    made = FLEET.gauge(name, help, labels=labels, told_by="web")
    made.read_by(lambda: _now(made))
    return made


DATABASE_UP = _gauge("bptl_database_up", "Whether PostgreSQL answers; with 0 nothing else of the fleet is told.")
BROKER_UP = _gauge("bptl_broker_up", "Whether the broker (Redis or Valkey) answers.")
QUEUE = _gauge(
    "bptl_queue_messages",
    "Jobs that wait in a queue of the broker; beat adds none from 100 on.",
    labels=("queue",),
)
TASKS = _gauge(
    "bptl_tasks",
    f"Tasks that are not over, by where they stand; of each status at most {standing.MANY} are counted.",
    labels=("status", "engine", "topic"),
)
OLDEST = _gauge(
    "bptl_task_oldest_seconds",
    "How long the task that has stood there longest has had its status.",
    labels=("status", "engine", "topic"),
)
INCIDENTS = _gauge("bptl_incidents_open", "Incidents that go on, by kind.", labels=("kind",))
OCCURRENCES = _gauge(
    "bptl_incident_occurrences",
    "Occurrences of incidents that go on, by kind: tasks that failed for good, and what else they count.",
    labels=("kind",),
)
PROCESSES = _gauge(
    "bptl_fleet_processes",
    "Processes with a heartbeat in the last 15 seconds, those that drain included.",
    labels=("kind",),
)
ANSWERED = _gauge(
    "bptl_engine_answer_age_seconds",
    "How long ago a poll of an active engine was answered last; absent when none was in ten minutes.",
    labels=("engine",),
)
FAILING = _gauge(
    "bptl_engine_failing_seconds",
    "For how long no poll of an active engine has been answered, while polls fail; 0 when the last one was.",
    labels=("engine",),
)
BREAKERS = _gauge(
    "bptl_breaker_open_seconds",
    "For how long the circuit breaker of an engine or a service has been open, by whom it was opened (bptl or person); "
    "absent while it is closed.",
    labels=("engine", "service", "by"),
)
LIMIT_RUNNING = _gauge(
    "bptl_limit_running",
    "Tasks that run under a limit of how many may at once: of a mapping (by its engine and topic) or of a service.",
    labels=("engine", "topic", "service"),
)
LIMIT_MOST = _gauge(
    "bptl_limit_most",
    "How many tasks may run at once under that limit; mappings of one topic are added up.",
    labels=("engine", "topic", "service"),
)
INFO = _gauge("bptl_web_info", "Always 1: the version of this process.", labels=("version",))

Reading = tuple[Gauge, Labels, float]


def _clock() -> datetime:
    """PostgreSQL's, by which all processes go."""
    now: datetime = sql.query("SELECT now() AS now")[0].now
    return now


def _tasks() -> Iterator[Reading]:
    names = dict(Engine.objects.values_list("id", "name"))
    for one in standing.standing():
        engine = WITHOUT_ENGINE if one.engine_id is None else names.get(one.engine_id, str(one.engine_id))
        labels = (one.status, engine, one.topic)
        yield TASKS, labels, one.amount
        yield OLDEST, labels, one.oldest


def _incidents() -> Iterator[Reading]:
    rows = Incident.objects.filter(ended_at=None).order_by().values_list("kind").annotate(Count("id"), Sum("count"))
    found = {kind: (incidents, occurrences) for kind, incidents, occurrences in rows}
    for kind in Kind:
        incidents, occurrences = found.get(kind, (0, 0))
        yield INCIDENTS, (kind,), incidents
        yield OCCURRENCES, (kind,), occurrences


def _processes() -> Iterator[Reading]:
    fleet = queries.fleet()
    alive = Counter(process.kind for process in (*fleet.pollers, *fleet.workers, *fleet.beats))
    for kind in ProcessKind:
        yield PROCESSES, (kind,), alive[kind]


def _engines() -> Iterator[Reading]:
    polls, now = pulse.polls(), _clock()
    for engine in Engine.objects.filter(active=True):
        known = polls.get(engine.pk, pulse.Polls())
        if known.answered_at is not None:
            yield ANSWERED, (engine.name,), max(0.0, (now - known.answered_at).total_seconds())
        since = known.failing_since
        yield FAILING, (engine.name,), max(0.0, (now - since).total_seconds()) if since else 0.0


def _breakers() -> Iterator[Reading]:
    now = _clock()
    for opening in Opening.objects.filter(closed_at=None).select_related("breaker__service", "breaker__engine"):
        of = opening.breaker
        labels = (of.engine.name if of.engine else "", of.service.name if of.service else "")
        by = "person" if opening.opened_by else "bptl"
        yield BREAKERS, (*labels, by), max(0.0, (now - opening.opened_at).total_seconds())


def _limits() -> Iterator[Reading]:
    numbered = [limit for limit in limits.read() if limit.most_at_once is not None]
    owners = [limit.owner_id for limit in numbered if not limit.service]
    mappings = Mapping.objects.filter(pk__in=owners).select_related("engine")
    names: dict[int, Labels] = {one.pk: (one.engine_name, one.topic, "") for one in mappings}
    running: Counter[Labels] = Counter()
    most: Counter[Labels] = Counter()
    for limit in numbered:
        if limit.service:
            labels: Labels = ("", "", limit.service)
        elif limit.owner_id in names:
            labels = names[limit.owner_id]
        else:
            continue  # It was removed meanwhile.
        running[labels] += limit.running
        most[labels] += limit.most_at_once or 0
    for labels, amount in running.items():
        yield LIMIT_RUNNING, labels, amount
        yield LIMIT_MOST, labels, most[labels]


def _broker() -> Iterator[Reading]:
    lengths = queue_lengths.lengths(within=BROKER_SECONDS)
    yield BROKER_UP, (), isinstance(lengths, dict)
    if isinstance(lengths, dict):
        for queue, messages in lengths.items():
            yield QUEUE, (queue,), messages


SOURCES: list[Callable[[], Iterable[Reading]]] = [_tasks, _incidents, _processes, _engines, _breakers, _limits]
"""What PostgreSQL is asked once for all who ask within FRESH seconds; each may raise DatabaseError."""

_reading = Lock()
_read_at = float("-inf")
_read: MappingOf[Gauge, list[tuple[Labels, float]]] = {}


def _now(gauge: Gauge) -> Iterable[tuple[Labels, float]]:
    global _read_at, _read  # noqa: PLW0603 - what was read last, for all who ask
    with _reading:
        if time.monotonic() >= _read_at + FRESH:
            _read = _gathered()
            _read_at = time.monotonic()
        return _read.get(gauge, ())


def _gathered() -> MappingOf[Gauge, list[tuple[Labels, float]]]:
    found: dict[Gauge, list[tuple[Labels, float]]] = {INFO: [((__version__,), 1)], DATABASE_UP: [((), 1)]}
    try:
        for source in SOURCES:
            _keep(found, source())
    except DatabaseError as error:
        log.warning("fleet.not_read", error=str(error))
        found = {INFO: found[INFO], DATABASE_UP: [((), 0)]}
    _keep(found, _broker())
    return found


def _keep(found: dict[Gauge, list[tuple[Labels, float]]], readings: Iterable[Reading]) -> None:
    for gauge, labels, value in readings:
        found.setdefault(gauge, []).append((labels, value))
