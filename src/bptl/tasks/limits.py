"""How many tasks may run at once, and begin in a minute: limits of mappings and of services, across the fleet.

A mapping may have a limit of its own, and every service that it uses one more; a task begins only where all of them
have room. What runs is counted in its rows, so that nothing drifts. The rate is GCRA, the generic cell rate algorithm
(ITU-T I.371): one time a service, moved by an interval for each task that begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil, inf

from bptl.tasks import sql
from bptl.tasks.listening import FETCH_CHANNEL, WORK_CHANNEL

CHANGED = "limits"
"""Said on WORK_CHANNEL, by triggers of the database, when a limit may have changed."""

ROOM = "room"
"""Said on FETCH_CHANNEL when a limited task has made room: only lines that are full need to hear it."""

MOST = 1000
"""What stands for infinity where a whole number is wanted: more than one fetch brings."""

SOON = 1.0
"""Seconds: what a rate lets begin within them may be fetched now. A lock is at least ten times as long."""

LIMITED = """
SELECT m.id AS mapping_id FROM connections_mapping m WHERE m.most_at_once IS NOT NULL
UNION ALL
SELECT b.mapping_id FROM connections_service s JOIN connections_mappingservice b ON b.service_id = s.id
WHERE s.most_at_once IS NOT NULL OR s.most_a_minute IS NOT NULL
"""
"""SQL: the mappings that are limited, some more than once."""


def limited_mappings() -> Sequence[int]:
    """The mappings that are limited now."""
    return sorted({row.mapping_id for row in sql.query(LIMITED)})


@dataclass(slots=True)
class Limit:
    """One limit now, of a mapping or of a ``service``, with the mappings that it holds for.

    ``running`` and ``queued`` are their tasks; ``ahead`` (seconds) is how far they have used up the rate beyond now.
    """

    owner_id: int
    service: str
    mapping_ids: frozenset[int]
    most_at_once: int | None
    most_a_minute: int | None
    running: int
    queued: int
    ahead: float

    @property
    def free(self) -> float:
        """How many tasks may begin now: a whole number, or infinity."""
        return self._free(self.ahead)

    @property
    def room(self) -> float:
        """How many more may be fetched: those that can begin soon, less those that wait for it already."""
        return self._free(max(0.0, self.ahead - SOON)) - self.queued

    @property
    def room_in(self) -> float | None:
        """Seconds until the rate leaves room for one more to be fetched; None when the number is in the way."""
        if self.most_a_minute is None or self._by_number <= self.queued:
            return None
        return max(0.0, self.ahead - SOON - (self._burst - self.queued - 1) * self.interval)

    @property
    def full(self) -> bool:
        """Whether as many run as may."""
        return self.most_at_once is not None and self.running >= self.most_at_once

    @property
    def next_in(self) -> float | None:
        """Seconds until the rate lets the next one begin; None when it is not the rate that is in the way."""
        if self.full or self.most_a_minute is None or self._allowed(self.ahead) > 0:
            return None
        return max(0.0, self.ahead - (self._burst - 1) * self.interval)

    @property
    def interval(self) -> float:
        """Seconds by which each task that begins moves the time until which the rate is used.

        With a burst of b tasks, then one in each interval, no minute has more than the rate says.
        """
        return 60.0 / ((self.most_a_minute or 1) - self._burst + 1)

    def begin(self) -> None:
        """One of its queued tasks begins."""
        self.running += 1
        self.queued -= 1
        if self.most_a_minute is not None:
            self.ahead += self.interval

    @property
    def _burst(self) -> int:
        # What two seconds bring, and one more: workers that look a little late lose nothing of the rate by it.
        return 1 + (self.most_a_minute or 0) // 30

    @property
    def _by_number(self) -> float:
        return inf if self.most_at_once is None else max(0, self.most_at_once - self.running)

    def _free(self, ahead: float) -> float:
        return min(self._by_number, self._allowed(ahead))

    def _allowed(self, ahead: float) -> float:
        if self.most_a_minute is None:
            return inf
        return max(0, self._burst - _ceil(ahead / self.interval))


def _ceil(number: float) -> int:
    # Floats are not exact: an interval that is over must count as over.
    return ceil(number - 1e-6)


_NOW = """bound AS (
    SELECT m.id AS owner_id, '' AS service, m.id AS mapping_id, m.most_at_once, NULL::int AS most_a_minute
    FROM connections_mapping m WHERE m.most_at_once IS NOT NULL
    UNION
    SELECT s.id, s.name, b.mapping_id, s.most_at_once, s.most_a_minute
    FROM connections_service s JOIN connections_mappingservice b ON b.service_id = s.id
    WHERE s.most_at_once IS NOT NULL OR s.most_a_minute IS NOT NULL
), here AS MATERIALIZED (
    SELECT mapping_id, sum(running)::int AS running, sum(queued)::int AS queued FROM (
        SELECT mapping_id, 1 AS running, 0 AS queued FROM tasks_task WHERE status = 'running'
        UNION ALL
        SELECT mapping_id, 0, 1 FROM tasks_task WHERE status = 'queued'
    ) held GROUP BY mapping_id
)"""
"""Each limit with each of its mappings, and how many tasks of each mapping there are."""

_READ = f"""
WITH {_NOW}
SELECT bound.owner_id, bound.service, array_agg(DISTINCT bound.mapping_id) AS mapping_ids, bound.most_at_once,
    bound.most_a_minute, coalesce(sum(here.running), 0)::int AS running, coalesce(sum(here.queued), 0)::int AS queued,
    greatest(coalesce(extract(epoch FROM pace.used_until - clock_timestamp()), 0), 0)::float8 AS ahead
