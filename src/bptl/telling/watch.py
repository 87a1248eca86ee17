"""What goes wrong now: new failures since the last look, and states that last. Nothing here runs on the road.

A failure is found by its time (``task_newest_failed``), looked back over what may have been committed late, and counted
once: its sighting is unique. Where nothing fails, a look is a few statements that find nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q
from django.db.models.functions import Now

from bptl.connections import mappings
from bptl.connections.models import AT_WORK, Engine, Mapping, Opening
from bptl.lib.redaction import redact
from bptl.tasks import queries, sql
from bptl.tasks.error_groups import cause_of
from bptl.tasks.lifecycle import Outcome, Status
from bptl.telling import plan
from bptl.telling.models import OF_TASKS, Incident, Kind, Look, Sighting

MOST = 5_000
"""Failures that one look takes in; what is beyond waits for the next."""

LATE = timedelta(minutes=2)
"""A transaction may commit so long after the time that its rows carry."""

QUIET = timedelta(minutes=10)
"""Tasks that fail again within it, after a retry for instance, belong to the same incident."""

HOLD = {Kind.MAPPING: timedelta(minutes=1), Kind.WORKERS: timedelta(minutes=1), Kind.POLLERS: timedelta(minutes=1)}
"""How long a state must last before anybody is told: a restart is no incident."""

SILENT = timedelta(minutes=3)
"""An engine that has answered no poll for so long, while it was asked, is not reached."""

_FAILED = f"t.status = '{Status.DELIVERED}' AND t.outcome = '{Outcome.FAILED}'"
_REFUSED = f"t.status = '{Status.PERFORMED}' AND t.parked"
_UNCERTAIN = f"t.status = '{Status.UNCERTAIN}' AND (t.parked OR t.lease_id IS NULL)"
_NO_RETRIES = "coalesce((t.result->>'retries')::int, 0) = 0"
_COLUMNS = "t.id AS task_id, m.id AS mapping_id, t.engine_id, t.topic"
_FROM = "FROM tasks_task t LEFT JOIN connections_mapping m ON m.id = t.mapping_id"
_NEW = "NOT EXISTS (SELECT FROM telling_sighting s WHERE s.task_id = t.id AND s.occurrence = {})"
_OF_EFFECT = (
    "md5(t.id || '/' || (SELECT min(e.id) FROM tasks_effect e WHERE e.task_id = t.id AND e.\"end\" = ''))::uuid"
)
"""An uncertain task is leased and parked again and again; what is asked about is its open effect."""

_TROUBLES = f"""
(SELECT '{Kind.FAILED}' AS kind, t.outcome_id AS occurrence, t.error_group, t.result->>'message' AS message,
    t.changed_at, {_COLUMNS} {_FROM}
WHERE {_FAILED} AND t.changed_at > %s AND {_NO_RETRIES} AND {_NEW.format("t.outcome_id")}
    AND NOT EXISTS (SELECT FROM tasks_event v WHERE v.task_id = t.id AND v.name = 'task.given_up'
        AND v.at >= t.changed_at)
ORDER BY t.changed_at LIMIT %s)
UNION ALL
(SELECT '{Kind.REFUSED}', t.outcome_id, '', t.report_error, t.changed_at, {_COLUMNS} {_FROM}
WHERE {_REFUSED} AND {_NEW.format("t.outcome_id")} LIMIT %s)
UNION ALL
(SELECT '{Kind.UNCERTAIN}', {_OF_EFFECT}, '', '', t.changed_at, {_COLUMNS} {_FROM}
WHERE {_UNCERTAIN} AND {_NEW.format(_OF_EFFECT)} AND {_OF_EFFECT} IS NOT NULL LIMIT %s)
"""
# Whoever gives up an uncertain task knows of it: that failure is told to nobody.

_STILL = f"""
EXISTS (SELECT FROM telling_sighting s JOIN tasks_task t ON t.id = s.task_id WHERE s.incident_id = i.id AND CASE i.kind
    WHEN '{Kind.FAILED}' THEN {_FAILED} AND t.outcome_id = s.occurrence
    WHEN '{Kind.REFUSED}' THEN {_REFUSED} AND t.outcome_id = s.occurrence
    ELSE {_UNCERTAIN} END)
"""
_QUIET = f"""
SELECT i.id FROM telling_incident i
WHERE i.ended_at IS NULL AND i.kind IN ({", ".join(f"'{kind}'" for kind in OF_TASKS)}) AND i.last_at < now() - %s
    AND NOT {_STILL}
"""

_POLLED = """
SELECT e.id,
    bool_or(f.closed_as = 'answered') AS answered,
    count(*) FILTER (WHERE f.closed_as IN ('never_sent', 'abandoned')) AS failed,
    coalesce(min(f.started_at) FILTER (WHERE f.closed_as <> 'answered') < now() - %s, false) AS long
