"""One try to report an outcome to the engine, and what its answer means. No row is touched here.

Sources: `spec/engines.md` A.3, A.4 (answers of complete, failure, bpmnError) and the design's rules 1 and 2.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from bptl.engines.base import (
    Engine,
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    InvalidRequest,
    LockRefused,
    NotAuthenticated,
    NotAuthorized,
    NotFound,
)
from bptl.engines.variables import Variable
from bptl.tasks.lifecycle import REMOVED, NotFoundMeaning, Outcome, meaning_of_not_found


@dataclass(frozen=True, slots=True)
class Report:
    """An outcome on its way: under which lease it is reported, and how often it was tried, this time included.

    ``refusals`` counts how often the engine has refused it; ``by_author``: this process stored the outcome; ``since``
    is the monotonic time from which this process has had it.
    """

    task_id: int
    engine_id: int | None
    external_id: str
    topic: str
    lease_id: uuid.UUID
    worker_id: str
    outcome_id: uuid.UUID
    outcome: Outcome
    result: Mapping[str, Any]
    tries: int
    refusals: int
    by_author: bool
    doubt: bool = False
    """It is no outcome: it parks an uncertain task."""
    trace: str = ""
    """The traceparent of the run, while the process that ran the unit reports."""
    callback: bool = False
    """A callback may follow at once. False where nobody looked: whoever looks for what is due finds it."""
    since: float = field(default_factory=time.monotonic)


class Answer(StrEnum):
    """What became of a try."""

    TAKEN = "taken"
    """The engine took it: delivered."""
    ASSUMED = "assumed"
    """The engine no longer knows the task and an earlier try may have been taken: delivered, marked."""
    LOST = "lost"
    """The engine no longer knows the task and cannot have taken the outcome."""
    LEASE_ENDED = "lease_ended"
    """The lock is not ours: the outcome stays for the next lease."""
    LATER = "later"
    """No usable answer, or a suspended instance: try again, as long as it takes."""
    REFUSED = "refused"
    """The engine tried and failed: try again by the plan of reports, then park."""
    UNACCEPTABLE = "unacceptable"
    """The engine will never take this result: park at once."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A report with its answer. ``wait`` is the engine's wish, if it has one."""

    report: Report
    answer: Answer
    reason: str = ""
    wait: timedelta | None = None


CONFLICT_TRIES = 3
"""A rolled back transaction is sent again at once, this often, before it counts as a refusal."""


def send(report: Report, engine: Engine) -> Verdict:
    """Report once and say what the answer means; asks the engine again where the answer alone says nothing."""
    if REMOVED in report.result:
        return Verdict(report, Answer.UNACCEPTABLE, "its result was removed by retention, after it had been delivered")
    for attempt in range(CONFLICT_TRIES):
        try:
            _send(report, engine)
        except EngineConflict as error:
            if attempt == CONFLICT_TRIES - 1:
                return Verdict(report, Answer.REFUSED, str(error))
        except NotFound as error:
            meaning = meaning_of_not_found(tries=report.tries + attempt, by_author=report.by_author)
            return Verdict(report, Answer.LOST if meaning is NotFoundMeaning.LOST else Answer.ASSUMED, str(error))
        except LockRefused as error:
            return _ask(report, engine, error)
        except InvalidRequest as error:
            return Verdict(report, Answer.UNACCEPTABLE, str(error))
        except EngineRefused as error:
            return Verdict(report, Answer.REFUSED, str(error))
        except EngineUnavailable as error:
            return Verdict(report, Answer.LATER, str(error), error.retry_after)
        except (NotAuthenticated, NotAuthorized) as error:
            return Verdict(report, Answer.LATER, str(error))
        else:
            return Verdict(report, Answer.TAKEN)
    raise AssertionError("unreachable: the last conflict answers")


def _send(report: Report, engine: Engine) -> None:
    result = report.result
    variables = {name: Variable.from_json(data) for name, data in result.get("variables", {}).items()}
    match report.outcome:
        case Outcome.COMPLETED:
            engine.complete(report.external_id, worker_id=report.worker_id, variables=variables)
        case Outcome.THROWN:
            engine.throw(
                report.external_id,
                worker_id=report.worker_id,
                code=result["code"],
                message=result["message"],
                variables=variables,
            )
        case Outcome.FAILED:
            engine.fail(
                report.external_id,
                worker_id=report.worker_id,
                message=result["message"],
                details=details_text(report.outcome_id, result["details"]),
                retries=result["retries"],
                retry_timeout=timedelta(milliseconds=result["wait_ms"]),
            )
        case Outcome.NONE:
            raise ValueError(f"task {report.task_id} has no outcome to report")


def park(report: Report, engine: Engine, reason: str) -> None:
    """Make the task an incident at the engine that says *work done, engine refuses*; raises EngineError.

    The result is kept: the engine still takes a completion from the same worker id after its failure.
    """
    engine.fail(
        report.external_id,
        worker_id=report.worker_id,
        message=f"work done, engine refuses: {reason}",
        details=details_text(report.lease_id, f"The work is done and its result is kept by BPTL.\n{reason}"),
        retries=0,
        retry_timeout=timedelta(),
    )


def details_text(lease_id: uuid.UUID, details: str) -> str:
    """errorDetails begin with a lease id: by that a later fetch shows which failure the engine has heard."""
    return f"{lease_id}\n{details}"


def _ask(report: Report, engine: Engine, refusal: LockRefused) -> Verdict:
    """A 400 says nothing before a GET."""
    try:
        task = engine.get(report.external_id)
    except EngineError as error:
        # Also a 404: a GET never moves a task that has an outcome; the next try will hear 404 itself.
        return Verdict(report, Answer.LATER, f"{refusal} (asked again: {error})")
    if task.worker_id != report.worker_id:
        holder = task.worker_id or "nobody"
        return Verdict(report, Answer.LEASE_ENDED, f"{refusal} (locked by {holder})")
    if task.suspended:
        return Verdict(report, Answer.LATER, f"suspended: {refusal}")
    return Verdict(report, Answer.UNACCEPTABLE, str(refusal))
