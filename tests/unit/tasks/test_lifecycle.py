"""The design's section 2, move by move and decision by decision."""

from __future__ import annotations

import pytest

from bptl.tasks.lifecycle import (
    MOVES,
    Move,
    NotFoundMeaning,
    Outcome,
    Status,
    TransitionRefused,
    allowed,
    decide_new_lease,
    meaning_of_not_found,
    new_lease_cases,
    outcomes_of,
)

EVERYWHERE = [(status, outcome) for status in Status for outcome in outcomes_of(status)]

# Written down from the design, not from the code: from where a move may start and where it leads.
DESIGN: dict[Move, tuple[set[str], str]] = {
    Move.CLAIM: ({"queued"}, "running"),
    Move.PERFORM: ({"running"}, "performed"),
    Move.WAIT: ({"running"}, "waiting"),
    Move.ANSWER: ({"waiting", "waiting completed", "waiting failed", "waiting thrown"}, "performed"),
    Move.DOUBT: ({"running"}, "uncertain"),
    Move.RETURN: ({"queued", "running"}, "returned"),
    Move.LOSE: (
        {"queued", "running", "returned", "delivered failed"}
        | {f"waiting{outcome}" for outcome in ("", " completed", " failed", " thrown")}
        | {"performed completed", "performed failed", "performed thrown"},
        "lost",
    ),
    Move.DELIVER: ({"performed completed", "performed failed", "performed thrown"}, "delivered"),
    Move.CONFIRM: ({"uncertain"}, "performed"),
    Move.SETTLE: ({"uncertain"}, "returned"),
    Move.GIVE_UP: ({"uncertain"}, "delivered"),
    Move.COMPLETE_BY_HAND: ({"uncertain", "returned", "delivered failed"}, "performed"),
}


def where(status: Status, outcome: Outcome) -> str:
    return f"{status} {outcome}".strip()


def test_every_move_of_the_design_exists_and_no_other() -> None:
    assert set(DESIGN) == set(MOVES) == set(Move)


@pytest.mark.parametrize(("status", "outcome"), EVERYWHERE)
@pytest.mark.parametrize("move", Move)
def test_a_move_is_allowed_exactly_where_the_design_says_so(move: Move, status: Status, outcome: Outcome) -> None:
    sources, _ = DESIGN[move]
    assert allowed(move, status, outcome) == (where(status, outcome) in sources)


@pytest.mark.parametrize("move", Move)
def test_a_move_leads_where_the_design_says(move: Move) -> None:
    assert MOVES[move].target == DESIGN[move][1]


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.LOST])
def test_no_move_of_ours_leaves_an_end_but_that_of_a_failed_task(status: Status) -> None:
    leaving = {(move, outcome) for move in Move for outcome in outcomes_of(status) if allowed(move, status, outcome)}
    ways = {(Move.COMPLETE_BY_HAND, Outcome.FAILED), (Move.LOSE, Outcome.FAILED)}
    assert leaving == (ways if status is Status.DELIVERED else set())


def test_only_what_has_ended_work_has_an_outcome() -> None:
    certain = {status for status in Status if Outcome.NONE not in outcomes_of(status)}
    never = {status for status in Status if outcomes_of(status) == (Outcome.NONE,)}
    assert certain == {Status.PERFORMED, Status.DELIVERED}
    assert never == {Status.QUEUED, Status.RUNNING, Status.RETURNED, Status.UNCERTAIN}


NEW_LEASE = {
    "queued": ("queued", "queued"),
    "running": ("queued", "queued"),
    "returned": ("queued", "queued"),
    "delivered failed": ("queued", "queued"),
    "lost": ("queued", "queued"),
    "performed completed": ("performed", "performed"),
    "performed thrown": ("performed", "performed"),
    "performed failed": ("performed", "queued"),
    "delivered completed": ("performed", "performed"),
    "delivered thrown": ("performed", "performed"),
    "lost completed": ("performed", "performed"),
    "lost thrown": ("performed", "performed"),
    "lost failed": ("performed", "queued"),
    "waiting": ("waiting", "waiting"),
    "waiting completed": ("waiting", "waiting"),
    "waiting failed": ("waiting", "waiting"),
    "waiting thrown": ("waiting", "waiting"),
    "uncertain": ("uncertain", "uncertain"),
}
"""What a new lease makes of a task: when the engine has not heard its failure, and when it has."""


def test_the_table_of_new_leases_is_whole() -> None:
    assert {where(status, outcome) for status, outcome in EVERYWHERE} == set(NEW_LEASE)
    cases = list(new_lease_cases())
    assert len(cases) == len({case[:3] for case in cases}) == 2 * len(EVERYWHERE)


@pytest.mark.parametrize(("status", "outcome", "heard", "decided"), list(new_lease_cases()))
def test_a_new_lease_decides_as_the_design_says(status: Status, outcome: Outcome, heard: bool, decided: Status) -> None:
    assert decided == decide_new_lease(status, outcome, engine_knows_failure=heard)
    assert decided == NEW_LEASE[where(status, outcome)][heard]


def test_v10_a_failure_that_the_engine_has_heard_is_not_reported_again_but_run_again() -> None:
    assert decide_new_lease(Status.PERFORMED, Outcome.FAILED, engine_knows_failure=True) is Status.QUEUED
    assert decide_new_lease(Status.PERFORMED, Outcome.FAILED, engine_knows_failure=False) is Status.PERFORMED


@pytest.mark.parametrize(
    ("tries", "by_author", "meaning"),
    [
        (1, True, NotFoundMeaning.LOST),
        (2, True, NotFoundMeaning.ASSUMED),
        (1, False, NotFoundMeaning.ASSUMED),
        (7, False, NotFoundMeaning.ASSUMED),
    ],
)
def test_v3_v4_not_found_means_lost_only_on_the_first_try_by_the_author(
    tries: int, by_author: bool, meaning: NotFoundMeaning
) -> None:
    assert meaning_of_not_found(tries=tries, by_author=by_author) is meaning


def test_a_refused_move_says_where_the_task_is_and_what_the_move_needs() -> None:
    refused = TransitionRefused(Move.COMPLETE_BY_HAND, task_id=7, status="delivered", outcome="completed")
    assert (refused.task_id, refused.status, refused.outcome) == (7, "delivered", "completed")
    assert str(refused) == (
        "task 7 is delivered (completed): it cannot complete_by_hand; "
        "that needs delivered (failed) or returned or uncertain"
    )