FROM connections_engine e JOIN tasks_fetch f ON f.engine_id = e.id
WHERE e.active AND coalesce(f.closed_at, f.started_at) > now() - %s AND f.started_at > now() - interval '5 minutes'
GROUP BY e.id
"""


class _Group(NamedTuple):
    kind: str
    key: str
    mapping_id: int | None
    engine_id: int | None
    topic: str
    error_group: str
    service_id: int | None = None


def failures(look: Look, now: datetime) -> int:
    """Count tasks that went wrong since the last look into their incidents; answers how many."""
    since = look.seen_until - LATE
    rows = sql.query(_TROUBLES, [since, MOST, MOST, MOST])
    groups: dict[_Group, list[Any]] = defaultdict(list)
    for row in rows:
        groups[_group(row)].append(row)
    for group, found in groups.items():
        _count(group, found, now)
    failed = [row.changed_at for row in rows if row.kind == Kind.FAILED]
    look.seen_until = failed[-1] if len(failed) == MOST else now
    return len(rows)


def _group(row: Any) -> _Group:
    where = f"m{row.mapping_id}" if row.mapping_id else f"e{row.engine_id or 0}/{row.topic}"
    return _Group(row.kind, f"{where}|{row.error_group}", row.mapping_id, row.engine_id, row.topic, row.error_group)


def _count(group: _Group, rows: list[Any], now: datetime) -> None:
    incident = _open(group, now, cause=said(rows[0].message or ""))
    sightings = [
        Sighting(incident=incident, task_id=row.task_id, occurrence=row.occurrence, seen_at=now) for row in rows
    ]
    Sighting.objects.bulk_create(sightings, ignore_conflicts=True)
    counted = Sighting.objects.filter(incident=incident).count()
    Incident.objects.filter(id=incident.pk).update(count=counted, last_at=now)


def _open(group: _Group, now: datetime, *, cause: str, hold: timedelta = timedelta()) -> Incident:
    """The open incident of a group; a new one is muted as long as the one before it was."""
    known = Incident.objects.filter(kind=group.kind, key=group.key)
    incident = known.filter(ended_at=None).first()
    if incident is not None:
        return incident
    before = known.filter(muted_until__gt=now).order_by("-id").first()
    mute = {name: getattr(before, name) for name in ("muted_until", "muted_by", "muted_because")} if before else {}
    return Incident.objects.create(
        **group._asdict(), cause=cause, began_at=now, last_at=now, tell_at=now + hold, **mute
    )


def states(now: datetime) -> int:
    """Open incidents of states that are wrong now, and end those of states that are right again; answers messages."""
    wrong = {**_broken_mappings(), **_silent_fleet()}
    silent, unknown = _silent_engines()
    wrong |= {**silent, **_open_breakers()}
    for group, cause in wrong.items():
        _open(group, now, cause=cause, hold=HOLD.get(Kind(group.kind), timedelta()))
    keys = {(group.kind, group.key) for group in wrong}
    opened = (
        Incident.objects.filter(ended_at=None).exclude(kind__in=OF_TASKS).select_related("mapping", "engine", "service")
    )
    over = [
        incident
        for incident in opened
        if (incident.kind, incident.key) not in keys
        and not (incident.kind == Kind.ENGINE and incident.engine_id in unknown)
    ]
    Incident.objects.filter(id__in=[incident.pk for incident in opened if incident not in over]).update(last_at=now)
    return plan.end(over, now)


def quiet(now: datetime) -> int:
    """End incidents of which no task is left and nothing new came for a while; answers how many messages."""
    ids = [row.id for row in sql.query(_QUIET, [QUIET])]
    return (
        plan.end(Incident.objects.filter(id__in=ids).select_related("mapping", "engine", "service"), now) if ids else 0
    )


def _broken_mappings() -> dict[_Group, str]:
    active = Mapping.objects.filter(AT_WORK).exclude(engine__active=False).select_related("engine")
    return {
        _Group(Kind.MAPPING, f"m{mapping.pk}", mapping.pk, mapping.engine_id, mapping.topic, ""): "; ".join(found)[:500]
        for mapping in active.prefetch_related("services__service")
        if (found := mappings.obstacles(mapping))
    }


def _silent_engines() -> tuple[dict[_Group, str], set[int]]:
    """Engines that are not reached, and those of which nothing can be said: they are active and nobody asks them."""
    rows = {row.id: row for row in sql.query(_POLLED, [SILENT / 2, SILENT])}
    silent: dict[_Group, str] = {}
    unknown = set()
    for engine in Engine.objects.filter(active=True):
        row = rows.get(engine.pk)
        if row is None or (not row.answered and not row.failed):
            unknown.add(engine.pk)
        elif not row.answered and row.failed >= 3 and row.long:
            silent[_Group(Kind.ENGINE, f"e{engine.pk}", None, engine.pk, "", "")] = ""
        elif not row.answered:
            unknown.add(engine.pk)
    return silent, unknown


def _open_breakers() -> dict[_Group, str]:
    """What is known to be down. Who opened a breaker by hand knows it, until the window is over."""
    down = Opening.objects.filter(closed_at=None).filter(Q(opened_by="") | Q(until__lte=Now()))
    groups = {}
    for opening in down.select_related("breaker"):
        breaker = opening.breaker
        if breaker.service_id is not None:
            group = _Group(Kind.SERVICE, f"s{breaker.service_id}", None, None, "", "", breaker.service_id)
        else:
            group = _Group(Kind.ENGINE, f"e{breaker.engine_id}", None, breaker.engine_id, "", "")
        groups[group] = said(opening.reason)[:500]
    return groups


def _silent_fleet() -> dict[_Group, str]:
    fleet = queries.fleet()
    silent: dict[_Group, str] = {}
    if not fleet.workers:
        silent[_Group(Kind.WORKERS, "", None, None, "", "")] = ""
    if not fleet.pollers and Engine.objects.filter(active=True).exists():
        silent[_Group(Kind.POLLERS, "", None, None, "", "")] = ""
    return silent


_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|‘[^’]*’|“[^”]*”")


def said(message: str) -> str:
    """The cause as it may be mailed: masked as in the groups of errors, and without what stands in quotes."""
    return _QUOTED.sub("…", redact(cause_of(message)))
