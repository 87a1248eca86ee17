"""Fills the tables of the heart with finished tasks, as months of work would have left them.

Times spread over half a year; four engines (one of them only in the first month), topics and applications from common
to rare, a mapping for each engine and topic; of a hundred tasks two did not complete, of a few causes, three needed a
second lease, ten have an effect and two calls to a service. A task has about 400 bytes of variables.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice

import psycopg

from bptl.tasks.error_groups import group_of
from stage.postgres import Postgres, connect

DAYS = 180
TABLES = ("tasks_task", "tasks_lease", "tasks_effect", "tasks_servicecall", "tasks_event", "tasks_fetch")
COMMON, RARE, OLD = "zaak-aanmaken", "zelden", "vroeger"
"""Topics: of a third of all tasks, of one in a hundred thousand, of the first month only."""

FIRST_ENGINE, SECOND_ENGINE, SMALL_ENGINE, OLD_ENGINE = "load-engine", "second", "small", "old"
ENGINES = (FIRST_ENGINE, SECOND_ENGINE, SMALL_ENGINE, OLD_ENGINE)
"""Of six, four and (small) hardly any tasks in ten; the last one of a tenth of those of the first month."""

COMMON_APPLICATION, RARE_APPLICATION = "https://ac.example/applicaties/vth", "https://ac.example/applicaties/zelden"
"""Values of bptlAppId: of four tasks in five, of one in a hundred thousand."""

COMMON_UNIT, RARE_UNIT = "demo.flaky", "demo.slow"
_UNITS = {RARE: RARE_UNIT, "noop": "demo.quick", "mail-versturen": "demo.quick"}
"""By topic; all others have the common one."""

_CAUSES = ("HTTP 503 ← the service", "zaaktype 17 is unknown", "HTTP 404 ← the document", "gave up after 30 s")
"""Of failures: of each second one, of each fourth, and so on."""

_TOPICS = (COMMON, "document-aanmaken", "status-zetten", "noop", "mail-versturen", "resultaat-zetten", "rol-toevoegen")
_CUMULATIVE = list(accumulate((35, 20, 15, 12, 10, 5, 3)))
_BATCH = 1_000
_PROCESSES = 40
_FETCHES = 2_000
_SEED = 1


@dataclass(frozen=True, slots=True)
class Filled:
    """What was made. ``business_key`` and ``process_instance_id`` are of one task in the middle, ``external_id`` too;
    ``task_id`` is its number; ``failed_id`` and ``error_group`` are of a failed task."""

    tasks: int
    seconds: float
    task_id: int
    failed_id: int
    external_id: str
    business_key: str
    process_instance_id: str
    error_group: str


def configuration() -> dict[str, object]:
    """What ``bptl configure`` must have been given before tables are filled: engines that are not polled, applications,
    and a mapping of each topic."""
    engines = [{"name": name, "address": "http://127.0.0.1:1/", "authentication": "none"} for name in ENGINES[1:]]
    return {
        "engines_config_enable": True,
        "engines": {"items": [{**engine, "active": False} for engine in engines]},
        "applications_config_enable": True,
        "applications": {
            "items": [
                {"app_id": app_id, "label": app_id.rpartition("/")[2], "units": ["*"]}
                for app_id in (COMMON_APPLICATION, RARE_APPLICATION)
            ]
        },
        "mappings_config_enable": True,
        "mappings": {
            "items": [
                {"engine": engine, "topic": topic, "unit": _UNITS.get(topic, "demo.flaky"), "active": False}
                for engine in ENGINES
                for topic in (*_TOPICS, RARE, OLD)
                if (engine, topic) != (FIRST_ENGINE, "noop")  # it is really worked for
            ]
        },
    }


def fill(postgres: Postgres, tasks: int) -> Filled:
    """Put ``tasks`` finished tasks with all that belongs to them into BPTL's database, by COPY.

    Its ``configuration`` must be there; rows that are there stay. Triggers and indexes are off meanwhile; the indexes
    are built afterwards, and the tables vacuumed and analysed, so that nothing is left to do in the background.
    """
    begun = time.monotonic()
    with connect(postgres.environment()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '1GB'")
        mappings = _mappings(connection)
        first = _number(connection, "SELECT coalesce(max(id), 0) + 1 FROM tasks_task")
        room = _room(connection)
        for name in TABLES:
            # Autovacuum would work on what is still being filled. Pages are filled up: where the road has made them, no
            # room is left in old ones that a new row fits in, and COPY would leave some in each.
            connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = false, fillfactor = 100)")
        connection.execute(
            "UPDATE pg_index SET indisready = false WHERE indrelid = ANY(%s::regclass[])", [list(TABLES)]
        )
        rows = _Rows(first, tasks, mappings, _processes(connection))
        for copying in (rows.tasks(), rows.leases(), rows.effects(), rows.calls(), rows.events(), rows.fetches()):
            _copy(connection, *copying)
        for name in TABLES:
            connection.execute(f"REINDEX TABLE {name}")
        for name in TABLES:
            if name == "tasks_lease":
                continue  # It has no number.
            last = _number(connection, f"SELECT max(id) FROM {name}")  # noqa: S608 - a name of ours
            connection.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [name, last])
        for name in TABLES:
            connection.execute(f"VACUUM ANALYZE {name}")
            connection.execute(f"ALTER TABLE {name} RESET (autovacuum_enabled)")
            connection.execute(f"ALTER TABLE {name} SET (fillfactor = {room[name]})")
        connection.execute("ANALYZE tasks_process")
        connection.execute("CHECKPOINT")
        middle = connection.execute(_MIDDLE, [first + tasks // 2]).fetchone()
        failed = connection.execute(
            "SELECT id, error_group FROM tasks_task WHERE outcome = 'failed' ORDER BY id DESC LIMIT 1"
        ).fetchone()
    if middle is None or failed is None:
        raise ValueError("too few tasks to show one")
    number, external_id, business_key, process_instance_id = (str(value) for value in middle)
    return Filled(
        tasks,
        time.monotonic() - begun,
        task_id=int(number),
        failed_id=int(str(failed[0])),
        external_id=external_id,
        business_key=business_key,
        process_instance_id=process_instance_id,
        error_group=str(failed[1]),
    )


_MIDDLE = """
SELECT id, external_id, business_key, process_instance_id FROM tasks_task
WHERE id >= %s AND outcome = 'completed' AND id %% 10 = 0 ORDER BY id LIMIT 1
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


