"""Work units whose own work costs next to nothing: what a run of them takes is what BPTL takes."""

from __future__ import annotations

import functools

from pydantic import Field

from bptl.lib.http import Answer, HttpClient, HttpError
from bptl.work_units.contract import Inputs, Outputs, Refused, Sending, TryAgain, Work, work_unit


class Nothing(Inputs):
    """No variables at all."""


class Called(Inputs):
    """A service to call."""

    service: str = Field(description="Address of the service, ending with a slash.")


class Large(Inputs):
    """A text that is fetched with the task."""

    payload: str = Field(description="The text.")


class Length(Outputs):
    """What the unit found out about it."""

    length: int = Field(description="Number of characters.")


@work_unit("bench.noop")
def noop(work: Work, inputs: Nothing) -> None:
    """Do nothing."""


@work_unit("bench.wait")
def wait(work: Work, inputs: Called) -> None:
    """Call a service that answers after 50 ms."""
    _get(inputs.service, milliseconds=50)


@work_unit("bench.effect")
def effect(work: Work, inputs: Called) -> None:
    """Ask a service twice, then change something there: one recorded effect."""

    def act(sending: Sending) -> int:
        sending.check()
        return _get(inputs.service).status

    _get(inputs.service)
    _get(inputs.service)
    work.once("change", act, arguments={"service": inputs.service})


@work_unit("bench.payload")
def payload(work: Work, inputs: Large) -> Length:
    """Count the characters of a long text."""
    return Length(length=len(inputs.payload))


@work_unit("bench.slow")
def slow(work: Work, inputs: Nothing) -> None:
    """Take ten seconds."""
    work.sleep(10)


@functools.cache
def _client(service: str) -> HttpClient:
    return HttpClient(service)


def _get(service: str, *, milliseconds: int = 0) -> Answer:
    try:
        answer = _client(service).request("GET", f"wait/{milliseconds}")
    except HttpError as error:
        raise TryAgain(f"the service did not answer: {error}") from error
    if answer.status != 200:
        raise Refused(f"the service answered {answer.status}")
    return answer
