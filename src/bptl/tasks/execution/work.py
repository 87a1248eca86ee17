"""What a running unit is given: facts, a log, cancellation, and the processes of its own engine."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

import structlog

from bptl.clients.access import Access, Kind
from bptl.clients.errors import TOO_MANY_REQUESTS
from bptl.clients.gate import Call, Gate
from bptl.engines.base import (
    Engine,
    EngineConflict,
    EngineRefused,
    EngineUnavailable,
    InvalidRequest,
    NoEngine,
    NotAuthorized,
    NotFound,
)
from bptl.engines.variables import Variable, decode_all, encode
from bptl.lib.log import get_logger
from bptl.work_units.contract import (
    Client,
    Completion,
    DidNotHappen,
    Effect,
    Happened,
    LeaseEnded,
    Mail,
    NeverAgain,
    ProcessNotFound,
    Reconcile,
    Refused,
    Sending,
    TaskFacts,
    TryAgain,
    Uncertain,
    check_completion,
)


class Cancellation:
    """Says once, from any thread, that a run has lost its right to go on, and why."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""

    def cancel(self, reason: str) -> None:
        """Tell the work to stop; the first reason stays."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was said."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for it; True when it was said."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise LeaseEnded when it was said."""
        if self._event.is_set():
            raise LeaseEnded(self.reason)


class Services(Protocol):
    """What one task may reach: the services of its mapping, with the credentials of its application."""

    def access(self, alias: str, *, kinds: frozenset[Kind], url: str | None) -> Access:
        """See Work.connect; raises NotConnected."""


Admit = Callable[[str, str, str], None]
"""Told of service, method and address before each call; raises ServiceError when it may not be made now."""


def admit_all(service: str, method: str, url: str) -> None:
    """Every call may be made."""


class RunGate:
    """The gate of one run: nothing passes once the work is cancelled, or that is not admitted; what has passed is
    recorded."""

    def __init__(self, cancellation: Cancellation, record: Callable[[Call], None], admit: Admit) -> None:
        self._cancellation = cancellation
        self._record = record
        self._admit = admit

    def enter(self, service: str, method: str, url: str) -> None:
        """Raises LeaseEnded once the work is cancelled, and BreakerOpen for a service that is known to be down."""
        self._cancellation.check()
        self._admit(service, method, url)

    def leave(self, call: Call) -> None:
        """Keep what became of a call."""
        self._record(call)


