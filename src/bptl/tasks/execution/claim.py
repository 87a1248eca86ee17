"""A worker claims as many queued tasks as it has free places, in one statement."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bptl.tasks import sql
from bptl.tasks.lifecycle import MOVES, Move


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that this process runs now, under a lease of its own. ``variables`` are in their wire form.

    ``lock_ms`` is the length of the lock, ``locked_ms`` what is left of it, and ``queued_ms`` how long the lease waited
    to be claimed, by PostgreSQL's clock.
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


_RULE = MOVES[Move.CLAIM]

_CLAIM = f"""
WITH picked AS (
    SELECT t.id, t.lease_id FROM tasks_task t
    WHERE t.status = '{_RULE.statuses[0]}'
      AND EXISTS (SELECT 1 FROM tasks_process p WHERE p.id = %s AND p.stopped_at IS NULL AND NOT p.draining)
      AND EXISTS (SELECT 1 FROM tasks_lease l WHERE l.id = t.lease_id AND l.locked_until > now())
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
)
SELECT s.id AS task_id, s.lease_id, h.worker_id, s.engine_id, s.external_id, s.topic, s.mapping_id,
    s.attempts AS attempt, s.crashes, s.variables, s.extension_properties, s.engine_retries, s.process_instance_id,
    s.process_definition_id, s.process_definition_key, s.execution_id, s.activity_id, s.business_key, s.tenant_id,
    h.lock_ms,
    (extract(epoch FROM h.locked_until - now()) * 1000)::float8 AS locked_ms,
    (extract(epoch FROM now() - h.recorded_at) * 1000)::float8 AS queued_ms
FROM started s JOIN held h ON h.id = s.lease_id
ORDER BY s.priority DESC, s.id
"""


def claim(process_id: uuid.UUID, *, places: int) -> list[Claim]:
    """Take at most ``places`` queued tasks, by priority and age; empty when there are none or we count as dead."""
    if places <= 0:
        return []
    return [Claim(*row) for row in sql.query(_CLAIM, [process_id, places, process_id])]
