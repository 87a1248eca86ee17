"""A work unit, or an answer in its place, on one external task of a trial: what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bptl.cli.trial.answers import Answer
from bptl.clients.access import Access, Kind
from bptl.clients.errors import ServiceError
from bptl.clients.gate import Gate
from bptl.engines.base import Engine, ExternalTask
from bptl.engines.variables import UnreadableVariable, UnsendableValue, Variable, decode_all, encode_all
from bptl.tasks.execution.faults import message_of, shortened
from bptl.tasks.execution.work import Cancellation, RunningWork
from bptl.tasks.retries import NO_RETRY, Retry, next_retry, plan_of
from bptl.work_units.contract import (
    BusinessError,
    Completion,
    Effect,
    InvalidOutput,
    LeaseEnded,
    MailMessage,
    NeverAgain,
    NotConnected,
    Pending,
    Rendered,
    Sending,
    TaskFacts,
    TryAgain,
    WorkUnit,
    check_completion,
)

ENGINE_NAME = "sandbox"


@dataclass(frozen=True, slots=True)
class Report:
    """How the work ended: completed with ``variables``, a BPMN error ``code``, failed with ``retry``, ``pending``."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    retry: Retry | None = None
    pending: Pending | None = None


@dataclass(frozen=True, slots=True)
class TrialSending:
    """What an effect is given in a trial: it is never too late."""

    idempotency_key: str

    def check(self) -> None:
        """Nothing can be wrong: a trial has no leases."""


class NoServices:
    """A trial reaches nothing outside."""

    def access(self, alias: str, *, kinds: frozenset[Kind], url: str | None) -> Access:
        """Raises NotConnected."""
        raise NotConnected(alias, "a trial reaches no services; give an answer in the unit's place (--answer)")


class NoMail:
    """A trial sends nothing."""

    def __init__(self, gate: Gate) -> None:
        """Nothing passes the gate."""

    def render(self, template: str, context: Mapping[str, Any]) -> Rendered:
        """Raises NotConnected: templates are rows of an installation."""
        raise NotConnected("mail", "a trial sends no mail; give an answer in the unit's place (--answer)")

    def send(self, message: MailMessage, sending: Sending) -> str:
        """Raises NotConnected."""
        raise NotConnected("mail", "a trial sends no mail; give an answer in the unit's place (--answer)")


class TrialWork(RunningWork):
    """The ``work`` of a real run, but nobody waits: the engine's clock moves, and the ledger is ``effects``."""

    def __init__(
        self,
        task: TaskFacts,
        *,
        unit: str,
        engine: Engine,
        pass_time: Callable[[timedelta], None],
        effects: MutableMapping[str, Any],
    ) -> None:
        super().__init__(
            task,
            unit=unit,
            lease_id=None,
            cancellation=Cancellation(),
            engine=engine,
            services=NoServices(),
            mail=NoMail,
            record=lambda call: None,
        )
        self._pass_time = pass_time
        self._effects = effects

    def once(self, key: str, effect: Effect, **_: Any) -> Any:
        """Do an effect, unless an earlier attempt at this task has done it."""
        name = f"{self.task.external_id}:{key}"
        if name not in self._effects:
            self._effects[name] = effect(TrialSending(name))
        return self._effects[name]

    def completion(self, key: str = "answer", *, deadline: timedelta) -> Completion:
        """An address at which nobody listens: the answer comes from the command line."""
        check_completion(key, deadline)
        url = "https://bptl.invalid/api/v1/completions/trial"
        return Completion(0, key, 1, datetime.now(UTC) + deadline, url, token="trial")  # noqa: S106 - no secret

    def sleep(self, seconds: float) -> None:
        """Move the engine's clock by ``seconds``."""
        self._pass_time(timedelta(seconds=seconds))


def answered(answer: Answer, task: ExternalTask) -> Report:
    """What an answer reports. A failure is tried again by the model's plan, else by the default one."""
    if answer.failure:
        return _again(answer.failure, task, plan="")
    return Report(encode_all(answer.variables), code=answer.error, message=answer.message)


def answered_outside(answer: Answer, unit: WorkUnit, task: ExternalTask) -> Report:
    """What an answer reports that somebody outside gives in the place of a unit that waits for it."""
    if answer.failure or answer.error:
        return answered(answer, task)
    try:
        return Report(encode_all(unit.read_answer(answer.variables)))
    except InvalidOutput as error:
        return Report(message=message_of(error), retry=NO_RETRY)


def run(
    unit: WorkUnit,
    task: ExternalTask,
    *,
    attempt: int,
    engine: Engine,
    pass_time: Callable[[timedelta], None],
    effects: MutableMapping[str, Any],
) -> Report:
    """Run a unit as a worker does; never raises for a fault of the unit. ``effects`` remembers what attempts did."""
    facts = TaskFacts(
        task_id=0,
        engine=ENGINE_NAME,
        topic=task.topic,
        external_id=task.id,
        process_instance_id=task.process_instance_id,
        process_definition_key=task.process_definition_key,
        activity_id=task.activity_id,
        business_key=task.business_key,
        tenant_id=task.tenant_id,
        attempt=attempt,
    )
    work = TrialWork(facts, unit=unit.name, engine=engine, pass_time=pass_time, effects=effects)
    try:
        values = decode_all(
            task.variables,
            load_file=lambda name: engine.file(
                name, process_instance_id=task.process_instance_id, execution_id=task.execution_id or None
            ),
        )
        answer = unit.run(work, values)
        return Report(pending=answer) if isinstance(answer, Pending) else Report(encode_all(answer))
    except BusinessError as error:
        try:
            return Report(encode_all(error.variables), code=error.code, message=shortened(error.message or str(error)))
        except UnsendableValue as fault:
            return Report(message=message_of(fault), retry=NO_RETRY)
    except TryAgain as error:
        return _again(message_of(error), task, plan=unit.retry_plan, delay=error.delay)
    except ServiceError as error:
        if not error.again:
            return Report(message=message_of(error), retry=NO_RETRY)
        return _again(message_of(error), task, plan=unit.retry_plan, delay=error.delay)
    except (NeverAgain, LeaseEnded, UnreadableVariable, UnsendableValue) as error:
        return Report(message=message_of(error), retry=NO_RETRY)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the border of foreign code
        return _again(message_of(error), task, plan=unit.retry_plan)


def _again(message: str, task: ExternalTask, *, plan: str, delay: timedelta | None = None) -> Report:
    waits = plan_of(mapping="", extension_properties=task.extension_properties, unit=plan).waits
    return Report(message=message, retry=next_retry(waits, engine_retries=task.retries, delay=delay))
