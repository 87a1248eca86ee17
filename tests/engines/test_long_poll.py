"""Parked polls: what wakes them, what does not, and what they leave when nobody listens any more."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from bptl.engines.base import ExternalTask, InvalidRequest, TaskQuery
from bptl.engines.camunda7.credentials import Basic
from tests.engines.scene import LOCK, WORKER, Scene, new_worker_id

LONG = timedelta(seconds=25)
SHORT = timedelta(seconds=1)


def parked(scene: Scene) -> Future[Sequence[ExternalTask]]:
    """A long poll in a thread, given the time to arrive."""
    poll = scene.in_background(lambda: scene.fetch(wait=LONG))
    still_waits(poll)
    return poll


def still_waits(poll: Future[Sequence[ExternalTask]]) -> None:
    with pytest.raises(TimeoutError):
        poll.result(timeout=1)


def test_a_poll_without_work_answers_an_empty_list_at_its_end(scene: Scene) -> None:
    assert scene.fetch(wait=SHORT) == []


def test_a_poll_may_last_longer_than_other_calls(scene: Scene) -> None:
    impatient = scene.house.client(WORKER[0], timeout=0.4)
    assert impatient.fetch(scene.request(wait=SHORT)) == []


def test_the_engine_refuses_to_wait_longer_than_half_an_hour(scene: Scene) -> None:
    with pytest.raises(InvalidRequest):
        scene.fetch(wait=timedelta(minutes=30, milliseconds=1))


def test_a_new_task_wakes_a_parked_poll(scene: Scene) -> None:
    poll = parked(scene)
    instance = scene.start()
    [task] = poll.result(timeout=10)
    assert task.process_instance_id == instance.id


def test_an_expired_lock_does_not_wake_a_parked_poll_but_unlocking_does(scene: Scene) -> None:
    task, _ = scene.started_task()
    poll = parked(scene)
    scene.advance(LOCK + timedelta(seconds=1))
    still_waits(poll)
    scene.worker.unlock(task.id)
    assert [found.id for found in poll.result(timeout=10)] == [task.id]


def test_new_retries_do_not_wake_a_parked_poll(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.worker.fail(task.id, worker_id=worker_id, message="", details="", retries=0, retry_timeout=timedelta())
    poll = parked(scene)
    scene.worker.set_retries(task.id, 1)
    still_waits(poll)
    scene.worker.unlock(task.id)
    assert [found.id for found in poll.result(timeout=10)] == [task.id]


def test_a_poll_left_alone_locks_the_next_task_for_nobody_and_is_found_by_its_id(scene: Scene) -> None:
    ghost = new_worker_id()
    leave_a_poll(scene, ghost)
    instance = scene.start()
    [held] = eventually(lambda: scene.worker.list(TaskQuery(worker_id=ghost)))
    assert held.process_instance_id == instance.id
    assert scene.fetch() == []
    scene.worker.unlock(held.id)
    assert scene.fetch_one().id == held.id


def leave_a_poll(scene: Scene, worker_id: str) -> None:
    """Send a long poll and cut the connection without waiting for an answer."""
    address = urlsplit(scene.house.engine.url)
    topic = {"topicName": scene.topic, "lockDuration": 300_000}
    body = {"workerId": worker_id, "maxTasks": 1, "asyncResponseTimeout": 60_000, "topics": [topic]}
    content = json.dumps(body).encode()
    head = (
        f"POST {address.path}/external-task/fetchAndLock HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: {Basic(WORKER[0], WORKER[0]).header()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=10) as connection:
        connection.sendall(head.encode() + content)
        # An engine that has not parked it yet would not notice that we left before it has.
        time.sleep(0.5)


def eventually(look: object) -> Sequence[ExternalTask]:
    """What ``look`` finds, as soon as it finds something, within ten seconds."""
    assert callable(look)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found: Sequence[ExternalTask] = look()
        if found:
            return found
        time.sleep(0.05)
    return []
