"""The crash windows W1–W20 of the existing BPTL: the world is stopped exactly there, and goes on.

What is asserted is said by the two witnesses: the engine ended every case, the recorder counted every effect once.
A window that this design does not have (a lock of Celery, an acknowledgement) is tested by what takes its place.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from stage.topology import Topology
from tests.faults.world import LIMITED, LOCK_SECONDS, SEND, World

pytestmark = pytest.mark.slow

FETCH, COMPLETE, FAILURE = r"/fetchAndLock$", r"/complete$", r"/failure$"
WORKERS, POLLERS = ("work-1", "work-2"), ("poll-1", "poll-2")


def has_tasks(body: Any) -> bool:
    return isinstance(body, list) and bool(body)


def test_w01_a_poller_dies_while_it_waits(world: World) -> None:
    """Its long poll lives on at the engine and locks the task for a worker id that nobody serves."""
    with world.proxy.fault(FETCH, answer="held", only_if=has_tasks) as ghost:
        world.kill(world.leader())
        case = world.start("w01")
        ghost.wait()

        world.all_went_well({"w01": case})


def test_w02_a_poller_dies_when_the_engine_has_locked_and_answered(world: World) -> None:
    with world.proxy.fault(FETCH, answer="held", only_if=has_tasks) as answered:
        case = world.start("w02")
        answered.wait()
        world.kill(*POLLERS)
        world.begin(*POLLERS)

        world.all_went_well({"w02": case})


def test_w03_recording_fails_when_tasks_were_fetched(world: World) -> None:
    with world.proxy.fault(FETCH, answer="held", only_if=has_tasks) as answered:
        cases = {f"w03-{n}": world.start(f"w03-{n}") for n in range(5)}
        answered.wait()
        world.topology.postgres.crash()
    time.sleep(2)
    world.topology.postgres.start()

    world.all_went_well(cases)


def test_w04_the_broker_is_gone_when_tasks_are_recorded(world: World) -> None:
    world.topology.valkey.part.pause()

    cases = {f"w04-{n}": world.start(f"w04-{n}") for n in range(3)}

    world.all_went_well(cases)


def test_w05_the_poller_dies_before_its_next_poll(world: World) -> None:
    first = world.held("w05-a", "before")
    with world.proxy.fault(FETCH, request="held, then cut") as next_poll:
        next_poll.wait()
        world.kill(*POLLERS)
    second = world.start("w05-b")
    world.begin(*POLLERS)
    world.recorder.release("w05-a", "before")

    world.all_went_well({"w05-a": first, "w05-b": second})


def test_w06_the_broker_forgets_everything(world: World) -> None:
    running = world.held("w06-a", "before")
    world.topology.valkey.restart()
    later = world.start("w06-b")
    world.recorder.release("w06-a", "before")

    world.all_went_well({"w06-a": running, "w06-b": later})


def test_w07_every_worker_dies_in_the_middle_of_its_tasks(world: World) -> None:
    cases = {
        "w07-before": world.held("w07-before", "before"),
        "w07-after": world.held("w07-after", "after"),
    }
    world.kill(*WORKERS)
    for key, point in (("w07-before", "before"), ("w07-after", "after")):
        world.recorder.release(key, point)
    world.begin(*WORKERS)

    world.all_went_well(cases)


def test_w08_a_task_waits_longer_than_its_lock(world: World) -> None:
    with world.proxy.fault(FETCH, answer="held", only_if=has_tasks) as answered:
        case = world.start("w08")
        answered.wait()
        for name in WORKERS:
            world.pause(name)
    world.wait("it is queued", lambda: world.task("w08")["status"] == "queued")
    time.sleep(LOCK_SECONDS + 3)
    for name in WORKERS:
        world.resume(name)

    world.all_went_well({"w08": case})


def test_w09_a_worker_dies_before_the_effect(world: World) -> None:
    case = world.held("w09", "before")
    world.kill(world.part_at("w09", "before"))
    world.recorder.release("w09", "before")

    world.all_went_well({"w09": case})
    assert world.recorder.attempts_at("w09", "before") == [1, 2]


def test_w10_a_worker_dies_when_the_effect_has_happened(world: World) -> None:
    """With a service that can be asked: no person is needed."""
    world.recorder.misbehave("w10", "late")
    case = world.start("w10", points=True)
    world.wait("the effect happened", lambda: world.recorder.count("w10") == 1)
    world.kill(world.part_at("w10", "before"))

    world.all_went_well({"w10": case})
    assert world.recorder.attempts_at("w10", "before") == [1, 2]


def test_w10_an_effect_that_nobody_can_be_asked_about_waits_for_a_person(world: World) -> None:
    world.recorder.misbehave("w10-send", "late")
    case = world.start("w10-send", topic=SEND, points=True)
    world.wait("the effect happened", lambda: world.recorder.count("w10-send") == 1)
    world.kill(world.part_at("w10-send", "before"))

    world.wait("it is an incident", lambda: bool(world.incidents(case)))
    assert world.task("w10-send")["status"] == "uncertain"
    assert not world.ended(case)
    number = str(world.task("w10-send")["id"])
    world.topology.bptl("tasks", "complete", number, "--var", "number=1", "--reason", "the recorder shows it")
    world.all_went_well({"w10-send": case})


def test_w11_a_worker_dies_when_the_outcome_is_stored_and_not_sent(world: World) -> None:
    with world.proxy.fault(COMPLETE, request="held, then cut") as complete:
        case = world.start("w11", points=True)
        complete.wait()
        world.kill(world.part_at("w11", "after"))

    world.all_went_well({"w11": case})
    assert world.recorder.attempts_at("w11", "after") == [1]


def test_w12_a_worker_dies_when_the_engine_has_taken_the_outcome(world: World) -> None:
    with world.proxy.fault(COMPLETE, answer="held") as complete:
        case = world.start("w12", points=True)
        complete.wait()
        world.kill(world.part_at("w12", "after"))

    world.all_went_well({"w12": case})
    assert world.recorder.attempts_at("w12", "after") == [1]
    world.wait("BPTL knows it too", lambda: world.task("w12")["status"] == "delivered")


def test_w13_complete_is_refused_by_whoever_stands_before_the_engine(world: World) -> None:
    cases = {}
    for status in (503, 401, 500):
        key = f"w13-{status}"
        with world.proxy.fault(COMPLETE, status=status, times=2) as refused:
            cases[key] = world.start(key, points=True)
            refused.wait()
            world.wait(f"{status} twice", lambda counted=refused: counted.caught == 2)  # type: ignore[misc]
    with world.proxy.fault(COMPLETE, request="cut") as cut:
        cases["w13-cut"] = world.start("w13-cut", points=True)
        cut.wait()

    world.all_went_well(cases)
    assert all(world.recorder.attempts_at(key, "after") == [1] for key in cases)


def test_w14_complete_is_answered_with_500_but_was_carried_out(world: World) -> None:
    with world.proxy.fault(COMPLETE, status=500, forward=True) as answered:
        case = world.start("w14", points=True)
        answered.wait()

    world.all_went_well({"w14": case})
    world.wait("BPTL knows it", lambda: world.task("w14")["status"] == "delivered")
    assert (world.task("w14")["outcome"], world.task("w14")["attempts"]) == ("completed", 1)


def test_w15_what_follows_complete_fails_and_makes_no_failure(world: World) -> None:
    """There is no callback in the report; the connection that carried it is cut after the engine has acted."""
    with world.proxy.fault(COMPLETE, answer="cut") as cut:
        case = world.start("w15", points=True)
        cut.wait()

    world.all_went_well({"w15": case})
    world.wait("BPTL knows it", lambda: world.task("w15")["status"] == "delivered")
    assert (world.task("w15")["outcome"], world.task("w15")["attempts"]) == ("completed", 1)


def test_w16_the_report_of_a_failure_fails(world: World) -> None:
    with world.proxy.fault(FAILURE, status=503, times=2), world.proxy.fault(FAILURE, answer="cut") as cut:
        case = world.start("w16", points=True, fails=True)
        cut.wait()

    world.wait("it is an incident", lambda: bool(world.incidents(case)))
    time.sleep(3)
    assert len(world.incidents(case)) == 1
    assert world.recorder.attempts_at("w16", "after") == [1]
    assert world.recorder.count("w16") == 1


def test_w17_a_unit_runs_longer_than_its_lock(world: World) -> None:
    case = world.start("w17", points=True, before=LOCK_SECONDS + 4)

    world.all_went_well({"w17": case})
    assert world.recorder.attempts_at("w17", "before") == [1]


def test_w18_a_service_answers_500_and_has_acted(world: World) -> None:
    world.recorder.misbehave("w18", "500")
    world.recorder.misbehave("w18-cut", "cut")

    cases = {key: world.start(key) for key in ("w18", "w18-cut")}

    world.all_went_well(cases)


def test_w18_a_service_answers_500_and_cannot_be_asked(world: World) -> None:
    world.recorder.misbehave("w18-send", "500")

    case = world.start("w18-send", topic=SEND)

    world.wait("it is an incident", lambda: bool(world.incidents(case)))
    assert world.recorder.count("w18-send") == 1
    settled = "from bptl.tasks import actions; from bptl.tasks.models import Effect; actions.settle_effect("
    settled += "Effect.objects.get(task__business_key='w18-send').pk, happened=True, result=1, actor='a', reason='b')"
    world.topology.bptl("manage", "shell", "--no-imports", "-c", settled)
    world.all_went_well({"w18-send": case})


def test_w19_the_longest_run_is_over(world: World) -> None:
    case = world.held("w19", "before", topic=LIMITED)
    world.wait("the next attempt began", lambda: world.recorder.attempts_at("w19", "before") == [1, 2])
    world.recorder.release("w19", "before")

    world.all_went_well({"w19": case})


def test_w20_the_poll_job_comes_many_times_and_to_two_pollers_at_once(world: World) -> None:
    leader = world.leader()
    world.pause(leader)
    world.wait("the other one leads", lambda: _leads_another(world, leader))
    _send_poll_jobs(world.topology, count=10)
    world.resume(leader)

    cases = {f"w20-{n}": world.start(f"w20-{n}", after=0.2) for n in range(10)}

    world.all_went_well(cases)
    assert all(world.task(key)["attempts"] == 1 for key in cases)


def _leads_another(world: World, name: str) -> bool:
    return world.leader() != name


def _send_poll_jobs(topology: Topology, *, count: int) -> None:
    sent = f"from bptl.workers.jobs import poll; [poll.delay() for _ in range({count})]"
    topology.bptl("manage", "shell", "--no-imports", "-c", sent)
