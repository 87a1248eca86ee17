"""The port by which work is announced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bptl.tasks import wake


@pytest.fixture(autouse=True)
def no_sender() -> Iterator[None]:
    wake.use(None)
    yield
    wake.use(None)


def test_without_a_sender_nothing_happens_and_the_sweep_finds_the_work() -> None:
    sent: list[int] = []
    wake.wake(3)
    wake.use(sent.append)
    assert sent == []


def test_the_sender_hears_how_many_there_are() -> None:
    sent: list[int] = []
    wake.use(sent.append)
    wake.wake()
    wake.wake(5)
    assert sent == [1, 5]


def test_nobody_is_woken_for_nothing() -> None:
    sent: list[int] = []
    wake.use(sent.append)
    wake.wake(0)
    assert sent == []
