"""The command line inside this process, and engines at hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, a_scene


@pytest.fixture(scope="module")
def double() -> Iterator[FakeEngine]:
    engine = FakeEngine()
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def scene(double: FakeEngine, db: None) -> Iterator[Scene]:
    double.reset()
    with a_scene(double) as scene:
        yield scene