class RunningWork:
    """The ``work`` of one run. Without ``lease_id`` there is no ledger: a trial brings a ``once`` of its own.

    ``unit`` is the name of what runs; ``mail`` makes the mail that passes a gate; ``record`` is told of every call to a
    service, and must not raise; ``admit`` says which calls may be made.
    """

    def __init__(
        self,
        task: TaskFacts,
        *,
        unit: str,
        lease_id: uuid.UUID | None,
        cancellation: Cancellation,
        engine: Engine,
        services: Services,
        mail: Callable[[Gate], Mail],
        record: Callable[[Call], None],
        admit: Admit = admit_all,
    ) -> None:
        self._task = task
        self._unit = unit
        self._cancellation = cancellation
        self._lease_id = lease_id
        self._services = services
        self._gate = RunGate(cancellation, record, admit)
        self._mail = mail(self._gate)
        self._processes = EngineProcesses(
            engine,
            own_instance=task.process_instance_id,
            external_id=task.external_id,
            cancellation=cancellation,
            once=self.once,
        )

    @property
    def task(self) -> TaskFacts:
        """Facts of the task."""
        return self._task

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger with the task's context bound."""
        # Made when it is asked for: most runs say nothing.
        task = self._task
        return get_logger(
            "bptl.work_unit",
            task_id=task.task_id,
            topic=task.topic,
            engine=task.engine,
            process_instance=task.process_instance_id,
        )

    @property
    def cancelled(self) -> bool:
        """True once our lease has ended."""
        return self._cancellation.cancelled

    @property
    def processes(self) -> EngineProcesses:
        """Processes at the task's own engine."""
        return self._processes

    @property
    def mail(self) -> Mail:
        """The organisation's mail."""
        return self._mail

    def connect(
        self,
        client: type[Client],
        alias: str,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Client:
        """A client of a service; see the contract."""
        return client(self._services.access(alias, kinds=client.kinds, url=url), self._gate, headers=headers)

    def sleep(self, seconds: float) -> None:
        """Wait ``seconds``, but raise LeaseEnded as soon as the work is cancelled."""
        self._cancellation.wait(seconds)
        self._cancellation.check()

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
        """Do an effect once per task; see the contract."""
        if self._lease_id is None:
            raise ValueError("work without a lease has no ledger")
        # Here, because a trial (bptl try) uses this module without Django's models.
        from bptl.tasks.effects import Ledger

        ledger = Ledger(
            self._task.task_id,
            self._lease_id,
            self._task.external_id,
            sleep=self.sleep,
            check=self._cancellation.check,
        )
        return ledger.once(
            key,
            effect,
            arguments=arguments or {},
            reconcile=reconcile,
            idempotent=idempotent,
            gives_up_after=gives_up_after,
            settles_after=settles_after,
        )

    def completion(self, key: str = "answer", *, deadline: timedelta) -> Completion:
        """An address at which somebody outside completes this task; see the contract."""
        check_completion(key, deadline)
        lease_id = self._lease_id
        if lease_id is None:
            raise ValueError("work without a lease has no addresses")
        # Here, because a trial (bptl try) uses this module without Django's models.
        from django.conf import settings

        from bptl.tasks import completions, sql

        self._cancellation.check()
        if not settings.BPTL_PAGES_URL:
            raise NeverAgain("BPTL does not know its own address, so nobody can answer there: set BPTL_PAGES_URL")
        row = sql.steadily(
            lambda: completions.ask(self._task.task_id, lease_id, key=key, unit=self._unit, wait=deadline),
            wait=self.sleep,
        )
        token = row.token
        url = f"{settings.BPTL_PAGES_URL.rstrip('/')}/{completions.PATH}{token}"
        return Completion(row.pk, key, row.number, row.deadline, url, token)


STARTED_BY = "bptlStartedBy"
"""Variable of every instance that we start: the external task and the effect that did it."""

STARTS_WITHIN = timedelta(seconds=10)
"""After its call was given up: the engine runs an instance to its first wait state before it commits."""


class EngineProcesses:
    """The contract's Processes on a live engine. Values that came from the engine go back in the type they had.

    Each write is an effect of the task, named by what it does and the how manieth of its kind it is.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        own_instance: str,
        external_id: str,
        cancellation: Cancellation,
        once: Callable[..., Any],
    ) -> None:
        self._once = once
        self._count: Counter[str] = Counter()
        self._engine = engine
        self._own_instance = own_instance
        self._external_id = external_id
        self._cancellation = cancellation
        # Lists and objects lose their engine type when they are decoded (an ArrayList becomes a list): handed on
        # unchanged, they are sent as they came.
        self._as_read: dict[int, tuple[Any, Variable]] = {}

    def start(
        self,
        *,
        key: str | None = None,
        version: int | None = None,
        business_key: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Start an instance; answers its id. It carries STARTED_BY, by which a start without an answer is found."""
        name = self._numbered(f"start {key}")
        mark = f"{self._external_id}:{name}"
        wire = self._encode(variables) | {STARTED_BY: encode(mark)}

        def start(sending: Sending) -> str:
            exact = self._definition(key or "", version)
            with self._translated(key=key or "", version=version):
                sending.check()
                if exact is None:
                    return self._engine.start(key=key, business_key=business_key, variables=wire).id
                return self._engine.start(definition_id=exact, business_key=business_key, variables=wire).id

        arguments = {"process": key, "version": version, "business_key": business_key}
        started: str = self._once(
            name,
            start,
            arguments=arguments,
            reconcile=lambda: self._started(name, key or "", mark),
            settles_after=STARTS_WITHIN,
        )
        return started

    def _definition(self, key: str, version: int | None) -> str | None:
        """The id of exactly this version; None when the latest is wanted."""
        if version is None:
            return None
        with self._translated(key=key, version=version, reading=True):
            found = self._engine.definitions(key=key, version=version)
        if len(found) != 1:
            raise ProcessNotFound(key=key, version=version)
        return found[0].id

    def _started(self, effect: str, key: str, mark: str) -> Happened | None:
        """What became of a start without an answer. Raises Uncertain where the engine cannot tell.

        Running instances are seen with READ. One that has ended is seen in the history only, which answers *none* too
        where it is not kept or not ours to read: its silence counts when it shows another start of ours.
        """
        with self._translated(key=key, reading=True):
            found = self._engine.instances(variable=(STARTED_BY, mark), roots=True)
            found = found or self._engine.past_instances(variable=(STARTED_BY, mark), roots=True)
            if found:
                return Happened(found[0].id)
            if self._engine.past_instances(definition_key=key, variable=(STARTED_BY, None), maximum=1):
                return None
        raise Uncertain(
            effect,
            f"no running instance has the variable {STARTED_BY} = {mark!r}, and the history shows no start of {key!r} "
            "by BPTL: it is not kept, or our user lacks READ_HISTORY on the process definition",
        )

    def correlate(
        self, message: str, *, process_instance_id: str | None = None, variables: Mapping[str, Any] | None = None
    ) -> None:
        """Deliver a message to the one execution waiting for it."""
        wire = self._encode(variables)

        def correlate(sending: Sending) -> None:
            with self._translated(instance=process_instance_id or ""):
                sending.check()
                self._engine.correlate(message, process_instance_id=process_instance_id, variables=wire)

        arguments = {"message": message, "process_instance": process_instance_id}
        self._once(self._numbered(f"correlate {message}"), correlate, arguments=arguments)

    def signal(self, name: str, *, variables: Mapping[str, Any] | None = None) -> None:
        """Broadcast a signal."""
        wire = self._encode(variables)

        def signal(sending: Sending) -> None:
            with self._translated():
                sending.check()
                self._engine.signal(name, variables=wire)

        self._once(self._numbered(f"signal {name}"), signal, arguments={"signal": name})

    def variables(
        self, process_instance_id: str | None = None, names: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        """Variables of an instance, the task's own when none is named."""
        instance = process_instance_id or self._own_instance
        self._cancellation.check()
        with self._translated(instance=instance):
            found = self._engine.variables(instance, names)
        values = decode_all(found, load_file=lambda name: self._engine.file(name, process_instance_id=instance))
        for name, value in values.items():
            if isinstance(value, dict | list):
                self._as_read[id(value)] = (value, found[name])
        return values

    def set_variables(
        self, variables: Mapping[str, Any], *, process_instance_id: str | None = None, effect: str = ""
    ) -> None:
        """Set variables of an instance, the task's own when none is named."""
        wire = self._encode(variables)
        instance = process_instance_id or self._own_instance

        def set_them(sending: Sending) -> None:
            with self._translated(instance=instance):
                sending.check()
                self._engine.set_variables(instance, wire)

        # Setting the same values twice changes nothing.
        arguments = {"process_instance": instance, "names": sorted(wire)}
        self._once(self._numbered(effect or "set variables"), set_them, arguments=arguments, idempotent=True)

    def _numbered(self, name: str) -> str:
        self._count[name] += 1
        return name if self._count[name] == 1 else f"{name} #{self._count[name]}"

    def _encode(self, variables: Mapping[str, Any] | None) -> dict[str, Variable]:
        wire = {}
        for name, value in (variables or {}).items():
            read = self._as_read.get(id(value))
            wire[name] = read[1] if read is not None and read[0] == value else encode(value)
        return wire

    @contextmanager
    def _translated(
        self, *, key: str = "", version: int | None = None, instance: str = "", reading: bool = False
    ) -> Iterator[None]:
        """Say in the contract's words what will not get better by repeating; ``reading`` changes nothing there."""
        try:
            yield
        except NotFound as error:
            raise ProcessNotFound(key=key, version=version, process_instance_id=instance) from error
        except NotAuthorized as error:
            missing = f" (missing: {', '.join(error.missing)})" if error.missing else ""
            raise Refused(f"the engine does not allow it{missing}: {error}") from error
        except NoEngine as error:
            raise Refused(f"{error.message}; a unit that works with processes cannot be called there") from error
        except InvalidRequest as error:
            raise Refused(f"the engine cannot read it: {error}") from error
        except (EngineConflict, EngineRefused) as error:
            raise DidNotHappen(f"the engine rolled it back: {error}") from error
        except EngineUnavailable as error:
            if error.sent and not reading and error.status != TOO_MANY_REQUESTS:
                raise TryAgain(f"the engine gave no answer: {error}", delay=error.retry_after) from error
            raise DidNotHappen(f"the engine is not there: {error}", delay=error.retry_after) from error
