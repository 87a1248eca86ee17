"""One run of one unit: variables in, an ending out. No row is touched here."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.utils import translation

from bptl.clients.errors import ServiceError
from bptl.connections import bindings, engines, services
from bptl.connections.mail import TaskMail
from bptl.connections.models import Mapping
from bptl.engines.base import Engine
from bptl.engines.variables import (
    UnreadableVariable,
    UnsendableValue,
    Variable,
    decode_all,
    encode_all,
)
from bptl.lib.log import get_logger
from bptl.tasks import traces
from bptl.tasks.completions import Terms
from bptl.tasks.endings import Ending
from bptl.tasks.execution import outages, service_calls
from bptl.tasks.execution.catchers import Caught, caught
from bptl.tasks.execution.claim import Claim
from bptl.tasks.execution.faults import details_of, message_of, shortened
from bptl.tasks.execution.outcomes import Doubt, HandedBack
from bptl.tasks.execution.waiting import Awaiting
from bptl.tasks.execution.work import Cancellation, RunningWork
from bptl.tasks.retries import NO_RETRY, Plan, Retry, next_retry, plan_of
from bptl.work_units.contract import (
    APPLICATION,
    BusinessError,
    LeaseEnded,
    NeverAgain,
    Pending,
    TaskFacts,
    TryAgain,
    Uncertain,
    WorkError,
    WorkUnit,
)
from bptl.work_units.errors import CALLBACK
from bptl.work_units.registry import UnknownUnit, load

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A claim with what is needed to run it."""

    claim: Claim
    engine_name: str
    engine: Engine
    unit: WorkUnit
    mapping: Mapping

    @property
    def context(self) -> dict[str, Any]:
        """What every event says while the unit runs."""
        claim = self.claim
        return {
            "task_id": claim.task_id,
            "topic": claim.topic,
            "engine": self.engine_name,
            "process_instance": claim.process_instance_id,
            "lease_id": claim.lease_id,
            "unit": self.unit.name,
        }

    @property
    def longest_run(self) -> timedelta:
        """After this the unit is cancelled."""
        return self.mapping.longest_run

    @property
    def plan(self) -> Plan:
        """The retry plan that applies."""
        return plan_of(
            mapping=self.mapping.retry_plan,
            extension_properties=self.claim.extension_properties,
            unit=self.unit.retry_plan,
        )


class Unassignable(Exception):
    """A claimed task that nothing can be done with now: its mapping is gone or broken. It is given back."""

    def __init__(self, claim: Claim, reason: str) -> None:
        self.claim = claim
        self.reason = reason
        super().__init__(f"task {claim.task_id}: {reason}")


def assign(claim: Claim, mappings: MappingOf[int, Mapping]) -> Assignment:
    """Find what a claim needs; ``mappings`` by id. Raises Unassignable."""
    mapping = mappings.get(claim.mapping_id) if claim.mapping_id is not None else None
    if mapping is None:
        raise Unassignable(claim, f"the mapping of topic {claim.topic!r} was deleted")
    try:
        unit = load().get(mapping.unit)
    except UnknownUnit as error:
        raise Unassignable(claim, str(error)) from error
    # Logs speak one language, whatever that of the pages is.
    with translation.override("en"):
        lacking = bindings.problems(unit, bindings.of(mapping)) if unit.needs else []
    if lacking:
        raise Unassignable(claim, f"the mapping of topic {claim.topic!r} is broken: {'; '.join(lacking)}")
    return Assignment(claim, mapping.engine_name, engines.client(mapping.engine), unit, mapping)


def run(
    assignment: Assignment, cancellation: Cancellation, *, trace: str = ""
) -> Ending | Doubt | HandedBack | Awaiting | None:
    """Run the unit to its end. None when the lease ended meanwhile: there is nothing to report any more.

    Doubt when an effect was left open that nobody can be asked about; HandedBack when something that the task needs is
    down, found out before the unit began or by what it met; Awaiting when somebody outside gives the outcome.
    ``trace`` is the traceparent of the run, which an instance without a trace is given when it completes.

    Never raises for a fault of the unit, its variables or its services; the ending says it.
    """
    claim = assignment.claim
    if claim.crashes >= assignment.mapping.quarantine_after:
        return _quarantined(assignment, crashes=claim.crashes)
    if claim.engine_id is not None and (down := outages.stopping(assignment.mapping)) is not None:
        return down
    facts = TaskFacts(
        task_id=claim.task_id,
        engine=assignment.engine_name,
        topic=claim.topic,
        external_id=claim.external_id,
        process_instance_id=claim.process_instance_id,
        process_definition_key=claim.process_definition_key,
        activity_id=claim.activity_id,
        business_key=claim.business_key,
        tenant_id=claim.tenant_id,
        attempt=claim.attempt,
    )
    try:
        values = decode_all(
            {name: Variable.from_json(data) for name, data in _given(assignment).items()},
            load_file=lambda name: assignment.engine.file(
                name, process_instance_id=claim.process_instance_id, execution_id=claim.execution_id or None
            ),
        )
        work = RunningWork(
            facts,
            unit=assignment.unit.name,
            lease_id=claim.lease_id,
            cancellation=cancellation,
            engine=assignment.engine,
            services=services.of(assignment.mapping, assignment.unit, application=values.get(APPLICATION)),
            mail=TaskMail,
            record=partial(service_calls.record, claim.task_id, claim.lease_id),
            admit=outages.admit,
        )
        answer = assignment.unit.run(work, values)
        if isinstance(answer, Pending):
            terms = Terms(assignment.plan.waits, claim.engine_retries, assignment.unit.name)
            return Awaiting(answer.completion.id, terms)
        return Ending.completed(_wire({**_trace_of(assignment, trace), **answer}))
    except LeaseEnded:
        return None
    except Uncertain as error:
        return Doubt(shortened(str(error)))
    except BusinessError as error:
        return _thrown(assignment, error)
    except (Exception, SystemExit) as error:
        # The border of foreign code: whatever it raises becomes an ending that the engine and the row tell.
        if not isinstance(error, WorkError | ServiceError | UnreadableVariable | UnsendableValue):
            log.exception("unit.failed_unexpectedly")
        return _ending_of(assignment, error)


