"""What a unit answers when somebody outside will complete its task: *pending*, and the address that it gave out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

LONGEST_WAIT = timedelta(weeks=8)
"""The longest deadline of an answer: as long as a municipality may take to decide on a building permit."""

LONGEST_KEY = 100


@dataclass(frozen=True, slots=True)
class Completion:
    """An address at which somebody outside completes the task, once, before ``deadline`` (with a time zone).

    ``url`` holds ``token``, which is the right to use it: give it to nobody but who must answer, and put it in no
    result and no log. ``number`` counts the addresses that were made for ``key`` in this task, from 1: a new attempt
    gets the same address again as long as it can be used, and a fresh one, with a higher number, when it was used or
    its deadline has passed. ``id`` is BPTL's own.
    """

    id: int
    key: str
    number: int
    deadline: datetime
    url: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def pending(self) -> Pending:
        """What the unit answers instead of its outputs, once it has given the address to who must answer."""
        return Pending(self)


@dataclass(frozen=True, slots=True)
class Pending:
    """The task waits, without a place of a worker, until somebody answers at the address of ``completion``.

    When nobody does before its deadline, the attempt has failed and the retry plan decides.
    """

    completion: Completion


def check_completion(key: str, deadline: timedelta) -> None:
    """Raise ValueError for a key or a deadline of a completion that cannot be."""
    if not 0 < len(key) <= LONGEST_KEY:
        raise ValueError(f"the key of a completion has 1 to {LONGEST_KEY} characters, not {len(key)}")
    if not timedelta() < deadline <= LONGEST_WAIT:
        raise ValueError(f"the deadline of completion {key!r} must be more than 0 and at most {LONGEST_WAIT.days} days")
