"""The lifecycle of a task: all states, all moves, and what a new lease decides. Pure: no row, no clock, no network.

    queued → running → performed → delivered
    running → waiting → performed            the unit answered *pending*
    running → uncertain                      an effect may have happened and nobody can be asked
    queued | running → returned              the lease ended without outcome: the task lies in the engine
    any but delivered (completed, thrown) and uncertain → lost   the engine no longer knows the task
    uncertain → performed                    a person says *it happened* and that is the whole result
    uncertain → returned                     a person settled every open effect: the next lease runs the unit again
    uncertain → delivered (failed)           a person gave up
    uncertain | returned | delivered (failed) → performed   a person completed it by hand

Rows change only through ``MOVES``; the modules beside this one build their guarded UPDATEs from it, so that SQL and
this page cannot disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where a task is."""

    QUEUED = "queued"
    """We hold a lease and nobody works on it yet."""
    RUNNING = "running"
    """A worker runs the unit."""
    WAITING = "waiting"
    """The unit answered *pending*: somebody outside will complete it."""
    PERFORMED = "performed"
    """The work has an outcome that the engine has not (certainly) heard."""
    DELIVERED = "delivered"
    """The engine has taken the outcome."""
    RETURNED = "returned"
    """Our lease ended without outcome: it lies in the engine for the next fetch."""
    UNCERTAIN = "uncertain"
    """An effect may have happened: parked until a person decides."""
    LOST = "lost"
    """The engine no longer knows the task."""


class Outcome(StrEnum):
    """How the work ended."""

    NONE = ""
    """Not yet."""
    COMPLETED = "completed"
    """Done, with variables."""
    FAILED = "failed"
    """An error, with the number of retries that are left."""
    THROWN = "thrown"
    """A BPMN error for the model to catch."""


REMOVED = "removed_by_retention"
"""Key of what stands where a result, an error, or the arguments of an effect were, once retention has removed them."""


class LeaseEnd(StrEnum):
    """Why a lease ended."""

    DELIVERED = "delivered"
    """Its report was taken."""
    GIVEN_BACK = "given_back"
    """We gave it back before an outcome was there."""
    EXPIRED = "expired"
    """Its lock ran out."""
    REFUSED = "refused"
    """The engine refused an extension or a report: the lock is not ours."""
    PROCESS_DEAD = "process_dead"
    """The process that held it died."""
    SUPERSEDED = "superseded"
    """A newer lease of the same task came."""
    LOST = "lost"
    """The engine no longer knows the task."""


class Move(StrEnum):
    """A named step between states."""

    CLAIM = "claim"
    PERFORM = "perform"
    WAIT = "wait"
    ANSWER = "answer"
    DOUBT = "doubt"
    RETURN = "return"
    LOSE = "lose"
    DELIVER = "deliver"
    CONFIRM = "confirm"
    SETTLE = "settle"
    GIVE_UP = "give_up"
    COMPLETE_BY_HAND = "complete_by_hand"


@dataclass(frozen=True, slots=True)
class Rule:
    """From which (status, outcome) pairs a move leads to which status."""

    sources: frozenset[tuple[Status, Outcome]]
    target: Status

    @property
    def statuses(self) -> tuple[Status, ...]:
        """The statuses it starts from, in the order of Status."""
        return tuple(status for status in Status if any(source == status for source, _ in self.sources))


def _from(
    statuses: Collection[Status], outcomes: Collection[Outcome] | None = None
) -> frozenset[tuple[Status, Outcome]]:
    return frozenset(
        (status, outcome)
        for status in statuses
        for outcome in (outcomes if outcomes is not None else outcomes_of(status))
    )


_WITH_OUTCOME = (Outcome.COMPLETED, Outcome.FAILED, Outcome.THROWN)


def outcomes_of(status: Status) -> tuple[Outcome, ...]:
    """The outcomes that a task of this status may have; the table has a check constraint that says the same."""
    match status:
        case Status.PERFORMED | Status.DELIVERED:
            return _WITH_OUTCOME
        case Status.LOST | Status.WAITING:
            return (Outcome.NONE, *_WITH_OUTCOME)
        case _:
            return (Outcome.NONE,)


