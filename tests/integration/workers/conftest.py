"""The parts of worker processes in this process: real threads, a real PostgreSQL, an engine's double."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from bptl.tasks.models import ProcessKind
from bptl.work_units import registry
from bptl.workers import ear, floor, keeper, line, poller, reporter
from bptl.workers.clients import Clients
from bptl.workers.floor import Floor
from bptl.workers.member import Member
from bptl.workers.poller import Poller
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, a_scene
from tests.integration.workers import units


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often: these tests wait for what happens, not for time."""
    monkeypatch.setattr(keeper, "TICK", 0.05)
    monkeypatch.setattr(floor, "IDLE_LOOK", 0.05)
    monkeypatch.setattr(reporter, "DUE_EVERY", 0.05)
    monkeypatch.setattr(reporter, "IDLE_WAIT", 0.05)
    monkeypatch.setattr(poller, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(ear, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(line, "NO_ROOM", (0.02,))
    monkeypatch.setattr(line, "DUE_PAUSE", 0.02)
    monkeypatch.setattr(line, "DUE_LOOK", 0.05)


@pytest.fixture
def scene(there: FakeEngine, transactional_db: None) -> Iterator[Scene]:
    units.GATES.clear()
    units.STARTED.clear()
    units.PAID.clear()
    units.STOPPED.clear()
    registry.load.cache_clear()
    for unit in units.ALL:
        registry.load().add(unit)
    with a_scene(there) as scene:
        yield scene
    registry.load.cache_clear()


@pytest.fixture
def open_floor(scene: Scene) -> Iterator[Callable[..., Floor]]:
    """Start a worker's places; they are drained at the end."""
    opened: list[Floor] = []

    def start(*, places: int = 4, on_worn_out: Callable[[], None] = lambda: None) -> Floor:
        member = Member(ProcessKind.WORK, places=places)
        opened.append(Floor(member, Clients(), places=places, on_worn_out=on_worn_out))
        opened[-1].start()
        return opened[-1]

    yield start
    for gate in [*units.GATES.values()]:
        gate.set()
    for opened_floor in opened:
        opened_floor.drain(grace=2)


@pytest.fixture
def open_poller(scene: Scene) -> Iterator[Callable[..., tuple[Poller, Member]]]:
    """A long-polling worker's poller and its member, not running yet; stopped at the end."""
    opened: list[Poller] = []

    def make(*, wait: float = 0.2, grace: float = 60) -> tuple[Poller, Member]:
        member = Member(ProcessKind.POLL)
        patience = {"longest_wait": timedelta(seconds=wait), "grace": timedelta(seconds=grace)}
        opened.append(Poller(member, Clients(), **patience))
        opened[-1].start()
        return opened[-1], member

    yield make
    for opened_poller in opened:
        opened_poller.stop()
        opened_poller.join()
