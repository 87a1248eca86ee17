"""What the engine, an instance and what it waits for know of each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from bptl.sandbox.clock import Clock
from bptl.sandbox.elements import Element
from bptl.sandbox.expressions import Template
from bptl.sandbox.store import Row, Store
from bptl.sandbox.variables import Typed


class Steering(Protocol):
    """What an instance asks of its engine."""

    store: Store
    clock: Clock
    signals: deque[tuple[str, Mapping[str, Typed]]]
    """Thrown in this command, delivered at its end."""

    def wake(self) -> None:
        """Parked polls shall look again."""

    def timers_changed(self) -> None:
        """There may be an earlier timer."""

    def terminate(self, instance_id: str, state: str, reason: str | None = None) -> None:
        """End another instance."""

    def caller(self, instance: Any) -> Any:
        """The instance that has called this one, or None."""

    def call(self, instance: Any, task: Any, key: str, element: Element) -> None:
        """Start what a call activity calls."""

    def ended(self, child: Any) -> None:
        """An instance has ended."""


class Running(Protocol):
    """What an instance is for the rows of its waiting."""

    id: str
    engine: Steering
    row: Row

    def evaluated(self, task: Any, template: Template | None) -> Any:
        """The value of a template in ``task``."""

    def chain(self, task: Any) -> list[str]:
        """The scopes that ``task`` sees."""
