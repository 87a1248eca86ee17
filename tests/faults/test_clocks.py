"""A worker whose clock is wrong: between processes only PostgreSQL's time counts, inside one the monotonic clock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.test_outages import all_registered, declared_dead, nobody_loses_a_lease
from tests.faults.world import LOCK_SECONDS, World

pytestmark = pytest.mark.slow

FIVE_MINUTES = 300


@pytest.fixture(scope="session")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that puts a clock wrong, built for this machine."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a wrong clock needs Linux and a C compiler (Debian: apt-get install gcc libc6-dev)")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).parent / "clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    return library


@pytest.mark.parametrize("seconds", [FIVE_MINUTES, -FIVE_MINUTES], ids=["fast", "slow"])
def test_a_worker_whose_clock_is_five_minutes_off_works_and_judges_rightly(
    world: World, clock: Path, seconds: int
) -> None:
    wrong = {"LD_PRELOAD": str(clock), "CLOCK_OFF_BY": str(seconds)}
    assert_is_off(wrong, seconds)
    world.wait("every process is registered", lambda: all_registered(world))
    dead = world.topology.part("work-1").pid
    world.kill("work-1", "work-2")
    world.topology.start_part("work-2", extra=wrong)
    maps = Path(f"/proc/{world.topology.part('work-2').pid}/maps")
    world.wait("its clock is wrong", lambda: str(clock) in maps.read_text())

    with nobody_loses_a_lease(world, but=("work-1",)):
        cases = {f"clock-{seconds}-{n}": world.start(f"clock-{seconds}-{n}") for n in range(3)}
        longer = f"clock-{seconds}-longer-than-its-lock"
        cases[longer] = world.start(longer, points=True, before=LOCK_SECONDS + 4)
        world.all_went_well(cases)
        assert world.recorder.attempts_at(longer, "before") == [1]

    # Only the one with the wrong clock sweeps: it has found the dead, and spares the living.
    world.wait("the sweep has found the dead worker", lambda: declared_dead(world, [dead]) == [dead])
    held = {name: world.held(f"clock-{seconds}-{name}", "before") for name in ("a", "b")}
    assert world.part_at(f"clock-{seconds}-a", "before") == "work-2"
    world.begin("work-1")
    with nobody_loses_a_lease(world):
        for name in held:
            world.recorder.release(f"clock-{seconds}-{name}", "before")
        world.all_went_well({f"clock-{seconds}-{name}": case for name, case in held.items()})
    world.kill("work-2")


def assert_is_off(wrong: Mapping[str, str], seconds: int) -> None:
    """The library works with this Python, or the test would prove nothing."""
    told = "import time; print(time.time())"
    here, there = (
        float(subprocess.run([sys.executable, "-c", told], env=env, check=True, capture_output=True, text=True).stdout)
        for env in ({**os.environ}, {**os.environ, **wrong})
    )
    assert abs(there - here - seconds) < 60
