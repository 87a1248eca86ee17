"""The heart on a real PostgreSQL, an engine's double behind the real adapter."""

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
def there(double: FakeEngine) -> FakeEngine:
    double.reset()
    return double


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    with a_scene(there) as scene:
        yield scene


@pytest.fixture
def committed_scene(there: FakeEngine, transactional_db: None) -> Iterator[Scene]:
    """A scene whose rows other threads see."""
    with a_scene(there) as scene:
        yield scene
