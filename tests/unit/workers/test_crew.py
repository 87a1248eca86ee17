"""The threads of places and senders."""

from __future__ import annotations

import threading

from bptl.workers.crew import Crew
from tests.integration.waiting import until


def test_each_thing_is_done_once_whoever_puts_it() -> None:
    done: list[int] = []
    crew = Crew("hand", 4, done.append)
    crew.start()

    def put(first: int) -> None:
        for number in range(first, first + 250):
            crew.put(number)

    putters = [threading.Thread(target=put, args=[first]) for first in (0, 250, 500)]
    for putter in putters:
        putter.start()
    until(lambda: len(done) == 750)
    crew.stop()
    assert sorted(done) == list(range(750))


def test_what_waits_holds_one_thread_and_keeps_nothing_else_waiting() -> None:
    gate, done = threading.Event(), list[str]()

    def work(name: str) -> None:
        if name == "slow":
            gate.wait(30)
        done.append(name)

    crew = Crew("hand", 2, work)
    crew.start()
    for name in ("slow", "a", "b", "c"):
        crew.put(name)
    until(lambda: done == ["a", "b", "c"])
    gate.set()
    until(lambda: done == ["a", "b", "c", "slow"])
    crew.stop()


def test_as_many_things_are_done_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(5, timeout=30)

    def work(_: int) -> None:
        together.wait()

    crew = Crew("hand", 4, work)
    crew.start()
    for number in range(4):
        crew.put(number)
    together.wait()
    crew.stop()


def test_a_fault_costs_no_thread() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number < 3:
            raise RuntimeError("broken")
        done.append(number)

    crew = Crew("hand", 1, work)
    crew.start()
    for number in range(5):
        crew.put(number)
    until(lambda: done == [3, 4])
    crew.stop()


def test_what_was_not_begun_when_it_stops_is_not_done() -> None:
    gate, begun = threading.Event(), list[int]()

    def work(number: int) -> None:
        begun.append(number)
        gate.wait(30)

    crew = Crew("hand", 1, work)
    crew.start()
    crew.put(1)
    crew.put(2)
    until(lambda: begun == [1])
    crew.stop()
    gate.set()
    until(lambda: not any(thread.name == "hand 0" for thread in threading.enumerate()))
    assert begun == [1]