FROM bound LEFT JOIN here USING (mapping_id)
LEFT JOIN tasks_servicepace pace ON bound.service <> '' AND pace.service_id = bound.owner_id
GROUP BY bound.owner_id, bound.service, bound.most_at_once, bound.most_a_minute, pace.used_until
ORDER BY bound.service, bound.owner_id
"""


def read() -> Sequence[Limit]:
    """All limits as they stand now."""
    return [
        Limit(
            row.owner_id,
            row.service,
            frozenset(row.mapping_ids),
            row.most_at_once,
            row.most_a_minute,
            row.running,
            row.queued,
            row.ahead,
        )
        for row in sql.query(_READ)
    ]


def of(limits: Sequence[Limit], mapping_id: int | None) -> Sequence[Limit]:
    """Those that hold for a mapping."""
    return [limit for limit in limits if mapping_id in limit.mapping_ids]


@dataclass(frozen=True, slots=True)
class Room:
    """What a group of mappings with the same limits has room for. ``tasks``: how many more may be fetched; ``blocked``:
    none may begin now; ``next_in`` (seconds): when a rate leaves room again, where that is what they wait for."""

    tasks: int
    blocked: bool
    next_in: float | None


def room(mapping_ids: Collection[int], *, shares: int) -> Room:
    """What there is room for, divided by the ``shares`` groups that have a limit in common, one each at least."""
    holding = [limit for limit in read() if not limit.mapping_ids.isdisjoint(mapping_ids)]
    tasks = min((limit.room for limit in holding), default=inf)
    waits = [limit.room_in for limit in holding if limit.room <= 0]
    known = [wait for wait in waits if wait is not None]
    return Room(
        tasks=ceil(min(max(tasks, 0), MOST) / max(1, shares)),
        blocked=any(limit.free <= 0 for limit in holding),
        next_in=max(known) if known and len(known) == len(waits) else None,
    )


OVERHANG = f"""(
    WITH {_NOW}, roomy AS (
        SELECT owner_id, service, greatest(least(
            most_at_once - coalesce(sum(here.running), 0), greatest(most_a_minute / 60, 1)), 0) AS room
        FROM bound LEFT JOIN here USING (mapping_id) GROUP BY owner_id, service, most_at_once, most_a_minute
    ), narrow AS (
        SELECT bound.mapping_id, min(roomy.room) AS room FROM bound JOIN roomy USING (owner_id, service)
        GROUP BY bound.mapping_id
    )
    SELECT coalesce(sum(greatest(here.queued - narrow.room, 0)), 0)::bigint FROM narrow JOIN here USING (mapping_id)
)"""
"""SQL: how many queued tasks cannot begin soon because of a limit. They take no room of others."""

_USE = """
INSERT INTO tasks_servicepace (service_id, used_until)
SELECT service_id, clock_timestamp() + ahead * interval '1 second'
FROM unnest(%s::bigint[], %s::float8[]) AS used(service_id, ahead)
ON CONFLICT (service_id) DO UPDATE SET used_until = excluded.used_until
"""


def use(limits: Collection[Limit]) -> None:
    """Keep how far these have used up their rates; within the transaction in which they were read alone."""
    if paced := [limit for limit in limits if limit.most_a_minute is not None]:
        sql.query(_USE, [[limit.owner_id for limit in paced], [limit.ahead for limit in paced]])


_TELL = f"""
SELECT pg_notify(channel, word)
FROM (VALUES ('{FETCH_CHANNEL}', '{ROOM}'), ('{WORK_CHANNEL}', '')) AS said(channel, word)
WHERE EXISTS ({LIMITED})
"""


def tell_room() -> None:
    """A task has ended that may have been limited: full lines and workers look whether they have room now."""
    sql.query(_TELL)
