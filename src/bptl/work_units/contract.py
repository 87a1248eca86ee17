"""What a work unit is, what it is given and how it says that something went wrong.

A unit is a typed function ``(work, inputs) -> outputs``. One declaration gives validation, the catalogue page,
the list of variables to fetch and the test harness. A unit never sees the engine's client, the task's lock, its
report or the database.

    WorkError
    ├── TryAgain       transient: the retry plan decides when, unless ``delay`` says so
    │   └── DidNotHappen    an effect that certainly did not happen (never sent, rolled back, too late)
    ├── NeverAgain     permanent: an incident at once
    │   ├── Refused         an effect that was refused cleanly (a 4xx): it did not happen and will not by repeating
    │   ├── EffectChanged   an effect that has happened is wanted again with other arguments
    │   ├── InvalidInput    the process variables do not fit; lists every bad field
    │   ├── InvalidOutput   the unit answered something it does not declare
    │   ├── NotConnected    a service that may not be used, or that the mapping does not name
    │   ├── NotGranted      an application that is unknown, or for which the unit may not be run
    │   └── ProcessNotFound the engine knows no such process definition or instance
    ├── BusinessError  a BPMN error for the model: code, message, variables
    ├── Uncertain      an effect may have happened and nobody can be asked: a person decides
    └── LeaseEnded     our right to this task ended: stop, nothing that follows will be reported

A ServiceError of ``bptl.clients.errors`` says by itself whether it happened and whether to try again; a unit catches
only those that mean something to it. Any other exception is unexpected: it is retried by the plan and then becomes an
incident.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient
from bptl.work_units.signature import read_signature
from bptl.work_units.validation import FieldFault as FieldFault  # noqa: PLC0414 - units import the contract only
from bptl.work_units.validation import Inputs as Inputs  # noqa: PLC0414
from bptl.work_units.validation import Outputs as Outputs  # noqa: PLC0414
from bptl.work_units.validation import faults_in, variable_names


class WorkError(Exception):
    """What a unit raises on purpose."""


class TryAgain(WorkError):
    """It may work later. ``delay`` overrides the retry plan's next wait."""

    def __init__(self, message: str, *, delay: timedelta | None = None) -> None:
        self.delay = delay
        super().__init__(message)


class NeverAgain(WorkError):
    """Repeating will not help: the model, the data or the configuration must change first."""


class DidNotHappen(TryAgain):
    """Raised inside an effect: it certainly did not happen (never sent, rolled back), so it may be tried again."""


class Refused(NeverAgain):
    """Raised inside an effect: refused cleanly, as by a 4xx. It did not happen and will not by repeating."""


class EffectChanged(NeverAgain):
    """The effect ``key`` has, or may have, happened with other arguments; ``differences`` holds both values of each."""

    def __init__(self, key: str, differences: Mapping[str, tuple[Any, Any]]) -> None:
        self.key = key
        self.differences = dict(differences)
        changes = "; ".join(f"{name}: then {then!r}, now {now!r}" for name, (then, now) in differences.items())
        super().__init__(
            f"effect {key!r} was recorded with other arguments ({changes}); it is not repeated: complete the task by "
            "hand, or give the variables back their values"
        )


