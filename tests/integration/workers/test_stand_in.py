"""Who mends what a dead worker left, when no other worker may judge yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Process, ProcessKind, Task
from bptl.tasks.upkeep import processes
from bptl.workers import stand_in
from bptl.workers.clients import Clients
from bptl.workers.member import Member
from bptl.workers.stand_in import StandIn
from tests.integration.scene import Scene
from tests.integration.waiting import until


@pytest.fixture
def judge(scene: Scene) -> Process:
    """A worker that may judge, there before anybody stands in for it."""
    return Process.objects.get(id=scene.process())


@pytest.fixture
def steady_poller(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    """A long-polling worker that has lived long enough, and stands in for workers."""
    monkeypatch.setattr(stand_in, "LOOK_EVERY", 0.05)
    member = Member(ProcessKind.POLL)
    Process.objects.filter(id=member.id).update(steady_since=Now() - timedelta(minutes=1))
    sweeps = StandIn(member, Clients())
    sweeps.start()
    yield member
    sweeps.stop()


def test_a_poller_frees_the_tasks_of_the_only_worker_that_was_killed(scene: Scene, steady_poller: Member) -> None:
    dead = scene.process()
    task_id = scene.claimed(dead).task_id
    scene.process(steady=False)  # Its successor, which may not judge yet.
    scene.silence(dead)
    until(lambda: Task.objects.get(id=task_id).status == Status.RETURNED)
    assert Process.objects.get(id=dead).died


def test_a_poller_leaves_the_sweep_to_a_worker_that_may_judge(
    scene: Scene, judge: Process, steady_poller: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = scene.process()
    scene.silence(dead)
    looks: list[bool] = []
    look = processes.a_worker_may_judge

    def noted() -> bool:
        looks.append(look())
        return looks[-1]

    monkeypatch.setattr(processes, "a_worker_may_judge", noted)
    until(lambda: len(looks) > 3)
    assert all(looks)
    assert not Process.objects.get(id=dead).died
