"""The latest answers to slow questions, asked in the background: who looks waits no longer than they want to."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Asked(Generic[Answer]):
    at: float
    """When it was asked, by the monotonic clock."""
    future: Future[Answer]


class Latest(Generic[Key, Answer]):
    """Answers by key. One that is older than ``fresh`` seconds is asked for anew, once at a time, in one of
    ``threads``; until then the old one is shown, for at most ``shown`` seconds.
    """

    def __init__(self, *, fresh: float, shown: float, threads: int = 4) -> None:
        self._fresh, self._shown = fresh, shown
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="latest")
        self._lock = Lock()
        self._asked: dict[Key, _Asked[Answer]] = {}
        self._answered: dict[Key, tuple[float, Answer]] = {}

    def get(self, questions: Mapping[Key, Callable[[], Answer]], *, within: float) -> dict[Key, Answer | None]:
        """The answer to each question, as far as one comes within so many seconds; None: none yet.

        What a question raises is raised here, and it is asked anew the next time.
        """
        begun = time.monotonic()
        with self._lock:
            for key, question in questions.items():
                self._ask(key, question, now=begun)
            asked = {key: self._asked[key] for key in questions if key in self._asked}
        waited = wait([one.future for one in asked.values()], timeout=within).done
        with self._lock:
            for key, one in asked.items():
                if one.future in waited and self._asked.get(key) is one:
                    del self._asked[key]
                    self._answered[key] = (one.at, one.future.result())
            now = time.monotonic()
            return {key: self._known(key, now) for key in questions}

    def _ask(self, key: Key, question: Callable[[], Answer], *, now: float) -> None:
        answered = self._answered.get(key)
        if key not in self._asked and (answered is None or now - answered[0] > self._fresh):
            self._asked[key] = _Asked(now, self._threads.submit(question))

    def _known(self, key: Key, now: float) -> Answer | None:
        at, answer = self._answered.get(key, (-self._shown, None))
        return answer if now - at <= self._shown else None
