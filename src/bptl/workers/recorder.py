"""The hand of a polling line that records: what came is written down while the line already asks for more."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bptl.engines.base import Engine, ExternalTask
from bptl.tasks.intake.fetches import Announced
from bptl.workers.loops import Loop

IDLE = 3600.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of a fetch. ``until`` (monotonic seconds): as long its tasks may still be recorded.

    ``began`` (seconds since 1970): when the engine was asked.
    """

    fetch: Announced
    tasks: Sequence[ExternalTask]
    engine: Engine
    until: float
    began: float


class Recorder:
    """Records answers one after the other, in the order in which they came, in a thread of its own."""

    def __init__(self, name: str, record: Callable[[Answered], None]) -> None:
        self._record = record
        self._answers: queue.Queue[Answered] = queue.Queue(maxsize=1)
        self._counting = threading.Lock()
        self._left = 0
        self._unrecorded = 0
        self._loop = Loop(f"record {name}", self._step)

    @property
    def unrecorded(self) -> int:
        """How many tasks were handed over and are not in the table yet."""
        return self._unrecorded

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def put(self, answered: Answered) -> None:
        """Hand over an answer; waits while one waits already, so that no line runs ahead of the database."""
        self._count(+1, answered)
        self._answers.put(answered)
        self._loop.wake()

    def stop(self, *, timeout: float = 0.0) -> bool:
        """Stop when everything is recorded that was handed over; nobody hands over any more. True when it has."""
        deadline = time.monotonic() + timeout
        while self._left and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._left == 0 and self._loop.stop(timeout=max(0.0, deadline - time.monotonic()))

    def _count(self, sign: int, answered: Answered) -> None:
        with self._counting:
            self._left += sign
            self._unrecorded += sign * len(answered.tasks)

    def _step(self) -> float:
        try:
            answered = self._answers.get_nowait()
        except queue.Empty:
            return IDLE
        try:
            self._record(answered)
        finally:
            self._count(-1, answered)
        return 0.0
