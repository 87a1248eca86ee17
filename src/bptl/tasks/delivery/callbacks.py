"""The outbox of callbacks: which are due, one try, and what its answer does to the row.

A callback is due once its task is delivered with the outcome that it belongs to. It is claimed by moving its next try,
so that a sender that dies leaves one that is tried again: at least once, with the same Idempotency-Key.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from bptl.clients import callback
from bptl.clients.errors import Redirected, ServiceError
from bptl.clients.posting import ForbiddenNetwork
from bptl.connections.callbacks import Target
from bptl.lib.log import get_logger
from bptl.lib.redaction import redact
from bptl.tasks import sql
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Callback

log = get_logger(__name__)

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 10, 30, 60))
"""From one try to the next; the last one repeats."""

GIVE_UP_AFTER = timedelta(hours=24)
"""Of the first try; a person who has it tried again begins anew."""

LONGEST_TRY = timedelta(minutes=1)
"""Nobody else takes a callback for so long: a call has given up by then, and what came of it is stored."""

_WAITING = Callback.State.WAITING

_READY = f"""t.status = '{Status.DELIVERED}' AND t.outcome = '{Outcome.COMPLETED}' AND t.outcome_id = c.outcome_id"""

_CLAIM = f"""
UPDATE tasks_callback SET tries = tries + 1, first_try_at = coalesce(first_try_at, now()),
    next_try_at = now() + greatest((%s::interval[])[least(tries + 1, {len(WAITS)})], %s)
WHERE id = (
    SELECT c.id FROM tasks_callback c JOIN tasks_task t ON t.id = c.task_id
    WHERE c.state = '{_WAITING}' AND c.next_try_at <= statement_timestamp() AND {_READY} AND c.place <> ALL(%s::text[])
    ORDER BY c.next_try_at, c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED
)
RETURNING id, task_id, outcome_id, url, place, tries
"""

_DUE = f"""
SELECT EXISTS (
    SELECT FROM tasks_callback c JOIN tasks_task t ON t.id = c.task_id
    WHERE c.state = '{_WAITING}' AND c.next_try_at <= statement_timestamp() AND {_READY}
) AS due
"""

_PUT_OFF = f"""
UPDATE tasks_callback SET next_try_at = now() + interval '1 minute'
WHERE id = ANY(ARRAY(
    SELECT c.id FROM tasks_callback c JOIN tasks_task t ON t.id = c.task_id
    WHERE c.state = '{_WAITING}' AND c.next_try_at <= statement_timestamp()
        AND c.created_at < now() - interval '1 minute' AND NOT ({_READY})
    ORDER BY c.next_try_at LIMIT 1000 FOR UPDATE OF c SKIP LOCKED
))
"""
# What the engine has not taken for a minute it may not take for days: looks for what is due need not pass by it.

_ENDED = """
UPDATE tasks_callback SET state = %s, status = %s, error = %s, next_try_at = NULL, ended_at = now()
WHERE id = %s AND state = 'waiting' AND tries = %s
"""

_FAILED = f"""
UPDATE tasks_callback SET status = %s, error = %s,
    state = CASE WHEN first_try_at < now() - %s THEN '{Callback.State.GIVEN_UP}' ELSE state END,
    ended_at = CASE WHEN first_try_at < now() - %s THEN now() END,
    next_try_at = CASE WHEN first_try_at < now() - %s THEN NULL ELSE next_try_at END
WHERE id = %s AND state = '{_WAITING}' AND tries = %s
RETURNING state
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A claimed callback. ``tries`` counts this one, and fences what is noted of it."""

    id: int
    task_id: int
    outcome_id: uuid.UUID
    url: str
    place: str
    tries: int

    @property
    def key(self) -> str:
        """Its Idempotency-Key."""
        return f"{self.task_id}/{self.outcome_id}"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a try. ``refused``: trying again would not help as things are; ``error`` is empty when it went well.
    ``answered`` is False where the receiver gave no answer at all."""

    due: Due
    status: int | None = None
    error: str = ""
    refused: bool = False
    answered: bool = True


def due() -> bool:
    """Whether one is due; also puts off those whose tasks the engine does not take for now."""
    sql.query(_PUT_OFF)
    (row,) = sql.query(_DUE)
    return bool(row.due)


def take(*, leave: Collection[str]) -> Due | None:
    """Claim the one that is due longest; none to a place of ``leave``."""
    rows = sql.query(_CLAIM, [list(WAITS), LONGEST_TRY, list(leave)])
    return Due(*rows[0]) if rows else None


def attempt(claimed: Due, target: Target) -> Tried:
    """Call once. Needs no database."""
    try:
        status = callback.post(
            target.url,
            key=claimed.key,
            may_reach=target.may_reach,
            headers=target.headers,
            authorities=target.authorities,
        )
    except Redirected as error:
        # Not where to: that address may hold what nobody should read.
        reason = f"{claimed.place} answered {error.status}, a redirect: redirects are not followed"
        return Tried(claimed, error.status, reason, refused=True)
    except ForbiddenNetwork as error:
        return Tried(claimed, None, str(error), refused=True)
    except ServiceError as error:
        return Tried(claimed, error.status, redact(str(error)), answered=error.status is not None)
    return Tried(claimed, status)


def settle(tried: Tried) -> None:
    """Note what came of a try: delivered, refused, or tried again until GIVE_UP_AFTER."""
    claimed = tried.due
    about = {"task_id": claimed.task_id, "place": claimed.place, "tries": claimed.tries}
    if not tried.error:
        _end(tried, Callback.State.DELIVERED)
        log.info("callback.delivered", **about, status=tried.status)
    elif tried.refused:
        _end(tried, Callback.State.REFUSED)
        log.warning("callback.refused", **about, reason=tried.error)
    else:
        rows = sql.query(_FAILED, [tried.status, tried.error, *[GIVE_UP_AFTER] * 3, claimed.id, claimed.tries])
        log.warning("callback.not_delivered", **about, error=tried.error)
        if rows and rows[0].state == Callback.State.GIVEN_UP:
            log.error("callback.given_up", **about, error=tried.error)


def _end(tried: Tried, state: Callback.State) -> None:
    sql.query(_ENDED, [state, tried.status, tried.error, tried.due.id, tried.due.tries])
