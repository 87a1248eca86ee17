"""The load engine keeps the engine's contract, seen through BPTL's own client, and counts what should never happen."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.load_engine import LoadEngine
from bptl.engines.base import ExternalTask, FetchRequest, LockRefused, NotFound, TaskQuery, TopicRequest
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.variables import Variable
from tests.integration.waiting import until

TOPIC = "work"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadEngine]:
    engine = LoadEngine(log=tmp_path_factory.mktemp("load") / "engine.log")
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def engine(started: LoadEngine) -> LoadEngine:
    started.forget()
    started.delay()
    return started


@pytest.fixture(scope="module")
def client(started: LoadEngine) -> Iterator[Camunda7]:
    client = Camunda7(started.url)
    yield client
    client.close()


def fetch(
    client: Camunda7, worker: str = "me", *, maximum: int = 10, lock: float = 60, wait: float | None = None
) -> list[ExternalTask]:
    topic = TopicRequest(topic=TOPIC, lock_duration=timedelta(seconds=lock), variables=["wanted"])
    waited = None if wait is None else timedelta(seconds=wait)
    request = FetchRequest(
        worker_id=worker, max_tasks=maximum, topics=[topic], wait=waited, use_priority=True, oldest_first=False
    )
    return list(client.fetch(request))


def test_a_backlog_is_given_out_once_in_order_and_completed(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 3, variables={"wanted": {"type": "String", "value": "é"}, "other": {"value": 1}})
    first, second = fetch(client, maximum=2)
    (third,) = fetch(client)

    assert [task.business_key for task in (first, second, third)] == ["work-0", "work-1", "work-2"]
    assert dict(first.variables) == {"wanted": Variable("String", "é")}
    for task in (first, second, third):
        client.complete(task.id, worker_id="me", variables={})
    state = engine.state(TOPIC)
    assert state.done
    assert (state.created, state.fetches, state.completed, state.fetched_again) == (3, 3, 3, 0)
    assert all(
        one.completed and one.fetched and one.created <= one.fetched < one.completed for one in engine.times(TOPIC)
    )


def test_only_the_worker_that_locked_a_task_may_report_it(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client, "me")

    with pytest.raises(LockRefused):
        client.complete(task.id, worker_id="somebody", variables={})

    assert engine.state(TOPIC).foreign == 1
    assert client.get(task.id).worker_id == "me"


def test_a_second_report_is_refused_and_counted(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client)
    client.complete(task.id, worker_id="me", variables={})

    with pytest.raises(NotFound):
        client.complete(task.id, worker_id="me", variables={})

    state = engine.state(TOPIC)
    assert (state.completed, state.ended_again) == (1, 1)


def test_a_lock_that_ran_out_gives_the_task_to_the_next(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client, "first", lock=0.05)
    assert [one.id for one in until(lambda: fetch(client, "second"))] == [task.id]

    with pytest.raises(LockRefused):
        client.complete(task.id, worker_id="first", variables={})
    client.complete(task.id, worker_id="second", variables={})

    assert engine.state(TOPIC).fetched_again == 1


def test_an_extended_lock_lasts_and_one_of_a_millisecond_gives_back(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client, lock=60)
    client.extend(task.id, worker_id="me", duration=timedelta(milliseconds=1))

    until(lambda: fetch(client, "next"))

    assert client.get(task.id).worker_id == "next"


def test_a_failed_task_comes_again_with_its_story(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client)
    client.fail(task.id, worker_id="me", message="ai", details="détails", retries=1, retry_timeout=timedelta())
    assert client.error_details(task.id) == "détails"

    (again,) = until(lambda: fetch(client))

    assert (again.error_message, again.error_details, again.retries) == ("ai", "détails", 1)


def test_a_task_without_retries_is_not_given_out_until_it_has_some(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client)
    client.fail(task.id, worker_id="me", message="ai", details="", retries=0, retry_timeout=timedelta())
    assert fetch(client, wait=0.3) == []
    assert client.count(TaskQuery(topic=TOPIC, with_retries_left=False)) == 1

    client.set_retries(task.id, 1)

    assert [one.id for one in fetch(client)] == [task.id]


def test_a_parked_poll_is_woken_by_a_new_task(engine: LoadEngine, client: Camunda7) -> None:
    with ThreadPoolExecutor(1) as threads:
        polling = threads.submit(fetch, client, wait=30)
        until(lambda: engine.state(TOPIC).parked == 1)
        engine.backlog(TOPIC, 1)

        assert len(polling.result(timeout=10)) == 1
    assert engine.state(TOPIC).parked == 0


def test_a_parked_poll_without_work_is_answered_empty_in_the_end(engine: LoadEngine, client: Camunda7) -> None:
    assert fetch(client, wait=0.2) == []
    assert engine.state(TOPIC).parked == 0


def test_a_stream_creates_all_its_tasks_and_wakes_polls(engine: LoadEngine, client: Camunda7) -> None:
    engine.stream(TOPIC, rate=200, count=20)
    found: list[str] = []
    while len(found) < 20:
        found += [task.id for task in fetch(client, wait=5)]

    assert len(set(found)) == 20
    assert engine.state(TOPIC).streams == 0
    moments = [one.created for one in engine.times(TOPIC)]
    assert moments == sorted(moments)
    assert len(set(moments)) > 1


def test_delays_are_spent_before_the_answer(engine: LoadEngine, client: Camunda7) -> None:
    engine.delay(fetch_ms=20, complete_ms=30)
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client)
    client.complete(task.id, worker_id="me", variables={})

    (times,) = engine.times(TOPIC)
    assert times.fetched is not None
    assert times.completed is not None
    assert times.fetched - times.created >= 19
    assert times.completed - times.fetched >= 29


def test_what_is_forgotten_is_unknown(engine: LoadEngine, client: Camunda7) -> None:
    engine.backlog(TOPIC, 1)
    (task,) = fetch(client)
    engine.forget()

    with pytest.raises(NotFound):
        client.get(task.id)
    assert engine.state(TOPIC).created == 0


def test_its_log_stays_empty(engine: LoadEngine) -> None:
    log: Path = engine.part.log
    assert log.read_text() == ""
