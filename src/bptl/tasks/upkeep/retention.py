"""Retention: takes away first the personal data of tasks that are over, later their rows, in small steps.

A task is over when its external task is certainly gone: delivered (completed or thrown) and not *assumed*, or lost.
All others keep row and ledger, whatever their age (design, rule 12); an engine that answers 404 for a failed one makes
it lost, so it is asked. A call of the REST API has no external task: it is removed whole, once its caller can no longer
expect the stored answer (docs/adr/0019-retention.md).
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings

from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.lifecycle import REMOVED, Outcome, Status, outcomes_of

log = get_logger(__name__)

STEP = 500
"""Most tasks of one statement: it holds their rows for tens of milliseconds."""

PAUSE = 0.25
"""Seconds between two statements, and at least four times as long as the last one took: the road comes first."""

ASK_AFTER = timedelta(days=1)
"""From then on the engine is asked once a day whether it still has a failed task."""

FORGET_PROCESSES = timedelta(days=30)
"""After that a process that has ended is not named any more as the holder of its leases."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is kept after the end of a task; None is forever. ``data`` counts for all but ``calls``.

    A row that is removed earlier takes its data with it.
    """

    data: timedelta | None
    completed: timedelta | None
    thrown: timedelta | None
    lost: timedelta | None
    calls: timedelta | None

    def rows(self, status: Status, outcome: Outcome) -> timedelta | None:
        """How long the row of a task that ended so is kept."""
        if status is Status.LOST:
            return self.lost
        return self.completed if outcome is Outcome.COMPLETED else self.thrown


def configured() -> Keep:
    """What the settings say: days, 0 for ever."""

    def age(name: str) -> timedelta | None:
        days = getattr(settings, f"BPTL_RETENTION_{name}_DAYS")
        return timedelta(days=days) if days else None

    return Keep(age("DATA"), age("COMPLETED"), age("THROWN"), age("LOST"), age("CALL"))


@dataclass(slots=True)
class Removed:
    """What one run did, in tasks (``processes``: rows of processes); ``more`` says that it left something to do."""

    emptied: int = 0
    deleted: int = 0
    calls: int = 0
    asked: int = 0
    processes: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement that takes the age (timedelta) and the most rows, and answers ``mine`` and ``rows``."""

    counts: str
    statement: str = field(repr=False)
    age: timedelta


OVER = [
    *((Status.DELIVERED, outcome) for outcome in (Outcome.COMPLETED, Outcome.THROWN)),
    *((Status.LOST, outcome) for outcome in outcomes_of(Status.LOST)),
]
"""The states in which a task of an engine is over."""

_TURN = "turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(7201119) AS mine)"
# Never two steps at once in the fleet: a run that finds another one at work ends. The number is only ours.

_PICKED_IDS = "ANY(ARRAY(SELECT id FROM picked))"


def _picked(condition: str) -> str:
    return f"""{_TURN}, picked AS MATERIALIZED (
    SELECT t.id FROM tasks_task t WHERE (SELECT mine FROM turn) AND {condition} AND t.changed_at < now() - %s
    ORDER BY t.changed_at LIMIT %s FOR UPDATE OF t SKIP LOCKED
)"""


def _over(status: Status, outcome: Outcome, *, emptied: bool) -> str:
    # The words of the partial indexes task_to_empty and task_to_delete.
    state = "t.emptied_at > t.changed_at" if emptied else "(t.emptied_at IS NULL OR t.emptied_at <= t.changed_at)"
    return (
        f"t.engine_id IS NOT NULL AND NOT t.assumed AND t.status = '{status}' AND t.outcome = '{outcome}' AND {state}"
    )


_HARMLESS = "'as', 'became', 'try', 'effect', 'stands', 'known_by', 'answer', 'answered', 'variables'"
"""What details of events keep: words of BPTL, keys of effects, names of variables and of colleagues."""


def _empty(status: Status, outcome: Outcome) -> str:
    """Empty tasks and all that belongs to them. Keys of effects stay, and their arguments become REMOVED, which no unit
    can mean: should an engine that was put back to an old backup offer the task again, nothing is repeated in silence.
    Calls to services and callbacks are nothing but data: they go whole, as do addresses that were never used.
    """
    return f"""
WITH {_picked(_over(status, outcome, emptied=False))}, emptied AS (
    UPDATE tasks_task t SET variables = '{{}}', report_error = '', emptied_at = now(),
        result = CASE WHEN t.result IS NOT NULL THEN
            jsonb_strip_nulls(jsonb_build_object('{REMOVED}', true, 'code', t.result->'code')) END
    WHERE t.id = {_PICKED_IDS}
    RETURNING t.id
), leases AS (
    UPDATE tasks_lease l SET error = jsonb_strip_nulls(jsonb_build_object('{REMOVED}', true, 'code', l.error->'code',
        'retries', l.error->'retries', 'wait_ms', l.error->'wait_ms'))
    WHERE l.task_id = {_PICKED_IDS} AND l.error IS NOT NULL
), effects AS (
    UPDATE tasks_effect e SET arguments = '{{"{REMOVED}": true}}', result = NULL, error = ''
    WHERE e.task_id = {_PICKED_IDS}
), events AS (
    UPDATE tasks_event v SET detail = (
        SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each(v.detail) WHERE key IN ({_HARMLESS})
    ) WHERE v.task_id = {_PICKED_IDS} AND v.detail <> '{{}}'
), answers AS (
    UPDATE tasks_completion c SET answer = '{{"{REMOVED}": true}}'
    WHERE c.task_id = {_PICKED_IDS} AND c.state IN ('used', 'expired') AND c.answer IS NOT NULL
), unused AS (
    DELETE FROM tasks_completion c WHERE c.task_id = {_PICKED_IDS} AND c.state NOT IN ('used', 'expired')
), service_calls AS (
    DELETE FROM tasks_servicecall WHERE task_id = {_PICKED_IDS}
), callbacks AS (
    DELETE FROM tasks_callback WHERE task_id = {_PICKED_IDS}
)
SELECT mine, (SELECT count(*) FROM emptied) AS rows FROM turn
"""


