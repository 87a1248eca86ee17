"""The ledger of effects: an intent before, what became of it after (design, rule 3).

An intent needs the live lease; a result is written only to the intent of its own lease, and there also after the lease
has ended. We claim *effectively once*: what nobody can be asked about waits for a person.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, TypeVar

from django.db import transaction

from bptl.lib.http import NeverSent
from bptl.lib.json import plain, storable, storable_text
from bptl.lib.log import get_logger
from bptl.lib.redaction import redact, without_own_keys
from bptl.tasks import sql
from bptl.tasks.lifecycle import MOVES, LeaseEnd, Move
from bptl.tasks.models import EFFECT_DOUBLED, Effect, Event
from bptl.work_units.contract import (
    DidNotHappen,
    Happened,
    LeaseEnded,
    NeverAgain,
    ProcessNotFound,
    Uncertain,
    changed,
)
from bptl.work_units.sending import CheckedSending

log = get_logger(__name__)

T = TypeVar("T")

BY_ANSWER = "answer"
"""``known_by`` of what the call itself was answered."""

RETELL_SECONDS = 60.0
"""How long the end of an effect is told to a database that does not answer."""


@dataclass(frozen=True, slots=True)
class Known:
    """One row of the ledger. ``settles_in`` (seconds) may be negative."""

    id: int
    lease_id: uuid.UUID
    arguments: Mapping[str, Any]
    end: str
    result: Any
    settles_in: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """The effects of one task under one lease."""

    task_id: int
    lease_id: uuid.UUID
    external_id: str
    sleep: Callable[[float], None]
    """Waits (seconds), or raises LeaseEnded."""
    check: Callable[[], None]
    """Raises LeaseEnded when the lease has ended."""

    def once(
        self,
        key: str,
        effect: Callable[[Sending], Any],
        *,
        arguments: Mapping[str, Any],
        reconcile: Callable[[], Happened | None] | None,
        idempotent: bool,
        gives_up_after: timedelta,
        settles_after: timedelta,
    ) -> Any:
        """See Work.once."""
        self.check()
        arguments = _kept(dict(arguments))
        known = self._known(key)
        self._compare(key, known, arguments)
        for row in known:
            if row.end == Effect.End.HAPPENED:
                return row.result
        open_rows = [row for row in known if not row.end]
        if open_rows and (answer := self._ask(key, open_rows, reconcile, idempotent=idempotent)) is not None:
            return answer.result
        sending = self._intend(key, arguments, gives_up_after, settles_after)
        return self._do(key, sending, effect, reconcile=reconcile, idempotent=idempotent)

    def _known(self, key: str) -> list[Known]:
        rows = sql.steadily(lambda: sql.query(_KNOWN, [self.task_id, key]), wait=self.sleep)
        return [Known(*row) for row in rows]

    def _compare(self, key: str, known: Sequence[Known], arguments: Mapping[str, Any]) -> None:
        for row in known:
            if row.end == Effect.End.DID_NOT_HAPPEN or row.arguments == arguments:
                continue
            raise changed(key, row.arguments, arguments)

    def _ask(
        self,
        key: str,
        open_rows: Sequence[Known],
        reconcile: Callable[[], Happened | None] | None,
        *,
        idempotent: bool,
    ) -> Happened | None:
        """What became of intents whose end is unknown. None: they did not happen, or repeating does no harm."""
        if idempotent:
            return None
        if reconcile is None:
            raise Uncertain(key, "an earlier attempt ended before it knew, and the service cannot be asked")
        wait = max(row.settles_in for row in open_rows)
        if wait > 0:
            self.sleep(wait)
        answer = reconcile()
        end = Effect.End.DID_NOT_HAPPEN if answer is None else Effect.End.HAPPENED
        result = _kept(answer.result) if answer else None
        for row in open_rows:
            _tell(row.id, row.lease_id, end, known_by="reconciled", result=result, asker=self.lease_id)
        return Happened(result) if answer else None

    def _intend(
        self, key: str, arguments: Mapping[str, Any], gives_up_after: timedelta, settles_after: timedelta
    ) -> Sending:
        parameters = [
            *(key, storable(arguments), gives_up_after, gives_up_after + settles_after),
            *(self.task_id, self.lease_id),
        ]

        def intend() -> tuple[float, list[Any]]:
            asked = time.monotonic()
            return asked, sql.query(_INTEND, parameters)

        asked, rows = sql.steadily(intend, wait=self.sleep)
        if not rows:
            raise LeaseEnded(f"the lease ended before effect {key!r} was intended")
        gives_up_at = asked + gives_up_after.total_seconds()

        def may_send() -> None:
            self.check()
            if time.monotonic() >= gives_up_at:
                raise DidNotHappen("it was not sent in time: a later attempt may already be asking for it")

        return Sending(f"{self.external_id}:{key}", may_send, effect_id=rows[0].id)

    def _do(
        self,
        key: str,
        sending: Sending,
        effect: Callable[[Sending], Any],
        *,
        reconcile: Callable[[], Happened | None] | None,
        idempotent: bool,
    ) -> Any:
        try:
            sending.allow()
            result = effect(sending)
        except BaseException as error:
            if sending.certainly_not(error):
                text = _text(str(error))
                _tell(sending.effect_id, self.lease_id, Effect.End.DID_NOT_HAPPEN, known_by=BY_ANSWER, error=text)
                raise
            text = _text(f"{type(error).__name__}: {error}")
            noted = [text, sending.effect_id]
            sql.steadily(lambda: sql.query(_STILL_OPEN, noted), wait=time.sleep, seconds=RETELL_SECONDS)
            if isinstance(error, Exception) and reconcile is None and not idempotent:
                raise Uncertain(key, text) from error
            raise
        happened = partial(
            _tell, sending.effect_id, self.lease_id, Effect.End.HAPPENED, known_by=BY_ANSWER, may_double=not idempotent
        )
        try:
            kept = _kept(result)
        except (TypeError, ValueError) as error:
            text = _text(f"it happened, but its result cannot be kept: {error}")
            happened(error=text)
            raise NeverAgain(f"effect {key!r}: {text}") from error
        happened(result=kept)
        return kept


@dataclass(slots=True)
class Sending(CheckedSending):
    """What an effect is given; ``effect_id`` is the row of its intent."""

    shows_not: ClassVar[tuple[type[Exception], ...]] = (ProcessNotFound, NeverSent)

    effect_id: int = 0


_KNOWN = """
SELECT id, lease_id, arguments, "end", result, extract(epoch FROM settles_at - now())::float8 AS settles_in
FROM tasks_effect WHERE task_id = %s AND key = %s ORDER BY id
"""

_INTEND = """
INSERT INTO tasks_effect (task_id, key, lease_id, arguments, intended_at, gives_up_at, settles_at, "end", known_by,
    error)
