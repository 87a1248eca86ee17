"""Callbacks: what a task asks for by its variable ``callbackUrl``, and what people see of them and do to them.

The row is written together with a completed outcome; ``bptl.tasks.delivery.callbacks`` sends it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from bptl.clients import records
from bptl.clients.access import DataClass
from bptl.lib import pinned
from bptl.lib.json import storable_text
from bptl.tasks.models import Callback, Event
from bptl.work_units.errors import CALLBACK

LONGEST = 2_000
"""Characters of an address."""

ATTENTION = (Callback.State.REFUSED, Callback.State.GIVEN_UP)
"""States that a person may want to do something about."""

NOT_CALLED = (*ATTENTION, Callback.State.DISMISSED)
"""States from which it may be tried again."""


class LeftAsItIs(Exception):
    """A person wanted something of a callback that cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A callback that a task asks for. With a ``fault`` it is refused at once: the work is done, whatever it says."""

    url: str
    place: str = ""
    fault: str = ""

    @property
    def state(self) -> Callback.State:
        """How its row begins."""
        return Callback.State.REFUSED if self.fault else Callback.State.WAITING


def wanted(variables: Mapping[str, Any]) -> Wanted | None:
    """What the variables of a task (wire form) ask for; None for no address, or an empty one."""
    variable = variables.get(CALLBACK)
    if variable is None:
        return None
    kind, value = variable.get("type") or "Null", variable.get("value")
    if kind not in {"Null", "String"} and (value is not None or kind in {"File", "Bytes"}):
        return Wanted("", fault=storable_text(f"{CALLBACK} is a variable of type {kind}, not a text"))
    if not isinstance(value, str) or not value.strip():
        return None
    # Nothing that somebody wrote there may keep an outcome from being stored.
    url = storable_text(value.strip())
    if len(url) > LONGEST:
        return Wanted(url[:LONGEST], pinned.place_of(url)[:LONGEST], f"the address is longer than {LONGEST} characters")
    return Wanted(url, pinned.place_of(url))


def ask(task_id: int, outcome_id: uuid.UUID, asked: Wanted) -> None:
    """Add the row of one completed outcome, within the transaction that stores the outcome."""
    refused = bool(asked.fault)
    Callback.objects.create(
        task_id=task_id,
        outcome_id=outcome_id,
        url=asked.url,
        place=asked.place,
        state=asked.state,
        error=asked.fault,
        next_try_at=None if refused else Now(),
        ended_at=Now() if refused else None,
    )


def masked(url: str) -> str:
    """An address as people see it: which parameters it has, and nothing of what they say. Empty where it is none."""
    try:
        return records.url(url, DataClass.SECRET)
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class Page:
    """Callbacks, newest first; ``older`` is the id before which the list goes on, if it does."""

    callbacks: Sequence[Callback]
    older: int | None = None


def page(*, state: str = "", before_id: int | None = None, limit: int = 50) -> Page:
    """At most ``limit`` callbacks, each with its task; an empty ``state`` is no filter."""
    found: QuerySet[Callback] = Callback.objects.select_related("task").defer("task__variables", "task__result")
    if state:
        found = found.filter(state=state)
    if before_id is not None:
        found = found.filter(id__lt=before_id)
    rows = list(found.order_by("-id")[: limit + 1])
    return Page(rows[:limit], older=rows[limit - 1].pk if len(rows) > limit else None)


def attention() -> str:
    """A state in which callbacks lie that a person may want to do something about; empty when none do."""
    return next((state for state in ATTENTION if Callback.objects.filter(state=state).exists()), "")


def again(callback_id: int, *, actor: str, reason: str) -> None:
    """Try one that was refused, given up or dismissed again, for another day.

    Raises Callback.DoesNotExist, LeftAsItIs.
    """
    callback = Callback.objects.get(id=callback_id)
    if not callback.url:
        raise LeftAsItIs("it has no address: the process variable is no text")
    with transaction.atomic():
        moved = Callback.objects.filter(id=callback_id, state__in=NOT_CALLED).update(
            state=Callback.State.WAITING,
            tries=0,
            first_try_at=None,
            next_try_at=Now(),
            status=None,
            error="",
            ended_at=None,
        )
        if not moved:
            raise LeftAsItIs("only a callback that was refused, given up or dismissed is tried again")
        _note(callback, "callback.tried_again", actor=actor, reason=reason)


def dismiss(callback_id: int, *, actor: str, reason: str) -> None:
    """Nobody needs to look any more at one that was refused or given up. Raises Callback.DoesNotExist, LeftAsItIs."""
    callback = Callback.objects.get(id=callback_id)
    with transaction.atomic():
        # Its error and its end stay: they say what was dismissed.
        moved = Callback.objects.filter(id=callback_id, state__in=ATTENTION).update(state=Callback.State.DISMISSED)
        if not moved:
            raise LeftAsItIs("only a callback that was refused or given up is dismissed")
        _note(callback, "callback.dismissed", actor=actor, reason=reason)


def _note(callback: Callback, name: str, *, actor: str, reason: str) -> None:
    detail = {"reason": reason, "place": callback.place}
    Event.objects.create(task_id=callback.task_id, name=name, actor=actor, detail=detail)
