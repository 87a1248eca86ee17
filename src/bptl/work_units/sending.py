"""Whether an effect that ended with an error has certainly not happened: for the ledger and the testing kit alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from bptl.clients.errors import ServiceError
from bptl.work_units.contract import DidNotHappen, LeaseEnded, ProcessNotFound, Refused

SAID_NOT = (DidNotHappen, Refused)
"""With these an effect says of itself that it did not happen."""


@dataclass(slots=True)
class CheckedSending:
    """The contract's Sending. ``may_send`` raises LeaseEnded or DidNotHappen when nothing may be sent any more."""

    shows_not: ClassVar[tuple[type[Exception], ...]] = (ProcessNotFound,)
    """These show it too, as long as the effect was not told before that it may send something else."""

    idempotency_key: str
    may_send: Callable[[], None] = field(compare=False)
    checks: int = 0
    """How often the effect was told that it may send."""
    refusal: Exception | None = None
    """What the last check raised."""

    def check(self) -> None:
        """Raise when it is too late to send, or the lease has ended."""
        self.allow()
        self.checks += 1

    def allow(self) -> None:
        """As ``check``, for who keeps the ledger: nothing is sent right after it."""
        try:
            self.may_send()
        except (LeaseEnded, DidNotHappen) as error:
            self.refusal = error
            raise

    def certainly_not(self, error: BaseException) -> bool:
        """Whether an error that ended the effect shows that it did not happen.

        A refusal of the check itself shows it only while no earlier check let something be sent. LeaseEnded from
        elsewhere (a wait, a read) shows nothing: the work may have been cancelled after the effect had sent.
        """
        if error is self.refusal:
            return self.checks == 0
        if isinstance(error, SAID_NOT):
            return True
        shown = isinstance(error, self.shows_not) or (isinstance(error, ServiceError) and error.did_not_happen)
        return shown and self.checks <= 1
