"""The process ``bptl sandbox``: what survives its end, who gets which task, and parked polls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from bptl.engines.base import ExternalTask, FetchRequest, TaskQuery, TopicRequest
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.camunda7.credentials import Basic
from bptl.engines.variables import encode_all
from stage.processes import PartFailed
from stage.sandbox import Sandbox
from tests.integration.sandbox.laptop import bpmn, external, flow

MODEL = bpmn(
    '<startEvent id="s"/><parallelGateway id="f"/>' + external("a") + external("b")
    + '<intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition>'
    '</intermediateCatchEvent><parallelGateway id="j"/><userTask id="done"/>'
    + flow("s", "f", "a", "j", "done") + flow("f", "b", "j") + flow("f", "t", "j")
)  # fmt: skip


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(authentication=True, data=tmp_path / "sandbox.sqlite", log=tmp_path / "sandbox.log")
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Camunda7]:
    client = Camunda7(sandbox.url, credentials=Basic("demo", "demo"))
    client.deploy("p", {"p.bpmn": MODEL})
    yield client
    client.close()


def fetch(
    client: Camunda7, *topics: str, worker: str = "w", maximum: int = 50, wait: float | None = None
) -> Sequence[ExternalTask]:
    wanted = [TopicRequest(topic=topic, lock_duration=timedelta(minutes=5)) for topic in topics]
    seconds = None if wait is None else timedelta(seconds=wait)
    return client.fetch(FetchRequest(worker_id=worker, max_tasks=maximum, topics=wanted, wait=seconds))


def test_everything_that_was_answered_survives_the_kill_of_the_process(sandbox: Sandbox, client: Camunda7) -> None:
    instance = client.start(key="p", variables=encode_all({"x": {"deep": [1]}}))
    [a] = fetch(client, "a")
    client.complete(a.id, worker_id="w", variables=encode_all({"y": 2}))
    [b] = fetch(client, "b", worker="before")
    sandbox.part.kill()
    sandbox.start()
    assert client.get(b.id).worker_id == "before"
    assert set(client.variables(instance.id)) == {"x", "y"}
    client.complete(b.id, worker_id="before", variables=encode_all({"z": 3}))
    assert sandbox.rest.call("GET", "/task") == []
    # The timer of before fires after the hour that it was set to.
    sandbox.rest.url = sandbox.url.removesuffix("/engine-rest")
    sandbox.rest.call("POST", "/test/clock", body={"offsetMs": 3_700_000})
    sandbox.rest.url = sandbox.url
    end = time.monotonic() + 10
    while not (found := sandbox.rest.call("GET", "/task")) and time.monotonic() < end:
        time.sleep(0.05)
    assert [task["taskDefinitionKey"] for task in found] == ["done"]
    sandbox.rest.call("POST", f"/task/{found[0]['id']}/complete", body={})
    assert sandbox.rest.ended(key="p") == 1


def test_two_sandboxes_do_not_share_a_file(sandbox: Sandbox, tmp_path: Path) -> None:
    second = Sandbox(data=tmp_path / "sandbox.sqlite", log=tmp_path / "second.log")
    with pytest.raises(PartFailed, match="belongs to a sandbox that is running"):
        second.start()
    second.stop()


def test_fetches_at_the_same_time_share_the_tasks(client: Camunda7) -> None:
    for _ in range(20):
        client.start(key="p")
    with ThreadPoolExecutor(8) as threads:
        polls = [threads.submit(fetch, client, "a", "b", worker=f"w{number}", maximum=7) for number in range(8)]
        found = [task.id for poll in polls for task in poll.result(30)]
    assert len(found) == len(set(found)) == 40
    assert client.count(TaskQuery(locked=True)) == 40


def test_completions_at_the_same_time_meet_at_the_join_without_conflict(client: Camunda7) -> None:
    instances = [client.start(key="p") for _ in range(10)]
    with ThreadPoolExecutor(8) as threads:
        tasks = fetch(client, "a", "b")
        done = [threads.submit(client.complete, task.id, worker_id="w", variables={}) for task in tasks]
        assert [end.result(30) for end in done] == [None] * 20
    assert client.count(TaskQuery()) == 0
    assert len(client.instances()) == len(instances)


def test_a_parked_poll_is_woken_by_work_and_by_nothing_else(client: Camunda7) -> None:
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(fetch, client, "a", wait=30.0)
        with pytest.raises(TimeoutError):
            poll.result(0.5)
        client.start(key="p")
        [task] = poll.result(5)
    assert task.activity_id == "a"


def test_a_poll_parked_at_the_end_of_the_process_is_told_so(sandbox: Sandbox, client: Camunda7) -> None:
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(fetch, client, "a", wait=30.0)
        with pytest.raises(TimeoutError):
            poll.result(0.5)
        sandbox.part.stop()
        assert poll.exception(10) is not None
    assert sandbox.part.exit_code == 0
