"""Lists of tasks in pages that cost about the same on tables of any size, whatever filters are combined.

A page walks the narrowest index that knows one of its filters, in the order of the list, and asks each row for the
others. Where these let few rows pass, the walk ends when its time is used up; the page says how far it came, and its
links go on from there. No index was made for this: each would cost every task four writes more.
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

from bptl.tasks.error_groups import ErrorGroup, group_of
from bptl.tasks.filters import ANY, Condition, Sieve, TaskFilter, all_of
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task

SECONDS = 0.15
"""For which one page is looked for."""

LONGEST_STATEMENT = 1.0
"""Seconds after which PostgreSQL ends a statement of a search."""

FIRST_STEP, LARGEST_STEP = 100, 10_000
"""Rows that are walked at once: few at first, because each may hold variables of many kilobytes."""

SORTED_AT_MOST = 10_000
"""Rows that are sorted for a page, where an index does not have them in the order of the list."""

GROUPED = 5_000
"""Failures that are looked through for their causes."""

SLACK = timedelta(minutes=1)
"""By how much the order of numbers and of times may differ: a transaction takes its time at its beginning."""


class TooSlow(Exception):
    """PostgreSQL ended the search: these filters together read too much."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list, newest first. ``newer`` and ``older`` are the ids from which the neighbours go on, if any.

    ``searched`` counts the tasks of the narrowest filter that were looked through when the page is not full because
    the search ended there; there may be more beyond.
    """

    tasks: Sequence[Task]
    newer: int | None = None
    older: int | None = None
    searched: int = 0


def page(wanted: TaskFilter, *, after_id: int | None = None, limit: int = 50, seconds: float | None = None) -> TaskPage:
    """At most ``limit`` tasks: the newest, those before ``wanted.before_id``, or the oldest after ``after_id``.

    It counts nothing: whether there is more is seen by reading one row more. Fewer than ``limit`` rows after
    ``after_id`` means that this is the beginning of the list, and the newest tasks are answered. Raises TooSlow.
    """
    if not wanted.states:
        return TaskPage([])
    with _bounded():
        walk = _walk(wanted, after_id)
        found = walk.find(limit + 1, seconds=SECONDS if seconds is None else seconds)
        rows = _rows(found.ids[:limit])
    full = len(found.ids) > limit
    if after_id is None:
        newer = rows[0].pk if rows and wanted.before_id else None
        if found.unfinished and not full:
            return TaskPage(rows, newer=newer, older=found.edge, searched=found.walked)
        return TaskPage(rows, newer=newer, older=rows[-1].pk if full and rows else None)
    rows = rows[::-1]
    if full and rows:
        return TaskPage(rows, newer=rows[0].pk, older=rows[-1].pk)
    if found.unfinished:
        return TaskPage(rows, newer=found.edge, older=rows[-1].pk if rows else after_id, searched=found.walked)
    return page(replace(wanted, before_id=None), limit=limit, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed tasks of one cause. ``group`` is None for those that failed before causes were kept."""

    group: ErrorGroup | None
    count: int
    first_seen: datetime
    last_changed: datetime


@dataclass(frozen=True, slots=True)
class Grouped:
    """The largest groups first. ``walked``: the newest failures that were looked through when there are more."""

    groups: Sequence[Failures] = ()
    walked: int = 0


_GROUPS = """
SELECT error_group, count(*), min(recorded_at), max(changed_at), max(id), (SELECT count(*) FROM walked)
FROM walked WHERE fits GROUP BY error_group ORDER BY count(*) DESC, error_group LIMIT %s
"""


def error_groups(wanted: TaskFilter, *, most: int = 10) -> Grouped:
    """What the failed tasks of a list that lie now failed of. Raises TooSlow."""
    wanted = replace(wanted, status=Status.DELIVERED, outcome=Outcome.FAILED, before_id=None)
    with _bounded():
        columns = "id, error_group, recorded_at, changed_at"
        walked = _walk(wanted, None).statement(GROUPED, columns=columns)
        found = _fetched(f"WITH walked AS ({walked.sql}) {_GROUPS}", [*walked.values, most])
        results = dict(Task.objects.filter(id__in=[row[4] for row in found]).values_list("id", "result"))
    groups = [Failures(_group(key, results.get(number)), *said) for key, *said, number, _ in found]
    total = found[0][5] if found else 0
    return Grouped(groups, total if total == GROUPED else 0)


