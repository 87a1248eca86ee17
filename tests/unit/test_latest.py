"""A page that shows what somebody slow answers is never slow itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bptl.lib.latest import Latest

FOREVER = 3600.0


def counter() -> Callable[[], int]:
    """A question whose answer counts how often it was asked."""
    numbers = iter(range(1, 100))
    return lambda: next(numbers)


def test_a_fresh_answer_is_not_asked_for_again() -> None:
    latest: Latest[str, int] = Latest(fresh=FOREVER, shown=FOREVER)
    question = counter()
    assert latest.get({"a": question}, within=10) == {"a": 1}
    assert latest.get({"a": question}, within=10) == {"a": 1}


def test_an_old_answer_is_asked_for_anew() -> None:
    latest: Latest[str, int] = Latest(fresh=0, shown=FOREVER)
    question = counter()
    assert latest.get({"a": question}, within=10) == {"a": 1}
    assert latest.get({"a": question}, within=10) == {"a": 2}


def test_nobody_waits_for_a_slow_answer_and_it_comes_later() -> None:
    latest: Latest[str, int] = Latest(fresh=FOREVER, shown=FOREVER)
    end, asked = threading.Event(), []

    def slow() -> int:
        asked.append(1)
        assert end.wait(60)
        return 7

    questions = {"slow": slow, "quick": counter()}
    assert latest.get(questions, within=0.2)["slow"] is None
    assert latest.get(questions, within=0) == {"slow": None, "quick": 1}
    end.set()
    assert latest.get(questions, within=10)["slow"] == 7
    assert asked == [1], "while one is under way, no other is sent"


def test_until_the_new_answer_is_there_the_old_one_is_shown_but_not_for_ever() -> None:
    end = threading.Event()
    for shown, expected in ((FOREVER, 1), (0.0, None)):
        latest: Latest[str, int] = Latest(fresh=0, shown=shown)
        latest.get({"a": lambda: 1}, within=10)
        assert latest.get({"a": lambda: 2 if end.wait(60) else 0}, within=0) == {"a": expected}
    end.set()


def test_a_question_that_raises_is_asked_anew() -> None:
    latest: Latest[str, int] = Latest(fresh=FOREVER, shown=FOREVER)

    def faulty() -> int:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        latest.get({"a": faulty}, within=10)
    assert latest.get({"a": lambda: 3}, within=10) == {"a": 3}
