"""How a reporter gathers groups: it waits for more only while more is to come."""

from __future__ import annotations

import queue

import pytest

from bptl.workers import reporter
from bptl.workers.reporter import gather


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "GROUP_WAIT", 60.0)


def full(*items: int) -> queue.SimpleQueue[int]:
    source: queue.SimpleQueue[int] = queue.SimpleQueue()
    for item in items:
        source.put(item)
    return source


def test_what_is_there_goes_together_and_waits_for_nobody_when_nobody_comes() -> None:
    group: list[int] = []
    gather(full(1, 2, 3), group, others_come=lambda: False)
    assert group == [1, 2, 3]


def test_while_others_come_a_group_waits_for_them() -> None:
    source = full(1)
    group: list[int] = []

    def others_come() -> bool:
        if len(group) == 1:
            source.put(2)
        return len(group) == 1

    gather(source, group, others_come=others_come)
    assert group == [1, 2]


def test_a_full_group_waits_for_nobody() -> None:
    group: list[int] = []
    gather(full(*range(reporter.GROUP + 1)), group, others_come=lambda: True)
    assert group == list(range(reporter.GROUP))
