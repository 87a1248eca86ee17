"""A unit answered *pending*: its task waits without a place, unless the answer, or the deadline, was there before."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction

from bptl.lib.log import get_logger
from bptl.tasks import completions, sql
from bptl.tasks.callbacks import Wanted
from bptl.tasks.completions import State, Terms
from bptl.tasks.endings import Ending
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.lifecycle import MOVES, Move
from bptl.tasks.models import Completion

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A run that ended without an outcome: somebody outside will give it. ``terms`` are those of the run."""

    completion_id: int
    terms: Terms


_RULE = MOVES[Move.WAIT]

_WAIT = f"""
WITH others AS (
    UPDATE tasks_completion SET state = 'open' WHERE task_id = %s AND state = 'awaited' AND id <> %s RETURNING id
), moved AS (
    UPDATE tasks_task t SET status = '{_RULE.target}', reporter_id = NULL, report_tries = 0, report_refusals = 0,
        report_error = '', next_report_at = l.locked_until - l.lock_ms * interval '1 ms' * 2 / 3, changed_at = now()
    FROM tasks_lease l
    WHERE t.id = %s AND t.lease_id = %s AND t.status = '{_RULE.statuses[0]}' AND l.id = t.lease_id
    RETURNING t.id
)
UPDATE tasks_completion SET state = 'awaited', awaited_at = now()
WHERE id = %s AND EXISTS (SELECT 1 FROM moved) AND (SELECT count(*) FROM others) >= 0
RETURNING id
"""
# next_report_at: when the lock must be extended; upkeep does so from now on, whatever becomes of this process.

_CLOSE = "UPDATE tasks_completion SET state = %s, encrypted_token = '' WHERE id = %s"


@transaction.atomic
def wait_for(
    process_id: uuid.UUID, task_id: int, lease_id: uuid.UUID, awaiting: Awaiting, *, callback: Wanted | None = None
) -> Ending | bool:
    """Commit that a task waits. An ending when there is nothing to wait for: it is stored, and this process reports it.
    ``callback`` follows when that ending is a completion.

    True when the task waits, False when its lease has ended meanwhile.
    """
    completion = Completion.objects.select_for_update().filter(pk=awaiting.completion_id).first()
    if completion is None:
        return False  # The task was over so long ago that retention has removed it.
    late = completions.refusal(completion) is completions.Refusal.EXPIRED
    if completion.state in (State.OPEN, State.AWAITED) and not late:
        parameters = [task_id, completion.pk, task_id, lease_id, completion.pk]
        if not sql.query(_WAIT, parameters):
            log.warning("outcome.refused", task_id=task_id, lease=str(lease_id))
            return False
        return True
    if late:
        ending, state = completions.ending_without(completion, awaiting.terms), State.EXPIRED
    else:
        ending, state = completions.ending_of(completion.answer or {}, awaiting.terms), State.USED
    if not store(process_id, [Ended(task_id, lease_id, ending, callback)]):
        return False
    sql.query(_CLOSE, [state, completion.pk])
    return ending
