"""The heart on a real PostgreSQL, an engine's double behind the real adapter."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from bptl.tasks.delivery.report import Report
from bptl.tasks.execution.claim import Claim
from tests.doubles.engine import FakeEngine
from tests.integration.ledger import Service
from tests.integration.scene import Scene, a_scene, completed, fresh
from tests.integration.tasks.reports import first_report


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    with a_scene(there) as scene:
        yield scene


@pytest.fixture
def committed_scene(there: FakeEngine, transactional_db: None) -> Iterator[Scene]:
    """A scene whose rows other threads see."""
    with a_scene(there) as scene:
        yield scene


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def worker(scene: Scene) -> uuid.UUID:
    return scene.process()


@pytest.fixture
def claimed(scene: Scene, worker: uuid.UUID) -> Claim:
    """A task whose result is stored and whose first report is under way."""
    return scene.performed(worker, completed(leges=75))


@pytest.fixture
def report(claimed: Claim) -> Report:
    return first_report(claimed, fresh(claimed))
