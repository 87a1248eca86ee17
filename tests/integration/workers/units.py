"""Units that do what a test says, while it runs."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from datetime import timedelta

from pydantic import ConfigDict, Field

from bptl.clients.client import ServiceClient
from bptl.work_units.contract import (
    BusinessError,
    Completion,
    Happened,
    Inputs,
    LeaseEnded,
    Need,
    Outputs,
    Pending,
    Sending,
    TryAgain,
    Uncertain,
    Work,
    work_unit,
)

GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)
"""What a gated unit waits for, by the name in its input."""

STARTED: Counter[str] = Counter()
"""How often a unit was started, by external task."""

STOPPED: list[str] = []
"""External tasks whose unit was told to stop and did."""


PAID: Counter[str] = Counter()
"""Payments that really happened, by idempotency key."""


ASKED: defaultdict[str, list[Completion]] = defaultdict(list)
"""Addresses that units have asked for, by external task."""


class Gate(Inputs):
    """Which gate to wait at."""

    gate: str = ""
    stubborn: bool = False


class Passed(Outputs):
    """The gate that was passed."""

    passed: str


@work_unit("test.wait_at_gate")
def wait_at_gate(work: Work, inputs: Gate) -> Passed:
    """Wait until the gate opens; a stubborn one does not listen when it is told to stop."""
    STARTED[work.task.external_id] += 1
    while not GATES[inputs.gate].wait(0.02):
        if work.cancelled and not inputs.stubborn:
            STOPPED.append(work.task.external_id)
            raise LeaseEnded
    return Passed(passed=inputs.gate)


class Nothing(Inputs):
    """Nothing."""


@work_unit("test.use_zaken", needs={"zrc": Need(None, "any service")})
def use_zaken(work: Work, inputs: Nothing) -> None:
    """Need a service."""


@work_unit("test.try_again", retry_plan="R3/PT1M")
def try_again(work: Work, inputs: Nothing) -> None:
    """Fail, every time."""
    raise TryAgain("the register is away")


@work_unit("test.throw")
def throw(work: Work, inputs: Nothing) -> None:
    """Throw a BPMN error."""
    raise BusinessError("INCOMPLETE", "no attachments", variables={"missing": "plan"})


@work_unit("test.exit")
def leave(work: Work, inputs: Nothing) -> None:
    """Do what no unit should."""
    raise SystemExit(3)


class Unsendable(Outputs):
    """A value for which no variable exists."""

    text: str


@work_unit("test.answer_unstorable")
def answer_unstorable(work: Work, inputs: Nothing) -> Unsendable:
    """Answer half a character, which JSON carries and no database takes."""
    return Unsendable.model_construct(text="\ud800")


class Person(Inputs):
    """Two things that must be there."""

    bsn: str
    age: int


@work_unit("test.greet")
def greet(work: Work, inputs: Person) -> None:
    """Need good input."""


class Payment(Inputs):
    """Whether the payment's answer is lost, and the gate behind which the service acts."""

    silent: bool = True
    gate: str = ""


class Paid(Outputs):
    """The receipt."""

    receipt: str


@work_unit("test.pay")
def pay(work: Work, inputs: Payment) -> Paid:
    """Pay once, at a service that cannot be asked."""
    STARTED[work.task.external_id] += 1

    def paying(sending: Sending) -> str:
        sending.check()
        if inputs.gate:
            GATES[inputs.gate].wait(20)
        PAID[sending.idempotency_key] += 1
        if inputs.silent:
            raise TimeoutError("no answer in 30 s")
        return "R-1"

    return Paid(receipt=work.once("pay", paying))


class Api(ServiceClient):
    """Any API."""


@work_unit("test.pay_and_tell", needs={"service": Need(None, "who is told")}, retry_plan="R3/PT1M")
def pay_and_tell(work: Work, inputs: Nothing) -> Paid:
    """Pay once, then tell a service of it."""
    STARTED[work.task.external_id] += 1

    def paying(sending: Sending) -> str:
        sending.check()
        PAID[sending.idempotency_key] += 1
        return "R-1"

    receipt = work.once("pay", paying)
    work.connect(Api, "service").fetch("zaken/1")
    return Paid(receipt=receipt)


