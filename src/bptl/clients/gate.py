"""The one gate through which every call to a service passes: may it be made, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bptl.clients.access import DataClass


@dataclass(frozen=True, slots=True)
class Call:
    """One call that has ended. ``url`` is the address as it stands in data, whichever outway it went through.

    ``status`` is None without an answer, and then ``error`` says why. ``seconds`` is how long it took, ``slow`` whether
    that is more than its service should need. Bodies are as they were sent and received: whoever keeps them redacts
    them first (``bptl.clients.records``).
    """

    service: str
    data_class: DataClass
    method: str
    url: str
    began_at: datetime
    seconds: float
    slow: bool = False
    status: int | None = None
    error: str = ""
    request_type: str = ""
    request_body: bytes = field(default=b"", repr=False)
    answer_type: str = ""
    answer_body: bytes = field(default=b"", repr=False)


class Gate(Protocol):
    """Of one run of one unit."""

    def enter(self, service: str, method: str, url: str) -> None:
        """Called before each call; raises when it may not be made (any more), and then it did not happen."""

    def leave(self, call: Call) -> None:
        """Called after each call, however it ended. Must not raise: the call has been made."""


class OpenGate:
    """Of calls that belong to no task, such as the test of a connection: all may be made, none is recorded."""

    def enter(self, service: str, method: str, url: str) -> None:
        """Always."""

    def leave(self, call: Call) -> None:
        """Nothing is kept."""
