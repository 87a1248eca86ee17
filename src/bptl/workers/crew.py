"""Threads that do one kind of thing, many times a second: an executor's promises would cost more than the thing."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from bptl.lib.log import get_logger

log = get_logger(__name__)

T = TypeVar("T")


class Crew(Generic[T]):
    """``size`` threads that call ``work`` with each item that is put, as many at once as there are items.

    Whoever takes an item calls the next thread first, and takes another one when it is done. So things that never wait
    are done by one thread in a row, and only those that wait, or take long, cost a change of threads each.
    """

    def __init__(self, name: str, size: int, work: Callable[[T], None]) -> None:
        self._work = work
        self._items: deque[T] = deque()
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._called = False
        self._threads = [threading.Thread(target=self._serve, name=f"{name} {i}", daemon=True) for i in range(size)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def put(self, item: T) -> None:
        """Have it done as soon as a thread is free."""
        self._items.append(item)
        self._call()

    def stop(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._items.clear()
        for _ in self._threads:
            self._calls.put(False)

    def _call(self) -> None:
        # Not locked: two calls at once wake one thread too many, never one too few. Who is called clears the mark and
        # then looks for items; who puts an item looks at the mark afterwards.
        if not self._called:
            self._called = True
            self._calls.put(True)

    def _serve(self) -> None:
        while self._calls.get():
            self._called = False
            while True:
                try:
                    item = self._items.popleft()
                except IndexError:
                    break
                if self._items:
                    self._call()
                try:
                    self._work(item)
                except Exception:
                    log.exception("crew.failed", thread=threading.current_thread().name)
