"""What a run cost: CPU and memory from /proc, statements from pg_stat_statements, commands from the broker.

Linux only. CPU time has the resolution of the kernel's clock tick (10 ms): runs must last for seconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from stage.postgres import Postgres, connect

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")

SETTINGS = ("shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=on")
"""What PostgreSQL must be started with; the yardsticks pay for it as BPTL does."""


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants that live now."""
    yield pid
    for task in _PROC.glob(f"{pid}/task/*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue  # it ended meanwhile
        for child in children:
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, all its threads, its living descendants and the ended ones that it has waited for."""
    total = 0
    for member in tree(pid):
        try:
            # The name in parentheses may hold spaces; utime, stime, cutime and cstime are fields 14 to 17.
            fields = (_PROC / str(member) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total * _TICK


def resident_mb(pid: int) -> list[float]:
    """Resident megabytes (10^6 bytes) of a process and each of its descendants; shared pages count in each."""
    found = []
    for member in tree(pid):
        try:
            lines = (_PROC / str(member) / "status").read_text().splitlines()
        except OSError:
            continue
        found += [int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:")]
    return found


def shared_out_mb(pid: int) -> float:
    """Resident megabytes (10^6 bytes) of a process and its descendants, each page divided among those that share it."""
    total = 0
    for member in tree(pid):
        try:
            lines = (_PROC / str(member) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


class Cpu:
    """CPU seconds since the beginning of a run; ``pids``: name → process, whose whole tree counts."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = self._read()

    def spent(self) -> dict[str, float]:
        """CPU seconds of each since then."""
        return {name: seconds - self._before[name] for name, seconds in self._read().items()}

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}


@dataclass(frozen=True, slots=True)
class Statement:
    """One kind of statement: how often, and how long the server planned and executed it in all (milliseconds)."""

    text: str
    calls: int
    plan_ms: float
    execution_ms: float
    rows: int

    @property
    def sent(self) -> bool:
        """Whether a client sent it; PostgreSQL itself asks once a row whether a deferred foreign key holds."""
        return _FOREIGN_KEY_CHECK.match(self.text) is None


_FOREIGN_KEY_CHECK = re.compile(r"SELECT \S+ FROM ONLY .* FOR KEY SHARE OF x$")


class Sql:
    """Statements of one database since the beginning of a run, BEGIN, COMMIT and checks of foreign keys included."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self._environment = postgres.environment(database="postgres")
        self._own = postgres.environment(database=database)
        self._database = database
        self._read_before = self._read()
        with connect(self._environment) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            # What earlier runs left to be written must not cost this one.
            connection.execute("CHECKPOINT")
            connection.execute("SELECT pg_stat_statements_reset()")

    def spent(self) -> list[Statement]:
        """All kinds of statements since then, most time first."""
        with connect(self._environment) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(_STATEMENTS, [self._database]).fetchall()
        return [
            Statement(" ".join(text.split()), int(calls), float(planned), float(executed), int(count))
            for text, calls, planned, executed, count in rows
        ]

    def read_in_sequence(self) -> dict[str, int]:
        """Rows that sequential scans have read since then, by table; sessions tell of them up to a second late."""
        return {name: rows - self._read_before.get(name, 0) for name, rows in self._read().items()}

    def _read(self) -> dict[str, int]:
        with connect(self._own) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(
                "SELECT relname, coalesce(seq_tup_read, 0) FROM pg_stat_user_tables"
            ).fetchall()
        return dict(rows)


_STATEMENTS = """
SELECT s.query, sum(s.calls), sum(s.total_plan_time), sum(s.total_exec_time), sum(s.rows)
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = %s AND s.toplevel GROUP BY s.query ORDER BY sum(s.total_plan_time + s.total_exec_time) DESC
"""


class Commands:
    """Commands that the broker has executed since the beginning of a run, by name."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._client.config_resetstat()

    def spent(self) -> dict[str, int]:
        """Name → number since then, without our own question."""
        found: Any = self._client.info("commandstats")
        self._client.close()
        counts = {name.removeprefix("cmdstat_"): int(said["calls"]) for name, said in found.items()}
        return {name: count for name, count in counts.items() if not name.startswith(("info", "config"))}