def _delete(condition: str) -> str:
    """Delete tasks with all that belongs to them."""
    return f"""
WITH {_picked(condition)}, leases AS (
    DELETE FROM tasks_lease WHERE task_id = {_PICKED_IDS}
), effects AS (
    DELETE FROM tasks_effect WHERE task_id = {_PICKED_IDS}
), events AS (
    DELETE FROM tasks_event WHERE task_id = {_PICKED_IDS}
), service_calls AS (
    DELETE FROM tasks_servicecall WHERE task_id = {_PICKED_IDS}
), callbacks AS (
    DELETE FROM tasks_callback WHERE task_id = {_PICKED_IDS}
), completions AS (
    DELETE FROM tasks_completion WHERE task_id = {_PICKED_IDS}
), gone AS (
    DELETE FROM tasks_task WHERE id = {_PICKED_IDS} RETURNING id
)
SELECT mine, (SELECT count(*) FROM gone) AS rows FROM turn
"""


_CALLS = _delete(
    f"t.engine_id IS NULL AND t.status IN ('{Status.DELIVERED}', '{Status.RETURNED}', '{Status.LOST}')"
    " AND NOT EXISTS (SELECT FROM tasks_effect e WHERE e.task_id = t.id AND e.\"end\" = '')"
)
"""Calls that are over for their callers; an effect whose end nobody knows keeps its call."""

_ASK = f"""
WITH {
    _picked(
        f"t.engine_id IS NOT NULL AND t.status = '{Status.DELIVERED}' AND t.outcome = '{Outcome.FAILED}'"
        " AND t.look_at IS NULL"
    )
}, asked AS (
    UPDATE tasks_task t SET look_at = now() WHERE t.id = {_PICKED_IDS} RETURNING t.id
)
SELECT mine, (SELECT count(*) FROM asked) AS rows FROM turn
"""
"""The sweep asks the engine about what has a time to look."""

_PROCESSES = f"""
WITH {_TURN}, picked AS MATERIALIZED (
    SELECT p.id FROM tasks_process p WHERE (SELECT mine FROM turn) AND p.stopped_at < now() - %s
        AND NOT EXISTS (SELECT FROM tasks_lease l WHERE l.holder_id = p.id AND l.ended_at IS NULL)
        AND NOT EXISTS (SELECT FROM tasks_task t WHERE t.reporter_id = p.id AND t.status = '{Status.PERFORMED}')
        AND NOT EXISTS (SELECT FROM tasks_fetch f WHERE f.process_id = p.id)
        AND NOT EXISTS (SELECT FROM tasks_pollleadership a WHERE a.process_id = p.id)
    LIMIT %s FOR UPDATE OF p SKIP LOCKED
), gone AS (
    DELETE FROM tasks_process WHERE id = {_PICKED_IDS} RETURNING id
)
SELECT mine, (SELECT count(*) FROM gone) AS rows FROM turn
"""


def _steps(keep: Keep) -> Iterator[_Step]:
    """What there is to do, personal data first."""
    for status, outcome in OVER:
        # A row is only deleted when its data are gone: data that would outlive it go when it goes.
        ages = [age for age in (keep.data, keep.rows(status, outcome)) if age is not None]
        if ages:
            yield _Step("emptied", _empty(status, outcome), min(ages))
    if keep.calls is not None:
        yield _Step("calls", _CALLS, keep.calls)
    for status, outcome in OVER:
        age = keep.rows(status, outcome)
        if age is not None:
            yield _Step("deleted", _delete(_over(status, outcome, emptied=True)), age)
    if keep.data is not None or keep.lost is not None:
        yield _Step("asked", _ASK, ASK_AFTER)
    yield _Step("processes", _PROCESSES, FORGET_PROCESSES)


def remove(keep: Keep, *, seconds: float, wait: Callable[[float], bool]) -> Removed:
    """Take away what has been kept long enough, for at most ``seconds``; the next run goes on where this one ended.

    ``wait`` waits (seconds) and answers whether to stop. Each step is one transaction, so that whatever ends a run
    leaves no task half emptied or half deleted.
    """
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    pending = deque(_steps(keep))
    while pending:
        step = pending.popleft()
        started = time.monotonic()
        (answer,) = sql.query(step.statement, [step.age, STEP])
        took = time.monotonic() - started
        counts[step.counts] += answer.rows
        if not answer.mine:
            break
        if answer.rows == STEP:
            pending.append(step)
        if answer.rows and (time.monotonic() - begun > seconds or wait(max(PAUSE, 4 * took))):
            break
    removed = Removed(**counts, more=bool(pending))
    if counts.total():
        log.info("retention.ran", **counts, more=removed.more, seconds=round(time.monotonic() - begun, 1))
    return removed