def _mappings(connection: _Connection) -> dict[tuple[str, str], tuple[int, str]]:
    """The number of the engine and, for COPY, of the mapping by the names of engine and topic."""
    rows = connection.execute(
        "SELECT e.name, t.topic, e.id, m.id FROM connections_engine e CROSS JOIN unnest(%s::text[]) AS t (topic)"
        " LEFT JOIN connections_mapping m ON m.engine_id = e.id AND m.topic = t.topic",
        [[*_TOPICS, RARE, OLD]],
    ).fetchall()
    found = {
        (str(engine), str(topic)): (int(str(engine_id)), str(mapping) if mapping else _NEVER)
        for engine, topic, engine_id, mapping in rows
    }
    if missing := set(ENGINES) - {engine for engine, _ in found}:
        raise ValueError(f"not configured: {sorted(missing)}")
    return found


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

    def __init__(
        self,
        first: int,
        count: int,
        mappings: Mapping[tuple[str, str], tuple[int, str]],
        processes: Sequence[str],
    ) -> None:
        self._first, self._count = first, count
        self._mappings, self._processes = mappings, processes
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
            "thrown": _json({"code": "ONVOLLEDIG", "message": "no attachments", "variables": {}, "catcher": "found"}),
        }
        groups = [group_of(COMMON_UNIT, cause).key for cause in _CAUSES]
        failed = [
            _json({"message": cause, "details": "…", "retries": 0, "wait_ms": 0, "unit": COMMON_UNIT})
            for cause in _CAUSES
        ]
        bsn, rest = _json(
            {
                "zaaktype": _variable("https://open-zaak.example/catalogi/api/v1/zaaktypen/6b5e"),
                "omschrijving": _variable("Aanvraag om een vergunning"),
                "bsn": _variable("#"),
                "organisatieRSIN": _variable("002220647"),
                "bptlAppId": _variable("@"),
            }
        ).split("#")
        middle, end = rest.split("@")
        for task in self._tasks():
            dice = source.getrandbits(20)
            engine = ENGINES[0 if dice % 10 < 6 else 1]
            application = COMMON_APPLICATION if (dice >> 12) % 5 else f"{COMMON_APPLICATION}-{dice % 10}"
            topic = _TOPICS[0]
            share = (dice >> 4) % 100
            for topic, below in zip(_TOPICS, _CUMULATIVE, strict=True):  # noqa: B007 - the one that was found
                if share < below:
                    break
            if task.id % rare == 7:
                engine, topic, application = ENGINES[2], RARE, RARE_APPLICATION
            elif task.id < month and dice % 10 == 0:
                engine, topic = ENGINES[3], OLD
            engine_id, mapping = self._mappings[engine, topic]
            instance, external = _hex(source), _hex(source)
            key = f"ZAAK-{task.id // 3:09d}"
            outcome_id = _NEVER if not task.outcome else task.lease
            variables = f"{bsn}{100_000_000 + dice}{middle}{application}{end}"
            result, group = results.get(task.outcome, ""), ""
            if task.outcome == "failed":
                # The lowest bits: half of all numbers have none, a quarter has one, …
                cause = min((task.id & -task.id).bit_length() - 1, len(_CAUSES) - 1)
                result, group = failed[cause], groups[cause]
            yield (
                f"{task.id}\t{engine_id}\t{mapping}\t{external}\t{topic}\t{task.status}\t{task.outcome}\t{outcome_id}\t"
                f"{result}\t{group}\t{task.lease}\t{task.leases}\t{variables}\t{instance}\t"
                f"zaak:4:{engine_id}\tzaak\t{instance}\tActivity_{share}\tActivity_{share}:{task.id}\t{key}\t"
                f"{task.at}\t{task.at}\t{task.at}\t\t1\t0\tf\tf\t0\t{{}}\t\tf\tf\t0\n"
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

    def calls(self) -> tuple[str, str, Iterator[str]]:
        """tasks_servicecall: two of each tenth task."""
        body = _json({"url": "https://open-zaak.example/zaken/api/v1/zaken/1", "toelichting": "…" * 200})
        lines = (
            f"{task.id}\t{task.lease}\tzaken\t{method}\thttps://open-zaak.example/zaken/api/v1/{path}\t{task.at}\t"
            f"120\t{status}\t\t{body}\t{body}\n"
            for task in self._tasks()
            if task.id % 10 == 0
            for method, path, status in (("GET", "zaaktypen/6b5e", 200), ("POST", "zaken", 201))
        )
        return "tasks_servicecall", _CALL_COLUMNS, lines

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
        engine_id, _mapping = self._mappings[FIRST_ENGINE, COMMON]
        lines = (
            f"bptl-{_hex(source)}\t{engine_id}\t{self._processes[number % _PROCESSES]}\t0\t{{noop}}\t32\t20000\t"
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

_TASK_COLUMNS = """id, engine_id, mapping_id, external_id, topic, status, outcome, outcome_id, result, error_group,
    last_lease_id, attempts,
    variables, process_instance_id, process_definition_id, process_definition_key, execution_id, activity_id,
    activity_instance_id, business_key, created_at, recorded_at, changed_at, report_error, report_tries,
    report_refusals, parked, assumed, priority, extension_properties, tenant_id, by_hand, offer_due, crashes"""

_LEASE_COLUMNS = """id, task_id, number, worker_id, fetch_number, holder_id, lock_ms, locked_until, recorded_at,
    claimed_at, performed_at, ended_at, outcome, error, ended_as, extensions"""

_EFFECT_COLUMNS = """task_id, key, lease_id, arguments, intended_at, gives_up_at, settles_at, "end", ended_at, known_by,
    result, error"""

_CALL_COLUMNS = """task_id, lease_id, service, method, url, began_at, milliseconds, status, error, request_body,
    answer_body"""

_FETCH_COLUMNS = """worker_id, engine_id, process_id, ordinal, topics, max_tasks, wait_ms, lock_ms, started_at,
    closed_at, closed_as"""
