"""Run a work unit with nothing around it: no engine, no database, no network, no waiting.

    from bptl.work_units.testing import FakeProcesses, FakeWork, run

    def test_an_invoice_is_sent_for_every_line():
        result = run(send_invoice, {"klantnummer": "42", "regels": [{"omschrijving": "leges", "bedrag": 12.5}]})
        assert result.variables == {"factuurnummer": "42-1"}

    def test_a_cancelled_unit_stops():
        with pytest.raises(LeaseEnded):
            run(send_invoice, {"klantnummer": "42", "regels": []}, cancelled=True)

    def test_the_reminder_process_is_started():
        processes = FakeProcesses(definitions={"herinneren": 3})
        run(start_reminder, {"klantnummer": "42"}, processes=processes)
        assert processes.started[0].variables == {"klantnummer": "42"}

A unit that calls services gets real clients: give the address of a server of your test for each alias, or an Access,
``FakeWork(services={"zrc": "http://127.0.0.1:8001/zaken/api/v1/"})``; ``work.calls`` holds what was called. Mail is
kept in ``work.mail.sent``, and goes to a server of your test too: ``FakeWork(mail=FakeMail(server=…))``.

A unit that answers *pending* waits for ``result.pending``, whose ``completion`` holds the address that it gave out.

What the unit raises (BusinessError, TryAgain, InvalidInput, …) comes out of ``run`` as it is. Input is validated and
the answer is checked exactly as in a running BPTL. To see what a unit did before it raised, make the work yourself:
``work = FakeWork(); run(unit, variables, work=work)``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import structlog
from structlog.testing import LogCapture

from bptl.clients.access import Access, Kind
from bptl.clients.client import ServiceClient
from bptl.clients.gate import Call, Gate
from bptl.clients.session import open_session
from bptl.clients.smtp import SmtpClient, SmtpServer
from bptl.lib.json import plain
from bptl.work_units.contract import (
    Client,
    Completion,
    Effect,
    LeaseEnded,
    MailMessage,
    NoSuchTemplate,
    NotConnected,
    Pending,
    ProcessNotFound,
    Reconcile,
    Rendered,
    Sending,
    TaskFacts,
    Uncertain,
    WorkUnit,
    changed,
    check_completion,
    unit_of,
)
from bptl.work_units.sending import CheckedSending

OWN_INSTANCE = "own-process-instance"


@dataclass(frozen=True, slots=True)
class Started:
    """One process instance that a unit started; ``version`` is the one that runs."""

    id: str
    key: str
    version: int
    business_key: str | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message that a unit correlated."""

    name: str
    process_instance_id: str | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal that a unit broadcast."""

    name: str
    variables: Mapping[str, Any]


@dataclass(slots=True)
class FakeProcesses:
    """Processes of an engine that lives in memory.

    ``definitions`` maps a definition key to its latest version (all earlier ones exist too); ``instances`` maps an
    instance id to its variables and holds the task's own instance as OWN_INSTANCE. What was done can be read from
    ``started``, ``messages`` and ``signals``. Every call raises LeaseEnded once ``cancelled``.
    """

    definitions: Mapping[str, int] = field(default_factory=dict)
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: list[Started] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    cancelled: bool = False

    def start(
        self,
        *,
        key: str,
        version: int | None = None,
        business_key: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Start an instance; raises ProcessNotFound for an unknown key or version."""
        self._check()
        latest = self.definitions.get(key)
        if latest is None or (version is not None and not 1 <= version <= latest):
            raise ProcessNotFound(key=key, version=version)
        started = Started(
            id=f"{key}-{len(self.started) + 1}",
            key=key,
            version=version or latest,
            business_key=business_key,
            variables=dict(variables or {}),
        )
        self.started.append(started)
        self.instances[started.id] = dict(started.variables)
        return started.id

    def correlate(
        self, message: str, *, process_instance_id: str | None = None, variables: Mapping[str, Any] | None = None
    ) -> None:
        """Record a message."""
        self._check()
        if process_instance_id is not None:
            self._instance(process_instance_id)
        self.messages.append(Message(message, process_instance_id, dict(variables or {})))

    def signal(self, name: str, *, variables: Mapping[str, Any] | None = None) -> None:
        """Record a signal."""
        self._check()
        self.signals.append(Signal(name, dict(variables or {})))

    def variables(
        self, process_instance_id: str | None = None, names: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        """Variables of an instance; raises ProcessNotFound for an unknown one."""
        self._check()
        held = self._instance(process_instance_id or OWN_INSTANCE)
        return {name: value for name, value in held.items() if names is None or name in names}

    def set_variables(
        self, variables: Mapping[str, Any], *, process_instance_id: str | None = None, effect: str = ""
    ) -> None:
        """Set variables of an instance; raises ProcessNotFound for an unknown one."""
        self._check()
        self._instance(process_instance_id or OWN_INSTANCE).update(variables)

    def _instance(self, process_instance_id: str) -> dict[str, Any]:
        if process_instance_id == OWN_INSTANCE:
            return self.instances.setdefault(OWN_INSTANCE, {})
        try:
            return self.instances[process_instance_id]
        except KeyError:
            raise ProcessNotFound(process_instance_id=process_instance_id) from None

    def _check(self) -> None:
        if self.cancelled:
            raise LeaseEnded("the work was cancelled")


@dataclass(slots=True)
class FakeMail:
    """Mail whose templates say their name and what they were given, as JSON. ``templates`` are those that there are.

    ``sent`` holds what was handed over. With a ``server`` it really is, over SMTP, through ``gate`` (the work's own).
    """

    templates: Collection[str] = ("generiek",)
    server: SmtpServer | None = None
    sent: list[MailMessage] = field(default_factory=list)
    gate: Gate | None = None

    def render(self, template: str, context: Mapping[str, Any]) -> Rendered:
        """Raises NoSuchTemplate for one that is not among ``templates``."""
        if template not in self.templates:
            raise NoSuchTemplate(template, known=sorted(self.templates))
        text = json.dumps(plain(dict(context)), ensure_ascii=False, indent=1)
        return Rendered(subject=template, text=text, html=f"<pre>{escape(text)}</pre>")

    def send(self, message: MailMessage, sending: Sending) -> str:
        """Keep a message, once it may be sent and the server has taken it."""
        if self.server is None or self.gate is None:
            sending.check()
            message_id = f"<{sending.idempotency_key}@test>"
        else:
            client = SmtpClient(self.server, self.gate)
            message_id = client.send(message, key=sending.idempotency_key, check=sending.check)
        self.sent.append(message)
        return message_id


class FakeWork:
    """The ``work`` of a unit under test. ``sleep`` does not wait: it moves ``slept`` (seconds) on.

    ``cancel_after`` cancels the work when that many seconds have been slept; ``events`` holds what was logged, one
    dict each, with the event's name under ``event``. ``completions`` are the addresses that were asked for, by key.
    """

    def __init__(
        self,
        *,
        task: TaskFacts | None = None,
        processes: FakeProcesses | None = None,
        cancelled: bool = False,
        cancel_after: float | None = None,
        effects: Mapping[str, Any] | None = None,
        open_effects: Collection[str] = (),
        services: Mapping[str, str | Access] | None = None,
        mail: FakeMail | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self._services = dict(services or {})
        self.effects: dict[str, Any] = dict(effects or {})
        self.open_effects = set(open_effects)
        self.completions: dict[str, Completion] = {}
        self._arguments: dict[str, Any] = {}
        self.task = task or task_facts()
        self.processes = processes or FakeProcesses()
        self.mail = mail or FakeMail()
        self.mail.gate = self
        self.slept = 0.0
        self._cancelled = False
        self._cancel_after = cancel_after
        captured = LogCapture()
        self.events = captured.entries
        self.log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
            None, processors=[captured], wrapper_class=structlog.stdlib.BoundLogger
        )
        if cancelled:
            self.cancel()

    @property
    def cancelled(self) -> bool:
        """True once ``cancel`` was called or enough was slept."""
        return self._cancelled

    def cancel(self) -> None:
        """End the lease: from now on ``sleep`` and every call of ``processes`` raise LeaseEnded."""
        self._cancelled = True
        self.processes.cancelled = True

    def connect(
        self,
        client: type[Client],
        alias: str,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Client:
        """A real client of one of ``services``; with ``url`` of any of them that owns it."""
        access = self._access(client, alias)
        if url is not None and (access is None or not access.owns(url)):
            others = (self._access(client, other) for other in self._services)
            access = next((other for other in others if other is not None and other.owns(url)), None)
        if access is None:
            raise NotConnected(alias, "the test gives no such service")
        return client(access, self, headers=headers)

    def _access(self, client: type[ServiceClient], alias: str) -> Access | None:
        given = self._services.get(alias)
        if isinstance(given, str):
            kind = min(client.kinds, default=Kind.OTHER)
            given = self._services[alias] = Access(alias, kind, given, open_session(given))
        return given

    def enter(self, service: str, method: str, url: str) -> None:
        """The gate of this work's clients."""
        self._may_send()

    def leave(self, call: Call) -> None:
        """Note a call."""
        self.calls.append(call)

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
        """Do the effect unless ``effects`` has its result; ``open_effects`` are those an earlier attempt left open."""
        self._may_send()
        given = plain(dict(arguments or {}))
        if (then := self._arguments.get(key, given)) != given:
            raise changed(key, then, given)
        if key in self.effects:
            return self.effects[key]
        if key in self.open_effects and not idempotent:
            if reconcile is None:
                raise Uncertain(key, "an earlier attempt ended before it knew, and the service cannot be asked")
            if (answer := reconcile()) is not None:
                self.effects[key] = answer.result
                return answer.result
        sending = CheckedSending(f"{self.task.external_id}:{key}", self._may_send)
        try:
            result = effect(sending)
        except Exception as error:
            if sending.certainly_not(error):
                self.open_effects.discard(key)
                raise
            self._arguments[key] = given
            self.open_effects.add(key)
            if reconcile is None and not idempotent:
                raise Uncertain(key, f"{type(error).__name__}: {error}") from error
            raise
        self._arguments[key] = given
        self.effects[key] = plain(result)
        return self.effects[key]

    def completion(self, key: str = "answer", *, deadline: timedelta) -> Completion:
        """An address at which nobody listens; the same for each attempt that is made with this work."""
        check_completion(key, deadline)
        self._may_send()
        if key not in self.completions:
            token = f"token-{len(self.completions) + 1}"
            url = f"https://bptl.test/api/v1/completions/{token}"
            self.completions[key] = Completion(
                len(self.completions) + 1, key, 1, datetime.now(UTC) + deadline, url, token
            )
        return self.completions[key]

    def _may_send(self) -> None:
        if self._cancelled:
            raise LeaseEnded("the work was cancelled")

    def sleep(self, seconds: float) -> None:
        """Count ``seconds`` as slept, or raise LeaseEnded when the work is or becomes cancelled meanwhile."""
        if not self._cancelled and self._cancel_after is not None and self.slept + seconds >= self._cancel_after:
            self.slept = max(self.slept, self._cancel_after)
            self.cancel()
        self._may_send()
        self.slept += seconds


@dataclass(frozen=True, slots=True)
class Result:
    """A run that ended well: the process variables it sets, and the work it was given (``slept``, ``events``, …).

    ``pending`` is what it waits for when it answered that; it sets nothing then.
    """

    variables: dict[str, Any]
    work: FakeWork
    pending: Pending | None = None


def task_facts(
    *,
    task_id: int = 1,
    engine: str = "test",
    topic: str = "test",
    external_id: str = "external-task-1",
    process_instance_id: str = OWN_INSTANCE,
    process_definition_key: str = "test",
    activity_id: str = "Activity_test",
    business_key: str = "",
    tenant_id: str = "",
    attempt: int = 1,
) -> TaskFacts:
    """Facts of a task of which only the interesting ones need saying."""
    return TaskFacts(
        task_id=task_id,
        engine=engine,
        topic=topic,
        external_id=external_id,
        process_instance_id=process_instance_id,
        process_definition_key=process_definition_key,
        activity_id=activity_id,
        business_key=business_key,
        tenant_id=tenant_id,
        attempt=attempt,
    )


def run(
    unit: WorkUnit | Callable[..., Any],
    variables: Mapping[str, Any],
    *,
    cancelled: bool = False,
    cancel_after: float | None = None,
    task: TaskFacts | None = None,
    processes: FakeProcesses | None = None,
    work: FakeWork | None = None,
) -> Result:
    """Run a unit (or its decorated function) on ``variables``, Python values by process-variable name.

    The task's own process instance holds ``variables`` too, besides what ``processes`` already holds. A given
    ``work`` is used as it is; the other options then have no place (ValueError).
    """
    if work is None:
        work = FakeWork(task=task, processes=processes, cancelled=cancelled, cancel_after=cancel_after)
    elif cancelled or cancel_after is not None or task is not None or processes is not None:
        raise ValueError("give these options to FakeWork, or no work at all")
    own = work.processes.instances.setdefault(OWN_INSTANCE, {})
    for name, value in variables.items():
        own.setdefault(name, value)
    unit = unit if isinstance(unit, WorkUnit) else unit_of(unit)
    answer = unit.run(work, variables)
    if isinstance(answer, Pending):
        return Result(variables={}, work=work, pending=answer)
    return Result(variables=answer, work=work)