def _group(key: str, result: dict[str, Any] | None) -> ErrorGroup | None:
    if not key:
        return None
    said = result or {}
    return replace(group_of(str(said.get("unit", "")), str(said.get("message", ""))), key=key)


def planned(statement: str, values: Sequence[Any] = ()) -> int:
    """About how many rows a statement answers, as PostgreSQL plans it: flat cost, as true as its last ANALYZE."""
    ((answer,),) = _fetched(f"EXPLAIN (FORMAT JSON) {statement}", values)
    plans = json.loads(answer) if isinstance(answer, str) else answer
    return int(plans[0]["Plan"]["Plan Rows"])


@dataclass(slots=True)
class _Found:
    """Ids that fit, in the order of the walk, which came to ``edge``; ``unfinished``: its time was used up."""

    ids: list[int]
    walked: int = 0
    edge: int | None = None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class _Walk:
    """Tasks of ``kinds`` between two ids (exclusive), in the order of a list; ``rest`` is asked of each row.

    What has an index walks that one by an expression of which the primary key does not know the order (BACKWARDS).
    """

    kinds: Sequence[Condition]
    rest: Condition
    above: int | None
    below: int | None
    newest_first: bool

    def find(self, limit: int, *, seconds: float) -> _Found:
        """At least ``limit`` ids, or all that there are, or those that were found in time."""
        found = _Found([])
        begun = time.monotonic()
        walk, size = self, limit if self.rest == ANY else FIRST_STEP
        while True:
            ids, walked, edge = walk._step(size)
            found.ids += ids
            found.walked += walked
            if walked < size or len(found.ids) >= limit:
                return found
            found.edge = edge
            # The next step is as long as all before it together.
            if 2 * (time.monotonic() - begun) > seconds:
                found.unfinished = True
                return found
            size = min(2 * size, LARGEST_STEP)
            walk = replace(walk, below=edge) if self.newest_first else replace(walk, above=edge)

    def _step(self, size: int) -> tuple[list[int], int, int | None]:
        last, order = ("min", "DESC") if self.newest_first else ("max", "ASC")
        statement = self.statement(size)
        ((ids, walked, edge),) = _fetched(
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


def _walk(wanted: TaskFilter, after_id: int | None) -> _Walk:
    """The narrowest walk of a filter."""
    sieves = list(wanted.sieves())
    above = _higher(after_id, _number_at(wanted.since - SLACK) - 1 if wanted.since else None)
    below = _lower(wanted.before_id if after_id is None else None, _until(wanted.until))
    everything = _Walk([ANY], ANY, above, below, newest_first=after_id is None)
    chosen = _narrowest([sieve for sieve in sieves if sieve.kinds], everything)
    rest = all_of([sieve.fits for sieve in sieves if sieve is not chosen or not sieve.whole])
    return replace(everything, kinds=chosen.kinds if chosen else [ANY], rest=rest)


def _narrowest(sieves: Sequence[Sieve], everything: _Walk) -> Sieve | None:
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
    found = _fetched(_NUMBER_AT, [moment, moment])
    return found[0][0] if found else 0


def _rows(ids: Sequence[int]) -> list[Task]:
    """Those tasks in that order, without what is wide."""
    found = Task.objects.select_related("engine").defer("variables", "result", "extension_properties").in_bulk(ids)
    return [found[number] for number in ids if number in found]


@contextmanager
def _bounded() -> Iterator[None]:
    try:
        with transaction.atomic():
            _fetched("SELECT set_config('statement_timeout', %s, true)", [f"{LONGEST_STATEMENT * 1000:.0f}"])
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise TooSlow from error
        raise


def _fetched(statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """All rows. The values are written into the text: of each the plan must know how many tasks it has."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
