"""Tasks that an engine offers again from a moment that we know: a parked poll sleeps through it.

Engines wake parked polls for new tasks and for unlocking, not for a retry whose wait is over, a lock that ran out or
retries that were raised (tests/engines/test_long_poll.py). So whoever brings that about writes ``retry_at``, and a
polling line asks here when to fetch once more without waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bptl.tasks import sql
from bptl.tasks.intake.fetches import FETCH_LIMIT


@dataclass(frozen=True, slots=True)
class Due:
    """How many tasks fell due until ``as_of``, and the wait (seconds) until the next one, if there is one in sight."""

    tasks: int
    as_of: datetime | None = None
    next_in: float | None = None


_DUE = """
SELECT retry_at <= now() AS due, extract(epoch FROM retry_at - now())::float8 AS seconds, now() AS as_of
FROM tasks_task WHERE engine_id = %s AND topic = ANY(%s) AND retry_at <= now() + %s
ORDER BY retry_at LIMIT %s
"""

_FORGET = "UPDATE tasks_task SET retry_at = NULL WHERE engine_id = %s AND topic = ANY(%s) AND retry_at <= %s"


def due(engine_id: int, topics: Sequence[str], *, within: timedelta) -> Due:
    """What of these topics is due now, and what falls due ``within`` that time."""
    rows = sql.query(_DUE, [engine_id, list(topics), within, FETCH_LIMIT])
    tasks = sum(row.due for row in rows)
    if tasks:
        return Due(tasks, as_of=rows[0].as_of)
    return Due(0, next_in=rows[0].seconds if rows else None)


def forget(engine_id: int, topics: Sequence[str], *, until: datetime) -> None:
    """A fetch brought less than it asked for: what was due until then and did not come is not offered (any more)."""
    sql.query(_FORGET, [engine_id, list(topics), until])
