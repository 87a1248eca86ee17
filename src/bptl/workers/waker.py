"""The Celery sender behind ``tasks.wake``: one thread, so that a slow broker slows nobody who makes work."""

from __future__ import annotations

import threading

from kombu.exceptions import OperationalError

from bptl.lib.log import get_logger
from bptl.workers.app import WORK, app
from bptl.workers.loops import Loop

log = get_logger(__name__)

MESSAGES = 4
"""Most messages for one group of tasks: each wakes one worker, and a woken worker claims all it has places for."""

EXPIRES = 30.0


class Waker:
    """``send`` may be called from any thread and never waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amount = 0
        self._loop = Loop("waker", self._step)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """Stop; what was not sent the sweep will find."""
        self._loop.stop(timeout=2)

    def send(self, amount: int) -> None:
        """Say that so many tasks may be claimed."""
        with self._lock:
            self._amount += amount
        self._loop.wake()

    def _step(self) -> float:
        with self._lock:
            amount, self._amount = self._amount, 0
        for _ in range(min(amount, MESSAGES)):
            try:
                app.send_task("bptl.work", queue=WORK, expires=EXPIRES, retry=False, ignore_result=True)
            except OperationalError as error:
                log.warning("wake.not_sent", error=str(error), tasks=amount)
                return 1.0
        return 3600.0
