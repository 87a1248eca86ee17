"""``wake()``: whoever makes work says so here. A port of one function; without a sender the sweep finds the work."""

from __future__ import annotations

from collections.abc import Callable

Sender = Callable[[int], None]

_senders: list[Sender] = []


def use(sender: Sender | None) -> None:
    """Put in the function that tells workers there is work (once, when a process starts); None takes it out."""
    _senders[:] = [sender] if sender is not None else []


def wake(amount: int = 1) -> None:
    """Say that ``amount`` tasks may be claimed or delivered. A sender does not raise for a broker that is away."""
    if amount > 0:
        for send in _senders:
            send(amount)
