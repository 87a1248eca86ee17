"""Processes that are killed and stopped at random under load: the witnesses count what became of every case."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import pytest

from stage.engines import OPERATON, SANDBOX
from stage.load import Load
from stage.maven import JavaMissing
from stage.soak import SETTLING_SECONDS, Faults, account, start_case, strike
from tests.faults.world import World

pytestmark = pytest.mark.slow

ENGINES = (SANDBOX, OPERATON)

PER_SECOND = 10.0
BETWEEN = (2.0, 4.0)


def test_pollers_and_workers_die_or_sleep_past_their_locks_at_random_for_a_minute(product: str, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10_000)
    print(f"seed {seed}")
    try:
        with World.built(tmp_path, workers=4, pollers=2, product=product) as world:
            # A seed repeats the same choices; nothing here is secret.
            choices, cases, pauses = (random.Random(seed + n) for n in range(3))  # noqa: S311
            faults = Faults(world, choices, of_servers=False)
            load = Load(partial(start_case, world, cases, []), per_second=PER_SECOND)
            load.start()
            try:
                strike(faults, minutes=1, source=pauses, between=BETWEEN)
            finally:
                load.stop()
            world.repair()
            world.wait("every case has ended or waits for a person", partial(at_rest, world), seconds=SETTLING_SECONDS)
            time.sleep(2)
            told = account(world)
    except JavaMissing as error:
        pytest.skip(str(error))
    assert faults.count >= 10
    assert told.started > 100
    assert (told.lost, told.doubled) == (0, 0)
    assert told.uncertain <= faults.count


def at_rest(world: World) -> bool:
    return world.engine.running() <= len(world.engine.incidents())
