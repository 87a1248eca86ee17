"""A worker's ear: PostgreSQL itself tells it that there is work, before any Celery message is on its way (ADR 0017)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bptl.tasks.listening import listen

CHANNEL = "bptl_work"

LOOK_EVERY = 15.0
"""Seconds between looks whether the connection still lives."""


class Ear:
    """Calls ``on_work`` whenever somebody says that there is work, and when it has begun to listen (again)."""

    def __init__(self, on_work: Callable[[], None]) -> None:
        self._on_work = on_work
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to listen; the thread keeps no process from ending."""
        threading.Thread(target=self._listen, name="ear", daemon=True).start()

    def stop(self) -> None:
        """Hear nothing any more."""
        self._stopping.set()

    def _listen(self) -> None:
        listen(
            CHANNEL,
            heard=lambda _: self._tell(),
            can_hear=lambda can: self._tell() if can else None,
            ends=self._stopping.is_set,
            look_every=LOOK_EVERY,
        )

    def _tell(self) -> None:
        if not self._stopping.is_set():
            self._on_work()