SELECT t.id, %s, t.lease_id, %s::jsonb, now(), now() + %s, now() + %s, '', '', ''
FROM tasks_task t WHERE t.id = %s AND t.lease_id = %s AND t.status = 'running'
FOR UPDATE OF t
ON CONFLICT (task_id, key, lease_id) DO UPDATE SET arguments = excluded.arguments, intended_at = now(),
    gives_up_at = excluded.gives_up_at, settles_at = excluded.settles_at, "end" = '', ended_at = NULL, known_by = '',
    error = ''
WHERE tasks_effect."end" <> 'happened'
RETURNING id
"""
# FOR UPDATE: the lease cannot end between the look and the intent.

_END = """
UPDATE tasks_effect SET "end" = %s, ended_at = now(), known_by = %s, result = %s::jsonb, error = %s
WHERE id = %s AND lease_id = %s
    AND ("end" = '' OR ("end" = 'did_not_happen' AND known_by <> 'answer' AND %s = 'happened'))
RETURNING task_id, key
"""
# The call's own answer knows better than a service that was asked too early, or a person.

_LOCK = """
SELECT t.lease_id FROM tasks_task t JOIN tasks_effect e ON e.task_id = t.id WHERE e.id = %s FOR UPDATE OF t
"""

_TWICE = """
SELECT count(*) AS times FROM tasks_effect WHERE task_id = %s AND key = %s AND "end" = 'happened'
"""

_AS_IT_STANDS = """SELECT task_id, key, "end", known_by, result FROM tasks_effect WHERE id = %s"""

_STILL_OPEN = """UPDATE tasks_effect SET error = %s WHERE id = %s AND "end" = ''"""


def _kept(value: Any) -> Any:
    """The value as the ledger keeps it, and compares it: JSON, without the tokens of completion addresses."""
    kept = plain(value)
    text = json.dumps(kept)
    masked = without_own_keys(text)
    return kept if masked == text else json.loads(masked)


def _text(text: str) -> str:
    """An error as it is kept: without credentials and BSNs, with characters that a database takes."""
    return redact(storable_text(text))


def _tell(effect_id: int, lease_id: uuid.UUID, end: Effect.End, **known: Any) -> None:
    # The lease may have ended: what happened is told all the same.
    sql.steadily(lambda: _end(effect_id, lease_id, end, **known), wait=time.sleep, seconds=RETELL_SECONDS)


def _end(
    effect_id: int,
    lease_id: uuid.UUID,
    end: Effect.End,
    *,
    known_by: str,
    result: Any = None,
    error: str = "",
    may_double: bool = False,
    asker: uuid.UUID | None = None,
) -> None:
    """Write how an intent ended. ``asker`` is the lease that asked about another's intent: it must still live."""
    text = storable(result) if end is Effect.End.HAPPENED else None
    with transaction.atomic():
        # Locked, so that a doubt committed meanwhile sees this answer, or this one sees the doubt.
        task = sql.query(_LOCK, [effect_id])
        if asker is not None and task[0].lease_id != asker:
            raise LeaseEnded("the lease ended while the service was asked")
        rows = sql.query(_END, [end, known_by, text, error, effect_id, lease_id, end])
        if rows:
            _follow(rows[0], lease_id, doubled=may_double and end is Effect.End.HAPPENED)
        elif known_by == BY_ANSWER:
            _came_too_late(effect_id, lease_id, end, result=result, error=error)


