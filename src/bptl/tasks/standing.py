"""What is under way, for monitoring: how many tasks stand where, of which engine and topic, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bptl.tasks import sql
from bptl.tasks.lifecycle import Status, outcomes_of

UNDER_WAY = (
    *(Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED),
    *(Status.UNCERTAIN, Status.RETURNED),
)
"""Where a task can stand that is not over."""

MANY = 20_000
"""Tasks of one status, the first seen ones, that are counted: the cost stays flat however much waits."""


@dataclass(frozen=True, slots=True)
class Standing:
    """So many tasks of an engine (None: of none) and topic have a status; ``oldest`` seconds the one that has had it
    longest."""

    status: Status
    engine_id: int | None
    topic: str
    amount: int
    oldest: float


_EACH = """(SELECT status, engine_id, topic, changed_at FROM tasks_task
    WHERE status = '{status}' AND outcome = '{outcome}' ORDER BY id * -1 DESC LIMIT {most})"""

_STANDING = (
    "SELECT status, engine_id, topic, count(*) AS amount,"
    " greatest(0, extract(epoch FROM now() - min(changed_at)))::float8 AS oldest FROM ("
    + " UNION ALL ".join(
        _EACH.format(status=status, outcome=outcome, most=MANY)
        for status in UNDER_WAY
        for outcome in sorted(outcomes_of(status))
    )
    + ") t GROUP BY status, engine_id, topic"
)


def standing() -> Sequence[Standing]:
    """All that is under way; of each status MANY tasks at most are counted, the first seen ones."""
    return [
        Standing(Status(row.status), row.engine_id, row.topic, row.amount, row.oldest) for row in sql.query(_STANDING)
    ]
