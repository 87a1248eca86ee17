"""The command line inside this process, and engines at hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, a_scene


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    with a_scene(there) as scene:
        yield scene
