"""Counting what ended, minute by minute: twice each, soon for who looks now, and once all of it was delivered.

Pages draw a day from 1,440 rows, however many tasks it had (docs/adr/0025-minutes.md).
"""

from __future__ import annotations

from datetime import timedelta

from bptl.tasks import sql
from bptl.tasks.latencies import step_of

KEPT = timedelta(days=2)
LOOK_BACK = timedelta(days=1)
"""Older minutes are not counted any more."""

FINAL_AFTER = timedelta(minutes=6)
"""A lock lasts five minutes by default: what one lease performed is delivered by then, or comes with another lease."""

AT_ONCE = 120
"""Minutes of one statement, newest first: a day that nobody counted is made up for in twelve runs."""

_MILLISECONDS = "extract(epoch FROM l.ended_at - l.recorded_at) * 1000"

_COUNT = f"""
WITH due AS MATERIALIZED (
    SELECT d.start FROM generate_series(
        date_trunc('minute', now()) - %s::interval, date_trunc('minute', now()) - interval '1 minute', '1 minute'
    ) AS d(start) LEFT JOIN tasks_minute m ON m.start = d.start
    WHERE m.start IS NULL OR (NOT m.final AND d.start < now() - %s::interval)
    ORDER BY d.start DESC LIMIT {AT_ONCE}
), ended AS MATERIALIZED (
    SELECT due.start, l.outcome, CASE WHEN l.ended_as = 'delivered' THEN {step_of(_MILLISECONDS)} END AS step
    FROM due CROSS JOIN LATERAL (
        SELECT outcome, ended_as, ended_at, recorded_at FROM tasks_lease
        WHERE performed_at >= due.start AND performed_at < due.start + interval '1 minute' AND outcome <> ''
    ) l
), outcomes AS (
    SELECT start, count(*) FILTER (WHERE outcome = 'completed') AS completed,
        count(*) FILTER (WHERE outcome = 'failed') AS failed, count(*) FILTER (WHERE outcome = 'thrown') AS thrown
    FROM ended GROUP BY start
), latencies AS (
    SELECT start, jsonb_object_agg(step, amount) AS latencies
    FROM (SELECT start, step, count(*) AS amount FROM ended WHERE step IS NOT NULL GROUP BY start, step) s
    GROUP BY start
)
INSERT INTO tasks_minute (start, completed, failed, thrown, latencies, final)
SELECT due.start, coalesce(completed, 0), coalesce(failed, 0), coalesce(thrown, 0), coalesce(latencies, '{{}}'),
    due.start < now() - %s::interval
FROM due LEFT JOIN outcomes USING (start) LEFT JOIN latencies USING (start)
ON CONFLICT (start) DO UPDATE SET completed = EXCLUDED.completed, failed = EXCLUDED.failed, thrown = EXCLUDED.thrown,
    latencies = EXCLUDED.latencies, final = EXCLUDED.final
RETURNING start
"""


def count() -> int:
    """Count the minutes that are due, forget those that nobody looks at any more; answers how many were counted."""
    counted = sql.query(_COUNT, [LOOK_BACK, FINAL_AFTER, FINAL_AFTER])
    sql.query("DELETE FROM tasks_minute WHERE start < now() - %s::interval", [KEPT])
    return len(counted)
