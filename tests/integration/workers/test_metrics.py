"""What a process counts while tasks walk: every station by engine and topic, and nothing that names a task."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from bptl.lib.exposition import Exposition
from bptl.lib.instruments import Counter, Gauge, Histogram
from bptl.tasks import answering, metrics
from bptl.tasks.answering import Answer
from bptl.tasks.delivery import outbox
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import ProcessKind, Task
from bptl.workers import alive, loops, metrics_port
from bptl.workers.floor import Floor
from bptl.workers.member import Member
from bptl.workers.poller import Poller
from tests.doubles.engine import FakeEngine
from tests.integration.scene import Scene
from tests.integration.waiting import in_thread, until
from tests.integration.workers import units

OpenFloor = Callable[..., Floor]
OpenPoller = Callable[..., tuple[Poller, Member]]


@pytest.fixture(autouse=True)
def counting() -> Iterator[None]:
    """The metrics are on, and begin at nothing."""
    metrics.PROCESS.on = True
    for instrument in metrics.PROCESS:
        if isinstance(instrument, Counter | Histogram):
            instrument._values.clear()
    readers = {one: list(one._readers) for one in metrics.PROCESS if isinstance(one, Gauge)}
    yield
    metrics.PROCESS.on = False
    for gauge, before in readers.items():
        gauge._readers[:] = before


@contextmanager
def polling(polls: Poller, there: FakeEngine) -> Iterator[None]:
    """The poll job runs meanwhile; at the end no poll is waited for."""
    job = in_thread(lambda: polls.run(duration=timedelta(hours=1)))
    try:
        yield
    finally:
        polls.stop()
        job.join(30)
        end = in_thread(polls.join)
        while end.is_alive():
            there.end_polls()
            end.join(0.02)


def ends(amount: int, outcome: Outcome) -> None:
    ended = Task.objects.filter(status=Status.DELIVERED, outcome=outcome)
    until(lambda: ended.count() == amount, what=f"{amount} tasks were delivered")


def fetched(scene: Scene) -> None:
    """A poller has fetched all that waits; its process is gone before workers look."""
    poller = scene.process(ProcessKind.POLL, places=0)
    room = scene.process(places=4)
    scene.fetch(poller)
    scene.bury(room)


def seen(histogram: Histogram, *labels: str) -> int:
    return sum(histogram.values()[labels].counts)


def test_each_station_counts_what_passed_it(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, open_poller: OpenPoller
) -> None:
    external = [there.add("topic") for _ in range(7)]
    open_floor()
    polls, _member = open_poller()
    with polling(polls, there):
        ends(7, Outcome.COMPLETED)
    engine = scene.row.name
    until(lambda: metrics.DELIVERED.values() == {(engine, "topic", "completed"): 7}, what="all were counted")
    assert metrics.FETCHED.values() == {(engine, "topic"): 7}
    assert metrics.STARTED.values() == {(engine, "topic"): 7}
    assert metrics.PERFORMED.values() == {(engine, "topic", "completed"): 7}
    assert metrics.REPORTS.values() == {(engine, "taken"): 7}
    assert metrics.REPORT_RETRIES.values() == {}
    assert metrics.FAILED.values() == {}
    assert metrics.POLLS.values()[engine, "tasks"] >= 1
    for histogram, labels in (
        (metrics.QUEUE_SECONDS, (engine, "topic")),
        (metrics.RUN_SECONDS, (engine, "topic")),
        (metrics.DELIVERY_SECONDS, (engine,)),
    ):
        assert seen(histogram, *labels) == 7
        assert 0 <= histogram.values()[labels].total < 7 * 60
    until(lambda: seen(metrics.LOCK_LEFT, engine) == 7, what="every lock was released")
    assert metrics.LOCK_LEFT.values()[engine,].counts[0] == 0, "no lock had run out"
    text, _ = Exposition(metrics.PROCESS, about_process=True).text("")
    told = text.decode()
    assert not [task.pk for task in Task.objects.all() if str(task.last_lease_id) in told or task.external_id in told]
    assert not [one.id for one in external if one.id in told]


def test_failures_are_told_by_whether_retries_are_left_and_bpmn_errors_as_their_own_outcome(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("again", unit="test.try_again")
    scene.map("never", unit="test.greet")
    there.add("again")
    there.add("never")
    fetched(scene)
    open_floor()
    ends(2, Outcome.FAILED)
    engine = scene.row.name
    assert metrics.FAILED.values() == {(engine, "again", "left"): 1, (engine, "never", "none"): 1}
    assert metrics.PERFORMED.values() == {(engine, "again", "failed"): 1, (engine, "never", "failed"): 1}


def test_reports_that_the_engine_does_not_take_are_retries_and_no_deliveries(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.add("topic")
    fetched(scene)
    monkeypatch.setattr(outbox, "LATER_WAITS", (timedelta(seconds=0.1),))
    there.cut("complete", executed=False, times=3)
    open_floor()
    ends(1, Outcome.COMPLETED)
    engine = scene.row.name
    until(lambda: metrics.DELIVERED.values() == {(engine, "topic", "completed"): 1}, what="it was counted")
    assert metrics.REPORTS.values() == {(engine, "later"): 3, (engine, "taken"): 1}
    assert metrics.REPORT_RETRIES.values() == {(engine,): 3}


def test_a_run_that_says_pending_waits_or_is_performed_where_the_answer_was_there_before(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, settings: Any
) -> None:
    settings.BPTL_PAGES_URL = "https://bptl.example.com/"
    scene.map("sign", unit="test.sign")
    gate = {"type": "String", "value": "answered", "valueInfo": {}}
    there.add("sign")
    early = there.add("sign", variables={"gate": gate})
    fetched(scene)
    open_floor()
    asked = until(lambda: units.ASKED[early.id])
    answering.from_outside(asked[-1].token, Answer(Outcome.COMPLETED, {"signedBy": "Saskia"}), digest="one")
    units.GATES["answered"].set()
    ends(1, Outcome.COMPLETED)
    engine = scene.row.name
    until(lambda: metrics.WAITING.values() == {(engine, "sign"): 1}, what="one began to wait")
    assert metrics.PERFORMED.values() == {(engine, "sign", "completed"): 1}
    assert seen(metrics.RUN_SECONDS, engine, "sign") == 1


def test_what_is_given_back_is_counted_with_why(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    scene.map("gated", unit="test.wait_at_gate")
    there.add("gated", variables={"gate": {"type": "String", "value": "closed", "valueInfo": {}}})
    fetched(scene)
    floor = open_floor(places=2)
    metrics_port.tell_places(floor)
    until(lambda: floor.running == 1, what="it runs")
    assert metrics.PLACES.values() == {("free",): 1, ("taken",): 1, ("written_off",): 0}
    assert metrics.LOCKS_HELD.values() == {(): 1}
    assert 0.5 < metrics.LOCK_LEFT_RATIO.values()[()] <= 1
    floor.drain(grace=0.1)
    assert metrics.RETURNED.values() == {(scene.row.name, "gated", "given_back"): 1}
    assert metrics.LOST.values() == {}
    units.GATES["closed"].set()


def test_a_task_that_is_gone_is_lost_and_not_returned(scene: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    external = there.add("topic")
    fetched(scene)
    there.remove(external)
    open_floor()
    until(lambda: metrics.LOST.values() == {(scene.row.name, "topic"): 1}, what="it was counted as lost")
    assert metrics.RETURNED.values() == {}
    assert metrics.DELIVERED.values() == {}


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Where the port that was opened last listens."""
    from bptl.lib import exposition

    opened: list[exposition.Port] = []

    class Noted(exposition.Port):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]
            opened.append(self)

    monkeypatch.setattr(exposition, "Port", Noted)
    with override_settings(BPTL_METRICS_ADDRESS=("127.0.0.1", 0)):
        yield lambda: opened[-1].port


