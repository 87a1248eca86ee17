"""A call of the REST API becomes a task without engine, and the stored outcome of that task is its answer.

What a fetch is to an engine, the call itself is here: it gives a lease, and the same key asked again is the next lease
of the same task, decided as for every other (design, section 2). So a repeat joins what is under way, is answered
with what has ended well, and runs again, with the ledger of its effects, what has failed or was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db import connection
from django.utils import translation

from bptl.connections.mappings import obstacles, unit
from bptl.connections.models import AT_WORK, Mapping
from bptl.engines.variables import Variable, encode_all
from bptl.lib.ids import time_ordered_id
from bptl.lib.json import storable
from bptl.lib.log import get_logger
from bptl.tasks import sql
from bptl.tasks.intake.leasing import lease_statement
from bptl.tasks.intake.news import News
from bptl.tasks.lifecycle import MOVES, LeaseEnd, Move, Outcome, Status, decide_new_lease
from bptl.tasks.models import Task
from bptl.tasks.wake import wake

log = get_logger(__name__)

NO_FETCH = 0
"""Number of the fetch of a lease that no fetch brought."""

NO_HOLDER = uuid.UUID(int=0)
"""Holder of a lease that no worker has claimed yet: no process of ours keeps it, it ends when its lock runs out."""

LEASES_PER_CALL = 5
"""How often one waiting call takes a task up again that was given back, or whose process died."""

BRIEF = 1.0
"""Seconds for which a waiting call keeps its database connection; most work is shorter."""


class NoSuchTopic(Exception):
    """No active mapping lets callers ask for this topic; ``reason`` says what is missing."""

    def __init__(self, topic: str, reason: str) -> None:
        self.topic = topic
        self.reason = reason
        super().__init__(f"topic {topic!r}: {reason}")


class KeyReused(Exception):
    """The caller's key belongs to an earlier call with another topic or other variables."""

    def __init__(self, key: str, *, task_id: int) -> None:
        self.key = key
        self.task_id = task_id
        super().__init__(f"Idempotency-Key {key!r} belongs to task {task_id}, which was another request")


