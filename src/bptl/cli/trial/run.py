"""The trial itself: a sandbox in this process, and one action after the other until the end or until nothing moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread
from typing import Any

from bptl.cli.trial.answers import Answers
from bptl.cli.trial.path import Path, Step
from bptl.cli.trial.work import Report, answered, answered_outside, run
from bptl.engines import base
from bptl.engines.base import ExternalTask, FetchRequest, TopicRequest
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.variables import encode_all
from bptl.sandbox.clock import Clock
from bptl.sandbox.engine import Engine
from bptl.sandbox.errors import EngineError, ModelRefused
from bptl.sandbox.parse import Process, processes
from bptl.sandbox.server import Server, host_of
from bptl.sandbox.store import Row, Store
from bptl.sandbox.variables import all_received
from bptl.work_units.contract import WorkUnit
from bptl.work_units.registry import Registry, UnknownUnit

WORKER = "bptl-try"
LOCK = timedelta(days=1)
CATCHING = {"boundaryError", "errorStartEvent"}


class Stuck(Exception):
    """The process cannot go on; ``reasons`` say why, one each."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        super().__init__("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons`` is empty when every instance has ended; ``variables`` are those of the instance that was started.

    ``seconds`` is the engine's time that passed; ``unused`` names answers that nobody asked for.
    """

    process: str = ""
    name: str = ""
    reasons: Sequence[str] = ()
    steps: Sequence[Step] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    unused: Sequence[str] = ()

    @property
    def ended(self) -> bool:
        """Whether the model came to its end."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """The form for machines."""
        plain = {name: getattr(self, name) for name in ("process", "name", "seconds", "given", "variables")}
        lists = {"reasons": list(self.reasons), "unused": list(self.unused)}
        return {"ended": self.ended, **plain, **lists, "steps": [step.to_json() for step in self.steps]}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try: BPMN ``files`` by name, of whose first ``process`` (default: its only one) is started, with what."""

    files: Mapping[str, bytes]
    process: str = ""
    business_key: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    unit_of_topic: Mapping[str, str] = field(default_factory=dict)
    max_steps: int = 1000


def attempt(plan: Plan, *, answers: Answers, registry: Registry) -> Verdict:
    """Try a model in a sandbox of its own; never raises for what is wrong with the model or a unit."""
    try:
        chosen = _chosen(plan)
    except ModelRefused as error:
        return Verdict(reasons=_refusals(error))
    except Stuck as stuck:
        return Verdict(reasons=stuck.reasons)
    with _sandbox() as (engine, client):
        return _Trial(plan, engine, client, answers=answers, registry=registry).verdict(chosen)


