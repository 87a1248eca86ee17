"""One world for the whole suite; after every test everything in it runs again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