def _came_too_late(effect_id: int, lease_id: uuid.UUID, end: Effect.End, *, result: Any, error: str) -> None:
    """The call's own answer does not change what was told before it; where it says something else, it is on record."""
    rows = sql.query(_AS_IT_STANDS, [effect_id])
    if not rows or rows[0].known_by == BY_ANSWER or (rows[0].end == end and rows[0].result == result):
        return
    row = rows[0]
    detail = {"effect": row.key, "stands": row.end, "known_by": row.known_by, "answered": str(end)}
    if error:
        detail["error"] = error
    log.error("effect.contradicted", task_id=row.task_id, **detail)
    Event.objects.create(task_id=row.task_id, lease_id=lease_id, name="effect.contradicted", detail=detail)


def _follow(row: Any, lease_id: uuid.UUID, *, doubled: bool) -> None:
    if doubled and sql.query(_TWICE, [row.task_id, row.key])[0].times > 1:
        # Never silent: a person must look at what happened twice.
        log.error(EFFECT_DOUBLED, task_id=row.task_id, key=row.key)
        Event.objects.create(task_id=row.task_id, lease_id=lease_id, name=EFFECT_DOUBLED, detail={"effect": row.key})
    offer_when_answered(row.task_id)


_OFFER = f"""
WITH moved AS (
    UPDATE tasks_task t SET status = '{MOVES[Move.SETTLE].target}', lease_id = NULL, reporter_id = NULL, parked = false,
        next_report_at = NULL, report_error = '', offer_due = t.engine_id IS NOT NULL,
        look_at = CASE WHEN t.engine_id IS NOT NULL THEN now() END, changed_at = now()
    WHERE t.id = %s AND t.status = '{MOVES[Move.SETTLE].statuses[0]}'
      AND (t.parked OR t.lease_id IS NULL)
      AND NOT EXISTS (SELECT 1 FROM tasks_effect e WHERE e.task_id = t.id AND e."end" = ''
          AND NOT EXISTS (SELECT 1 FROM tasks_effect other
              WHERE other.task_id = t.id AND other.key = e.key AND other."end" = 'happened'))
      AND (%s OR EXISTS (
          SELECT 1 FROM tasks_effect e, (
              SELECT id, claimed_at FROM tasks_lease
              WHERE task_id = t.id AND claimed_at IS NOT NULL ORDER BY number DESC LIMIT 1) run
          WHERE e.task_id = t.id AND e.lease_id <> run.id AND e.ended_at >= run.claimed_at))
    RETURNING t.id, t.last_lease_id
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.GIVEN_BACK}'
    FROM moved WHERE l.id = moved.last_lease_id AND l.ended_at IS NULL
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, last_lease_id, 'task.settled', '', '{{}}'::jsonb FROM moved
RETURNING task_id
"""


def offer_when_answered(task_id: int, *, answered: bool = True) -> bool:
    """A parked task whose last open effect was answered runs again under its next lease, which finds the ledger.

    ``answered``: it was answered just now; else only what was answered since the last run began counts. (A late result
    may come between that run's look and its doubt, or while the parking is under way.) Its retries at the engine are
    given back by the sweep.
    """
    return bool(sql.query(_OFFER, [task_id, answered]))


_BY_PERSON = """
UPDATE tasks_effect SET "end" = %s, ended_at = now(), known_by = %s, result = %s::jsonb
WHERE id = %s AND "end" = ''
RETURNING task_id
"""


def answer(effect_id: int, *, happened: bool, result: Any, actor: str) -> bool:
    """A person says what became of an open effect. False when it is not open (any more)."""
    end = Effect.End.HAPPENED if happened else Effect.End.DID_NOT_HAPPEN
    text = storable(result) if happened else None
    return bool(sql.query(_BY_PERSON, [end, actor, text, effect_id]))
