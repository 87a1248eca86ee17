"""Polling lines and who leads them."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from bptl.connections.models import Mapping as TopicMapping
from bptl.tasks import leases
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.listening import FETCH_CHANNEL
from bptl.tasks.models import Fetch, Lease, PollLeadership, Process, Task
from bptl.tasks.upkeep.sweep import sweep
from bptl.workers import leadership, line, loops, poller
from bptl.workers.ear import Ear
from bptl.workers.member import Member
from bptl.workers.poller import Poller
from tests.doubles.engine import ExternalTask, FakeEngine
from tests.integration.scene import Scene, lease_of
from tests.integration.waiting import in_thread, until

OpenPoller = Callable[..., tuple[Poller, Member]]
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "LONGEST_BACKOFF", 0.2)
    monkeypatch.setattr(leadership, "RENEW_EVERY", 0.05)


@contextmanager
def polling(polls: Poller, there: FakeEngine) -> Iterator[None]:
    """The poll job runs meanwhile; at the end no poll is waited for."""
    job = in_thread(lambda: polls.run(duration=HOUR))
    try:
        yield
    finally:
        polls.stop()
        job.join(30)
        end = in_thread(polls.join)
        while end.is_alive():
            there.end_polls()
            end.join(0.02)


def queued(amount: int) -> Callable[[], bool]:
    return lambda: Task.objects.filter(status=Status.QUEUED).count() == amount


def test_tasks_are_fetched_and_queued_as_they_come(scene: Scene, there: FakeEngine, open_poller: OpenPoller) -> None:
    scene.process(places=10)
    polls, member = open_poller()
    there.add()
    with polling(polls, there):
        until(queued(1))
        there.add()
        until(queued(2))
    assert {lease_of(task).holder_id for task in Task.objects.all()} == {member.id}
    assert len(set(there.fetched_for)) == len(there.fetched_for), "every fetch has a worker id of its own"
    assert not Fetch.objects.filter(closed_at=None).exists()
    assert not PollLeadership.objects.exists()


def test_no_more_is_fetched_than_can_start(scene: Scene, there: FakeEngine, open_poller: OpenPoller) -> None:
    scene.process(places=3)
    for _ in range(10):
        there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        until(queued(3))
    assert Task.objects.count() == 3


def test_nothing_is_asked_while_no_worker_lives(scene: Scene, there: FakeEngine, open_poller: OpenPoller) -> None:
    there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        until(PollLeadership.objects.exists)
        until(lambda: bool(polls._lines))
        assert there.calls["fetchAndLock"] == 0
        scene.process(places=1)
        until(queued(1))


def test_an_engine_that_is_down_is_waited_out_and_polled_again(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: there.calls["fetchAndLock"] > 0)
        with there.down():
            until(lambda: Fetch.objects.filter(closed_as=Fetch.End.NEVER_SENT).count() >= 2)
        there.add()
        until(queued(1))


@pytest.mark.parametrize("refusal", [(500, "InvalidRequestException"), (401, ""), (503, "RestException"), (429, "")])
def test_a_refused_poll_is_no_end(
    scene: Scene,
    there: FakeEngine,
    open_poller: OpenPoller,
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[int, str],
) -> None:
    monkeypatch.setattr("bptl.workers.line.WRONG_LOGIN", 0.1)
    scene.process(places=4)
    status, kind = refusal
    there.answer("fetchAndLock", status, {"type": kind, "message": "no", "code": None} if kind else "", times=2)
    there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        until(queued(1))


def test_a_poll_whose_answer_never_came_is_given_up_watched_and_its_ghost_freed(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    sweeper = scene.process(places=4)
    there.cut("fetchAndLock", executed=True)
    external = there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        until(Fetch.objects.filter(closed_as=Fetch.End.ABANDONED).exists)
        ghost = Fetch.objects.get(closed_as=Fetch.End.ABANDONED)
        assert (external.worker_id, ghost.watch_until is not None) == (ghost.worker_id, True)
        assert not Task.objects.exists()
        assert sweep(sweeper, scene.clients).freed == 1
        until(queued(1), what="the next poll gets it")


def test_a_poll_that_a_proxy_gave_up_may_still_be_parked_and_is_watched(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    there.answer("fetchAndLock", 504, "<html>gateway time-out</html>")
    polls, _ = open_poller()
    with polling(polls, there):
        until(Fetch.objects.filter(closed_as=Fetch.End.ABANDONED).exclude(watch_until=None).exists)


def test_a_task_that_cannot_be_stored_becomes_an_incident_and_the_others_are_queued(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    bad, good = there.add(business_key="x" * 300), there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        until(queued(1))
        until(lambda: bad.retries == 0)
    assert (bad.error_message or "").startswith("BPTL cannot store this task")
    assert Task.objects.get().external_id == good.id


def locked(scene: Scene, *, seconds: float) -> ExternalTask:
    """A task that no parked poll takes when it is new."""
    with scene.there.changed:
        external = scene.there.add()
        scene.there.lock(external, "bptl-earlier", seconds=seconds)
    return external


def ready_again(scene: Scene, *, after: float) -> Task:
    """A task that failed; the engine offers it again after so many seconds."""
    task = scene.task(Status.DELIVERED, Outcome.FAILED, external=locked(scene, seconds=after - 0.1))
    Task.objects.filter(id=task.id).update(retry_at=Now() + timedelta(seconds=after))
    return task


def parked_poll() -> bool:
    return Fetch.objects.filter(closed_at=None, wait_ms__gt=0).exists()


def test_a_retry_that_falls_due_is_fetched_beside_the_poll_that_sleeps_through_it(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    polls, _ = open_poller(wait=20)
    with polling(polls, there):
        until(parked_poll)
        sleeping = Fetch.objects.get(closed_at=None)
        task = ready_again(scene, after=0.3)
        until(queued(1))
        assert Fetch.objects.get(id=sleeping.id).closed_at is None, "the first poll still sleeps"
    assert Task.objects.get(id=task.id).attempts == 2


def test_a_retry_that_the_engine_does_not_offer_costs_one_fetch(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    polls, _ = open_poller(wait=20)
    with polling(polls, there):
        until(parked_poll)
        task = ready_again(scene, after=0.3)
        there.remove(there.tasks[task.external_id])
        until(lambda: Task.objects.get(id=task.id).retry_at is None)
        assert (there.calls["fetchAndLock"], Fetch.objects.count()) == (2, 2)


def test_more_retries_than_one_fetch_may_bring_are_all_fetched(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bptl.tasks.intake.due.FETCH_LIMIT", 2)
    scene.process(places=20)
    polls, _ = open_poller(wait=20)
    with polling(polls, there):
        until(parked_poll)
        for _ in range(5):
            ready_again(scene, after=0.3)
        until(queued(5))


def test_a_retry_is_not_forgotten_while_the_engine_is_away(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This is about the polls before its breaker opens, which would end them after five.
    monkeypatch.setattr(line, "UNPOLLED", sys.maxsize)
    scene.process(places=4)
    polls, _ = open_poller(wait=20)
    with polling(polls, there):
        until(parked_poll)
        with there.down():
            ready_again(scene, after=0.3)
            until(lambda: Fetch.objects.filter(wait_ms=0, closed_as=Fetch.End.NEVER_SENT).count() >= 2)
        until(queued(1))


def test_a_retry_waits_for_a_free_place_and_not_for_the_end_of_a_poll(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    worker = scene.process(places=1)
    polls, _ = open_poller(wait=20)
    with polling(polls, there):
        until(parked_poll)
        busy = scene.task(Status.RUNNING, holder=worker, external=locked(scene, seconds=300))
        task = ready_again(scene, after=0.3)
        until(lambda: (there.tasks[task.external_id].locked_until or 0) < there.now())
        assert Task.objects.get(id=task.id).retry_at is not None
        leases.end([busy.last_lease_id], how=LeaseEnd.LOST, reason="its process was cancelled")
        until(queued(1))


def test_a_new_mapping_is_polled_at_once_beside_the_poll_that_is_under_way(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    scene.map("new", active=False)
    there.add("new")
    polls, _ = open_poller(wait=20)
    with polling(polls, there):
        until(lambda: there.calls["fetchAndLock"] == 1)
        mapping = scene.mappings["new"]
        mapping.active = True
        mapping.save()
        until(queued(1))
        assert there.calls["fetchAndLock"] >= 2
        assert Fetch.objects.order_by("id")[0].closed_at is None, "the first poll is still under way"
        there.add()
        until(queued(2), what="the old topic is polled as before")


@contextmanager
def listening(polls: Poller) -> Iterator[None]:
    """As in a process: the database tells the poller what has changed."""
    proven = threading.Event()
    ear = Ear(polls.look, channel=FETCH_CHANNEL, on_hearing=lambda hears: proven.set() if hears else None)
    ear.start()
    try:
        assert proven.wait(10), "it hears its own word"
        yield
    finally:
        ear.stop(timeout=10)


def test_a_changed_mapping_and_a_task_that_a_person_offers_again_are_told_and_not_looked_for(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((poller, "LOOK_EVERY"), (line, "DUE_LOOK"), (line, "DUE_LOOK_QUIET")):
        monkeypatch.setattr(module, name, 3600.0)
    scene.process(places=4)
    scene.map("new", active=False)
    there.add("new")
    polls, _ = open_poller(wait=90)  # No test waits as long: only what is told ends it.
    with listening(polls), polling(polls, there):
        until(lambda: there.calls["fetchAndLock"] == 1)
        # By a statement of its own, as from psql: no code of ours sees it.
        TopicMapping.objects.filter(topic="new").update(active=True)
        until(queued(1), what="the new topic is polled")
        until(lambda: len(there.fetched_for) >= 3, what="both topics have a parked poll")
        external = locked(scene, seconds=300)
        task = scene.task(Status.DELIVERED, outcome=Outcome.FAILED, external=external)
        with there.changed:
            external.locked_until = there.now()  # In silence: no parked poll is woken by it.
        leases.offered(task.id)
        until(queued(2), what="the task is fetched again")


def test_large_tasks_come_in_small_answers(scene: Scene, there: FakeEngine, open_poller: OpenPoller) -> None:
    scene.process(places=50)
    scene.map("greet", unit="test.greet")
    large = {"bsn": {"type": "String", "value": "x" * 1_000_000, "valueInfo": {}}}
    polls, _ = open_poller()
    with polling(polls, there):
        there.add("greet", variables=large)
        until(queued(1))
        # The poll that was under way when the first came did not know yet.
        there.end_polls()
        until(lambda: Fetch.objects.filter(closed_at=None, max_tasks__lte=2).exists())
        for _ in range(8):
            there.add("greet", variables=large)
        until(queued(9))
    sizes = Counter(Lease.objects.values_list("worker_id", flat=True)).values()
    assert max(sizes) <= 2, "eight megabytes at once"


def test_a_mapping_that_is_switched_off_is_not_polled_any_more(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    polls, _ = open_poller(wait=0.05)
    with polling(polls, there):
        until(lambda: there.calls["fetchAndLock"] > 1)
        scene.mappings["topic"].__class__.objects.update(active=False)
        until(lambda: not polls._lines and not polls._retired)
        there.add()
        calls = there.calls["fetchAndLock"]
        scene.mappings["topic"].__class__.objects.update(active=True)
        until(queued(1))
        assert there.calls["fetchAndLock"] > calls


def test_one_process_polls_a_group_and_another_takes_over_when_its_leadership_runs_out(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    leader, _ = open_poller()
    other, taker = open_poller()
    gone = scene.process(places=0)
    PollLeadership.objects.create(engine=scene.row, ordinal=0, process_id=gone, expires_at=Now() + HOUR)
    with polling(other, there):
        until(lambda: other._renewed > 0)
        assert not other._lines
        PollLeadership.objects.update(expires_at=Now() - timedelta(seconds=1))
        until(lambda: bool(other._lines))
        assert PollLeadership.objects.get().process_id == taker.id
        with polling(leader, there):
            until(lambda: leader._renewed > 0)
            assert not leader._lines
        there.add()
        until(queued(1))


def test_leadership_is_taken_renewed_and_given_up(scene: Scene) -> None:
    one, two = scene.process(), scene.process()
    lines = [(scene.row.pk, 0), (scene.row.pk, 1)]
    assert leadership.hold(one, lines[:1]) == {lines[0]}
    assert leadership.hold(two, lines) == {lines[1]}
    first = PollLeadership.objects.get(ordinal=0).expires_at
    assert leadership.hold(one, lines) == {lines[0]}
    assert PollLeadership.objects.get(ordinal=0).expires_at > first
    leadership.release(one)
    assert leadership.hold(two, lines) == set(lines)
    assert leadership.hold(two, []) == set()


def test_a_process_polls_once_however_often_it_is_told_to(there: FakeEngine, open_poller: OpenPoller) -> None:
    polls, _ = open_poller()
    with polling(polls, there):
        until(lambda: bool(polls._lines))
        assert not polls.run(duration=HOUR)
    assert not polls.run(duration=HOUR), "and not at all once it stops"


def test_lines_outlive_a_poll_job_so_that_the_next_one_takes_them_over(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=4)
    polls, _ = open_poller()
    assert polls.run(duration=timedelta())
    with polling(polls, there):
        until(lambda: bool(polls._lines))
    polls, _ = open_poller()
    polls.run(duration=timedelta(seconds=0.01))
    lines = dict(polls._lines)
    polls.run(duration=timedelta(seconds=0.01))
    assert lines
    assert polls._lines == lines


def test_lines_without_a_job_end_after_a_while(
    scene: Scene, open_poller: OpenPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "ORPHANED_AFTER", 0.05)
    polls, _ = open_poller()
    polls.run(duration=timedelta(seconds=0.01))
    until(lambda: not polls._lines)
    until(lambda: not PollLeadership.objects.exists())


def test_a_stop_outlasts_no_poll_that_is_longer_than_the_grace_period_and_its_ghost_is_freed(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    sweeper = scene.process(places=4)
    polls, member = open_poller(wait=50, grace=0.3)
    job = in_thread(lambda: polls.run(duration=HOUR))
    until(parked_poll)
    polls.stop()
    polls.join()
    job.join(30)
    member.leave()
    ghost = Fetch.objects.get(wait_ms__gt=1000)
    assert (ghost.closed_as, ghost.watch_until is not None) == (Fetch.End.ABANDONED, True)
    assert not PollLeadership.objects.exists()

    external = there.add()

    until(lambda: external.worker_id == ghost.worker_id, what="the abandoned poll locks it all the same")
    assert sweep(sweeper, scene.clients).freed == 1
    assert not Task.objects.exists(), "the late answer is not recorded"


def test_a_poller_that_was_declared_dead_goes_on_under_a_new_id(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bptl.tasks.upkeep.processes.HEARTBEAT", timedelta(seconds=0.05))
    scene.process(places=4)
    polls, member = open_poller()
    old = member.id
    member.start()
    with polling(polls, there):
        until(lambda: there.calls["fetchAndLock"] > 0)
        scene.bury(old)
        until(lambda: member.id != old)
        until(lambda: not Fetch.objects.filter(process_id=old, closed_at=None).exists())
        PollLeadership.objects.update(expires_at=Now())
        there.add()
        until(queued(1))
    member.leave()
    assert lease_of(Task.objects.get()).holder_id == member.id
    assert Process.objects.get(id=member.id).stopped_at is not None
