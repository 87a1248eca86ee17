"""A worker that wants to begin anew, and what is said to it meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from bptl.workers.restart import Restart


@pytest.fixture
def restart() -> Iterator[Restart]:
    """It hears the signals of this process, as a worker does."""
    made = Restart()
    before = signal.signal(signal.SIGTERM, lambda *_: made.told())
    yield made
    signal.signal(signal.SIGTERM, before)


def stop_from_outside() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_worker_that_wants_to_begin_anew_does(restart: Restart) -> None:
    restart.want()
    assert restart.due


def test_a_worker_that_is_stopped_does_not_begin_anew(restart: Restart) -> None:
    stop_from_outside()
    assert not restart.due


def test_a_worker_that_is_stopped_while_it_is_to_begin_anew_ends(restart: Restart) -> None:
    restart.want()
    stop_from_outside()
    assert not restart.due


def test_a_worker_that_was_stopped_ends_although_it_wants_to_begin_anew(restart: Restart) -> None:
    stop_from_outside()
    restart.want()
    assert not restart.due