MOVES: dict[Move, Rule] = {
    Move.CLAIM: Rule(_from([Status.QUEUED]), Status.RUNNING),
    Move.PERFORM: Rule(_from([Status.RUNNING]), Status.PERFORMED),
    Move.WAIT: Rule(_from([Status.RUNNING]), Status.WAITING),
    Move.ANSWER: Rule(_from([Status.WAITING]), Status.PERFORMED),
    Move.DOUBT: Rule(_from([Status.RUNNING]), Status.UNCERTAIN),
    Move.RETURN: Rule(_from([Status.QUEUED, Status.RUNNING]), Status.RETURNED),
    Move.LOSE: Rule(
        _from([Status.QUEUED, Status.RUNNING, Status.WAITING, Status.PERFORMED, Status.RETURNED])
        | _from([Status.DELIVERED], [Outcome.FAILED]),
        Status.LOST,
    ),
    Move.DELIVER: Rule(_from([Status.PERFORMED]), Status.DELIVERED),
    Move.CONFIRM: Rule(_from([Status.UNCERTAIN]), Status.PERFORMED),
    Move.SETTLE: Rule(_from([Status.UNCERTAIN]), Status.RETURNED),
    Move.GIVE_UP: Rule(_from([Status.UNCERTAIN]), Status.DELIVERED),
    Move.COMPLETE_BY_HAND: Rule(
        _from([Status.UNCERTAIN, Status.RETURNED]) | _from([Status.DELIVERED], [Outcome.FAILED]), Status.PERFORMED
    ),
}


class TransitionRefused(Exception):
    """A move was asked of a task that is elsewhere (or whose lease is not the one named)."""

    def __init__(self, move: Move, *, task_id: int, status: str, outcome: str = "") -> None:
        self.move = move
        self.task_id = task_id
        self.status = status
        self.outcome = outcome
        where = f"{status} ({outcome})" if outcome else status
        super().__init__(f"task {task_id} is {where}: it cannot {move}; that needs {_sources_text(move)}")


def allowed(move: Move, status: Status, outcome: Outcome) -> bool:
    """Whether ``move`` may start from (status, outcome)."""
    return (status, outcome) in MOVES[move].sources


def decide_new_lease(status: Status, outcome: Outcome, *, engine_knows_failure: bool) -> Status:
    """What a new lease of a known external task makes of it.

    ``engine_knows_failure``: the fetch's errorDetails begin with the stored outcome's id, so that failure has been
    heard and this lease is the retry. ``queued`` forgets the old outcome and runs the unit; ``performed`` keeps it
    and only delivers.
    """
    match status:
        case Status.WAITING | Status.UNCERTAIN:
            return status
        case Status.QUEUED | Status.RUNNING | Status.RETURNED:
            return Status.QUEUED
        case Status.DELIVERED:
            return Status.QUEUED if outcome is Outcome.FAILED else Status.PERFORMED
        case Status.PERFORMED | Status.LOST:
            if outcome is Outcome.NONE or (outcome is Outcome.FAILED and engine_knows_failure):
                return Status.QUEUED
            return Status.PERFORMED


def new_lease_cases() -> Iterator[tuple[Status, Outcome, bool, Status]]:
    """Every (status, outcome, engine_knows_failure) with its decision: the table that intake's SQL is made of."""
    for status in Status:
        for outcome in outcomes_of(status):
            for known in (False, True):
                yield status, outcome, known, decide_new_lease(status, outcome, engine_knows_failure=known)


class NotFoundMeaning(StrEnum):
    """What a 404 to a report says."""

    LOST = "lost"
    ASSUMED = "assumed"


def meaning_of_not_found(*, tries: int, by_author: bool) -> NotFoundMeaning:
    """A 404 means *lost* only on the first try ever made for this outcome, by the process that stored it.

    ``tries`` counts this try. In every other case an earlier try may have been taken: delivered, marked assumed.
    """
    return NotFoundMeaning.LOST if tries == 1 and by_author else NotFoundMeaning.ASSUMED


def _sources_text(move: Move) -> str:
    texts = []
    for status in MOVES[move].statuses:
        outcomes = {outcome for source, outcome in MOVES[move].sources if source == status}
        some = outcomes != set(outcomes_of(status))
        texts.append(f"{status} ({', '.join(sorted(outcomes))})" if some else str(status))
    return " or ".join(texts)
