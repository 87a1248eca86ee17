"""The topic radar: what waits at the engines, beside who is to fetch it here and what we hold of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from django.utils import timezone

from bptl.connections import breakers, engines, mappings
from bptl.connections.breakers import Open
from bptl.connections.models import Engine, Opening
from bptl.connections.models import Mapping as TopicMapping
from bptl.connections.secrets import Undecryptable
from bptl.engines import base
from bptl.lib.latest import Latest
from bptl.tasks import limits, sql
from bptl.tasks.lifecycle import Status
from bptl.tasks.limits import Limit
from bptl.tasks.queries import MANY, Amount

PATIENCE = timedelta(seconds=4)
"""For all topics of one engine."""

LONG = timedelta(minutes=5)
"""A task that nobody fetches for so long, although its topic is mapped, is a finding."""

HELD = (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED, Status.UNCERTAIN)
"""Where a task is ours to bring on."""


class MappingState(StrEnum):
    """What becomes of a topic here."""

    ACTIVE = "active"
    PAUSED = "paused"
    BROKEN = "broken"
    NONE = "none"


class Verdict(StrEnum):
    """What is to be said of a topic, the worst first."""

    UNMAPPED = "unmapped"
    """Tasks wait for which there is no mapping: nobody will ever fetch them."""
    BROKEN = "broken"
    """Its mapping cannot be used, so that nothing is fetched."""
    DOWN = "down"
    """It is not fetched while its engine, or a service that its mapping uses, is known to be down."""
    PAUSED = "paused"
    """Tasks wait, and its mapping is switched off."""
    LATE = "late"
    """Tasks wait longer than they should, although the mapping is active."""
    FULL = "full"
    """Tasks wait, and as many run (or begin) as a limit allows."""
    UNUSED = "unused"
    """An active mapping of a topic of which no task is known, neither there nor here, not even an old one."""
    WELL = "well"
    """All is well."""


FINDINGS = (Verdict.UNMAPPED, Verdict.BROKEN, Verdict.DOWN, Verdict.PAUSED, Verdict.LATE, Verdict.FULL)
"""What somebody has to look at."""


@dataclass(frozen=True, slots=True)
class Row:
    """One topic of one engine. ``waiting`` is None where the engine has not said it; ``opening`` is that of the circuit
    breaker because of which it is not fetched."""

    engine: Engine
    topic: str
    waiting: int | None
    oldest: datetime | None
    state: MappingState
    mappings: Sequence[TopicMapping]
    problems: Sequence[str]
    held: Mapping[Status, Amount]
    verdict: Verdict
    full: Limit | None = None
    """A limit that has no room; only where tasks wait for it."""
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What an engine said: its topics, or why not. ``may_fetch`` False: our user sees nothing, or not everything."""

    topics: Sequence[base.Waiting] = ()
    error: base.EngineError | Undecryptable | None = None
    may_fetch: bool | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One engine with its topics, the worst first. ``heard`` None: it has not answered yet."""

    engine: Engine
    heard: Heard | None
    rows: Sequence[Row] = field(default_factory=list)


_latest: Latest[tuple[int, datetime], Heard] = Latest(fresh=10.0, shown=60.0)


def look(*, within: float) -> Sequence[Group]:
    """All engines by name; an engine that does not answer within so many seconds is shown with what is known here.

    Engines are asked at most every ten seconds, and only while somebody looks.
    """
    rows = list(Engine.objects.order_by("name"))
    questions = {(row.pk, row.updated_at): partial(_ask, row) for row in rows if row.active}
    heard = _latest.get(questions, within=within)
    mapped: dict[int, dict[str, list[TopicMapping]]] = defaultdict(lambda: defaultdict(list))
    every = TopicMapping.objects.filter(engine__isnull=False).select_related("engine")
    for mapping in every.prefetch_related("services__service").order_by("id"):
        mapped[mapping.engine_id or 0][mapping.topic].append(mapping)
    held = _held()
    stopped = breakers.open_now()
    seen = _seen({topic for topics in mapped.values() for topic in topics})
    known = limits.read()
    return [
        _group(row, heard.get((row.pk, row.updated_at)), mapped[row.pk], held.get(row.pk, {}), seen, known, stopped)
        for row in rows
    ]


def findings(groups: Sequence[Group]) -> Sequence[Row]:
    """The rows that somebody has to look at, the worst first."""
    found = [row for group in groups for row in group.rows if row.verdict in FINDINGS]
    return sorted(found, key=lambda row: (FINDINGS.index(row.verdict), -(row.waiting or 0)))


def _ask(row: Engine) -> Heard:
    """Ask one engine; runs in a thread, and touches no table."""
    try:
        client = engines.client(row)
        topics = client.waiting_topics(within=PATIENCE)
        return Heard(topics, may_fetch=client.may_fetch())
    except (base.EngineError, Undecryptable) as error:
        return Heard(error=error)


def _group(
    engine: Engine,
    heard: Heard | None,
    mapped: Mapping[str, Sequence[TopicMapping]],
    held: Mapping[str, Mapping[Status, Amount]],
    seen: Set[str],
    known: Sequence[Limit],
    stopped: Open,
) -> Group:
    answered = heard is not None and heard.error is None
    waiting = {one.topic: one for one in heard.topics} if heard else {}
    rows = [
        _row(
            engine,
            topic,
            waiting.get(topic),
            answered=answered,
            mapped=mapped.get(topic, ()),
            held=held.get(topic, {}),
            seen=topic in seen,
            full=_full(mapped.get(topic, ()), known),
            stopped=stopped,
        )
        for topic in {*waiting, *mapped, *held}
    ]
    order = list(Verdict)
    rows.sort(key=lambda row: (order.index(row.verdict), -(row.waiting or 0), row.topic))
    return Group(engine, heard, rows)


def _row(
    engine: Engine,
    topic: str,
    waiting: base.Waiting | None,
    *,
    answered: bool,
    mapped: Sequence[TopicMapping],
    held: Mapping[Status, Amount],
    seen: bool,
    full: Limit | None,
    stopped: Open,
) -> Row:
    count = waiting.tasks if waiting else 0
    oldest = waiting.oldest if waiting else None
    state, problems = _state(mapped)
    opening = _opening(mapped, stopped) if state is MappingState.ACTIVE else None
    return Row(
        engine=engine,
        topic=topic,
        waiting=count if answered else None,
        oldest=oldest,
        state=state,
        mappings=mapped,
        problems=problems,
        held=held,
        verdict=Verdict.DOWN
        if opening is not None
        else _verdict(state, count=count, oldest=oldest, unused=answered and not seen, full=full is not None),
        full=full if count else None,
        opening=opening,
    )


def _full(mapped: Sequence[TopicMapping], known: Sequence[Limit]) -> Limit | None:
    """A limit that leaves no room, where that holds for every mapping of a topic that is not paused."""
    without = [
        next((limit for limit in limits.of(known, mapping.pk) if limit.free <= 0), None)
        for mapping in mapped
        if not mapping.paused
    ]
    return without[0] if without and None not in without else None


def _opening(mapped: Sequence[TopicMapping], stopped: Open) -> Opening | None:
    """Why none of the active mappings of a topic is fetched for, when that is so."""
    openings = [stopped.stops(mapping) for mapping in mapped if not mapping.paused]
    return openings[0] if openings and all(openings) else None


def _state(mapped: Sequence[TopicMapping]) -> tuple[MappingState, Sequence[str]]:
    """The best of the mappings of a topic counts: each may have filters of its own."""
    active = [mapping for mapping in mapped if not mapping.paused]
    problems = [mappings.obstacles(mapping) for mapping in active]
    if any(not found for found in problems):
        return MappingState.ACTIVE, []
    if active:
        return MappingState.BROKEN, problems[0]
    return (MappingState.PAUSED if mapped else MappingState.NONE), []


def _verdict(state: MappingState, *, count: int, oldest: datetime | None, unused: bool, full: bool) -> Verdict:
    if state is MappingState.BROKEN:
        return Verdict.BROKEN
    if count and state is MappingState.NONE:
        return Verdict.UNMAPPED
    if count and state is MappingState.PAUSED:
        return Verdict.PAUSED
    if count and full and state is MappingState.ACTIVE:
        return Verdict.FULL
    if count and oldest is not None and timezone.now() - oldest > LONG:
        return Verdict.LATE
    return Verdict.UNUSED if unused and state is MappingState.ACTIVE and not count else Verdict.WELL


def _seen(topics: Set[str]) -> Set[str]:
    """Those of which any task is known, of whichever engine: of one engine the search could be long."""
    statement = (
        "SELECT topic FROM unnest(%s::varchar[]) AS t(topic)"
        " WHERE EXISTS (SELECT FROM tasks_task k WHERE k.topic = t.topic)"
    )
    return {row.topic for row in sql.query(statement, [sorted(topics)])}


_COUNT = " UNION ALL ".join(
    f"""(SELECT engine_id, topic, '{status}' AS status, count(*) AS amount FROM (
        SELECT engine_id, topic FROM tasks_task WHERE status = '{status}' AND engine_id IS NOT NULL LIMIT {MANY + 1}
    ) bounded GROUP BY engine_id, topic)"""
    for status in HELD
)


def _held() -> dict[int, dict[str, dict[Status, Amount]]]:
    """What we hold by engine and topic: exact up to MANY of a status, then what was seen of them."""
    found: dict[int, dict[str, dict[Status, Amount]]] = defaultdict(lambda: defaultdict(dict))
    rows = sql.query(_COUNT)
    totals: dict[str, int] = defaultdict(int)
    for row in rows:
        totals[row.status] += row.amount
    for row in rows:
        about = totals[row.status] > MANY
        found[row.engine_id][row.topic][Status(row.status)] = Amount(row.amount, about=about)
    return found
