"""Work units whose effects a recorder counts (``tests/doubles/recorder.py``), and which tests can hold at points.

A unit passes the points ``before`` and ``after`` its effect: it asks the recorder whether it may go on, again and again
until it may, so that a test can end or stop its process exactly there while cancellation still reaches the unit.
"""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

from pydantic import Field

from bptl.work_units.contract import (
    Happened,
    Inputs,
    NeverAgain,
    Outputs,
    Pending,
    Refused,
    Sending,
    TryAgain,
    Work,
    work_unit,
)

library = logging.getLogger("somebodys_library")

CALL_SECONDS = 5.0
"""Seconds that one call to the recorder may take: shorter than an effect's time to give up."""

GIVES_UP = timedelta(seconds=10)
SETTLES = timedelta(seconds=1)


class Registration(Inputs):
    """What to register and where."""

    recorder: str = Field(description="Address of the recorder.")
    key: str = Field(description="Under what the recorder counts it.")
    before: float = Field(0, ge=0, description="Seconds to wait before the effect.")
    after: float = Field(0, ge=0, description="Seconds to wait after it.")
    points: bool = Field(False, description="Ask the recorder before and after the effect whether to go on.")
    fails: bool = Field(False, description="End with a permanent failure after the effect.")


class Registered(Outputs):
    """What the recorder answered."""

    number: int = Field(description="The how manieth effect of this key it was.")


@work_unit("test.register", retry_plan="R5/PT1S")
def register(work: Work, inputs: Registration) -> Registered:
    """Register something at a service that can be asked what became of it."""
    return _registered(work, inputs, reconciled=True)


@work_unit("test.send", retry_plan="R5/PT1S")
def send(work: Work, inputs: Registration) -> Registered:
    """Send something through a service that cannot be asked afterwards."""
    return _registered(work, inputs, reconciled=False)


class Loose(Inputs):
    """What must not be told, and somebody tells it."""

    burger: str = Field(description="A number of a citizen.")
    kop: str = Field(description="A header with a credential.")
    adres: str = Field(description="An address with a token.")
    gaat: bool = Field(False, description="Whether it ends well.")


@work_unit("test.tell", retry_plan="R1/PT1S")
def tell(work: Work, inputs: Loose) -> None:
    """Tell everything to the log, through BPTL and past it, and fail with it all."""
    work.log.info("burger.found", bsn=inputs.burger, headers={"Authorization": inputs.kop}, url=inputs.adres)
    work.log.warning("burger.told", text=f"burger {inputs.burger} at {inputs.adres}")
    library.warning("GET %s with %s for %s", inputs.adres, inputs.kop, inputs.burger)
    if not inputs.gaat:
        raise RuntimeError(f"GET {inputs.adres} with {inputs.kop} for {inputs.burger}")


class Question(Registration):
    """What to ask, and when the answer comes."""

    answer: float | None = Field(None, ge=0, description="Seconds until the recorder answers; empty: never.")


@work_unit("test.await", retry_plan="R5/PT1S")
def wait_for_answer(work: Work, inputs: Question) -> Registered | Pending:
    """Ask the recorder for an answer, once, and wait for it without a place."""
    completion = work.completion(deadline=timedelta(hours=1))
    number = _registered(work, inputs, reconciled=True, asks=completion.url).number
    work.log.info("answer.asked", number=number)
    return completion.pending


def _registered(work: Work, inputs: Registration, *, reconciled: bool, asks: str = "") -> Registered:
    effect = f"{inputs.recorder}/effects/{inputs.key}"
    sent = {"url": asks, "after": inputs.answer} if isinstance(inputs, Question) else None

    def act(sending: Sending) -> int:
        sending.check()
        try:
            return int(_call("POST", f"{inputs.recorder}/asks/{inputs.key}" if asks else effect, sent)["number"])
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise Refused(f"the recorder refused it: {error.code}") from error
            raise TryAgain(f"the recorder failed: {error.code}") from error
        except OSError as error:
            raise TryAgain(f"the recorder did not answer: {error}") from error

    def ask() -> Happened | None:
        found = _call("GET", effect)
        return Happened(found["number"]) if found["number"] else None

    work.sleep(inputs.before)
    _pass(work, inputs, "before")
    number = work.once(
        "register",
        act,
        arguments={"key": inputs.key},
        reconcile=ask if reconciled else None,
        gives_up_after=GIVES_UP,
        settles_after=SETTLES,
    )
    _pass(work, inputs, "after")
    work.sleep(inputs.after)
    if inputs.fails:
        raise NeverAgain("this case fails on purpose")
    return Registered(number=number)


def _pass(work: Work, inputs: Registration, point: str) -> None:
    visit = f"{inputs.recorder}/points/{inputs.key}/{point}?pid={os.getpid()}&attempt={work.task.attempt}"
    while inputs.points and not _call("GET", visit)["go"]:
        work.sleep(0.1)


def _call(method: str, url: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if body is not None else b""
    request = urllib.request.Request(url, method=method, data=data if method == "POST" else None)
    with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
        return json.load(answer)
