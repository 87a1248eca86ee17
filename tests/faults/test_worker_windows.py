"""The crash windows W9–W20 of the existing BPTL: from the unit's beginning to the engine's knowing how it ended.

As in ``test_windows.py`` each is struck exactly there, by a kill and by a stop past the lock. Where the existing BPTL
fails by an answer (W13–W16, W18) the answer itself is tested too, with nobody struck.

W15 had a callback in the report; here nothing follows it but our own note that the engine has taken it. W20 had a poll
without its lock; here two pollers poll at once.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from stage.engines import OPERATON, SANDBOX
from tests.doubles.outlet import Outlet
from tests.faults.blows import CLAIMING, EITHER, NOTING_DELIVERY, Blow, held_writes, struck
from tests.faults.proxy import Answer, Request
from tests.faults.world import (
    BRIEF,
    BRIEF_LIMITED,
    BRIEF_LOCK_SECONDS,
    BRIEF_SEND,
    COMPLETE,
    FAILURE,
    WORKERS,
    World,
)

ENGINES = (SANDBOX, OPERATON)


@pytest.mark.slow
@EITHER
def test_w09_a_worker_is_struck_before_the_effect(world: World, blow: Blow) -> None:
    key = f"w09-{blow}"
    cases = {key: world.held(key, "before", topic=BRIEF)}
    with struck(world, blow, world.part_at(key, "before")):
        world.recorder.release(key, "before")
        world.all_went_well(cases)
    world.all_went_well(cases)


@EITHER
def test_w09_a_worker_is_struck_before_it_knows_what_it_claimed(world: World, blow: Blow) -> None:
    """The claim is carried out and its answer finds nobody."""
    key = f"w09-claim-{blow}"
    with ExitStack() as until_mended:
        for name in WORKERS:
            world.pause(name)
        cases = {key: world.start(key, topic=BRIEF)}
        world.wait("it is queued", lambda: world.task(key)["status"] == "queued")
        with held_writes(world) as held:
            for name in WORKERS:
                world.resume(name)
            held.wait_for(CLAIMING)
            until_mended.enter_context(struck(world, blow, *WORKERS))
    world.all_went_well(cases)


@EITHER
def test_w10_a_worker_is_struck_when_the_effect_has_happened(world: World, blow: Blow) -> None:
    """With a service that can be asked: no person is needed."""
    key = f"w10-{blow}"
    world.recorder.misbehave(key, "late")
    cases = {key: world.start(key, topic=BRIEF, points=True)}
    world.wait("the effect happened", lambda: world.recorder.count(key) == 1)
    with struck(world, blow, world.part_at(key, "before")):
        world.all_went_well(cases)
    world.all_went_well(cases)
    assert len(world.recorder.attempts_at(key, "before")) > 1


@pytest.mark.slow
@EITHER
def test_w10_an_effect_that_nobody_can_be_asked_about_waits_for_a_person(world: World, blow: Blow) -> None:
    key = f"w10-send-{blow}"
    world.recorder.misbehave(key, "late")
    case = world.start(key, topic=BRIEF_SEND, points=True)
    world.wait("the effect happened", lambda: world.recorder.count(key) == 1)
    with struck(world, blow, world.part_at(key, "before")):
        world.wait("it is an incident", lambda: bool(world.incidents(case)))
    assert world.task(key)["status"] == "uncertain"
    assert not world.ended(case)
    number = str(world.task(key)["id"])
    world.topology.bptl("tasks", "complete", number, "--var", "number=1", "--reason", "the recorder shows it")
    world.all_went_well({key: case})


@EITHER
def test_w11_a_worker_is_struck_when_the_outcome_is_stored_and_not_sent(world: World, blow: Blow) -> None:
    """Its request reaches the engine when another has reported already."""
    key = f"w11-{blow}"
    cases = {key: world.held(key, "after", topic=BRIEF)}
    report = world.report_of(key, COMPLETE)
    with ExitStack() as until_mended, world.proxy.fault(report, request="held") as complete:
        world.recorder.release(key, "after")
        complete.wait()
        until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
        world.all_went_well(cases)
    world.all_went_well(cases)
    assert world.recorder.attempts_at(key, "after") == [1]


@EITHER
def test_w12_a_worker_is_struck_when_the_engine_has_taken_the_outcome(world: World, blow: Blow) -> None:
    key = f"w12-{blow}"
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "after", topic=BRIEF)}
        with world.proxy.fault(world.report_of(key, COMPLETE), answer="held") as complete:
            world.recorder.release(key, "after")
            complete.wait()
            until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
        world.all_went_well(cases)
    _is_known_as_completed(world, key)
    world.all_went_well(cases)


@EITHER
def test_w12_a_callback_follows_though_its_worker_is_struck_before_it_could_call(
    world: World, outlet: Outlet, blow: Blow
) -> None:
    key = f"w12-callback-{blow}"
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "after", topic=BRIEF, callbackUrl=f"{outlet.root}{key}")}
        with world.proxy.fault(world.report_of(key, COMPLETE), answer="held") as complete:
            world.recorder.release(key, "after")
            complete.wait()
            assert outlet.calls == []
            until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
        world.all_went_well(cases)
    world.wait("its receiver is called", lambda: bool(outlet.calls), seconds=120)
    assert {call.path for call in outlet.calls} == {f"/{key}"}
    assert len({call.key for call in outlet.calls}) == 1
    world.all_went_well(cases)


@EITHER
def test_w13_a_worker_is_struck_when_complete_was_refused_by_a_proxy(world: World, blow: Blow) -> None:
    key = f"w13-{blow}"
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "after", topic=BRIEF)}
        with world.proxy.fault(world.report_of(key, COMPLETE), status=503, times=1000) as refused:
            world.recorder.release(key, "after")
            refused.wait()
            until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
        world.all_went_well(cases)
    world.all_went_well(cases)
    assert world.recorder.attempts_at(key, "after") == [1]


def test_w13_complete_is_refused_by_whoever_stands_before_the_engine(world: World) -> None:
    cases = {}
    for status in (503, 401, 500):
        key = f"w13-{status}"
        cases[key] = world.held(key, "after", topic=BRIEF)
        with world.proxy.fault(world.report_of(key, COMPLETE), status=status, times=2) as refused:
            world.recorder.release(key, "after")
            world.wait(f"{status} twice", lambda counted=refused: counted.caught == 2)  # type: ignore[misc]
    cases["w13-cut"] = world.held("w13-cut", "after", topic=BRIEF)
    with world.proxy.fault(world.report_of("w13-cut", COMPLETE), request="cut") as cut:
        world.recorder.release("w13-cut", "after")
        cut.wait()

    world.all_went_well(cases)
    assert all(world.recorder.attempts_at(key, "after") == [1] for key in cases)


@pytest.mark.slow
@EITHER
def test_w14_a_worker_is_struck_when_a_500_is_on_its_way_that_hides_a_completion(world: World, blow: Blow) -> None:
    key = f"w14-{blow}"
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "after", topic=BRIEF)}
        with world.proxy.fault(world.report_of(key, COMPLETE), status=500, forward=True, answer="held") as answered:
            world.recorder.release(key, "after")
            answered.wait()
            until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
        world.all_went_well(cases)
    _is_known_as_completed(world, key)
    world.all_went_well(cases)


def test_w14_complete_is_answered_with_500_but_was_carried_out(world: World) -> None:
    cases = {"w14": world.held("w14", "after", topic=BRIEF)}
    with world.proxy.fault(world.report_of("w14", COMPLETE), status=500, forward=True) as answered:
        world.recorder.release("w14", "after")
        answered.wait()

    world.all_went_well(cases)
    _is_known_as_completed(world, "w14")


@EITHER
def test_w15_a_worker_is_struck_while_it_notes_that_the_engine_took_its_outcome(world: World, blow: Blow) -> None:
    """The note itself is cut off: the engine has gone on and our row does not know."""
    key = f"w15-{blow}"
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "after", topic=BRIEF)}
        with world.proxy.fault(world.report_of(key, COMPLETE), answer="held") as complete:
            world.recorder.release(key, "after")
            complete.wait()
            with held_writes(world) as held:
                complete.release()
                held.wait_for(NOTING_DELIVERY)
                until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
                held.cut(NOTING_DELIVERY)
        world.all_went_well(cases)
    _is_known_as_completed(world, key)
    world.all_went_well(cases)


def test_w15_what_follows_complete_fails_and_makes_no_failure(world: World) -> None:
    """The connection that carried it is cut after the engine has acted."""
    cases = {"w15": world.held("w15", "after", topic=BRIEF)}
    with world.proxy.fault(world.report_of("w15", COMPLETE), answer="cut") as cut:
        world.recorder.release("w15", "after")
        cut.wait()

    world.all_went_well(cases)
    _is_known_as_completed(world, "w15")


def test_w15_a_callback_that_fails_makes_no_failure_and_is_tried_again(world: World, outlet: Outlet) -> None:
    outlet.statuses = [500, 204]
    cases = {"w15-callback": world.start("w15-callback", topic=BRIEF, points=True, callbackUrl=outlet.root)}
    world.all_went_well(cases)
    world.wait("it is called again", lambda: len(outlet.calls) == 2, seconds=120)
    assert len({call.key for call in outlet.calls}) == 1
    _is_known_as_completed(world, "w15-callback")
    world.all_went_well(cases)


@pytest.mark.slow
def test_w15_a_worker_is_struck_while_its_callback_is_under_way(world: World, outlet: Outlet) -> None:
    outlet.held.set()
    key = "w15-callback-held"
    cases = {key: world.held(key, "after", topic=BRIEF, callbackUrl=outlet.root)}
    world.recorder.release(key, "after")
    world.wait("its receiver is called", lambda: bool(outlet.calls))
    with struck(world, Blow.KILL, world.part_at(key, "after")):
        outlet.held.clear()
    world.wait("it is called again", lambda: len(outlet.calls) > 1, seconds=180)
    assert len({call.key for call in outlet.calls}) == 1, "by it the receiver knows the repetition"
    world.all_went_well(cases)


@EITHER
@pytest.mark.parametrize(("request_is", "answer_is"), [("held, then cut", "forwarded"), ("forwarded", "held")])
def test_w16_a_worker_is_struck_while_it_reports_a_failure(
    world: World, blow: Blow, request_is: Request, answer_is: Answer
) -> None:
    """Before or after the engine has taken it: there is one incident, and the unit is not run again."""
    key = f"w16-{blow}-{answer_is}"
    with ExitStack() as until_mended:
        case = world.held(key, "after", topic=BRIEF, fails=True)
        with world.proxy.fault(world.report_of(key, FAILURE), request=request_is, answer=answer_is) as failure:
            world.recorder.release(key, "after")
            failure.wait()
            until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
        world.wait("it is an incident", lambda: bool(world.incidents(case)))
    _failed_once(world, key, case)


@pytest.mark.slow
def test_w16_the_report_of_a_failure_fails(world: World) -> None:
    case = world.held("w16", "after", topic=BRIEF, fails=True)
    failure = world.report_of("w16", FAILURE)
    with world.proxy.fault(failure, status=503, times=2), world.proxy.fault(failure, answer="cut") as cut:
        world.recorder.release("w16", "after")
        cut.wait()

    world.wait("it is an incident", lambda: bool(world.incidents(case)))
    time.sleep(3)
    _failed_once(world, "w16", case)


@EITHER
def test_w17_a_worker_is_struck_when_its_unit_has_run_longer_than_its_lock(world: World, blow: Blow) -> None:
    key = f"w17-{blow}"
    cases = {key: world.held(key, "before", topic=BRIEF)}
    time.sleep(BRIEF_LOCK_SECONDS + 2)
    assert world.recorder.attempts_at(key, "before") == [1]
    with struck(world, blow, world.part_at(key, "before")):
        world.recorder.release(key, "before")
        world.all_went_well(cases)
    world.all_went_well(cases)


@EITHER
def test_w18_a_worker_is_struck_when_a_service_answered_500_and_has_acted(world: World, blow: Blow) -> None:
    """The attempt has failed, the engine does not know it yet; the next one asks before it acts."""
    key = f"w18-{blow}"
    world.recorder.misbehave(key, "500")
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "before", topic=BRIEF)}
        with world.proxy.fault(world.report_of(key, FAILURE), request="held, then cut") as failure:
            world.recorder.release(key, "before")
            failure.wait()
            until_mended.enter_context(struck(world, blow, world.part_at(key, "before")))
        world.all_went_well(cases)
    world.all_went_well(cases)
    assert len(world.recorder.attempts_at(key, "before")) > 1


@pytest.mark.slow
def test_w18_a_service_cuts_the_connection_and_has_acted(world: World) -> None:
    world.recorder.misbehave("w18-cut", "cut")

    world.all_went_well({"w18-cut": world.start("w18-cut", topic=BRIEF)})


@pytest.mark.slow
def test_w18_a_service_answers_500_and_cannot_be_asked(world: World) -> None:
    world.recorder.misbehave("w18-send", "500")

    case = world.start("w18-send", topic=BRIEF_SEND)

    world.wait("it is an incident", lambda: bool(world.incidents(case)))
    assert world.recorder.count("w18-send") == 1
    query = "SELECT e.id FROM tasks_effect e JOIN tasks_task t ON t.id = e.task_id WHERE t.business_key = %s"
    ((effect,),) = world.rows(query, "w18-send")
    settled = ("--happened", "--result", "1", "--reason", "the recorder shows it")
    world.topology.bptl("tasks", "settle", str(effect), *settled)
    world.all_went_well({"w18-send": case})


@EITHER
def test_w19_a_worker_is_struck_when_the_longest_run_is_over(world: World, blow: Blow) -> None:
    """The unit was cancelled and the engine does not know it yet."""
    key = f"w19-{blow}"
    with ExitStack() as until_mended:
        cases = {key: world.held(key, "before", topic=BRIEF_LIMITED)}
        with world.proxy.fault(world.report_of(key, FAILURE), request="held, then cut") as failure:
            failure.wait()
            until_mended.enter_context(struck(world, blow, world.part_at(key, "before")))
        world.recorder.release(key, "before")
        world.all_went_well(cases)
    world.all_went_well(cases)
    assert len(world.recorder.attempts_at(key, "before")) > 1


@EITHER
def test_w20_the_poll_job_comes_many_times_and_two_pollers_poll_at_once(world: World, blow: Blow) -> None:
    leader = world.leader()
    with struck(world, blow, leader):
        world.wait("the other one leads", lambda: world.leader() != leader)
        sent = "from bptl.workers.jobs import poll; [poll.delay() for _ in range(10)]"
        world.topology.bptl("manage", "shell", "--no-imports", "-c", sent)

    keys = [f"w20-{blow}-{n}" for n in range(10)]
    world.all_went_well({key: world.start(key, topic=BRIEF, after=0.2) for key in keys})
    assert all(world.task(key)["attempts"] == 1 for key in keys)


def _is_known_as_completed(world: World, key: str) -> None:
    """What the engine knows BPTL knows too, and it ran the unit once."""
    world.wait("BPTL knows it", lambda: world.task(key)["status"] == "delivered", seconds=90)
    assert world.task(key)["outcome"] == "completed"
    assert world.recorder.attempts_at(key, "after") == [1]


def _failed_once(world: World, key: str, case: str) -> None:
    assert len(world.incidents(case)) == 1
    assert world.recorder.attempts_at(key, "after") == [1]
    assert world.recorder.count(key) == 1