@work_unit("test.create_once", needs={"service": Need(None, "where it is made")}, retry_plan="R3/PT1M")
def create_once(work: Work, inputs: Nothing) -> Paid:
    """Make something at a service that can be asked for it afterwards."""
    api = work.connect(Api, "service")

    def found() -> Happened | None:
        made = api.fetch("made")["url"]
        return Happened(made) if made else None

    def create(sending: Sending) -> str:
        sending.check()
        return str(api.create("make", {})["url"])

    soon = timedelta(seconds=3)
    return Paid(receipt=work.once("create", create, reconcile=found, gives_up_after=soon, settles_after=timedelta()))


class Registration(Inputs):
    """Who is registered, and how many attempts fail afterwards."""

    naam: str
    failures: int = 0


@work_unit("test.register", retry_plan="R3/PT1M")
def register(work: Work, inputs: Registration) -> Paid:
    """Register once, with a name; then perhaps fail."""
    STARTED[work.task.external_id] += 1

    def registering(sending: Sending) -> str:
        sending.check()
        PAID[sending.idempotency_key] += 1
        return f"R-{inputs.naam}"

    receipt = work.once("register", registering, arguments={"naam": inputs.naam})
    if work.task.attempt <= inputs.failures:
        raise TryAgain("the printer is away")
    return Paid(receipt=receipt)


@work_unit("test.set_variables", retry_plan="R3/PT1M")
def set_variables(work: Work, inputs: Nothing) -> None:
    """Set a variable at the task's own engine."""
    work.processes.set_variables({"naam": "Saskia"})


@work_unit("test.doubt_unstorable")
def doubt_unstorable(work: Work, inputs: Nothing) -> None:
    """Be uncertain for a reason that no database takes."""
    raise Uncertain("pay", "cut after \x00 and \ud800")


class Anything(Inputs):
    """Whatever the task has."""

    model_config = ConfigDict(extra="allow")


class Given(Outputs):
    """What a unit was given."""

    given: str


@work_unit("test.what_is_there")
def what_is_there(work: Work, inputs: Anything) -> Given:
    """Name all variables."""
    return Given(given=" ".join(sorted(inputs.model_extra or {})))


class Asking(Inputs):
    """The address of the callback, which a unit may want to know."""

    callbackUrl: str = ""  # noqa: N815 - a process variable


@work_unit("test.what_asks_for_it")
def what_asks_for_it(work: Work, inputs: Asking) -> Given:
    """Answer the address of the callback."""
    return Given(given=inputs.callbackUrl)


class Question(Inputs):
    """How long an answer may take, the gate before which the unit asks nothing, and how many attempts fail after it."""

    seconds: float = 3600
    gate: str = ""
    failures: int = 0


class Signed(Outputs):
    """What was signed."""

    signed_by: str = Field(alias="signedBy")
    pages: int = 1


@work_unit("test.sign", retry_plan="R3/PT1M", throws={"REFUSED": "nobody signs"})
def sign(work: Work, inputs: Question) -> Signed | Pending:
    """Let somebody outside sign."""
    STARTED[work.task.external_id] += 1
    completion = work.completion("signed", deadline=timedelta(seconds=inputs.seconds))
    ASKED[work.task.external_id].append(completion)

    def send(sending: Sending) -> str:
        sending.check()
        PAID[f"{work.task.external_id}:{completion.number}"] += 1
        return completion.url

    work.once(f"send {completion.number}", send, arguments={"url": completion.url})
    if inputs.gate:
        GATES[inputs.gate].wait(20)
    if work.task.attempt <= inputs.failures:
        raise TryAgain("the printer is away")
    return completion.pending


ALL = (
    sign,
    wait_at_gate,
    use_zaken,
    try_again,
    throw,
    leave,
    answer_unstorable,
    greet,
    pay,
    register,
    doubt_unstorable,
    what_is_there,
    what_asks_for_it,
    set_variables,
    doubt_unstorable,
    pay_and_tell,
    create_once,
)