class Ended(StrEnum):
    """How a call ended for its caller."""

    COMPLETED = "completed"
    FAILED = "failed"
    THROWN = "thrown"
    UNCERTAIN = "uncertain"
    """An effect may have happened: a person decides."""
    NOT_STARTED = "not started"
    """No worker was free in time; it will not start by itself."""
    STILL_RUNNING = "still running"
    """It goes on; the same key asked again is given its answer."""
    INTERRUPTED = "interrupted"
    """It was given back or its process died, more often than one call puts up with."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: the variables that the unit set (wire form), or the code and message of what went wrong."""

    task_id: int
    ended: Ended
    variables: MappingOf[str, Variable]
    message: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller asks for. ``values`` are JSON; ``digest`` tells them, with the topic, from every other request."""

    caller_id: int
    key: str
    topic: str
    values: MappingOf[str, Any]
    digest: str

    @classmethod
    def of(cls, *, caller_id: int, key: str, topic: str, values: MappingOf[str, Any]) -> Call:
        """A call with its digest; without a key it gets one of its own."""
        digest = hashlib.sha256(json.dumps([topic, values], sort_keys=True).encode()).hexdigest()
        return cls(caller_id, key or str(uuid.uuid4()), topic, values, digest)


def mapping_of(topic: str) -> Mapping:
    """The mapping that lets callers ask for a topic; raises NoSuchTopic.

    One that is not active is refused: to switch a mapping off must mean that nothing runs.
    """
    known = Mapping.objects.filter(engine=None, topic=topic)
    mapping = known.filter(AT_WORK).first()
    if mapping is None:
        lacks = "its mapping is not active" if known.exists() else "no mapping of the REST API has it"
        raise NoSuchTopic(topic, lacks)
    with translation.override("en"):
        lacking = obstacles(mapping)
    if lacking:
        raise NoSuchTopic(topic, f"its mapping is broken: {'; '.join(lacking)}")
    return mapping


def perform(call: Call, *, patience: timedelta, news: News) -> Answer:
    """Record the call, let the workers do it, and answer how it ended, after ``patience`` at the latest.

    A task that no worker has started by then is withdrawn: its caller was told no, so it must not begin afterwards.
    Raises NoSuchTopic, KeyReused, UnsendableValue for a variable that cannot be kept.
    """
    deadline = time.monotonic() + patience.total_seconds()
    leases = 0
    while True:
        task = Task.objects.filter(engine=None, caller_id=call.caller_id, external_id=call.key).first()
        if task is not None and task.request_digest != call.digest:
            raise KeyReused(call.key, task_id=task.id)
        if task is None or _may_lease(task, again=leases > 0):
            if leases >= LEASES_PER_CALL and task is not None:
                return Answer(task.id, Ended.INTERRUPTED, {})
            _lease(call, mapping_of(call.topic), patience)
            leases += 1
            continue
        with news.of(task.id) as happened:
            answer = _wait(task.id, happened, deadline)
        if answer is not None:
            return answer


def _may_lease(task: Task, *, again: bool) -> bool:
    """Whether the call gives this task a lease: nobody holds it, and the lifecycle would run it.

    ``again``: this call has given it one already, so a failure is its answer and no reason to run it once more.
    """
    if task.lease_id is not None or (again and task.outcome):
        return False
    return decide_new_lease(Status(task.status), Outcome(task.outcome), engine_knows_failure=False) is Status.QUEUED


_LEASE = (
    lease_statement(
        found="t.engine_id IS NULL AND t.caller_id = %s",
        columns="caller_id, request_digest",
        values="%s, %s",
        conflict="(caller_id, external_id) WHERE engine_id IS NULL",
        begun="now() + %s",
    )
    + "SELECT id FROM given"
)


def _lease(call: Call, mapping: Mapping, patience: timedelta) -> None:
    """Give the task of a call a lease; nothing happens when somebody else was first. Wakes the workers."""
    declared = unit(mapping)
    names = set(declared.variable_names) if declared else set()
    wanted = {name: value for name, value in call.values.items() if name in names}
    arrival = {
        "external_id": call.key,
        "lease_id": str(time_ordered_id()),
        "topic": call.topic,
        "mapping_id": mapping.id,
        "lock_ms": mapping.lock_seconds * 1000,
        "priority": mapping.priority,
        "engine_retries": 0,  # Who repeats the call decides about retries, nobody else.
        "heard": "",
        "variables": {name: variable.to_json() for name, variable in encode_all(wanted).items()},
        "extension_properties": {},
        **dict.fromkeys(_ENGINES_WORDS, ""),
    }
    rows = sql.query(
        _LEASE,
        [
            *(storable([arrival]), call.caller_id),
            *(call.caller_id, call.digest),
            *(f"call-{uuid.uuid4()}", NO_FETCH, NO_HOLDER, patience),
        ],
    )
    if rows:
        log.info("call.recorded", topic=call.topic, key=call.key)
        wake()


_ENGINES_WORDS = (
    *("process_instance_id", "process_definition_id", "process_definition_key", "execution_id", "activity_id"),
    *("activity_instance_id", "business_key", "tenant_id"),
)


def _wait(task_id: int, happened: News.Happened, deadline: float) -> Answer | None:
    """The answer of one task; None when it must be looked at anew: nobody works on it any more."""
    brief = time.monotonic() + BRIEF
    while True:
        task = Task.objects.get(id=task_id)
        if (answer := _answer(task)) is not None:
            return answer
        if task.lease_id is None:
            return None
        left = deadline - time.monotonic()
        if left <= 0:
            return _out_of_time(task)
        if time.monotonic() < brief:
            happened.wait(min(left, BRIEF))
            continue
        if not connection.in_atomic_block:
            connection.close()  # A call that waits long needs no connection of its own meanwhile.
        happened.wait(left)


def _answer(task: Task, *, now: bool = False) -> Answer | None:
    """The answer that a row holds. A failure is told when its lease has ended (``now``: at once), so that whoever hears
    of it and repeats the call finds a task that can run again."""
    result = task.result or {}
    if task.outcome == Outcome.FAILED and task.lease_id is not None and not now:
        return None
    match Outcome(task.outcome):
        case Outcome.COMPLETED:
            variables = {name: Variable.from_json(data) for name, data in result["variables"].items()}
            return Answer(task.id, Ended.COMPLETED, variables)
        case Outcome.FAILED:
            return Answer(task.id, Ended.FAILED, {}, result["message"])
        case Outcome.THROWN:
            return Answer(task.id, Ended.THROWN, {}, result["message"], result["code"])
    if task.status == Status.UNCERTAIN:
        return Answer(task.id, Ended.UNCERTAIN, {}, task.report_error)
    return None


_WITHDRAW = f"""
WITH moved AS (
    UPDATE tasks_task t SET status = '{MOVES[Move.RETURN].target}', lease_id = NULL, changed_at = now()
    WHERE t.id = %s AND t.status = '{Status.QUEUED}' AND t.lease_id = %s
    RETURNING t.id, t.last_lease_id
), ended AS (
    UPDATE tasks_lease l SET ended_at = now(), ended_as = '{LeaseEnd.GIVEN_BACK}'
    FROM moved WHERE l.id = moved.last_lease_id AND l.ended_at IS NULL
)
INSERT INTO tasks_event (task_id, lease_id, name, actor, detail)
SELECT id, last_lease_id, 'call.withdrawn', '', '{{"reason": "no worker was free in time"}}'::jsonb FROM moved
RETURNING task_id
"""


def _out_of_time(task: Task) -> Answer:
    if task.status == Status.QUEUED and sql.query(_WITHDRAW, [task.id, task.lease_id]):
        log.warning("call.withdrawn", task_id=task.id)
        return Answer(task.id, Ended.NOT_STARTED, {})
    if (answer := _answer(task, now=True)) is not None:
        return answer
    log.warning("call.not_awaited", task_id=task.id)
    return Answer(task.id, Ended.STILL_RUNNING, {})
