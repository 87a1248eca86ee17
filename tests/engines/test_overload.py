"""An engine with a short queue of long polls and one poll a worker: refusals that mean *later*."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bptl.engines.base import EngineUnavailable, FetchRequest, TopicRequest
from bptl.engines.camunda7.client import Camunda7
from tests.engines.products import started
from tests.engines.scene import new_worker_id

POLLS = 48


@pytest.fixture(scope="module")
def narrow(product: str) -> Iterator[Camunda7]:
    """Our client at an engine without authentication, with room for three waiting requests."""
    properties = {"test.unique-worker-request": "true", "test.queue-capacity": "3"}
    engine = started(product, authentication=False, properties=properties)
    client = Camunda7(engine.url, connections=POLLS)
    yield client
    client.close()
    engine.stop()


def poll(client: Camunda7, worker_id: str, *, wait: timedelta) -> EngineUnavailable | None:
    topic = TopicRequest(topic="nothing", lock_duration=timedelta(minutes=1))
    try:
        assert client.fetch(FetchRequest(worker_id=worker_id, max_tasks=1, topics=[topic], wait=wait)) == []
    except EngineUnavailable as error:
        return error
    return None


def test_a_new_poll_of_the_same_worker_ends_the_parked_one_with_unavailable(narrow: Camunda7) -> None:
    worker_id = new_worker_id()
    with ThreadPoolExecutor() as threads:
        older = threads.submit(poll, narrow, worker_id, wait=timedelta(seconds=20))
        # Parked or not yet arrived: the one that arrives second ends the other, so newer ones are sent until it has.
        while not older.done():
            poll(narrow, worker_id, wait=timedelta(milliseconds=300))
        refused = older.result()
    assert refused is not None
    assert (refused.status, refused.sent) == (503, True)


def test_a_full_queue_is_unavailable(narrow: Camunda7) -> None:
    refusals: list[EngineUnavailable] = []
    with ThreadPoolExecutor(max_workers=POLLS) as threads:
        for _ in range(10):
            wait = timedelta(seconds=1)
            ends = [threads.submit(poll, narrow, new_worker_id(), wait=wait) for _ in range(POLLS)]
            refusals = [error for end in ends if (error := end.result())]
            if refusals:
                break
    assert refusals, "ten bursts never filled a queue of three"
    assert {(error.status, error.sent) for error in refusals} == {(500, True)}


def test_an_engine_that_asks_nobody_to_log_in_says_so(narrow: Camunda7) -> None:
    assert narrow.may_fetch() is None
