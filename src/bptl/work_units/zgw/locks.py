"""Locks of informatieobjecten as effects: who took one, knows it at the next attempt, and gives it back.

The Documenten API tells a lock in the answer to the call that sets it, and never again. So it is the recorded result of
an effect. Where that answer was lost, nobody can be asked for it: a GET says *that* it is locked, not by whom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bptl.clients.documenten import DocumentenClient
from bptl.clients.errors import Rejected
from bptl.clients.zgw import uuid_of
from bptl.work_units.contract import DidNotHappen, Happened, Uncertain, Work
from bptl.work_units.zgw.effects import send

NOT_OURS = "incorrect-lock-id"
NOT_LOCKED = "unlocked"


class LockedByOther(DidNotHappen):
    """Somebody else holds the lock, as who edits a document does: it may be free later."""

    def __init__(self, informatieobject: str) -> None:
        self.informatieobject = informatieobject
        super().__init__(
            f"{informatieobject} is locked by somebody else: it is being edited, or a lock was left behind. Try again "
            "when it is free"
        )


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that this task has taken; ``turn`` counts from 1 how often it has locked the informatieobject."""

    informatieobject: str
    turn: int
    value: str


def take(work: Work, drc: DocumentenClient, informatieobject: str, *, turn: int = 1) -> Lock:
    """Lock it, once per ``turn``: a later attempt gets the same lock, which may have been given back since.

    Raises LockedByOther, and Uncertain where the answer to an earlier attempt was lost.
    """
    key = _key("lock", informatieobject, turn)

    def request() -> str:
        try:
            return drc.lock(informatieobject)
        except Rejected as rejected:
            if rejected.has("existing-lock"):
                raise LockedByOther(informatieobject) from rejected
            raise

    def ask() -> Happened | None:
        if not drc.informatieobject(informatieobject)["locked"]:
            return None
        raise Uncertain(
            key,
            f"{informatieobject} is locked, and the answer that told the lock was lost: it is ours, or of somebody who "
            "locked it since. See whether somebody edits it. If nobody does, unlock it (with the right "
            "documenten.geforceerd-unlock). Then say that our lock did not happen",
        )

    arguments = {"informatieobject": informatieobject}
    value: str = send(work, drc, key, request, arguments=arguments, reconcile=ask)
    return Lock(informatieobject, turn, value)


def give_back(work: Work, drc: DocumentenClient, lock: Lock) -> None:
    """Unlock what ``take`` has locked. A lock that somebody has broken meanwhile is gone all the same."""

    def request() -> None:
        try:
            drc.unlock(lock.informatieobject, lock.value)
        except Rejected as rejected:
            if not rejected.has(NOT_OURS):
                raise

    _unlock(work, drc, lock, request)


def unlock(work: Work, drc: DocumentenClient, informatieobject: str, value: str) -> None:
    """Unlock with a lock that somebody else has taken. Raises Rejected where it is locked with another one."""
    lock = Lock(informatieobject, 1, value)
    _unlock(work, drc, lock, lambda: drc.unlock(informatieobject, value))


def _unlock(work: Work, drc: DocumentenClient, lock: Lock, request: Callable[[], None]) -> None:
    def ask() -> Happened | None:
        return None if drc.informatieobject(lock.informatieobject)["locked"] else Happened()

    arguments = {"informatieobject": lock.informatieobject, "lock": lock.value}
    send(work, drc, _key("unlock", lock.informatieobject, lock.turn), request, arguments=arguments, reconcile=ask)


def _key(verb: str, informatieobject: str, turn: int) -> str:
    return f"{verb} {uuid_of(informatieobject)}" + (f" #{turn}" if turn > 1 else "")
