"""The ear of a process: PostgreSQL itself tells it what is new, before any Celery message is on its way (ADR 0017)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from django.db import connections

from bptl.tasks.listening import WORK_CHANNEL, listen, say

LOOK_EVERY = 15.0
"""Seconds between looks whether the connection still lives."""


class Ear:
    """Calls ``on_word`` whenever something is said on ``channel``, and when it has begun to listen (again).

    For what ``instead`` names it calls that instead.
    When it begins to listen it says a word itself, as others do. ``on_hearing`` is told True when words come through,
    so that no pooler keeps them back, and False when the connection is lost.
    """

    def __init__(
        self,
        on_word: Callable[[], None],
        *,
        channel: str = WORK_CHANNEL,
        instead: Mapping[str, Callable[[], None]] | None = None,
        on_hearing: Callable[[bool], None] = lambda proven: None,
    ) -> None:
        self._on_word = on_word
        self._channel = channel
        self._instead = instead or {}
        self._on_hearing = on_hearing
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)

    def start(self) -> None:
        """Begin to listen; the thread keeps no process from ending."""
        self._thread.start()

    def stop(self, *, timeout: float = 0.0) -> None:
        """Hear nothing any more; wait at most ``timeout`` seconds until the connection is closed."""
        self._stopping.set()
        self._thread.join(timeout)

    def _listen(self) -> None:
        listen(
            self._channel,
            heard=self._heard,
            can_hear=self._can_hear,
            ends=self._stopping.is_set,
            look_every=LOOK_EVERY,
        )

    def _heard(self, word: str) -> None:
        self._on_hearing(True)
        self._tell(self._instead.get(word, self._on_word))

    def _can_hear(self, can: bool) -> None:
        if can:
            self._tell(self._on_word)
            say(self._channel)
            connections.close_all()  # this thread's: it has no other use for them
        else:
            self._on_hearing(False)

    def _tell(self, listener: Callable[[], None]) -> None:
        if not self._stopping.is_set():
            listener()
