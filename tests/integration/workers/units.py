"""Units that do what a test says, while it runs."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

from bptl.work_units.contract import (
    BusinessError,
    Inputs,
    LeaseEnded,
    Need,
    Outputs,
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


@work_unit("test.doubt_unstorable")
def doubt_unstorable(work: Work, inputs: Nothing) -> None:
    """Be uncertain for a reason that no database takes."""
    raise Uncertain("pay", "cut after \x00 and \ud800")


ALL = (wait_at_gate, use_zaken, try_again, throw, leave, answer_unstorable, greet, pay, register, doubt_unstorable)
