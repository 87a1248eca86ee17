"""Limits of a whole fleet: lines fetch what has room, places stay free for others, and room that comes back is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db.models import F

from bptl.connections.models import Mapping, MappingService
from bptl.connections.service_models import Service
from bptl.tasks import leases
from bptl.tasks.lifecycle import LeaseEnd, Status
from bptl.tasks.limits import CHANGED, ROOM
from bptl.tasks.listening import FETCH_CHANNEL
from bptl.tasks.models import Lease, Task
from bptl.workers import floor, leadership, line
from bptl.workers.ear import Ear
from bptl.workers.floor import Floor
from bptl.workers.member import Member
from bptl.workers.poller import Poller
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene, lease_of
from tests.integration.waiting import in_thread, until
from tests.integration.workers import units

OpenFloor = Callable[..., Floor]
OpenPoller = Callable[..., tuple[Poller, Member]]
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full line that is not told of room looks too late for these tests."""
    monkeypatch.setattr(line, "FULL_LOOK", 600.0)
    monkeypatch.setattr(leadership, "RENEW_EVERY", 0.05)
    monkeypatch.setattr(floor, "LIMITS_LOOK", 600.0)
    monkeypatch.setattr(floor, "LIMITS_LOOK_TOLD", 600.0)


@contextmanager
def polling(polls: Poller, there: FakeEngine) -> Iterator[None]:
    """The poll job runs, and hears what the database says."""
    ear = Ear(polls.look, channel=FETCH_CHANNEL, instead={ROOM: polls.look_for_room}, on_hearing=polls.hears)
    job = in_thread(lambda: polls.run(duration=HOUR))
    ear.start()
    try:
        yield
    finally:
        ear.stop(timeout=10)
        polls.stop()
        job.join(30)
        end = in_thread(polls.join)
        while end.is_alive():
            there.end_polls()
            end.join(0.02)


@contextmanager
def hearing(places: Floor) -> Iterator[None]:
    """A worker hears what the database says."""
    ear = Ear(places.wake, instead={CHANGED: places.look_at_limits}, on_hearing=places.hears)
    ear.start()
    try:
        yield
    finally:
        ear.stop(timeout=10)


def here(*statuses: Status) -> Counter[str]:
    """How many tasks of each topic are in one of these states."""
    wanted = statuses or (Status.QUEUED, Status.RUNNING)
    return Counter(Task.objects.filter(status__in=wanted).values_list("topic", flat=True))


def gate(name: str) -> dict[str, dict[str, object]]:
    return {"gate": {"type": "String", "value": name, "valueInfo": {}}}


def test_a_limited_topic_is_fetched_for_its_room_and_others_for_all_places(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.map("limited", most_at_once=2)
    scene.process(places=10)
    for _ in range(6):
        there.add("limited")
        there.add("topic")
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: here() == {"limited": 2, "topic": 6})
        until(lambda: any(one.full for one in polls._lines.values()))
        assert here() == {"limited": 2, "topic": 6}


def test_topics_that_share_a_service_are_fetched_for_its_room_together(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    zaken = Service.objects.create(
        name="zaken", kind="zrc", address="https://zaken.example.nl/", authentication="no_auth", most_at_once=3
    )
    for topic in ("one", "two"):
        mapping = scene.map(topic, "test.use_zaken")
        MappingService.objects.create(mapping=mapping, alias="zrc", service=zaken)
        for _ in range(4):
            there.add(topic)
    scene.process(places=10)
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: here().total() == 3)
        until(lambda: any(one.full for one in polls._lines.values()))
        assert here().total() == 3


def test_a_task_that_ends_lets_the_next_one_be_fetched_and_run(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, open_floor: OpenFloor
) -> None:
    scene.map("limited", "test.wait_at_gate", most_at_once=1)
    for name in ("a", "b", "c"):
        there.add("limited", variables=gate(name))
    open_floor(places=4), open_floor(places=4)
    polls, _ = open_poller()
    with polling(polls, there):
        for name in ("a", "b", "c"):
            done = len(there.completed) + 1
            until(lambda done=done: units.STARTED.total() == done)  # type: ignore[misc]
            assert here(Status.RUNNING) == {"limited": 1}
            units.GATES[name].set()
            until(lambda done=done: len(there.completed) == done)  # type: ignore[misc]
    assert set(units.STARTED.values()) == {1}


