"""Waiting for what must happen, and no longer; work beside the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

T = TypeVar("T")

PATIENCE = 20.0


def until(found: Callable[[], T | None], *, what: str = "") -> T:
    """The first true answer of ``found``; AssertionError after 20 s without one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"did not happen in {PATIENCE:g} s: {what or found}"
        time.sleep(0.01)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Begin ``work`` in a thread that closes its database connections at the end."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
