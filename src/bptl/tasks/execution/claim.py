"""A worker claims as many queued tasks as it has free places, in one statement.

Tasks of limited mappings (``bptl.tasks.limits``) are left out of it: they are claimed beside it, by one worker at a
time, and only as many as their limits have room for. What has no room is never claimed, so it holds no place.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.db import transaction

from bptl.tasks import limits, sql
from bptl.tasks.lifecycle import MOVES, Move
from bptl.tasks.limits import Limit


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that this process runs now, under a lease of its own. ``variables`` are in their wire form.

    ``lock_ms`` is the length of the lock, ``locked_ms`` what is left of it, and ``queued_ms`` how long the lease waited
    to be claimed, by PostgreSQL's clock. ``limited``: others may wait for its end.
    """

    task_id: int
    lease_id: uuid.UUID
    worker_id: str
    engine_id: int | None
    external_id: str
    topic: str
    mapping_id: int | None
    attempt: int
    crashes: int
    variables: Mapping[str, Mapping[str, Any]]
    extension_properties: Mapping[str, str]
    engine_retries: int | None
    process_instance_id: str
    process_definition_id: str
    process_definition_key: str
    execution_id: str
    activity_id: str
    business_key: str
    tenant_id: str
    lock_ms: int
    locked_ms: float
    queued_ms: float = 0.0
    limited: bool = False


@dataclass(slots=True)
class Limited:
    """What a worker knows of limits: the mappings that are limited, and in how many seconds a rate allows a task that
    waits for it."""

    mapping_ids: Sequence[int] = ()
    next_in: float | None = None


_RULE = MOVES[Move.CLAIM]

_STARTABLE = f"""t.status = '{_RULE.statuses[0]}'
      AND EXISTS (SELECT 1 FROM tasks_lease l WHERE l.id = t.lease_id AND l.locked_until > now())"""

_OTHERS = "(t.mapping_id IS NULL OR t.mapping_id <> ALL(%s::bigint[]))"


def _claiming(which: str) -> str:
    """The common table expressions that begin tasks; parameters: process, ``which``, at most so many, process."""
    return f"""picked AS (
    SELECT t.id, t.lease_id FROM tasks_task t
    WHERE {_STARTABLE}
      AND EXISTS (SELECT 1 FROM tasks_process p WHERE p.id = %s AND p.stopped_at IS NULL AND NOT p.draining)
      AND {which}
    ORDER BY t.priority DESC, t.id
    LIMIT %s
    FOR UPDATE OF t SKIP LOCKED
), started AS (
    UPDATE tasks_task t SET status = '{_RULE.target}', changed_at = now()
    FROM picked WHERE t.id = picked.id AND t.lease_id = picked.lease_id
    RETURNING t.*
), held AS (
    UPDATE tasks_lease l SET holder_id = %s, claimed_at = now()
    WHERE l.id = ANY(ARRAY(SELECT lease_id FROM picked)) AND l.ended_as = ''
    RETURNING l.*
)"""


_CLAIMED = """s.id AS task_id, s.lease_id, h.worker_id, s.engine_id, s.external_id, s.topic, s.mapping_id,
    s.attempts AS attempt, s.crashes, s.variables, s.extension_properties, s.engine_retries, s.process_instance_id,
    s.process_definition_id, s.process_definition_key, s.execution_id, s.activity_id, s.business_key, s.tenant_id,
    h.lock_ms,
    (extract(epoch FROM h.locked_until - now()) * 1000)::float8 AS locked_ms,
    (extract(epoch FROM now() - h.recorded_at) * 1000)::float8 AS queued_ms"""

_READING = f"SELECT {_CLAIMED} FROM started s JOIN held h ON h.id = s.lease_id ORDER BY s.priority DESC, s.id"

_CLAIM = f"WITH {_claiming('true')} {_READING}"
_CLAIM_OTHERS = f"WITH {_claiming(_OTHERS)} {_READING}"
_CLAIM_CHOSEN = f"WITH {_claiming('t.id = ANY(%s)')} {_READING}"

_LIMITED_WAIT = f"""
SELECT EXISTS (
    SELECT 1 FROM tasks_task t WHERE t.status = '{_RULE.statuses[0]}' AND t.mapping_id = ANY(%s)
) AS some
"""