class _Trial:
    def __init__(self, plan: Plan, engine: Engine, client: Camunda7, *, answers: Answers, registry: Registry) -> None:
        self._plan, self._engine, self._client, self._store = plan, engine, client, engine.store
        self._answers, self._registry = answers, registry
        self._path = Path(engine)
        self._attempts: Counter[str] = Counter()
        self._effects: dict[str, Any] = {}

    def verdict(self, process: Process) -> Verdict:
        instance_id, given, reasons = "", dict[str, Any](), list[str]()
        try:
            self._engine.deploy(process.id, self._plan.files, source=None, tenant_id=None, skip_equal=False)
            # What the calendar starts is not tried here: its time would come as the clock moves.
            self._store.run("DELETE FROM timer WHERE instanceId IS NULL")
            instance_id = self._start(process)
            given = self._path.changes()
            self._path.read(changed={})
            self._go_on()
        except Stuck as stuck:
            reasons = stuck.reasons
        except ModelRefused as error:
            reasons = _refusals(error)
        except (EngineError, base.EngineError) as error:
            reasons = [f"the engine refuses: {error.message}"]
        return Verdict(
            process=process.id,
            name=process.name or "",
            reasons=reasons,
            steps=self._path.steps,
            given=given,
            variables=self._path.variables(instance_id),
            seconds=self._path.seconds,
            unused=self._answers.unused,
        )

    def _start(self, process: Process) -> str:
        plain = next((start for start in process.starts if start.event is None), process.starts[0])
        return self._engine.start(
            self._engine.definition(process.id),
            variables=all_received({name: v.to_json() for name, v in encode_all(self._plan.variables).items()}),
            business_key=self._plan.business_key,
            start_id=plain.id,
        ).id

    def _go_on(self) -> None:
        """Work first, then people, then messages; time passes only when nothing else can happen. Raises Stuck."""
        for _ in range(self._plan.max_steps):
            if incidents := self._store.rows("SELECT * FROM incident"):
                raise Stuck(*(f"incident at {row['activityId']}: {row['incidentMessage']}" for row in incidents))
            if self._store.row("SELECT 1 FROM instance WHERE endTime IS NULL") is None:
                return
            if not (self._work() or self._answer_person() or self._send() or self._wait()):
                raise Stuck(*self._waiting())
        raise Stuck(f"not ended after {self._plan.max_steps} steps: it goes in circles, or needs a larger --max-steps")

    # External tasks.

    def _work(self) -> bool:
        now = self._engine.clock.now()
        rows = self._store.rows(
            "SELECT * FROM external_task WHERE coalesce(lockExpirationTime, 0) <= ? AND coalesce(retries, 1) > 0", [now]
        )
        if not rows:
            return False
        row = min(rows, key=lambda row: self._path.position(row["id"]))
        topic = row["topicName"]
        unit = None if self._answers.knows(topic) or self._answers.knows(row["activityId"]) else self._unit(row)
        wanted = TopicRequest(topic, LOCK, variables=unit.variable_names if unit else ())
        for task in self._client.fetch(FetchRequest(WORKER, 1, [wanted], oldest_first=True)):
            self._do(task, unit)
        return True

    def _unit(self, row: Row) -> WorkUnit:
        topic, activity = row["topicName"], row["activityId"]
        name = self._plan.unit_of_topic.get(topic, topic)
        try:
            return self._registry.get(name)
        except UnknownUnit as error:
            close = f" (no unit of that name; {error})" if name != topic or error.matches else ""
            raise Stuck(
                f"nobody does topic {topic} of {activity}{close}: give --answer '{topic}={{…}}' or --unit {topic}=UNIT"
            ) from error

    def _do(self, task: ExternalTask, unit: WorkUnit | None) -> None:
        self._attempts[task.id] += 1
        answer = self._answers.take(task.activity_id, task.topic)
        if answer is not None:
            report, by = answered(answer, task), f"answer for {task.topic}"
        else:
            unit = unit or self._unit({"topicName": task.topic, "activityId": task.activity_id})
            by = f"unit {unit.name}"
            report = run(
                unit,
                task,
                attempt=self._attempts[task.id],
                engine=self._client,
                pass_time=self._let_time_pass,
                effects=self._effects,
            )
            if report.pending is not None:
                key = report.pending.completion.key
                outside = self._answers.take(key)
                if outside is None:
                    raise Stuck(f"{unit.name} waits for an answer from outside: give --answer '{key}={{…}}'")
                report, by = answered_outside(outside, unit, task), f"answer to {unit.name}"
        try:
            self._report(task, report, by)
        except base.NotFound:
            self._path.read(f"{by}, interrupted", task_id=task.id)
        except base.EngineError as error:
            raise Stuck(f"the engine cannot go on after {task.activity_id} ({by}): {error.message}") from error

    def _report(self, task: ExternalTask, report: Report, by: str) -> None:
        if report.retry is not None:
            left, wait = report.retry.left, report.retry.wait
            self._client.fail(
                task.id, worker_id=WORKER, message=report.message, details="", retries=left, retry_timeout=wait
            )
            then = f"again in {wait.total_seconds():.3g} s" if left else "no retries left"
            self._path.read(f"{by}: failed, {then}: {report.message}", task_id=task.id)
        elif report.code:
            self._client.throw(
                task.id, worker_id=WORKER, code=report.code, message=report.message, variables=report.variables
            )
            steps = self._path.read(f"{by}: BPMN error {report.code} {report.message}".rstrip(), task_id=task.id)
            if not any(step.type in CATCHING for step in steps):
                raise Stuck(
                    f"no event catches the BPMN error {report.code} of {task.activity_id}: the path would end there"
                )
        else:
            self._client.complete(task.id, worker_id=WORKER, variables=report.variables)
            self._path.read(by, task_id=task.id)

    # Everybody else.

    def _answer_person(self) -> bool:
        for row in self._store.rows("SELECT * FROM user_task ORDER BY rowid"):
            answer = self._answers.take(row["activityId"])
            if answer is None:
                continue
            if answer.error or answer.failure:
                raise Stuck(f"the answer for the user task {row['activityId']} must be variables: people only complete")
            sent = all_received({name: v.to_json() for name, v in encode_all(answer.variables).items()})
            with self._engine.command():
                self._engine.instance(row["instanceId"]).fire(row["id"], sent)
            self._path.read("answered", task_id=row["id"])
            return True
        return False

    def _send(self) -> bool:
        rows = self._store.rows("SELECT * FROM subscription WHERE instanceId IS NOT NULL ORDER BY rowid")
        for row in rows:
            name = row["eventName"]
            answer = self._answers.take(name, row["activityId"], once=True)
            if answer is None:
                continue
            if row["eventType"] == "signal":
                self._client.signal(name, variables=encode_all(answer.variables))
            else:
                self._client.correlate(
                    name, process_instance_id=row["instanceId"], variables=encode_all(answer.variables)
                )
            self._path.read(f"{row['eventType']} {name}", task_id=row["id"])
            return True
        return False

    def _wait(self) -> bool:
        """Let time pass until the next timer or retry; False when there is none."""
        row = self._store.rows(
            "SELECT min(due) AS due FROM (SELECT due FROM timer UNION"
            " SELECT lockExpirationTime FROM external_task WHERE retries > 0)"
        )[0]
        if row["due"] is None:
            return False
        left = max(0, row["due"] - self._engine.clock.now())
        self._let_time_pass(timedelta(milliseconds=left))
        self._path.read(f"after {left / 1000:.3g} s")
        return True

    def _let_time_pass(self, time: timedelta) -> None:
        self._engine.clock.offset += time // timedelta(milliseconds=1)
        while self._engine.fire_due():
            pass

    def _waiting(self) -> Iterator[str]:
        """What nobody has answered."""
        for row in self._store.rows("SELECT * FROM user_task ORDER BY rowid"):
            key = row["activityId"]
            yield f"the user task {key} waits for somebody: give --answer '{key}={{…}}'"
        for row in self._store.rows("SELECT * FROM subscription WHERE instanceId IS NOT NULL ORDER BY rowid"):
            kind, name = row["eventType"], row["eventName"]
            yield f"{row['activityId']} waits for the {kind} {name}: give --answer '{name}={{…}}'"


@contextmanager
def _sandbox() -> Iterator[tuple[Engine, Camunda7]]:
    """An engine in memory and BPTL's own client of it, over HTTP, so that units and values meet what they meet live."""
    engine = Engine(Store(), Clock())
    server = Server(("127.0.0.1", 0), engine)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True)
    thread.start()
    client = Camunda7(host_of(server))
    try:
        yield engine, client
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _chosen(plan: Plan) -> Process:
    first, content = next(iter(plan.files.items()))
    found = processes(content, resource=first)
    if plan.process:
        found = [process for process in found if process.id == plan.process]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(process.id for process in found)
        raise Stuck(f"{first} has several processes ({ids}): choose one with --process")
    raise Stuck(f"{first} has no executable process {plan.process}".rstrip())


def _refusals(error: ModelRefused) -> list[str]:
    reasons = [
        f"{file}: {problem['mainElementId'] or 'the file'} (line {problem['line']}): {problem['message']}"
        for file, report in (error.details or {}).items()
        for problem in report["errors"]
    ]
    return reasons or [error.message]
