"""Operations that stop at every point where a process can be killed or paused, so that a test chooses what comes next.

An operation is ordinary code of the heart in a greenlet of its own. It stops before every statement outside a
transaction, and before and after every call of the engine: between two stops at most one thing becomes true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from greenlet import GreenletExit, getcurrent, greenlet

from bptl.engines import base
from bptl.tasks.execution.work import Cancellation

PAUSED = "paused"
ASLEEP = "asleep"


class Operation(greenlet):  # type: ignore[misc]
    """One piece of work under way; ``asleep`` while it waits for time to pass."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        super().__init__(work)
        self.name = name
        self.asleep = False
        self.discarded = False

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def step(self) -> None:
        """Go on to the next stop."""
        self.asleep = self.switch() == ASLEEP

    def discard(self) -> None:
        """Unwind it; its statements must do no harm any more."""
        self.discarded = True
        if self:  # type: ignore[truthy-bool]
            self.throw(GreenletExit)


def pause(word: str = PAUSED) -> None:
    """Stop here until the test says go on; nothing where no operation runs."""
    current = getcurrent()
    if isinstance(current, Operation) and current.parent is not None and not current.discarded:
        current.parent.switch(word)


@contextmanager
def pauses_between_statements() -> Iterator[None]:
    """Inside, operations stop before every statement that is not inside a transaction of theirs."""
    depth = len(connection.savepoint_ids)

    def execute(run: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:
        # The end of a savepoint is no point of its own: a transaction that is cut off is one that never began.
        if len(connection.savepoint_ids) == depth and not statement.startswith(("RELEASE", "ROLLBACK")):
            pause()
        return run(statement, params, many, context)

    with connection.execute_wrapper(execute):
        yield


class PausingEngine:
    """An engine's client whose every call can be late, or the last thing its process did."""

    def __init__(self, engine: base.Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._engine, name)

        def paused(*args: Any, **kwargs: Any) -> Any:
            pause()
            try:
                return call(*args, **kwargs)
            finally:
                pause()

        return paused


class PausingCancellation(Cancellation):
    """A cancellation whose waiting is a stop: ``now`` is the model's clock (seconds)."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now

    def wait(self, seconds: float) -> bool:
        """Wait for the model's clock, or to be cancelled."""
        until = self._now() + seconds
        while not self.cancelled and self._now() < until:
            pause(ASLEEP)
        return self.cancelled