_CANDIDATES = f"""
SELECT q.id, q.mapping_id, q.priority FROM unnest(%s::bigint[], %s::int[]) AS m(mapping_id, free)
CROSS JOIN LATERAL (
    SELECT t.id, t.mapping_id, t.priority FROM tasks_task t WHERE {_STARTABLE} AND t.mapping_id = m.mapping_id
    ORDER BY t.priority DESC, t.id LIMIT m.free
) q
UNION ALL (
    SELECT t.id, NULL, t.priority FROM tasks_task t WHERE {_STARTABLE} AND {_OTHERS}
    ORDER BY t.priority DESC, t.id LIMIT %s
)
ORDER BY priority DESC, id
"""
# Those without limits are not taken here: they only keep their turn.

_ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('bptl_limited_claim')) AS alone"
"""One worker at a time counts what runs and begins more. Nobody waits for another: a paused one would hinder all."""

BUSY = 0.02
"""Seconds until a worker tries again that found another one at it."""


def claim(process_id: uuid.UUID, *, places: int, limited: Limited | None = None) -> list[Claim]:
    """Take at most ``places`` queued tasks, by priority and age; empty when there are none or we count as dead.

    ``limited`` is what this worker knows of limits, and is told when a rate allows more; None: it asks. Where nothing
    is limited this is one statement. Limited tasks are asked for first, so that they come to their turn while all
    places are taken.
    """
    limited = limited if limited is not None else Limited(limits.limited_mappings())
    limited.next_in = None
    if places <= 0:
        return []
    if not limited.mapping_ids:
        return [Claim(*row) for row in sql.query(_CLAIM, [process_id, places, process_id])]
    ids = list(limited.mapping_ids)
    (wait,) = sql.query(_LIMITED_WAIT, [ids])
    claims = _claim_limited(process_id, places, limited) if wait.some else []
    others = sql.query(_CLAIM_OTHERS, [process_id, ids, places - len(claims), process_id])
    return claims + [Claim(*row) for row in others]


def _claim_limited(process_id: uuid.UUID, places: int, limited: Limited) -> list[Claim]:
    """Take those of limited tasks whose turn it is and whose limits all have room."""
    known = limits.read()
    limited.next_in = _next_in(known)
    if not any(limit.queued and limit.free > 0 for limit in known):
        return []
    with transaction.atomic():
        (busy,) = sql.query(_ALONE)
        if not busy.alone:
            limited.next_in = BUSY
            return []
        known = limits.read()
        chosen = _chosen(known, places)
        rows = sql.query(_CLAIM_CHOSEN, [process_id, chosen, places, process_id]) if chosen else []
        claims = [replace(Claim(*row), limited=True) for row in rows]
        for claimed in claims:
            for limit in limits.of(known, claimed.mapping_id):
                limit.begin()
        if claims:
            limits.use(known)
    limited.next_in = _next_in(known)
    return claims


def _chosen(known: Sequence[Limit], places: int) -> list[int]:
    """The limited tasks among the next ``places`` of all that may begin, passing over those without room."""
    left = [replace(limit) for limit in known]
    free = {
        mapping_id: min(limit.free for limit in limits.of(left, mapping_id))
        for mapping_id in frozenset[int]().union(*(limit.mapping_ids for limit in left))
    }
    open_ = {mapping_id: int(min(room, places)) for mapping_id, room in free.items() if room > 0}
    candidates = sql.query(_CANDIDATES, [list(open_), list(open_.values()), list(free), places])

    def taken() -> Iterator[Any]:
        for candidate in candidates:
            holding = limits.of(left, candidate.mapping_id)
            if all(limit.free > 0 for limit in holding):
                for limit in holding:
                    limit.begin()
                yield candidate

    return [candidate.id for candidate in islice(taken(), places) if candidate.mapping_id is not None]


def _next_in(known: Sequence[Limit]) -> float | None:
    """Seconds until a rate lets the next of what is queued begin; None where that is up to others."""
    return min((limit.next_in for limit in known if limit.queued > 0 and limit.next_in is not None), default=None)
