"""One world for the whole suite; after every test everything in it runs again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stage.engines import OPERATON, SANDBOX
from stage.maven import JavaMissing
from tests.faults.world import World


@pytest.fixture(scope="session")
def built_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two workers, two pollers, beat, PostgreSQL, Valkey, the sandbox behind a proxy, and the recorder."""
    logs: Path = tmp_path_factory.mktemp("faults")
    with World.built(logs) as built:
        yield built


@pytest.fixture
def world(built_world: World) -> Iterator[World]:
    """The world, whole."""
    yield built_world
    built_world.repair()


@pytest.fixture(scope="session", params=[SANDBOX, pytest.param(OPERATON, marks=pytest.mark.slow)])
def each_built_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same world, and one around a real engine; without Java that case is skipped."""
    if request.param == SANDBOX:
        yield request.getfixturevalue("built_world")
        return
    with ExitStack() as stack:
        try:
            built = stack.enter_context(World.built(tmp_path_factory.mktemp("faults-operaton"), product=request.param))
        except JavaMissing as error:
            pytest.skip(str(error))
        yield built


@pytest.fixture
def each_world(each_built_world: World) -> Iterator[World]:
    """Each world, whole: processes that an earlier test made begin again have registered themselves."""
    each_built_world.wait("every process is registered", lambda: _all_registered(each_built_world))
    yield each_built_world
    each_built_world.repair()


def _all_registered(world: World) -> bool:
    pids = {world.topology.part(name).pid for name in world.topology.part_names if name != "web"}
    return pids <= {row[0] for row in world.rows("SELECT pid FROM tasks_process WHERE stopped_at IS NULL")}
