"""The sender behind ``tasks.wake``: a word through PostgreSQL at once, and Celery messages for who cannot hear it.

The word reaches every worker that listens (``workers.ear``). Messages are for those behind a pooler that passes no
notifications on; they follow a moment later, few however much work there is: a message costs more than a task.
"""

from __future__ import annotations

import threading
import time

from kombu.exceptions import OperationalError

from bptl.lib.log import get_logger
from bptl.tasks.listening import WORK_CHANNEL, say
from bptl.workers.app import WORK, app
from bptl.workers.loops import Loop

log = get_logger(__name__)

GATHER = 0.2
"""Seconds for which messages are gathered."""

AT_MOST_EVERY = 1.0
"""Seconds between two rounds of messages: as often as a worker looks for work that nobody told it of."""

MESSAGES = 4
"""Most messages for what was gathered: each wakes one worker, and a woken worker claims all it has places for."""

EXPIRES = 30.0


class Waker:
    """``send`` may be called from any thread; it waits for PostgreSQL, never for the broker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amount = 0
        self._due = 0.0
        self._sent = 0.0
        self._loop = Loop("waker", self._step)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """Stop; what was not sent the sweep will find."""
        self._loop.stop(timeout=2)

    def send(self, amount: int) -> None:
        """Say that so many tasks may be claimed; within a transaction it is heard when that is committed."""
        say(WORK_CHANNEL)
        with self._lock:
            first = self._amount == 0
            self._amount += amount
            if first:
                self._due = max(time.monotonic() + GATHER, self._sent + AT_MOST_EVERY)
        if first:
            self._loop.wake()

    def _step(self) -> float:
        with self._lock:
            if self._amount == 0:
                return 3600.0
            left = self._due - time.monotonic()
            if left > 0:
                return left
            amount, self._amount, self._sent = self._amount, 0, time.monotonic()
        for _ in range(min(amount, MESSAGES)):
            try:
                app.send_task("bptl.work", queue=WORK, expires=EXPIRES, retry=False, ignore_result=True)
            except OperationalError as error:
                log.warning("wake.not_sent", error=str(error), tasks=amount)
                return 1.0
        return 3600.0
