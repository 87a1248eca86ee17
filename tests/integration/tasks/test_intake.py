"""From the answer of a fetch to tasks with leases."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from bptl.engines.base import FetchRequest
from bptl.tasks import wake
from bptl.tasks.intake.fetches import FETCH_LIMIT, abandon, never_sent
from bptl.tasks.intake.record import Recorded
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, new_lease_cases
from bptl.tasks.models import Fetch, Lease, Process, ProcessKind, Task
from tests.doubles.engine import FakeEngine
from tests.integration.scene import RESULTS, Scene, fresh, lease_of, topic_request

TEXT = {"type": "String", "value": "Saskia", "valueInfo": {}}


@pytest.fixture
def woken() -> Iterator[list[int]]:
    amounts: list[int] = []
    wake.use(amounts.append)
    yield amounts
    wake.use(None)


# announcing


def test_a_fetch_is_committed_with_a_worker_id_of_its_own_before_it_is_sent(scene: Scene) -> None:
    process = scene.process()
    first, second = scene.announced(process), scene.announced(process)
    assert first.worker_id != second.worker_id
    assert first.number < second.number
    rows = Fetch.objects.order_by("id")
    assert [row.worker_id for row in rows] == [first.worker_id, second.worker_id]
    assert {(row.process_id, row.closed_at, row.closed_as) for row in rows} == {(process, None, "")}
    assert uuid.UUID(first.worker_id.removeprefix("bptl-")).version == 4


def test_no_more_is_asked_than_there_are_free_places(scene: Scene) -> None:
    poller = scene.process(ProcessKind.POLL, places=0)
    scene.process(places=3)
    scene.process(places=2)
    assert scene.announced(poller).max_tasks == 5
    scene.task(Status.QUEUED)
    scene.task(Status.RUNNING)
    assert scene.announced(poller).max_tasks == 3


def test_what_was_finished_in_the_last_second_is_looked_ahead_for_but_never_more_than_four_times_the_places(
    scene: Scene,
) -> None:
    worker = scene.process(places=2)
    for _ in range(3):
        scene.task(Status.DELIVERED, Outcome.COMPLETED, holder=worker)
    assert scene.announced(worker).max_tasks == 2
    Lease.objects.update(performed_at=Now())
    assert scene.announced(worker).max_tasks == 5
    for _ in range(9):
        scene.task(Status.DELIVERED, Outcome.COMPLETED, holder=worker)
    Lease.objects.update(performed_at=Now())
    assert scene.announced(worker).max_tasks == 8


def test_one_answer_is_of_bounded_size(scene: Scene) -> None:
    assert scene.announced(scene.process(places=1000)).max_tasks == FETCH_LIMIT


def test_lines_divide_the_room_and_each_gets_at_least_one(scene: Scene) -> None:
    process = scene.process(places=5)
    shared, thin = scene.announce(process, shares=2), scene.announce(process, shares=9)
    assert shared is not None
    assert thin is not None
    assert (shared.max_tasks, thin.max_tasks) == (2, 1)


def test_what_other_lines_may_still_bring_is_promised_to_them(scene: Scene) -> None:
    process = scene.process(places=5)
    first = scene.announce(process, ordinal=0, shares=3, wait=20)
    second = scene.announce(process, ordinal=1, shares=1, wait=20)
    assert first is not None
    assert second is not None
    assert (first.max_tasks, second.max_tasks) == (1, 4)
    assert scene.announce(process, ordinal=2, shares=1) is None
    renewed = scene.announce(process, ordinal=1, shares=1)
    assert renewed is not None, "a changed line is polled beside its own poll that is still under way"


def test_polls_are_short_while_there_is_less_room_than_lines(scene: Scene) -> None:
    process = scene.process(places=2)
    tight = scene.announce(process, shares=3, wait=20)
    assert tight is not None
    assert tight.wait == timedelta(seconds=1)


@pytest.mark.parametrize("why", ["none", "full", "draining", "silent", "stopped"])
def test_nothing_is_fetched_that_nobody_could_start(scene: Scene, why: str) -> None:
    poller = scene.process(ProcessKind.POLL, places=0)
    if why != "none":
        worker = scene.process(places=1)
        if why == "full":
            scene.task(Status.QUEUED, holder=worker)
        changes: dict[str, dict[str, Any]] = {
            "draining": {"draining": True},
            "silent": {"heartbeat_at": Now() - timedelta(seconds=16)},
            "stopped": {"stopped_at": Now()},
        }
        Process.objects.filter(id=worker).update(**changes.get(why, {}))
    assert scene.announce(poller) is None
    assert not Fetch.objects.exists()


@pytest.mark.parametrize("change", [{"draining": True}, {"stopped_at": Now()}])
def test_a_poller_that_is_stopping_or_dead_announces_nothing(scene: Scene, change: dict[str, object]) -> None:
    poller = scene.process(ProcessKind.POLL, places=0)
    scene.process(places=4)
    Process.objects.filter(id=poller).update(**change)
    assert scene.announce(poller) is None


# recording


def test_a_new_task_is_queued_under_a_lease(scene: Scene, there: FakeEngine, woken: list[int]) -> None:
    external = there.add(
        variables={"aanvrager": TEXT}, priority=7, business_key="Z-1", extension_properties={"RETRY_CONFIG": "R1/PT1S"}
    )
    process = scene.process()
    recorded = scene.fetch(process)
    task = Task.objects.get()
    lease = lease_of(task)
    assert recorded == Recorded(leased={external.id: lease.id})
    assert (task.external_id, task.status, task.outcome) == (external.id, Status.QUEUED, Outcome.NONE)
    assert (task.lease_id, task.last_lease_id, task.attempts) == (lease.id, lease.id, 1)
    assert (task.priority, task.business_key, task.engine_retries) == (7, "Z-1", None)
    assert task.variables == {"aanvrager": TEXT}
    assert task.extension_properties == {"RETRY_CONFIG": "R1/PT1S"}
    assert (lease.number, lease.worker_id, lease.holder_id) == (1, external.worker_id, process)
    assert (lease.lock_ms, lease.ended_at) == (300_000, None)
    assert Fetch.objects.get().closed_as == Fetch.End.ANSWERED
    assert woken == [1]


def test_a_lock_is_reckoned_from_before_its_request(scene: Scene, there: FakeEngine) -> None:
    there.add()
    scene.fetch(scene.process())
    lease, fetch = Lease.objects.get(), Fetch.objects.get()
    assert lease.locked_until == fetch.started_at + timedelta(seconds=300)
    assert lease.engine_locked_until is not None


def test_the_mapping_s_priority_is_added_to_the_engine_s(scene: Scene, there: FakeEngine) -> None:
    mapping = scene.mappings["topic"]
    mapping.priority = -3
    mapping.save()
    there.add(priority=10)
    scene.fetch(scene.process())
    assert Task.objects.get().priority == 7


def test_an_empty_answer_closes_its_fetch_and_wakes_nobody(scene: Scene, woken: list[int]) -> None:
    assert scene.fetch(scene.process()) == Recorded()
    assert Fetch.objects.get().closed_as == Fetch.End.ANSWERED
    assert woken == []


@pytest.mark.parametrize("close", [never_sent, abandon])
def test_the_answer_of_a_closed_fetch_is_never_recorded(
    scene: Scene, there: FakeEngine, close: Callable[..., None]
) -> None:
    there.add()
    fetch = scene.announced(scene.process())
    tasks = scene.ask(fetch)
    close(fetch)
    assert scene.record(fetch, tasks) == Recorded(closed=True)
    assert not Task.objects.exists()


def test_an_abandoned_fetch_is_watched_until_its_poll_and_a_margin_have_passed(scene: Scene) -> None:
    fetch = scene.announce(scene.process(), wait=20)
    assert fetch is not None
    abandon(fetch)
    row = Fetch.objects.get()
    assert row.closed_as == Fetch.End.ABANDONED
    assert row.watch_until == row.started_at + timedelta(seconds=30)


def test_a_closed_fetch_stays_closed_as_it_was(scene: Scene) -> None:
    fetch = scene.announced(scene.process())
    scene.record(fetch, [])
    abandon(fetch)
    never_sent(fetch)
    row = Fetch.objects.get()
    assert (row.closed_as, row.watch_until) == (Fetch.End.ANSWERED, None)


@pytest.mark.parametrize(("status", "outcome", "heard", "decided"), list(new_lease_cases()))
@pytest.mark.parametrize("live", [True, False])
def test_the_same_external_task_again_is_decided_by_the_lifecycle_and_ends_the_old_lease(
    scene: Scene, there: FakeEngine, status: Status, outcome: Outcome, heard: bool, decided: Status, live: bool
) -> None:
    if live and status in {Status.RETURNED, Status.DELIVERED, Status.LOST}:
        live = False
    if not live and status in {Status.QUEUED, Status.RUNNING}:
        live = True
    process = scene.process(places=64)
    old = scene.task(
        status,
        outcome,
        live=live,
        holder=process,
        report_tries=3 if outcome else 0,
        parked=status == Status.PERFORMED,
        assumed=status == Status.DELIVERED,
    )
    external = there.tasks[old.external_id]
    if heard:
        external.error_details = f"{old.outcome_id or old.last_lease_id}\nTraceback"
    there.advance(3600)
    recorded = scene.fetch(process)
    task = fresh(old)
    new = lease_of(task)
    assert recorded.leased == {old.external_id: new.id}
    assert (task.status, task.lease_id, task.last_lease_id, task.attempts) == (decided, new.id, new.id, 2)
    assert (new.number, new.worker_id, new.ended_at) == (2, external.worker_id, None)
    ended = Lease.objects.get(id=old.last_lease_id)
    assert ended.ended_at is not None
    assert ended.ended_as == (LeaseEnd.SUPERSEDED if live else LeaseEnd.GIVEN_BACK)
    assert (task.parked, task.assumed, task.reporter_id, task.look_at) == (False, False, None, None)
    if decided == Status.QUEUED:
        assert (task.outcome, task.outcome_id, task.result, task.report_tries) == ("", None, None, 0)
        assert task.next_report_at is None
    else:
        kept = (outcome, old.outcome_id, RESULTS[outcome], old.report_tries)
        assert (task.outcome, task.outcome_id, task.result, task.report_tries) == kept
        assert (task.next_report_at is not None) == (decided in {Status.PERFORMED, Status.UNCERTAIN, Status.WAITING})


def test_an_arrival_for_a_held_task_is_taken_over_only_when_the_engine_names_this_fetch(
    scene: Scene, there: FakeEngine
) -> None:
    process = scene.process()
    external = there.add()
    late = scene.announced(process)
    late_answer = scene.ask(late)
    there.advance(301)
    scene.fetch(process)
    held = Task.objects.get()
    assert scene.record(late, late_answer) == Recorded()
    assert (fresh(held).lease_id, there.calls["get"]) == (held.lease_id, 1)
    assert external.worker_id == lease_of(held).worker_id


def test_an_arrival_that_cannot_be_confirmed_is_given_back(scene: Scene, there: FakeEngine) -> None:
    process = scene.process()
    task = scene.queued(process)
    there.advance(301)
    fetch = scene.announced(process)
    answer = scene.ask(fetch)
    there.refuse("get", 500)
    assert scene.record(fetch, answer) == Recorded(refused=[task.external_id])
    assert fresh(task).lease_id == task.lease_id


def test_null_characters_in_variables_are_stored_as_the_replacement_character(scene: Scene, there: FakeEngine) -> None:
    there.add(variables={"aanvrager": {**TEXT, "value": "a\x00b\\u0000"}})
    scene.fetch(scene.process())
    assert Task.objects.get().variables["aanvrager"]["value"] == "a\N{REPLACEMENT CHARACTER}b\\u0000"


def test_one_task_that_cannot_be_stored_stops_no_other(committed_scene: Scene, there: FakeEngine) -> None:
    scene = committed_scene
    bad = there.add(variables={"aanvrager": {**TEXT, "value": "\ud800"}})
    long = there.add(business_key="x" * 256)
    good = [there.add().id for _ in range(2)]
    recorded = scene.fetch(scene.process())
    assert set(recorded.leased) == set(good)
    assert set(recorded.unstorable) == {bad.id, long.id}
    assert all(recorded.unstorable.values())
    assert recorded.refused == []
    assert set(Task.objects.values_list("external_id", flat=True)) == set(good)


def test_two_filters_of_one_topic_are_two_fetches_and_each_task_has_one_lease(scene: Scene, there: FakeEngine) -> None:
    process = scene.process()
    for key in ("north", "south", "north"):
        there.add(business_key=key)
    for key, expected in (("north", 2), ("south", 1)):
        fetch = scene.announced(process)
        request = FetchRequest(
            worker_id=fetch.worker_id, max_tasks=fetch.max_tasks, topics=[topic_request(business_key=key)]
        )
        recorded = scene.record(fetch, scene.engine.fetch(request))
        assert len(recorded.leased) == expected
    assert Task.objects.count() == Lease.objects.filter(ended_at=None).count() == 3


def test_equal_ids_at_two_engines_are_two_tasks(scene: Scene, there: FakeEngine) -> None:
    task = scene.queued(scene.process())
    other = Scene(there, type(scene.row).objects.create(name="other", address=there.url, authentication="none"))
    other.map()
    there.advance(301)
    other.fetch(other.process())
    assert sorted(Task.objects.values_list("engine__name", "external_id")) == [
        ("main", task.external_id),
        ("other", task.external_id),
    ]
    other.engine.close()


def test_a_mapping_that_is_deleted_while_its_fetch_is_under_way_loses_no_task(scene: Scene, there: FakeEngine) -> None:
    there.add()
    fetch = scene.announced(scene.process())
    answer = scene.ask(fetch)
    scene.mappings["topic"].__class__.objects.all().delete()
    assert len(scene.record(fetch, answer).leased) == 1
