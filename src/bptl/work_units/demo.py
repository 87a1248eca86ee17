"""Units around a building permit (omgevingsvergunning) that need no outside service: for trying BPTL out.

Together they show everything that can happen to a task: done at once, slow, failing for a while, an effect that is
recorded and not repeated, refused by a rule of the business, waiting for somebody outside, doing nothing.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Literal

from pydantic import Field

from bptl.work_units.contract import (
    BusinessError,
    Inputs,
    NeverAgain,
    Outputs,
    Pending,
    Sending,
    TryAgain,
    Work,
    work_unit,
)

LOWEST_LEGES = 75.0
LEGES_RATE = 0.025
HIGHEST_BUILDING = 12.0
MOST_SEEDED_FAILURES = 2
STEP_SECONDS = 0.5


class Aanvraag(Inputs):
    """Who applies, and for how much."""

    aanvrager: str = Field("onbekend", description="Name of the applicant.")
    bouwkosten: float = Field(0.0, ge=0, description="Building costs in euros.")


class Leges(Outputs):
    """What the application costs."""

    begroeting: str = Field(description="A line for a letter to the applicant.")
    leges: float = Field(description="Fee in euros: 2.5% of the building costs, at least 75.")


@work_unit("demo.quick")
def quick(work: Work, inputs: Aanvraag) -> Leges:
    """Greet the applicant and compute the fee (leges) of the application.

    Answers at once and cannot fail.
    """
    leges = round(max(LOWEST_LEGES, inputs.bouwkosten * LEGES_RATE), 2)
    return Leges(begroeting=f"Geachte {inputs.aanvrager}", leges=leges)


class Duration(Inputs):
    """How long to be busy."""

    seconds: float = Field(5.0, ge=0, le=3600, description="How long to be busy, in seconds.")


class Waited(Outputs):
    """How long it took."""

    gewacht: float = Field(description="Seconds that the unit was busy.")


@work_unit("demo.slow")
def slow(work: Work, inputs: Duration) -> Waited:
    """Be busy for some seconds, as a unit is that waits for a slow service.

    Stops as soon as the work is cancelled: try it by stopping a worker.
    """
    steps, rest = divmod(inputs.seconds, STEP_SECONDS)
    for _ in range(int(steps)):
        work.sleep(STEP_SECONDS)
    work.sleep(rest)
    return Waited(gewacht=inputs.seconds)


class Failures(Inputs):
    """How often and how to fail."""

    failures: int | None = Field(
        None, ge=0, description="How many attempts fail before one succeeds; empty: 0, 1 or 2, drawn from the seed."
    )
    seed: str = Field("", description="Draws the number of failures, the same for every attempt at one task.")
    kind: Literal["try_again", "never_again", "unexpected"] = Field(
        "try_again",
        description="How to fail: try_again (something is down), never_again (an incident at once), "
        "unexpected (a fault in the unit).",
    )


class Succeeded(Outputs):
    """How it went."""

    pogingen: int = Field(description="Number of attempts, the one that succeeded included.")


@work_unit("demo.flaky", retry_plan="PT2S,PT5S,PT10S")
def flaky(work: Work, inputs: Failures) -> Succeeded:
    """Fail a number of times that is known beforehand, then succeed.

    Attempts are leases of the task, so a task that an engine took back counts as attempted too.
    """
    failures = inputs.failures
    if failures is None:
        # The task's id makes tasks differ, the seed makes a run repeatable for equal ids.
        drawn = random.Random(f"{inputs.seed}:{work.task.external_id}")  # noqa: S311 - nothing secret
        failures = drawn.randint(0, MOST_SEEDED_FAILURES)
    attempt = work.task.attempt
    if attempt > failures:
        return Succeeded(pogingen=attempt)
    text = f"attempt {attempt} fails, as asked: {failures} failures"
    if inputs.kind == "try_again":
        raise TryAgain(text)
    if inputs.kind == "never_again":
        raise NeverAgain(text)
    raise RuntimeError(text)


class Bekendmaking(Inputs):
    """What happens around the publication of a decision."""

    failures: int = Field(0, ge=0, description="How many attempts fail after the decision was published.")
    gazette: Literal["answers", "silent"] = Field(
        "answers", description="silent: the gazette's answer is lost, so nobody knows whether it published."
    )


class Bekendgemaakt(Outputs):
    """Where it was published."""

    publicatie: str = Field(description="Number of the publication.")
    pogingen: int = Field(description="Number of attempts, the one that succeeded included.")


@work_unit("demo.publish_besluit", retry_plan="PT2S,PT5S,PT10S")
def publish_besluit(work: Work, inputs: Bekendmaking) -> Bekendgemaakt:
    """Publish a decision (besluit) in a gazette that exists in this unit only: once, however often it is tried.

    The gazette draws a number, and the ledger of effects keeps it: attempts that follow a failure answer the same
    number, and the task's page shows the effect. With a silent gazette the task becomes uncertain; settle it as a
    person does who looked in the gazette: ``--happened --result '"gmb-12345"'``, or ``--did-not-happen``.
    """

    def publish(sending: Sending) -> str:
        sending.check()
        if inputs.gazette == "silent":
            raise TimeoutError("the gazette did not answer")
        return f"gmb-{random.randint(10_000, 99_999)}"  # noqa: S311 - nothing secret

    number: str = work.once("publish", publish)
    attempt = work.task.attempt
    if attempt <= inputs.failures:
        raise TryAgain(f"attempt {attempt} fails, as asked: {inputs.failures} failures; publication {number} stays")
    return Bekendgemaakt(publicatie=number, pogingen=attempt)


class Bouwplan(Inputs):
    """What somebody wants to build."""

    hoogte: float = Field(gt=0, description="Height of the building in metres.")
    bijlagen: list[str] = Field(default_factory=list, description="Names of the documents that came with it.")


class Besluit(Outputs):
    """The decision on an application."""

    besluit: Literal["verlenen", "weigeren"] = Field(description="verlenen (grant) or weigeren (refuse).")
    toelichting: str = Field(description="Why, for the letter to the applicant.")


@work_unit(
    "demo.decide",
    throws={"AANVRAAG_ONVOLLEDIG": "There are no bijlagen (attachments): ask the applicant for them."},
)
def decide(work: Work, inputs: Bouwplan) -> Besluit:
    """Decide on an application for a building permit.

    Buildings up to 12 metres are granted. An application without attachments is a BPMN error that the process model
    catches with a boundary event.
    """
    if not inputs.bijlagen:
        raise BusinessError(
            "AANVRAAG_ONVOLLEDIG", "de aanvraag heeft geen bijlagen", variables={"ontbrekend": ["bijlagen"]}
        )
    if inputs.hoogte > HIGHEST_BUILDING:
        return Besluit(
            besluit="weigeren", toelichting=f"{inputs.hoogte:g} meter is hoger dan {HIGHEST_BUILDING:g} meter."
        )
    return Besluit(besluit="verlenen", toelichting="Het bouwplan past in het omgevingsplan.")


class Adviesvraag(Inputs):
    """How long somebody outside has time."""

    hours: float = Field(48, gt=0, le=8 * 7 * 24, description="Hours in which somebody must answer.")


class Advies(Outputs):
    """What somebody outside advises."""

    advies: Literal["positief", "negatief"] = Field(description="positief (favourable) or negatief (unfavourable).")
    toelichting: str | None = Field(None, description="Why.")


@work_unit(
    "demo.wait_for_answer",
    retry_plan="PT10S,PT1M",
    throws={"ADVIES_GEWEIGERD": "Whoever was asked gives no advice (advies)."},
    nl="""
    Wacht op een advies van iemand buiten BPTL, zonder een plaats van een worker bezet te houden.

    Zet het adres waar het antwoord naartoe moet in de variabele adviesAdres van het proces. Iedereen die dat adres
    kent kan een keer antwoorden, zonder in te loggen: geef het dus alleen aan wie het advies moet geven. Komt er op
    tijd geen antwoord, dan is de poging mislukt; de volgende poging zet een nieuw adres in dezelfde variabele.
    """,
)
def wait_for_answer(work: Work, inputs: Adviesvraag) -> Advies | Pending:
    """Wait for an advice of somebody outside BPTL, without keeping a place of a worker.

    Sets the address that takes the answer as variable adviesAdres of the process. Whoever knows that address can
    answer, once and without a login: give it to nobody but who must advise. When no answer comes in time, the attempt
    has failed; the next one sets a fresh address in the same variable.
    """
    answer = work.completion("advies", deadline=timedelta(hours=inputs.hours))
    work.processes.set_variables({"adviesAdres": answer.url}, effect=f"give address {answer.number}")
    return answer.pending


class Nothing(Inputs):
    """No inputs of its own."""


@work_unit("demo.log_variables", replaces="bptl.dummy.tasks.dummy")
def log_variables(work: Work, inputs: Nothing) -> None:
    """Log the task's id and the variables of its process, and do nothing else.

    Names and types of the variables are logged at level info. Their values may be personal data, so they are logged
    at level debug only.
    """
    variables = work.processes.variables()
    work.log.info(
        "task.logged",
        external_task=work.task.external_id,
        variables={name: type(value).__name__ for name, value in sorted(variables.items())},
    )
    work.log.debug("task.values_logged", external_task=work.task.external_id, variables=dict(variables))
