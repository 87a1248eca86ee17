"""A task that costs processes their life is given up after so many, says why, and the others are done meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.containers import Containers
from tests.faults.world import LOOPS, POISONOUS, QUARANTINE_AFTER, WORKERS, World

MEMORY = 640 * 2**20
"""Far more than a worker takes for other units."""

_LYING = """
SELECT t.crashes, t.result->>'message', t.result->>'retries' FROM tasks_task t
WHERE t.business_key = %s AND t.status = 'delivered' AND t.quarantined_at IS NOT NULL
"""

_HOLDER = """
SELECT p.pid, p.draining FROM tasks_lease l
JOIN tasks_task t ON t.id = l.task_id JOIN tasks_process p ON p.id = l.holder_id
WHERE t.business_key = %s AND l.claimed_at IS NOT NULL ORDER BY l.number LIMIT 1
"""

_DEATHS = """
SELECT l.ended_as, coalesce(l.error ? 'wrote_off', false), p.died FROM tasks_lease l
JOIN tasks_task t ON t.id = l.task_id JOIN tasks_process p ON p.id = l.holder_id
WHERE t.business_key = %s AND l.claimed_at IS NOT NULL ORDER BY l.number
"""


def lies_in_quarantine(world: World, case: str, key: str) -> None:
    """The task has failed for good, here and at the engine, and says why."""

    found: list[tuple[Any, ...]] = []

    def lies() -> bool:
        found[:] = world.rows(_LYING, key)
        return bool(found)

    world.wait("it has failed for good", lies, seconds=240)
    ((crashes, message, retries),) = found
    assert (crashes, retries) == (QUARANTINE_AFTER, "0")
    assert message.startswith(f"quarantined: {QUARANTINE_AFTER} times a process died, or lost a place")
    (incident,) = world.incidents(case)
    assert incident["incidentMessage"] == message


@pytest.mark.slow
def test_a_unit_that_eats_all_memory_is_given_up_and_the_workers_live_on(world: World) -> None:
    with Containers(world, WORKERS, memory=MEMORY).running() as containers:
        case = world.start("eater", topic=POISONOUS)
        world.wait("it has killed a process", lambda: containers.killed.total() == 1, seconds=60)
        meanwhile = {f"beside-eater-{number}": world.start(f"beside-eater-{number}") for number in range(6)}
        world.all_went_well(meanwhile)
        lies_in_quarantine(world, case, "eater")
        assert containers.killed.total() == QUARANTINE_AFTER
        assert world.recorder.count("eater") == QUARANTINE_AFTER, "it was not run once more to find that out"
        deaths = world.rows(_DEATHS, "eater")
        assert [died for ended_as, _, died in deaths if ended_as == "process_dead"] == [True] * QUARANTINE_AFTER
        world.wait("all workers run", lambda: all(world.topology.part(name).running for name in WORKERS))
        world.all_went_well({"after-eater": world.start("after-eater")})


@pytest.mark.slow
def test_a_unit_that_never_ends_is_given_up_and_its_processes_begin_anew(world: World) -> None:
    pids = {name: world.topology.part(name).pid for name in WORKERS}
    case = world.start("looper", topic=LOOPS)
    world.wait("it loops", lambda: world.recorder.count("looper") == 1)
    meanwhile = {f"beside-looper-{number}": world.start(f"beside-looper-{number}") for number in range(6)}
    world.all_went_well(meanwhile)
    lies_in_quarantine(world, case, "looper")
    assert world.recorder.count("looper") == QUARANTINE_AFTER
    assert [wrote_off for _, wrote_off, _ in world.rows(_DEATHS, "looper")] == [True] * QUARANTINE_AFTER
    assert {name: world.topology.part(name).pid for name in WORKERS} == pids, "each took its own place again"
    world.all_went_well({"after-looper": world.start("after-looper")})


@pytest.mark.slow
def test_a_worker_that_is_stopped_while_it_is_to_begin_anew_ends(world: World) -> None:
    world.start("stopped-looper", topic=LOOPS)
    world.wait("it loops", lambda: world.recorder.count("stopped-looper") == 1)
    ((pid, _),) = world.rows(_HOLDER, "stopped-looper")
    (name,) = [name for name in WORKERS if world.topology.part(name).pid == pid]
    # What else runs there keeps it from beginning anew for a while.
    beside: dict[str, str] = {}
    while not any(world.part_at(key, "before") == name for key in beside):
        key = f"beside-stopped-looper-{len(beside)}"
        beside[key] = world.held(key, "before")
    world.wait("it drains", lambda: world.rows(_HOLDER, "stopped-looper")[0][1], seconds=90)
    world.topology.part(name).ask_to_stop()
    for key in beside:
        world.recorder.release(key, "before")
    assert world.topology.part(name).wait(seconds=60) == 0
    world.all_went_well(beside)
