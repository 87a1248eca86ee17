"""Fills the tables of the heart with finished tasks, as months of work would have left them.

Times spread over half a year; four engines (one of them only in the first month) and topics from common to rare; of a
hundred tasks two did not complete, three needed a second lease, ten have an effect. A task has about 300 bytes of
variables.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice

import psycopg

from bptl.tasks.error_groups import group_of
from stage.postgres import Postgres, connect

DAYS = 180
TABLES = ("tasks_task", "tasks_lease", "tasks_effect", "tasks_event", "tasks_fetch")
COMMON, RARE, OLD = "zaak-aanmaken", "zelden", "vroeger"
"""Topics: of a third of all tasks, of one in a hundred thousand, of the first month only."""

FIRST_ENGINE, SECOND_ENGINE, SMALL_ENGINE, OLD_ENGINE = "load-engine", "second", "small", "old"
ENGINES = (FIRST_ENGINE, SECOND_ENGINE, SMALL_ENGINE, OLD_ENGINE)
"""Of six, four and (small) hardly any tasks in ten; the last one of a tenth of those of the first month."""

_TOPICS = (COMMON, "document-aanmaken", "status-zetten", "noop", "mail-versturen", "resultaat-zetten", "rol-toevoegen")
UNIT, MESSAGE, CAUSES = "http.request", "HTTP 500 ← the service", 12
"""What failed tasks say, and of how many causes they are."""

_CUMULATIVE = list(accumulate((35, 20, 15, 12, 10, 5, 3)))
_BATCH = 1_000
_PROCESSES = 40
_FETCHES = 2_000
_SEED = 1


@dataclass(frozen=True, slots=True)
class Filled:
    """What was made. ``business_key`` and ``process_instance_id`` are of one task in the middle, ``external_id`` too;
    ``task_id`` is its number, ``failed_id`` that of a failed task."""

    tasks: int
    seconds: float
    task_id: int
    failed_id: int
    external_id: str
    business_key: str
    process_instance_id: str


def fill(postgres: Postgres, tasks: int) -> Filled:
    """Put ``tasks`` finished tasks with all that belongs to them into BPTL's database, by COPY.

    Rows that are there stay. Triggers and indexes are off meanwhile; the indexes are built afterwards, and the tables
    vacuumed and analysed, so that nothing is left to do in the background.
    """
    begun = time.monotonic()
    with connect(postgres.environment()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '1GB'")
        engine_ids = _engines(connection)
        first = _number(connection, "SELECT coalesce(max(id), 0) + 1 FROM tasks_task")
        room = _room(connection)
        for name in TABLES:
            # Autovacuum would work on what is still being filled. Pages are filled up: where the road has made them, no
            # room is left in old ones that a new row fits in, and COPY would leave some in each.
            connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = false, fillfactor = 100)")
        connection.execute(
            "UPDATE pg_index SET indisready = false WHERE indrelid = ANY(%s::regclass[])", [list(TABLES)]
        )
        rows = _Rows(first, tasks, engine_ids, _processes(connection))
        for copying in (rows.tasks(), rows.leases(), rows.effects(), rows.events(), rows.fetches()):
            _copy(connection, *copying)
        for name in TABLES:
            connection.execute(f"REINDEX TABLE {name}")
        for name in ("tasks_task", "tasks_effect", "tasks_event", "tasks_fetch"):
            last = _number(connection, f"SELECT max(id) FROM {name}")  # noqa: S608 - a name of ours
            connection.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [name, last])
        for name in TABLES:
            connection.execute(f"VACUUM ANALYZE {name}")
            connection.execute(f"ALTER TABLE {name} RESET (autovacuum_enabled)")
            connection.execute(f"ALTER TABLE {name} SET (fillfactor = {room[name]})")
        connection.execute("ANALYZE tasks_process")
        connection.execute("CHECKPOINT")
        middle = connection.execute(_MIDDLE, [first + tasks // 2]).fetchone()
        failed = _number(connection, "SELECT max(id) FROM tasks_task WHERE outcome = 'failed'")
    if middle is None:
        raise ValueError("too few tasks to show one")
    return Filled(tasks, time.monotonic() - begun, int(str(middle[0])), failed, *(str(value) for value in middle[1:]))


_MIDDLE = """
SELECT id, external_id, business_key, process_instance_id FROM tasks_task
WHERE id >= %s AND outcome = 'completed' ORDER BY id LIMIT 1
"""

_Connection = psycopg.Connection[tuple[object, ...]]


def _number(connection: _Connection, question: str) -> int:
    row = connection.execute(question.encode()).fetchone()
    return int(str(row[0])) if row else 0


def _room(connection: _Connection) -> dict[str, int]:
    """The fillfactor of each table."""
    rows = connection.execute(
        "SELECT relname, coalesce((SELECT option_value::int FROM pg_options_to_table(reloptions)"
        " WHERE option_name = 'fillfactor'), 100) FROM pg_class WHERE oid = ANY(%s::regclass[])",
        [list(TABLES)],
    ).fetchall()
    return {str(name): int(str(percent)) for name, percent in rows}


def _engines(connection: _Connection) -> list[int]:
    """The ids of ENGINES; those that are missing are added, switched off, so that nobody polls them."""
    for name in ENGINES[1:]:
        # Like the one that is there, whatever columns it has.
        connection.execute(
            "INSERT INTO connections_engine SELECT (jsonb_populate_record(e, jsonb_build_object("
            "'id', nextval(pg_get_serial_sequence('connections_engine', 'id')), 'name', %s::text, 'active', false,"
            " 'address', 'http://127.0.0.1:1/'))).* FROM connections_engine e WHERE e.name = %s"
            " ON CONFLICT (name) DO NOTHING",
            [name, ENGINES[0]],
        )
    rows = connection.execute("SELECT name, id FROM connections_engine").fetchall()
    ids = {str(name): int(str(number)) for name, number in rows}
    return [ids[name] for name in ENGINES]


def _processes(connection: _Connection) -> list[str]:
    """Processes that ended, one row each; the holders of the leases."""
    ids = [str(uuid.uuid4()) for _ in range(_PROCESSES)]
    for number, process_id in enumerate(ids):
        connection.execute(
            "INSERT INTO tasks_process (id, kind, host, pid, places, draining, started_at, heartbeat_at, steady_since,"
            " stopped_at, died) VALUES (%s, 'work', 'host', %s, 16, true, now() - interval '2 days',"
            " now() - interval '1 day', now() - interval '2 days', now() - interval '1 day', false)",
            [process_id, number + 1],
        )
    return ids


def _copy(connection: _Connection, table: str, columns: str, lines: Iterator[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
        while batch := "".join(islice(lines, _BATCH)):
            copy.write(batch)


def _json(value: object) -> str:
    """JSON in the text form of COPY."""
    return json.dumps(value).replace("\\", "\\\\")


def _hex(source: random.Random) -> str:
    text = f"{source.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _time_ordered(at: datetime, source: random.Random) -> str:
    """An id as leases have (bptl.lib.ids), of another time than now."""
    text = f"{int(at.timestamp() * 1000):012x}7{source.getrandbits(12):03x}{0b10 << 62 | source.getrandbits(62):016x}"
    return str(uuid.UUID(text))


@dataclass(frozen=True, slots=True)
class _Task:
    """What the rows of all tables must agree about."""

    id: int
    at: datetime
    status: str
    outcome: str
    lease: str
    leases: int


_NEVER = "\\N"


class _Rows:
    """The lines of every table for COPY; the same seed tells each table the same story."""

    def __init__(self, first: int, count: int, engine_ids: Sequence[int], processes: Sequence[str]) -> None:
        self._first, self._count = first, count
        self._engines, self._processes = engine_ids, processes
        self._begin = datetime.now(UTC) - timedelta(days=DAYS)

    def _tasks(self) -> Iterator[_Task]:
        source = random.Random(_SEED)  # noqa: S311 - no secret
        step = timedelta(days=DAYS) / self._count
        for number in range(self._count):
            chance = source.random()
            status, outcome = "delivered", "completed"
            if chance < 0.02:
                status, outcome = _OTHERWISE[int(chance * 5_000)]
            at = self._begin + number * step
            leases = 2 if source.random() < 0.03 else 1
            yield _Task(self._first + number, at, status, outcome, _time_ordered(at, source), leases)

    def tasks(self) -> tuple[str, str, Iterator[str]]:
        """tasks_task."""
        return "tasks_task", _TASK_COLUMNS, self._task_lines()

    def _task_lines(self) -> Iterator[str]:
        source = random.Random(_SEED + 1)  # noqa: S311
        month = self._first + self._count * 30 // DAYS
        rare = max(1, self._count // 50)
        results = {
            "": _NEVER,
            "completed": _json({"variables": {"zaakUrl": _variable("https://open-zaak.example/zaken/api/v1/zaken/1")}}),
            "failed": _json({"message": MESSAGE, "details": "…", "retries": 0, "wait_ms": 0, "unit": UNIT}),
            "thrown": _json({"code": "ONVOLLEDIG", "message": "no attachments", "variables": {}, "catcher": "found"}),
        }
        groups = [group_of(UNIT, f"{MESSAGE} {chr(97 + number) * 3}").key for number in range(CAUSES)]
        bsn = _json(
            {
                "zaaktype": _variable("https://open-zaak.example/catalogi/api/v1/zaaktypen/6b5e"),
                "omschrijving": _variable("Aanvraag om een vergunning"),
                "bsn": _variable("#"),
                "organisatieRSIN": _variable("002220647"),
            }
        ).split("#")
        for task in self._tasks():
            dice = source.getrandbits(20)
            engine = self._engines[0 if dice % 10 < 6 else 1]
            topic = _TOPICS[0]
            share = (dice >> 4) % 100
            for topic, below in zip(_TOPICS, _CUMULATIVE, strict=True):  # noqa: B007 - the one that was found
                if share < below:
                    break
            if task.id % rare == 7:
                engine, topic = self._engines[2], RARE
            elif task.id < month and dice % 10 == 0:
                engine, topic = self._engines[3], OLD
            instance, external = _hex(source), _hex(source)
            key = f"ZAAK-{task.id // 3:09d}"
            outcome_id = _NEVER if not task.outcome else task.lease
            variables = f"{bsn[0]}{100_000_000 + dice}{bsn[1]}"
            yield (
                f"{task.id}\t{engine}\t{external}\t{topic}\t{task.status}\t{task.outcome}\t{outcome_id}\t"
                f"{results[task.outcome]}\t{task.lease}\t{task.leases}\t{variables}\t{instance}\t"
                f"zaak:4:{engine}\tzaak\t{instance}\tActivity_{share}\tActivity_{share}:{task.id}\t{key}\t"
                f"{task.at}\t{task.at}\t{task.at}\t\t1\t0\tf\tf\t0\t{{}}\t\tf\tf\t0\t"
                f"{groups[task.id % CAUSES] if task.outcome == 'failed' else ''}\n"
            )

    def leases(self) -> tuple[str, str, Iterator[str]]:
        """tasks_lease."""
        return "tasks_lease", _LEASE_COLUMNS, self._lease_lines()

    def _lease_lines(self) -> Iterator[str]:
        source = random.Random(_SEED + 2)  # noqa: S311
        error = _json({"message": "HTTP 500 ← the service", "details": "…", "retries": 2, "wait_ms": 30_000})
        for task in self._tasks():
            holder = self._processes[task.id % _PROCESSES]
            times = f"{task.at}\t{task.at}\t{task.at}\t{task.at}\t{task.at}"
            if task.leases == 2:
                yield (
                    f"{_time_ordered(task.at, source)}\t{task.id}\t1\tbptl-{_hex(source)}\t{task.id}\t{holder}\t"
                    f"300000\t{times}\tfailed\t{error}\tdelivered\t0\n"
                )
            ended_as = "lost" if task.status == "lost" else "delivered"
            why = error if task.outcome in {"failed", "thrown"} else _NEVER
            yield (
                f"{task.lease}\t{task.id}\t{task.leases}\tbptl-{_hex(source)}\t{task.id}\t{holder}\t300000\t{times}\t"
                f"{task.outcome}\t{why}\t{ended_as}\t0\n"
            )

    def effects(self) -> tuple[str, str, Iterator[str]]:
        """tasks_effect: one of each tenth task."""
        given = _json({"body": {"zaaktype": "https://open-zaak.example/catalogi/api/v1/zaaktypen/6b5e"}})
        answer = _json({"url": "https://open-zaak.example/zaken/api/v1/zaken/1"})
        lines = (
            f"{task.id}\tcreate-zaak\t{task.lease}\t{given}\t{task.at}\t{task.at}\t{task.at}\thappened\t{task.at}\t"
            f"answer\t{answer}\t\n"
            for task in self._tasks()
            if task.id % 10 == 0
        )
        return "tasks_effect", _EFFECT_COLUMNS, lines

    def events(self) -> tuple[str, str, Iterator[str]]:
        """tasks_event: one of each task that did not go the usual way."""
        detail = _json({"as": "expired", "reason": "its lock ran out"})
        lines = (
            f"{task.id}\t{task.lease}\t{task.at}\tlease.ended\t\t{detail}\n"
            for task in self._tasks()
            if task.leases == 2 or task.outcome != "completed"
        )
        return "tasks_event", "task_id, lease_id, at, name, actor, detail", lines

    def fetches(self) -> tuple[str, str, Iterator[str]]:
        """tasks_fetch: of the last hour, as the sweep leaves them."""
        source = random.Random(_SEED + 3)  # noqa: S311
        at = datetime.now(UTC).isoformat(sep=" ")
        lines = (
            f"bptl-{_hex(source)}\t{self._engines[0]}\t{self._processes[number % _PROCESSES]}\t0\t{{noop}}\t32\t20000\t"
            f"300000\t{at}\t{at}\tanswered\n"
            for number in range(_FETCHES)
        )
        return "tasks_fetch", _FETCH_COLUMNS, lines


def _variable(text: str) -> dict[str, object]:
    return {"type": "String", "value": text, "valueInfo": {}}


_OTHERWISE = (
    [("delivered", "failed")] * 60 + [("delivered", "thrown")] * 28 + [("lost", "")] * 8 + [("lost", "completed")] * 4
)
"""What became of the two in a hundred that did not complete."""

_TASK_COLUMNS = """id, engine_id, external_id, topic, status, outcome, outcome_id, result, last_lease_id, attempts,
    variables, process_instance_id, process_definition_id, process_definition_key, execution_id, activity_id,
    activity_instance_id, business_key, created_at, recorded_at, changed_at, report_error, report_tries,
    report_refusals, parked, assumed, priority, extension_properties, tenant_id, by_hand, offer_due, crashes,
    error_group"""

_LEASE_COLUMNS = """id, task_id, number, worker_id, fetch_number, holder_id, lock_ms, locked_until, recorded_at,
    claimed_at, performed_at, ended_at, outcome, error, ended_as, extensions"""

_EFFECT_COLUMNS = """task_id, key, lease_id, arguments, intended_at, gives_up_at, settles_at, "end", ended_at, known_by,
    result, error"""

_FETCH_COLUMNS = """worker_id, engine_id, process_id, ordinal, topics, max_tasks, wait_ms, lock_ms, started_at,
    closed_at, closed_as"""