def _trace_of(assignment: Assignment, traceparent: str) -> dict[str, str]:
    """The variable by which what follows in the instance is in the trace of this run, unless it has one already.

    A mapping that fetches local variables only cannot see whether it has, and a caller of the REST API has no instance.
    """
    if not traceparent:
        return {}
    claim = assignment.claim
    if claim.engine_id is None or assignment.mapping.local_variables or traces.parent_of(claim.variables):
        return {}
    return traces.given(traceparent)


def _given(assignment: Assignment) -> MappingOf[str, MappingOf[str, Any]]:
    """What the unit is given of the variables: the address of a callback is not its business, unless it says so."""
    variables = assignment.claim.variables
    if CALLBACK not in variables or CALLBACK in assignment.unit.variable_names:
        return variables
    return {name: data for name, data in variables.items() if name != CALLBACK}


def _ending_of(assignment: Assignment, error: Exception | SystemExit) -> Ending | HandedBack:
    """What a failure of a unit becomes: the mapping's table of error codes first, then an outage, then what its class
    says. Whoever calls the REST API hears of an outage at once, and decides about repeating."""
    if (code := _code_of(assignment.mapping.error_codes, error)) is not None:
        return _thrown(assignment, BusinessError(code, str(error)))
    if assignment.claim.engine_id is not None and (down := outages.met(assignment.mapping, error)) is not None:
        return down
    if isinstance(error, TryAgain):
        return _failed(assignment, error, delay=error.delay)
    if isinstance(error, ServiceError):
        return _failed(assignment, error, delay=error.delay, again=error.again)
    again = not isinstance(error, NeverAgain | UnreadableVariable | UnsendableValue)
    return _failed(assignment, error, again=again)


def _quarantined(assignment: Assignment, *, crashes: int) -> Ending:
    """The ending of a task on which processes died, or lost a place, too often (design, rule 8)."""
    times = "once" if crashes == 1 else f"{crashes} times"
    ending = Ending.failed(
        f"quarantined: {times} a process died, or lost a place, while it ran {assignment.unit.name} on this task",
        "Look for what kills the process (memory, a crash in a library) or never ends (an endless loop), mend it, then "
        "retry the task: that clears the count.",
        NO_RETRY,
        unit=assignment.unit.name,
    )
    return replace(ending, quarantined=True)


def wrote_off(assignment: Assignment) -> Ending:
    """The ending of a run that did not end when it was told to: it costs a place, and counts as a crash."""
    crashes = assignment.claim.crashes + 1
    poisonous = crashes >= assignment.mapping.quarantine_after
    ending = _quarantined(assignment, crashes=crashes) if poisonous else ran_too_long(assignment)
    return replace(ending, wrote_off=True)


def ran_too_long(assignment: Assignment) -> Ending:
    """The ending of a run that passed its longest time."""
    seconds = round(assignment.longest_run.total_seconds())
    retry = next_retry(assignment.plan.waits, engine_retries=assignment.claim.engine_retries)
    return Ending.failed(
        f"ran too long: {assignment.unit.name} was cancelled after {seconds} s, the longest run of its mapping",
        "Raise the longest run of the mapping, or find out what the unit waited for.",
        retry,
        unit=assignment.unit.name,
    )


def _wire(values: MappingOf[str, Any]) -> dict[str, Any]:
    return {name: variable.to_json() for name, variable in encode_all(values).items()}


def _failed(
    assignment: Assignment, error: BaseException, *, delay: timedelta | None = None, again: bool = True
) -> Ending:
    plan = assignment.plan
    retry: Retry = NO_RETRY
    if again:
        retry = next_retry(plan.waits, engine_retries=assignment.claim.engine_retries, delay=delay)
    return Ending.failed(message_of(error), details_of(error, note=plan.fault), retry, unit=assignment.unit.name)


def _thrown(assignment: Assignment, error: BusinessError) -> Ending:
    claim = assignment.claim
    known = caught(
        assignment.mapping.engine,
        assignment.engine,
        definition_id=claim.process_definition_id,
        instance_id=claim.process_instance_id,
        activity_id=claim.activity_id,
        code=error.code,
    )
    if known is Caught.NO:
        # The engine would end the execution silently.
        text = f"BPMN error {error.code} is caught by no boundary event of the model: {error.message or error}"
        return Ending.failed(shortened(text), details_of(error), NO_RETRY, unit=assignment.unit.name)
    try:
        variables = _wire(error.variables)
    except UnsendableValue as fault:
        return _failed(assignment, fault, again=False)
    return Ending.thrown(error.code, shortened(error.message or str(error)), variables, catcher=known)


def _code_of(table: MappingOf[str, str], error: BaseException) -> str | None:
    """The BPMN error code that a mapping gives an exception: by ``HTTP 404`` or by the name of its class or a base."""
    status = getattr(error, "status", None)
    names = [f"HTTP {status}"] if isinstance(status, int) else []
    names += [kind.__name__ for kind in type(error).__mro__]
    return next((table[name] for name in names if name in table), None)
