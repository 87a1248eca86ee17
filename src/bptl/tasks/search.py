"""Lists of tasks in pages that cost about the same on tables of any size, whatever filters are combined.

A page is a walk (``walks``). When its time is used up before the page is full, the page says how far it came, and its
links go on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bptl.tasks.error_groups import ErrorGroup, group_of
from bptl.tasks.filters import TaskFilter
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Task
from bptl.tasks.walks import bounded, fetched, narrowest_walk

SECONDS = 0.1
"""For which one page is looked for."""

GROUPED = 5_000
"""Failures that are looked through for their causes."""


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
    with bounded():
        walk = narrowest_walk(wanted, after_id)
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
    with bounded():
        columns = "id, error_group, recorded_at, changed_at"
        walked = narrowest_walk(wanted, None).statement(GROUPED, columns=columns)
        found = fetched(f"WITH walked AS ({walked.sql}) {_GROUPS}", [*walked.values, most])
        results = dict(Task.objects.filter(id__in=[row[4] for row in found]).values_list("id", "result"))
    groups = [Failures(_group(key, results.get(number)), *said) for key, *said, number, _ in found]
    total = found[0][5] if found else 0
    return Grouped(groups, total if total == GROUPED else 0)


def _group(key: str, result: dict[str, Any] | None) -> ErrorGroup | None:
    if not key:
        return None
    said = result or {}
    return replace(group_of(str(said.get("unit", "")), str(said.get("message", ""))), key=key)


def _rows(ids: Sequence[int]) -> list[Task]:
    """Those tasks in that order, without what is wide."""
    found = Task.objects.select_related("engine").defer("variables", "result", "extension_properties").in_bulk(ids)
    return [found[number] for number in ids if number in found]
