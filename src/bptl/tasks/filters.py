"""The filters of a list of tasks, each as what it asks of a row and as what an index knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from bptl.connections import catalogue
from bptl.connections.models import WITHOUT_ENGINE, Engine
from bptl.tasks.lifecycle import Outcome, Status, outcomes_of
from bptl.work_units.errors import APPLICATION

_NOBODY = -1
"""Number of an engine that does not exist."""


class Condition(NamedTuple):
    """A condition on a row of tasks in SQL, and its values."""

    sql: str
    values: tuple[Any, ...] = ()


ANY = Condition("true")


class Sieve(NamedTuple):
    """What one filter asks of a task.

    ``kinds``: the same as conditions that exclude each other, each of which an index knows; empty where none does.
    ``ordered``: that index has them in the order of lists. ``whole``: a task of a kind needs no other question.
    """

    fits: Condition
    kinds: Sequence[Condition] = ()
    ordered: bool = True
    whole: bool = True


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Filters that combine; empty ones leave out. ``before_id`` continues a list (newest first).

    ``engine`` is a name, or WITHOUT_ENGINE. ``unit`` is that of the mapping as it is now. ``application`` is what the
    process put into bptlAppId. ``error_group`` is a key of failures that lie now (``error_groups``). ``text`` stands in
    the name or value of a variable that came or was answered, in any case of letters. ``since`` and ``until``
    (exclusive) are about when the task was first seen.
    """

    status: str = ""
    outcome: str = ""
    engine: str = ""
    topic: str = ""
    unit: str = ""
    application: str = ""
    process_instance_id: str = ""
    business_key: str = ""
    error_group: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None

    @property
    def states(self) -> Sequence[tuple[Status, Outcome]]:
        """The states that status and outcome leave; none where they exclude each other."""
        return [
            (status, outcome)
            for status in Status
            for outcome in outcomes_of(status)
            if self.status in {"", status} and self.outcome in {"", outcome}
        ]

    def sieves(self) -> Iterator[Sieve]:
        """One for each filter that is set, without the place in the list."""
        if self.status or self.outcome:
            # Each state by itself: no index has the tasks of several in the order of a list.
            yield _one_of([_state(status, outcome) for status, outcome in self.states])
        if self.engine:
            yield _one_of([Condition("COALESCE(engine_id, 0) = %s", (_engine_id(self.engine),))])
        if self.topic:
            yield _one_of([Condition("topic = %s", (self.topic,))])
        if self.unit:
            yield _of_unit(self.unit)
        if self.error_group:
            failed = _state(Status.DELIVERED, Outcome.FAILED)
            yield _one_of([Condition(f"{failed.sql} AND error_group = %s", (*failed.values, self.error_group))])
        for column in ("process_instance_id", "business_key"):
            if value := getattr(self, column):
                fits = Condition(f"{column} = %s", (value,))
                yield Sieve(fits, [fits], ordered=False)
        if self.application:
            yield Sieve(Condition(f"variables #>> '{{{APPLICATION},value}}' = %s", (self.application,)))
        if self.text:
            pattern = _pattern(self.text)
            said = "(variables::text ILIKE %s OR (result -> 'variables')::text ILIKE %s)"
            yield Sieve(Condition(said, (pattern, pattern)))
        if self.since:
            yield Sieve(Condition("recorded_at >= %s", (self.since,)))
        if self.until:
            yield Sieve(Condition("recorded_at < %s", (self.until,)))


def all_of(conditions: Sequence[Condition]) -> Condition:
    """Every one of them."""
    return _joined(" AND ", conditions) if conditions else ANY


def _one_of(kinds: Sequence[Condition]) -> Sieve:
    return Sieve(_joined(" OR ", kinds), kinds)


def _joined(word: str, conditions: Sequence[Condition]) -> Condition:
    return Condition(
        f"({word.join(f'({condition.sql})' for condition in conditions)})",
        tuple(value for condition in conditions for value in condition.values),
    )


def _state(status: Status, outcome: Outcome) -> Condition:
    return Condition("status = %s AND outcome = %s", (status.value, outcome.value))


def _engine_id(name: str) -> int:
    # By its number: of a joined name PostgreSQL cannot know how many tasks it has.
    if name == WITHOUT_ENGINE:
        return 0
    return Engine.objects.filter(name=name).values_list("id", flat=True).first() or _NOBODY


def _of_unit(name: str) -> Sieve:
    """No index knows the mapping of a task: each would cost the road another entry for every write."""
    mappings = catalogue.using(name)
    topics = sorted({mapping.topic for mapping in mappings})
    return Sieve(
        Condition("mapping_id = ANY(%s)", ([mapping.pk for mapping in mappings],)),
        # Without a mapping the empty topic: nothing is looked through in vain.
        [Condition("topic = %s", (topic,)) for topic in topics or [""]],
        whole=False,
    )


def _pattern(text: str) -> str:
    """The text as it stands in JSON, for ILIKE."""
    said = json.dumps(text, ensure_ascii=False)[1:-1]
    escaped = said.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