def changed(key: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> EffectChanged:
    """The error that names every argument that differs."""
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return EffectChanged(key, {name: (then.get(name), now.get(name)) for name in names})


class InvalidInput(NeverAgain):
    """The process variables do not fit the unit's inputs; ``faults`` names every bad field."""

    def __init__(self, unit: str, faults: Sequence[FieldFault]) -> None:
        self.unit = unit
        self.faults = tuple(faults)
        super().__init__(f"input of {unit}: " + "; ".join(f"{path}: {reason}" for path, reason in faults))


class InvalidOutput(NeverAgain):
    """The unit's answer does not fit its declared outputs: a fault of the unit, after its work was done."""

    def __init__(self, unit: str, faults: Sequence[FieldFault]) -> None:
        self.unit = unit
        self.faults = tuple(faults)
        super().__init__(f"output of {unit}: " + "; ".join(f"{path}: {reason}" for path, reason in faults))


class NotConnected(NeverAgain):
    """A service cannot be used for this task: no such alias, no such right, an unknown application."""

    def __init__(self, alias: str, reason: str) -> None:
        self.alias = alias
        self.reason = reason
        super().__init__(f"service {alias!r} cannot be used: {reason}")


class NotGranted(NeverAgain):
    """The unit may not be run for the application of this task."""

    def __init__(self, application: str, reason: str) -> None:
        self.application = application
        self.reason = reason
        super().__init__(f"{APPLICATION} {application!r}: {reason}")


class ProcessNotFound(NeverAgain):
    """The task's engine knows no process definition ``key`` (in this ``version``), or no such instance."""

    def __init__(self, *, key: str = "", version: int | None = None, process_instance_id: str = "") -> None:
        self.key = key
        self.version = version
        self.process_instance_id = process_instance_id
        missing = f"instance {process_instance_id!r}" if process_instance_id else f"definition {key!r}"
        super().__init__(f"no process {missing}" + (f" in version {version}" if version else ""))


class BusinessError(WorkError):
    """A BPMN error that a boundary event of the model can catch by ``code``."""

    def __init__(self, code: str, message: str = "", *, variables: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.message = message
        self.variables = dict(variables or {})
        super().__init__(f"{code}: {message}" if message else code)


class Uncertain(WorkError):
    """The effect ``key`` may have happened and nobody can be asked: the task waits for a person."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"effect {key!r} may have happened: {reason}")


class LeaseEnded(WorkError):
    """Our lease on the task has ended; raised by the calls of ``work`` once it is cancelled."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What a unit may know about its task. ``attempt`` counts leases, from 1; ``task_id`` is BPTL's own number."""

    task_id: int
    engine: str
    topic: str
    external_id: str
    process_instance_id: str
    process_definition_key: str
    activity_id: str
    business_key: str
    tenant_id: str
    attempt: int


class Processes(Protocol):
    """Other processes at the task's own engine. Values are Python values; each call raises LeaseEnded once cancelled.

    ProcessNotFound is raised where a definition or instance is named that the engine does not know.
    """

    def start(
        self,
        *,
        key: str,
        version: int | None = None,
        business_key: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Start an instance of ``key`` (the latest version unless ``version`` is given); answers its id.

        It needs CREATE on process instance, and CREATE_INSTANCE and READ on process definition: an engine hides from
        us what we may not read, and then it is ProcessNotFound. The instance carries the variable ``bptlStartedBy``: a
        start without an answer is looked for by it among the running instances and, with READ_HISTORY, among those
        that have ended. Where the engine cannot tell, Uncertain is raised.
        """

    def correlate(
        self, message: str, *, process_instance_id: str | None = None, variables: Mapping[str, Any] | None = None
    ) -> None:
        """Deliver a message to the one execution waiting for it. Without an answer it is uncertain: nobody can tell."""

    def signal(self, name: str, *, variables: Mapping[str, Any] | None = None) -> None:
        """Broadcast a signal. Without an answer it is uncertain: nobody can tell."""

    def variables(
        self, process_instance_id: str | None = None, names: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        """Variables of an instance, the task's own when none is named."""

    def set_variables(self, variables: Mapping[str, Any], *, process_instance_id: str | None = None) -> None:
        """Set variables of an instance, the task's own when none is named."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What ``reconcile`` answers when the service says that the effect happened; ``result`` is JSON."""

    result: Any = None


class Sending(Protocol):
    """What an effect is given. ``idempotency_key`` is the same for every try of one effect of one task."""

    @property
    def idempotency_key(self) -> str:
        """For services that recognise a repeated request."""

    def check(self) -> None:
        """Call this immediately before sending: raises, as *did not happen*, when it is too late or the lease ended.

        An effect is one request. What is read before it belongs before ``once``: LeaseEnded from anything but this
        leaves the effect open, and so does this once an earlier check has let something be sent.
        """


Client = TypeVar("Client", bound=ServiceClient)
Effect = Callable[[Sending], Any]
Reconcile = Callable[[], Happened | None]


class Work(Protocol):
    """What a running unit is given."""

    @property
    def task(self) -> TaskFacts:
        """Facts of the task."""

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger with the task's context bound."""

    @property
    def cancelled(self) -> bool:
        """True once our lease has ended: stop soon, the outcome will not be reported."""

    @property
    def processes(self) -> Processes:
        """Processes at the task's own engine."""

    def connect(
        self,
        client: type[Client],
        alias: str,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Client:
        """A client of the service that the mapping calls ``alias``, with the credentials of the task's application.

        ``headers`` go with every call, such as those of NLX. With ``url`` an address in data decides where the alias
        is optional: the mapping's service when it owns the address, else the one registered service of a fitting kind
        that does. Raises NotConnected, as for an application that is unknown or has not been granted the service;
        the calls raise bptl.clients.errors.ServiceError, and LeaseEnded once cancelled.
        """

    def sleep(self, seconds: float) -> None:
        """Wait ``seconds``, but raise LeaseEnded as soon as the work is cancelled."""

    def once(
        self,
        key: str,
        effect: Effect,
        *,
        arguments: Mapping[str, Any] | None = None,
        reconcile: Reconcile | None = None,
        idempotent: bool = False,
        gives_up_after: timedelta = timedelta(seconds=30),
        settles_after: timedelta = timedelta(seconds=2),
    ) -> Any:
        """Do ``effect`` once per task and answer its JSON result; a recorded result is answered without doing it again.

        ``arguments`` (JSON) say what it is done with: the same key with others raises EffectChanged. An effect of an
        earlier attempt whose end is unknown is asked for by ``reconcile`` (Happened, or None: it did not happen), or
        repeated when the service recognises ``idempotency_key`` (``idempotent``); else Uncertain is raised. The call
        has given up ``gives_up_after`` its intent; the service has acted ``settles_after`` that.
        """


UnitFunction = Callable[..., Outputs | None]

APPLICATION = "bptlAppId"
"""Process variable that names the application for which a task is done: whose credentials, whose rights."""

WITH_APPLICATION = frozenset({Kind.ZAKEN, Kind.CATALOGI, Kind.DOCUMENTEN, Kind.BESLUITEN, Kind.AUTORISATIES})
"""APIs whose rights belong to applications: a task that needs one of them must name its application."""


@dataclass(frozen=True, slots=True)
class Need:
    """A service that a unit uses: the ``kind`` of its API (None: any), and what for. An ``optional`` one is missed only
    when it is used."""

    kind: Kind | None
    purpose: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """One declared unit.

    ``needs`` maps a service alias to the need; ``replaces`` holds dotted names of the existing BPTL;
    ``retry_plan`` is a plan such as ``R3/PT30S`` or ``PT30S,PT5M,PT1H`` (empty: the default plan); ``throws`` maps
    BPMN error codes to their meaning; ``rights`` names engine permissions beyond READ, UPDATE, UPDATE_VARIABLE on
    process instances. ``may_answer_nothing`` is true for an answer ``<Outputs> | None``: None sets no variables.
    ``documentation_nl`` is the same page in Dutch, empty where the unit has none.
    """

    name: str
    function: UnitFunction
    inputs: type[Inputs]
    outputs: type[Outputs] | None
    documentation: str
    needs: Mapping[str, Need]
    replaces: tuple[str, ...]
    retry_plan: str
    throws: Mapping[str, str]
    rights: tuple[str, ...]
    may_answer_nothing: bool = False
    documentation_nl: str = ""

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return self.documentation.partition("\n")[0]

    def documented(self, language: str) -> str:
        """The documentation in a language (``nl``), or in English where there is none."""
        return (self.documentation_nl if language == "nl" else "") or self.documentation

    @property
    def variable_names(self) -> tuple[str, ...]:
        """Process variables to fetch: exactly those that the inputs declare, every accepted alias included, and the
        application where services are used."""
        names = variable_names(self.inputs)
        return names if not self.needs or APPLICATION in names else (*names, APPLICATION)

    @property
    def needs_application(self) -> bool:
        """Whether a task must say for which application it is done."""
        return any(need.kind in WITH_APPLICATION for need in self.needs.values())

    def read(self, values: Mapping[str, Any]) -> Inputs:
        """The unit's inputs from process variables (Python values); raises InvalidInput naming every bad field."""
        missing: tuple[FieldFault, ...] = ()
        if self.needs_application and not values.get(APPLICATION):
            missing = (FieldFault(APPLICATION, "is missing: it names the application for which this is done"),)
        try:
            inputs = self.inputs.from_variables(values)
        except ValidationError as error:
            raise InvalidInput(self.name, (*faults_in(error, values=values), *missing)) from error
        if missing:
            raise InvalidInput(self.name, missing)
        return inputs

    def run(self, work: Work, values: Mapping[str, Any]) -> dict[str, Any]:
        """Read ``values``, do the work, answer the process variables to set (Python values by alias).

        Raises InvalidInput before the work starts, InvalidOutput after it, and whatever the function raises.
        """
        inputs = self.read(values)
        try:
            answer = self.function(work, inputs)
        except ValidationError as error:
            if self.outputs is not None and error.title == self.outputs.__name__:
                raise InvalidOutput(self.name, faults_in(error)) from error
            raise
        return self._written(answer)

    def _written(self, answer: Any) -> dict[str, Any]:
        if answer is None and (self.outputs is None or self.may_answer_nothing):
            return {}
        declared = self.outputs.__name__ if self.outputs else "None"
        if self.outputs is None or not isinstance(answer, self.outputs):
            fault = FieldFault("answer", f"must be {declared}, not {type(answer).__name__}")
            raise InvalidOutput(self.name, [fault])
        try:
            return self.outputs.model_validate(answer).to_variables()
        except ValidationError as error:
            raise InvalidOutput(self.name, faults_in(error)) from error
        except PydanticSerializationError as error:
            raise InvalidOutput(self.name, [FieldFault("answer", str(error))]) from error


UNIT_ATTRIBUTE = "__bptl_work_unit__"
UNIT_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


def work_unit(
    name: str,
    *,
    needs: Mapping[str, str | Need] | None = None,
    replaces: str | Sequence[str] = (),
    retry_plan: str = "",
    throws: Mapping[str, str] | None = None,
    rights: Sequence[str] = (),
    nl: str = "",
) -> Callable[[UnitFunction], UnitFunction]:
    """Declare a function ``(work: Work, inputs: <Inputs>) -> <Outputs> | None`` as the unit ``theme.verb_object``.

    A need is a Need, or just its purpose where the alias is the kind: ``{"zrc": "Zaken API"}``. The docstring is the
    unit's page in the catalogue, ``nl`` the same page in Dutch. The function stays callable as it is. Raises TypeError
    when its name, signature, needs or documentation does not fit.
    """
    if not UNIT_NAME.fullmatch(name):
        raise TypeError(f"{name!r}: a work unit is named theme.verb_object, in lower case")

    def declare(function: UnitFunction) -> UnitFunction:
        signature = read_signature(name, function)
        documentation = inspect.getdoc(function)
        if not documentation:
            raise TypeError(f"{name}: a work unit needs a docstring; it is its page in the catalogue")
        unit = WorkUnit(
            name=name,
            function=function,
            inputs=signature.inputs,
            outputs=signature.outputs,
            documentation=documentation,
            needs={alias: _need(name, alias, need) for alias, need in (needs or {}).items()},
            replaces=(replaces,) if isinstance(replaces, str) else tuple(replaces),
            retry_plan=retry_plan,
            throws=dict(throws or {}),
            rights=tuple(rights),
            may_answer_nothing=signature.may_answer_nothing,
            documentation_nl=inspect.cleandoc(nl),
        )
        setattr(function, UNIT_ATTRIBUTE, unit)
        return function

    return declare


def _need(unit: str, alias: str, need: str | Need) -> Need:
    if isinstance(need, Need):
        return need
    if alias not in list(Kind):
        raise TypeError(f"{unit}: say with a Need what kind of API {alias!r} is")
    return Need(Kind(alias), need)


def unit_of(function: Callable[..., Any]) -> WorkUnit:
    """The declaration of a decorated function; TypeError when it has none."""
    unit = getattr(function, UNIT_ATTRIBUTE, None)
    if not isinstance(unit, WorkUnit):
        raise TypeError(f"{function!r} is not a work unit; decorate it with @work_unit")
    return unit
