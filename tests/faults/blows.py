"""How a window is struck: processes die in it, or stop there and wake when their leases are over.

with ExitStack() as until_mended:
    with world.proxy.fault(COMPLETE, request="held") as complete:
        …                                                       # start a case
        complete.wait()
        until_mended.enter_context(struck(world, blow, world.part_at(key, "after")))
    world.all_went_well(cases)                                  # without what was struck
world.all_went_well(cases)                                      # and after it has come back
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import pytest

from stage.postgres import connect
from tests.faults.world import BRIEF_LOCK_SECONDS, World


class Blow(StrEnum):
    """What happens to a process in a window."""

    KILL = "kill"
    """SIGKILL; it is started again."""
    STOP = "stop"
    """SIGSTOP past the lock, then SIGCONT: it goes on in the middle of what it did."""


EITHER = pytest.mark.parametrize("blow", [Blow.KILL, pytest.param(Blow.STOP, marks=pytest.mark.slow)])
"""One scenario for both; to stop takes longer than a lock, so that is left to --all."""

PAST_THE_LOCK = BRIEF_LOCK_SECONDS + 3.0
AWAKE_SECONDS = 4.0
"""What woke up gets so long to do harm: every loop of a process has come round."""


@contextmanager
def struck(world: World, blow: Blow, *names: str) -> Iterator[None]:
    """Kill or stop processes; at the end they are started again, or wake when their locks have run out."""
    began = time.monotonic()
    for name in names:
        if blow is Blow.KILL:
            world.kill(name)
        else:
            world.pause(name)
    yield
    if blow is Blow.KILL:
        world.begin(*names)
        return
    time.sleep(max(0.0, began + PAST_THE_LOCK - time.monotonic()))
    for name in names:
        world.resume(name)
    time.sleep(AWAKE_SECONDS)


RECORDING = "%external_id text, lease_id uuid%"
CLAIMING = "%status = 'queued'%SKIP LOCKED%"
NOTING_DELIVERY = "%outcome_id uuid, assumed boolean%"
"""Statements of BPTL that write tasks, as LIKE patterns of how they begin."""


class HeldWrites:
    """The tasks can be read, but a statement that writes them waits until the block ends."""

    def __init__(self, world: World) -> None:
        self._world = world

    def wait_for(self, statement: str) -> None:
        """Wait until such a statement waits."""
        self._world.wait(f"a statement like {statement} waits", lambda: bool(self._sessions(statement)))

    def cut(self, statement: str) -> None:
        """Cut the connections whose statement waits: it is not carried out."""
        for session in self._sessions(statement):
            self._world.rows("SELECT pg_terminate_backend(%s)", session)

    def _sessions(self, statement: str) -> list[int]:
        return [int(row[0]) for row in self._world.rows(_WAITING, statement)]


_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"


@contextmanager
def held_writes(world: World) -> Iterator[HeldWrites]:
    """Stop everybody who writes a task in the middle of it."""
    with connect(world.topology.postgres.environment()) as connection, connection.transaction():
        connection.execute("LOCK TABLE tasks_task IN EXCLUSIVE MODE")
        yield HeldWrites(world)
