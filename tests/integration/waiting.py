"""Waiting for what must happen, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

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
