"""The callbacks of one worker: claimed and noted by one thread, made by a few others: none waits for a slow one.

It sleeps until somebody says that one is due: the reporter, when the engine took a completion that asks for one, and
the job that looks twice a minute (``jobs.tell``).
"""

from __future__ import annotations

import queue
import time
from collections import Counter

from django.db import connections

from bptl.connections import callbacks as allowed
from bptl.connections.callbacks import NotAllowed, Target
from bptl.connections.secrets import Undecryptable
from bptl.lib.log import get_logger
from bptl.tasks.delivery import callbacks as outbox
from bptl.tasks.delivery.callbacks import Due, Tried
from bptl.workers.crew import Crew
from bptl.workers.loops import Loop, Pace

log = get_logger(__name__)

SENDERS = 6
MOST_PER_PLACE = 2
"""Calls at once, and to one receiver: a slow one leaves threads for the others."""

LEAVE_ALONE = 30.0
"""Seconds for which this process calls nobody who gave no answer: each such call holds a thread for ten."""

LOOK_EVERY = 5.0
ASLEEP = 3600.0
"""Seconds between looks: while there was something to do lately, and else. Asleep it keeps no database connection."""


class Callbacks:
    """Makes the callbacks that are due."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._silent: dict[str, float] = {}
        self._tried: queue.SimpleQueue[Tried] = queue.SimpleQueue()
        self._stopping = False
        self._crew: Crew[tuple[Due, Target]] = Crew("callback", SENDERS, self._call)
        self._pace = Pace()
        self._loop = Loop("callbacks", self._step)

    def start(self) -> None:
        """Begin."""
        self._crew.start()
        self._loop.start()

    def wake(self) -> None:
        """One may be due."""
        self._pace.happened()
        self._loop.wake()

    def stop(self, *, timeout: float) -> None:
        """Begin no more calls and note those under way, for at most ``timeout`` seconds. What is left is tried again by
        another worker."""
        self._stopping = True
        deadline = time.monotonic() + timeout
        while self._under_way.total() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._loop.stop(timeout=1)
        self._crew.stop()

    def _step(self) -> float:
        self._note()
        while not self._stopping and self._under_way.total() < SENDERS and (due := self._take()) is not None:
            self._pace.happened()
            self._begin(due)
        rest = self._pace.rest(busy=LOOK_EVERY, quiet=ASLEEP)
        if rest == ASLEEP and not self._under_way.total():
            connections.close_all()  # this thread's
        return rest

    def _take(self) -> Due | None:
        now = time.monotonic()
        self._silent = {place: until for place, until in self._silent.items() if until > now}
        busy = {place for place, calls in self._under_way.items() if calls >= MOST_PER_PLACE}
        return outbox.take(leave=[*busy, *self._silent])

    def _begin(self, due: Due) -> None:
        # Judged here: threads that make only calls need no database connection of their own.
        try:
            target = allowed.target(due.url)
        except NotAllowed as error:
            outbox.settle(Tried(due, error=str(error), refused=True))
        except Undecryptable as error:
            outbox.settle(Tried(due, error=str(error)))
        else:
            self._under_way[due.place] += 1
            self._crew.put((due, target))

    def _call(self, job: tuple[Due, Target]) -> None:
        due, target = job
        try:
            tried = outbox.attempt(due, target)
        except Exception as error:
            # Nobody waits for this thread's answer: it must not keep the place of the receiver.
            log.exception("callback.failed", task_id=due.task_id, place=due.place)
            tried = Tried(due, error=type(error).__name__)
        self._tried.put(tried)
        self._loop.wake()

    def _note(self) -> None:
        while True:
            try:
                tried = self._tried.get_nowait()
            except queue.Empty:
                return
            if not tried.answered:
                self._silent[tried.due.place] = time.monotonic() + LEAVE_ALONE
            try:
                outbox.settle(tried)
            finally:
                self._under_way[tried.due.place] -= 1
                if self._under_way[tried.due.place] <= 0:
                    del self._under_way[tried.due.place]
