"""What a work unit is, and what it is given. What it raises when something goes wrong is in bptl.work_units.errors.

A unit is a typed function ``(work, inputs) -> outputs``. One declaration gives validation, the catalogue page,
the list of variables to fetch and the test harness. A unit never sees the engine's client, the task's lock, its
report or the database. Units import what they need, errors included, from this module only.
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
from bptl.clients.smtp import Attachment as Attachment  # noqa: PLC0414 - for units, as all that is so imported
from bptl.clients.smtp import Mailbox as Mailbox  # noqa: PLC0414
from bptl.clients.smtp import MailMessage as MailMessage  # noqa: PLC0414
from bptl.work_units.errors import APPLICATION as APPLICATION  # noqa: PLC0414
from bptl.work_units.errors import BusinessError as BusinessError  # noqa: PLC0414
from bptl.work_units.errors import DidNotHappen as DidNotHappen  # noqa: PLC0414
from bptl.work_units.errors import EffectChanged as EffectChanged  # noqa: PLC0414
from bptl.work_units.errors import InvalidInput as InvalidInput  # noqa: PLC0414
from bptl.work_units.errors import InvalidOutput as InvalidOutput  # noqa: PLC0414
from bptl.work_units.errors import LeaseEnded as LeaseEnded  # noqa: PLC0414
from bptl.work_units.errors import NeverAgain as NeverAgain  # noqa: PLC0414
from bptl.work_units.errors import NoSuchTemplate as NoSuchTemplate  # noqa: PLC0414
from bptl.work_units.errors import NotConnected as NotConnected  # noqa: PLC0414
from bptl.work_units.errors import NotGranted as NotGranted  # noqa: PLC0414
from bptl.work_units.errors import ProcessNotFound as ProcessNotFound  # noqa: PLC0414
from bptl.work_units.errors import Refused as Refused  # noqa: PLC0414
from bptl.work_units.errors import TryAgain as TryAgain  # noqa: PLC0414
from bptl.work_units.errors import Uncertain as Uncertain  # noqa: PLC0414
from bptl.work_units.errors import WorkError as WorkError  # noqa: PLC0414
from bptl.work_units.errors import changed as changed  # noqa: PLC0414
from bptl.work_units.pending import Completion as Completion  # noqa: PLC0414
from bptl.work_units.pending import Pending as Pending  # noqa: PLC0414
from bptl.work_units.pending import check_completion as check_completion  # noqa: PLC0414
from bptl.work_units.signature import read_signature
from bptl.work_units.validation import FieldFault as FieldFault  # noqa: PLC0414
from bptl.work_units.validation import Inputs as Inputs  # noqa: PLC0414
from bptl.work_units.validation import OpenOutputs as OpenOutputs  # noqa: PLC0414
from bptl.work_units.validation import Outputs as Outputs  # noqa: PLC0414
from bptl.work_units.validation import faults_in, variable_names


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

    def set_variables(
        self, variables: Mapping[str, Any], *, process_instance_id: str | None = None, effect: str = ""
    ) -> None:
        """Set variables of an instance, the task's own when none is named.

        It is done once per task. ``effect`` names what is done, where a later attempt may have to set other values.
        """


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


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a mail says."""

    subject: str
    text: str
    html: str


class Mail(Protocol):
    """The organisation's mail: its templates, its server and the address from which it writes."""

    def render(self, template: str, context: Mapping[str, Any]) -> Rendered:
        """Fill a template with plain values (text, and objects of text). Raises NoSuchTemplate."""

    def send(self, message: MailMessage, sending: Sending) -> str:
        """Hand one message over, inside an effect; answers its Message-ID, the same for every try of that effect.

        Raises bptl.clients.errors.ServiceError. Without an answer nobody can be asked: a mail server tells nothing.
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

    @property
    def mail(self) -> Mail:
        """The organisation's mail."""

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

    def completion(self, key: str = "answer", *, deadline: timedelta) -> Completion:
        """An address at which somebody outside completes this task instead of the unit, which then answers *pending*:

            answer = work.completion(deadline=timedelta(days=2))
            work.once(f"ask {answer.number}", lambda sending: ask(answer.url, sending))
            return answer.pending

        An answer is taken from the moment of this call. A later attempt that asks with the same key gets the same
        address, and its first deadline, as long as nobody has used it and it is not too late. ``deadline`` is at most 8
        weeks. Raises ValueError, LeaseEnded, and NeverAgain where this installation does not know its own address.
        """


UnitFunction = Callable[..., Outputs | Pending | None]


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
    ``may_wait`` is true for one that may answer Pending. ``documentation_nl`` is the same page in Dutch, empty where
    the unit has none.
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
    may_wait: bool = False
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
        """Whether a task must say for which application it is done; for an optional need only when that is used."""
        return any(need.kind in WITH_APPLICATION and not need.optional for need in self.needs.values())

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

    def run(self, work: Work, values: Mapping[str, Any]) -> dict[str, Any] | Pending:
        """Read ``values``, do the work, answer the process variables to set (Python values by alias), or Pending.

        Raises InvalidInput before the work starts, InvalidOutput after it, and whatever the function raises.
        """
        inputs = self.read(values)
        try:
            answer = self.function(work, inputs)
        except ValidationError as error:
            if self.outputs is not None and error.title == self.outputs.__name__:
                raise InvalidOutput(self.name, faults_in(error)) from error
            raise
        if isinstance(answer, Pending) and self.may_wait:
            return answer
        return self._written(answer)

    def read_answer(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The process variables to set (Python values by alias), from what somebody outside answers in its place: JSON
        by the names of those variables. Raises InvalidOutput naming every bad one."""
        if self.outputs is None:
            if values:
                raise InvalidOutput(self.name, [FieldFault(name, "is not declared") for name in sorted(values)])
            return {}
        if not values and self.may_answer_nothing:
            return {}
        try:
            return self.outputs.model_validate(dict(values)).to_variables()
        except ValidationError as error:
            raise InvalidOutput(self.name, faults_in(error, values=values)) from error

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
    """Declare a function ``(work: Work, inputs: <Inputs>) -> <Outputs> | None`` as the unit ``theme.verb_object``; one
    that may leave its answer to somebody outside says ``<Outputs> | Pending``.

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
            may_wait=signature.may_wait,
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