def test_a_full_topic_leaves_the_places_to_others(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, open_floor: OpenFloor
) -> None:
    scene.map("limited", "test.wait_at_gate", most_at_once=1)
    for _ in range(9):
        there.add("limited", variables=gate("late"), priority=9)
    for _ in range(9):
        there.add("topic")
    open_floor(places=2)
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: here(Status.DELIVERED) == {"topic": 9})
        assert (here(Status.RUNNING), units.STARTED.total()) == ({"limited": 1}, 1)


def test_a_worker_begins_what_a_rate_allows_without_being_told(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IDLE_LOOK", "QUIET_LOOK"):
        monkeypatch.setattr(floor, name, 600.0)
    zaken = Service.objects.create(
        name="zaken", kind="zrc", address="https://zaken.example.nl/", authentication="no_auth", most_a_minute=60
    )
    mapping = scene.map("paced", "test.use_zaken")
    MappingService.objects.create(mapping=mapping, alias="zrc", service=zaken)
    for _ in range(5):
        scene.task(Status.QUEUED, mapping=mapping, topic="paced", external=there.add("paced"))
    open_floor(places=4)
    until(lambda: len(there.completed) == 5)


def test_a_limit_that_is_raised_or_taken_away_works_at_once(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, open_floor: OpenFloor
) -> None:
    mapping = scene.map("limited", "test.wait_at_gate", most_at_once=1)
    for _ in range(6):
        there.add("limited", variables=gate("late"))
    polls, _ = open_poller()
    with hearing(open_floor(places=5)), polling(polls, there):
        for limit, run in ((1, 1), (3, 3), (None, 5)):
            mapping.most_at_once = limit
            mapping.save()
            until(lambda run=run: here(Status.RUNNING) == {"limited": run})  # type: ignore[misc]


def test_a_limit_that_is_lowered_stops_no_task_and_begins_none(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, open_floor: OpenFloor
) -> None:
    mapping = scene.map("limited", "test.wait_at_gate", most_at_once=3)
    for name in "abcd":
        there.add("limited", variables=gate(name))
    open_floor(places=5)
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: here(Status.RUNNING) == {"limited": 3})
        mapping.most_at_once = 1
        mapping.save()
        for done, name in enumerate("ab", start=1):
            units.GATES[name].set()
            until(lambda done=done: len(there.completed) == done)  # type: ignore[misc]
        assert (here(), units.STARTED.total()) == ({"limited": 1}, 3)
        units.GATES["c"].set()
        until(lambda: units.STARTED.total() == 4)


def test_what_lies_queued_without_room_for_a_third_of_its_lock_is_given_back(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    mapping = scene.map("limited", most_at_once=1)
    worker = scene.process(places=9)
    scene.task(Status.RUNNING, mapping=mapping, topic="limited", holder=worker, external=there.add("limited"))
    old, young = (
        scene.task(Status.QUEUED, mapping=mapping, topic="limited", holder=worker, external=there.add("limited"))
        for _ in range(2)
    )
    Lease.objects.filter(id=lease_of(old).id).update(recorded_at=F("recorded_at") - timedelta(seconds=101))
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: Task.objects.get(id=old.id).status == Status.RETURNED)
        until(lambda: (there.tasks[old.external_id].locked_until or 0) < there.now(), what="it is free at the engine")
    assert lease_of(old).ended_as == LeaseEnd.GIVEN_BACK
    assert Task.objects.get(id=young.id).status == Status.QUEUED


def test_a_task_that_begins_just_then_is_not_given_back(scene: Scene) -> None:
    task = scene.task(Status.RUNNING)
    assert leases.end([task.last_lease_id], how=LeaseEnd.GIVEN_BACK, reason="no room", unbegun=True) == 0
    assert Task.objects.get(id=task.id).status == Status.RUNNING


def test_tasks_that_wait_for_a_limit_take_no_room_of_others(scene: Scene) -> None:
    limited = scene.map("limited", most_at_once=1)
    poller = scene.process(places=4)
    for _ in range(3):
        scene.task(Status.QUEUED, mapping=limited, topic="limited")
    fetch = scene.announce(poller, under_limits=True)
    assert fetch is not None
    assert fetch.max_tasks == 3, "one of the three may begin"
    Mapping.objects.update(most_at_once=None)
    fetch = scene.announce(poller, under_limits=True)
    assert fetch is not None
    assert fetch.max_tasks == 1
