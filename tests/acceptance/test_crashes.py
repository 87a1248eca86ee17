"""What dies is replaced: work of a killed process is done by another, and a stop in good order loses nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.town import Town


@pytest.fixture(autouse=True)
def everybody_back(town: Town) -> Iterator[None]:
    """Start again what a test has ended."""
    yield
    for name in town.topology.part_names:
        if not town.topology.part(name).running:
            town.topology.start_part(name)


def _running_on(town: Town, business_key: str) -> bool:
    return any(task["status"] == "running" for task in town.tasks(business_key=business_key))


def test_the_tasks_of_a_killed_worker_are_done_by_another(town: Town) -> None:
    town.map("sneuvelt", "demo.slow")
    town.topology.stop_part("work-2")
    cases = [town.one_step("sneuvelt", business_key=f"killed-{n}", seconds=6) for n in range(4)]
    # Asked in one call: on a busy machine four take longer than the unit.
    town.wait("all four run", lambda: [row["status"] for row in town.tasks(topic="sneuvelt")] == ["running"] * 4)

    town.topology.start_part("work-2")
    town.topology.kill_part("work-1")

    town.wait("the other worker has done them", lambda: town.ended(*cases), seconds=90)
    for n in range(4):
        (task,) = town.tasks(business_key=f"killed-{n}")
        assert (task["status"], task["outcome"], task["attempts"]) == ("delivered", "completed", 2)
    assert not town.counts().get("lost", 0)


def test_a_worker_that_is_stopped_finishes_what_it_runs(town: Town) -> None:
    town.map("afgerond", "demo.slow")
    town.topology.stop_part("work-2")
    case = town.one_step("afgerond", business_key="drained", seconds=3)
    town.wait("it runs", lambda: _running_on(town, "drained"))

    town.topology.stop_part("work-1")

    assert town.topology.part("work-1").exit_code == 0
    assert town.ended(case)
    (task,) = town.tasks(business_key="drained")
    assert task["attempts"] == 1


def test_polling_goes_on_after_the_poller_was_killed(town: Town) -> None:
    town.map("doorgaan", "demo.quick")
    town.topology.kill_part("poll-1")
    case = town.one_step("doorgaan", business_key="poller-killed", aanvrager="P", bouwkosten=1)

    town.topology.start_part("poll-1")

    town.wait("the new poller fetched it", lambda: town.ended(case), seconds=90)


def test_polling_and_sweeping_go_on_after_beat_was_killed(town: Town) -> None:
    town.map("maat", "demo.quick")
    town.topology.kill_part("beat")
    town.topology.start_part("beat")

    case = town.one_step("maat", business_key="beat-killed", aanvrager="P", bouwkosten=1)

    town.wait("the case ended", lambda: town.ended(case), seconds=60)


def test_a_broker_that_forgot_everything_delays_nothing_for_long(town: Town) -> None:
    town.map("vergeten", "demo.quick")
    town.topology.valkey.restart()

    case = town.one_step("vergeten", business_key="broker-restarted", aanvrager="P", bouwkosten=1)

    town.wait("the case ended", lambda: town.ended(case), seconds=60)


def test_a_result_waits_for_an_engine_that_does_not_answer(town: Town) -> None:
    town.map("paus", "demo.slow")
    case = town.one_step("paus", business_key="paused", seconds=2)
    town.wait("it runs", lambda: _running_on(town, "paused"))
    town.topology.engine.part.pause()
    try:
        town.wait(
            "the unit ended while the engine did not answer",
            lambda: any(task["status"] == "performed" for task in town.tasks(business_key="paused")),
            seconds=30,
        )
    finally:
        town.topology.engine.part.resume()

    town.wait("its result was delivered after all", lambda: town.ended(case), seconds=60)
    (task,) = town.tasks(business_key="paused")
    assert (task["status"], task["outcome"], task["attempts"]) == ("delivered", "completed", 1)
