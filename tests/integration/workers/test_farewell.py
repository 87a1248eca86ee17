"""A worker that stops, and the message that it waits for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection, Queue

from bptl.workers.farewell import Farewell
from tests.integration.waiting import PATIENCE, in_thread


def test_a_consumer_that_stops_waits_for_no_further_message(broker: str) -> None:
    patient = {"polling_interval": 4 * PATIENCE}
    with (
        Connection(broker, transport_options=patient) as connection,
        connection.Consumer(Queue("nobody-sends-to-it")) as consumer,
    ):
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.1)
        channel: Any = consumer.channel
        assert channel._in_poll, "it waits at the broker"
        Farewell(None).stop(SimpleNamespace(task_consumer=consumer))
        closing = in_thread(channel.close)
        closing.join(PATIENCE)
        assert not closing.is_alive()


def test_a_consumer_that_never_began_stops_too() -> None:
    Farewell(None).stop(SimpleNamespace(task_consumer=None))