def test_without_an_address_nothing_is_counted_and_nothing_listens() -> None:
    metrics.PROCESS.on = False
    with override_settings(BPTL_METRICS_ADDRESS=None), metrics_port.opened(ProcessKind.WORK):
        assert not metrics.PROCESS.on
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics"]


def test_the_port_says_yes_or_no_and_tells_the_metrics(
    listening: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    draining = [False]
    heart = loops.Turning(metrics_port.HEARTBEAT)
    alive.show()
    with metrics_port.opened(ProcessKind.WORK, draining=lambda: draining[0]):
        port = listening()
        assert asked(port, "/live") == (200, "yes\n")
        assert asked(port, "/ready") == (503, "no\n"), "the database has not heard of it yet"
        loops.show(heart)
        try:
            assert asked(port, "/ready") == (200, "yes\n")
            status, told = asked(port, "/metrics")
            assert status == 200
            assert 'bptl_process_info{kind="work",version="' in told
            assert 'bptl_loop_silent_seconds{loop="heartbeat"}' in told
            assert "process_start_time_seconds" in told
            assert asked(port, "/")[0] == 404
            draining[0] = True
            assert asked(port, "/ready") == (503, "no\n")
            monkeypatch.setattr(alive, "_shown_at", alive._shown_at - 61)
            assert asked(port, "/live") == (503, "no\n")
        finally:
            loops.hide(heart)


def test_a_port_that_is_taken_is_said_with_what_to_do(listening: Callable[[], int]) -> None:
    with metrics_port.opened(ProcessKind.WORK):
        taken = ("127.0.0.1", listening())
        with (
            override_settings(BPTL_METRICS_ADDRESS=taken),
            pytest.raises(ImproperlyConfigured, match="port of its own; port 0"),
            metrics_port.opened(ProcessKind.POLL),
        ):
            pass
