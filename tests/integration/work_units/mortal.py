"""Work in a process that dies: at each of its calls, before it is sent or when it was answered, and is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from bptl.clients.access import Access
from bptl.clients.gate import Call
from bptl.work_units.testing import FakeWork, task_facts
from tests.integration.work_units.zaak import EXTERNAL_ID

Moment = Literal["before", "after"]


class Killed(BaseException):
    """The process is gone: nothing of it is told to anybody, and no effect knows its end."""


class MortalWork(FakeWork):
    """Dies once, at its ``call``-th call (from 1; 0: never). What it has recorded stays, as in the database."""

    def __init__(self, services: dict[str, Access], *, call: int = 0, moment: Moment = "after") -> None:
        super().__init__(task=task_facts(external_id=EXTERNAL_ID), services=services)
        self._dies_at = (call, moment)
        self._made = 0
        self.last: Call | None = None

    def enter(self, service: str, method: str, url: str) -> None:
        super().enter(service, method, url)
        self._made += 1
        self._die("before")

    def leave(self, call: Call) -> None:
        super().leave(call)
        self.last = call
        self._die("after")

    def once(self, key: str, *given: Any, **more: Any) -> Any:
        try:
            return super().once(key, *given, **more)
        except Killed:
            # The intent stands in the ledger, and nobody wrote what became of it.
            self.open_effects.add(key)
            raise

    def _die(self, moment: Moment) -> None:
        if self._dies_at == (self._made, moment):
            self._dies_at = (0, moment)
            raise Killed


def deaths(calls: int) -> Iterator[tuple[int, Moment]]:
    """Every moment at which a process can die that makes so many calls."""
    for call in range(1, calls + 1):
        yield call, "before"
        yield call, "after"
