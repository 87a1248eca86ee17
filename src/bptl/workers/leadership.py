"""Who polls which filter group: rows that expire after 10 s and are renewed every 3 s. They only save requests."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from bptl.tasks import sql

Line = tuple[int, int]
"""(engine id, number of the filter group)."""

RENEW_EVERY = 3.0

_HOLD = """
INSERT INTO tasks_pollleadership (engine_id, ordinal, process_id, expires_at)
SELECT engine_id, ordinal, %s, now() + interval '10 seconds'
FROM unnest(%s::bigint[], %s::int[]) AS l(engine_id, ordinal)
ON CONFLICT (engine_id, ordinal) DO UPDATE SET process_id = excluded.process_id, expires_at = excluded.expires_at
WHERE tasks_pollleadership.expires_at < now() OR tasks_pollleadership.process_id = excluded.process_id
RETURNING engine_id, ordinal
"""


def hold(process_id: uuid.UUID, lines: Sequence[Line]) -> set[Line]:
    """Take or renew what is free; answers the lines that this process leads now."""
    if not lines:
        return set()
    rows = sql.query(_HOLD, [process_id, [line[0] for line in lines], [line[1] for line in lines]])
    return {(row.engine_id, row.ordinal) for row in rows}


def release(process_id: uuid.UUID) -> None:
    """Let others take over at once."""
    sql.query("DELETE FROM tasks_pollleadership WHERE process_id = %s", [process_id])
