"""A walk through tasks in the order of a list: by the narrowest index that knows a filter, asking rows for the rest.

Where the others let few rows pass, a walk ends when its time is used up and says how far it came. No index was made for
this: each would cost every task four writes more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import OperationalError, connection, transaction

from bptl.tasks.filters import ANY, Condition, Sieve, TaskFilter, all_of

LONGEST_STATEMENT = 1.0
"""Seconds after which PostgreSQL ends a statement of a search."""

FIRST_STEP, LARGEST_STEP = 100, 10_000
"""Rows that are walked at once: few at first, because each may hold variables of many kilobytes."""

SORTED_AT_MOST = 10_000
"""Rows that are sorted for a page, where an index does not have them in the order of the list."""

SLACK = timedelta(minutes=1)
"""By how much the order of numbers and of times may differ: a transaction takes its time at its beginning."""


class TooSlow(Exception):
    """PostgreSQL ended the search: these filters together read too much."""


@dataclass(slots=True)
class Found:
    """Ids that fit, in the order of the walk, which came to ``edge``; ``unfinished``: its time was used up."""

    ids: list[int]
    walked: int = 0
    edge: int | None = None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """Tasks of ``kinds`` between two ids (exclusive), in the order of a list; ``rest`` is asked of each row.

    What has an index walks that one by an expression of which the primary key does not know the order (BACKWARDS).
    """

    kinds: Sequence[Condition]
    rest: Condition
    above: int | None
    below: int | None
    newest_first: bool

    def find(self, limit: int, *, seconds: float) -> Found:
        """At least ``limit`` ids, or all that there are, or those that were found in time."""
        found = Found([])
        begun = time.monotonic()
        walk, size = self, limit if self.rest == ANY else FIRST_STEP
        while True:
            ids, walked, edge = walk._step(size)
            found.ids += ids
            found.walked += walked
            if walked < size or len(found.ids) >= limit:
                return found
            found.edge = edge
            # As many as are walked in what is left of the time, at the pace so far: rows may come from a slow disk.
            taken = time.monotonic() - begun
            fitting = int(found.walked * (seconds - taken) / taken)
            if fitting < FIRST_STEP:
                found.unfinished = True
                return found
            size = min(2 * size, LARGEST_STEP, fitting)
            walk = replace(walk, below=edge) if self.newest_first else replace(walk, above=edge)

    def _step(self, size: int) -> tuple[list[int], int, int | None]:
        last, order = ("min", "DESC") if self.newest_first else ("max", "ASC")
        statement = self.statement(size)
        ((ids, walked, edge),) = fetched(
            f"SELECT array_agg(id ORDER BY id {order}) FILTER (WHERE fits), count(*), {last}(id)"
            f" FROM ({statement.sql}) walked",
            statement.values,
        )
        return ids or [], walked, edge

    def statement(self, size: int, *, columns: str = "id") -> Condition:
        """The next ``size`` rows of the walk: ``columns``, and in ``fits`` whether the row passes."""
        key = self._key
        order = "DESC" if (key == "id") == self.newest_first else "ASC"
        # Each kind in order, so that they are merged: together they would all be read and sorted.
        kinds = [
            Condition(
                f"(SELECT *, {key} AS place FROM tasks_task WHERE {kind.sql} ORDER BY {key} {order} LIMIT %s)",
                (*kind.values, size),
            )
            for kind in self.bounded_kinds()
        ]
        rows = _united(kinds)
        return Condition(
            f"SELECT {columns}, {self.rest.sql} AS fits FROM ({rows.sql}) kinds ORDER BY place {order} LIMIT %s",
            (*self.rest.values, *rows.values, size),
        )

    def planned(self) -> int:
        """About how many rows there are to walk."""
        rows = _united(
            [Condition(f"SELECT id FROM tasks_task WHERE {kind.sql}", kind.values) for kind in self.bounded_kinds()]
        )
        return planned(rows.sql, rows.values)

    def bounded_kinds(self) -> Sequence[Condition]:
        """The kinds between the two ids."""
        bounds = [
            Condition(f"{self._key} {sign} %s", (edge if self._key == "id" else -edge,))
            for edge, sign in ((self.above, self._after), (self.below, self._before))
            if edge is not None
        ]
        return [all_of([kind, *bounds]) for kind in self.kinds]

    @property
    def _key(self) -> str:
        return "id" if list(self.kinds) == [ANY] else "id * -1"

    @property
    def _after(self) -> str:
        return ">" if self._key == "id" else "<"

    @property
    def _before(self) -> str:
        return "<" if self._key == "id" else ">"


def narrowest_walk(wanted: TaskFilter, after_id: int | None) -> Walk:
    """The narrowest walk of a filter: from the newest or ``wanted.before_id`` on, or up from ``after_id``."""
    sieves = list(wanted.sieves())
    above = _higher(after_id, _number_at(wanted.since - SLACK) - 1 if wanted.since else None)
    below = _lower(wanted.before_id if after_id is None else None, _until(wanted.until))
    everything = Walk([ANY], ANY, above, below, newest_first=after_id is None)
    chosen = _narrowest([sieve for sieve in sieves if sieve.kinds], everything)
    rest = all_of([sieve.fits for sieve in sieves if sieve is not chosen or not sieve.whole])
    return replace(everything, kinds=chosen.kinds if chosen else [ANY], rest=rest)


def _narrowest(sieves: Sequence[Sieve], everything: Walk) -> Sieve | None:
    if len(sieves) == 1 and sieves[0].ordered:
        return sieves[0]
    amounts = [(replace(everything, kinds=sieve.kinds).planned(), sieve) for sieve in sieves]
    fit = [(amount, sieve) for amount, sieve in amounts if sieve.ordered or amount <= SORTED_AT_MOST]
    return min(fit, key=lambda one: one[0])[1] if fit else None


def _united(parts: Sequence[Condition]) -> Condition:
    return Condition(
        " UNION ALL ".join(part.sql for part in parts), tuple(value for part in parts for value in part.values)
    )


def _higher(one: int | None, other: int | None) -> int | None:
    return max((edge for edge in (one, other) if edge is not None), default=None)


def _lower(one: int | None, other: int | None) -> int | None:
    return min((edge for edge in (one, other) if edge is not None), default=None)


def _until(moment: datetime | None) -> int | None:
    return _number_at(moment + SLACK) if moment else None


_NUMBER_AT = """
WITH RECURSIVE halving (low, high) AS (
    SELECT min(id), max(id) + 1 FROM tasks_task
    UNION ALL
    SELECT CASE WHEN task.at < %s THEN task.id + 1 ELSE low END, CASE WHEN task.at < %s THEN high ELSE middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM halving WHERE low < high) half
    CROSS JOIN LATERAL (SELECT id, recorded_at AS at FROM tasks_task WHERE id >= middle ORDER BY id LIMIT 1) task
)
SELECT low FROM halving WHERE low >= high
"""


def _number_at(moment: datetime) -> int:
    """The number from which on tasks were first seen at ``moment`` or later; numbers follow time but for SLACK.

    It halves the table some thirty times: an index on the time would cost each task four writes.
    """
    found = fetched(_NUMBER_AT, [moment, moment])
    return found[0][0] if found else 0


def planned(statement: str, values: Sequence[Any] = ()) -> int:
    """About how many rows a statement answers, as PostgreSQL plans it: flat cost, as true as its last ANALYZE."""
    ((answer,),) = fetched(f"EXPLAIN (FORMAT JSON) {statement}", values)
    plans = json.loads(answer) if isinstance(answer, str) else answer
    return int(plans[0]["Plan"]["Plan Rows"])


@contextmanager
def bounded() -> Iterator[None]:
    """Statements of a search: PostgreSQL ends each after LONGEST_STATEMENT. Raises TooSlow."""
    try:
        with transaction.atomic():
            fetched("SELECT set_config('statement_timeout', %s, true)", [f"{LONGEST_STATEMENT * 1000:.0f}"])
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise TooSlow from error
        raise


def fetched(statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """All rows. The values are written into the text: of each the plan must know how many tasks it has."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
