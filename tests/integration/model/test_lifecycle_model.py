"""The lifecycle under fire: an engine, pollers, workers, a clock and a person take turns as Hypothesis chooses.

Every step of every actor is the heart's own code on PostgreSQL, stopped where a process can be killed or paused
(``steps``). After each of them ``invariants`` must hold; at the end everything recovers, a person answers what she is
asked, and every external task has come to an end that somebody can see (``play``).

Not modelled: the residuals that the promises name (a stop between an effect's check and its sending; a service that
acts after its settle time), BPMN errors, waiting tasks, other engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from bptl.connections import engines
from bptl.connections.models import Engine as EngineRow
from tests.integration.model.actors import KINDS
from tests.integration.model.play import TO_THE_END, Play
from tests.integration.model.world import StillEngine

CALLS = ("complete", "failure", "fetchAndLock", "complete", "retries", "get", "failure", "extendLock")
FAULTS = tuple(product(("cut after", "late", "cut before", "refused", "away"), CALLS))
MANNERS = ("loses the answer", "acts late", "loses the request", "is not there", "refuses")
WAITS = (16, 1, 40, 301, 120)

WEIGHTS = {
    "something goes on": 24,
    "poll": 6,
    "claim": 6,
    "others take over": 8,
    "one comes back": 6,
    "everybody works": 4,
    "report": 5,
    "keep": 3,
    "sweep": 5,
    "beat": 3,
    "time passes": 8,
    "the engine fails": 9,
    "a postponed call is carried out": 2,
    "the service is difficult": 5,
    "the service acts late": 2,
    "a process is killed": 4,
    "a process is paused": 4,
    "a process is continued": 4,
    "processes are started": 2,
    "a person acts": 8,
    "an instance starts": 3,
    "an instance is cancelled": 1,
    "an instance is suspended": 1,
    "an instance is activated": 2,
}

WHAT = st.sampled_from([what for what, weight in WEIGHTS.items() for _ in range(weight)])
"""One rule with weights: Hypothesis leaves out whole rules at random, and without polls nothing would ever happen."""

WHICH = st.integers(0, 39)
"""Chooses among those who could do it, or among the ways in which it goes wrong."""

FAR = st.sampled_from((TO_THE_END, TO_THE_END, TO_THE_END, 1, 2, 3, 4, 6, 9))
"""How many stops an operation goes on."""


class Lifecycle(RuleBasedStateMachine):
    """At most three external tasks, two pollers, two workers."""

    begin: Callable[[], Play]

    def __init__(self) -> None:
        super().__init__()
        self.play = type(self).begin()

    def teardown(self) -> None:
        try:
            if not self.play.broken:
                self.play.recover()
        finally:
            self.play.close()

    @initialize(kind=st.sampled_from(KINDS), manner=st.sampled_from(("answers", *MANNERS)), far=st.integers(0, 14))
    def a_first_task_is_claimed(self, kind: str, manner: str, far: int) -> None:
        self.play.create(kind)
        self.play.world.service.manners.append(manner)
        self.play.do(self.play.pollers[0], "poll")
        self.play.claim(self.play.workers[0], far)

    @rule(what=WHAT, which=WHICH, far=FAR)
    def step(self, what: str, which: int, far: int) -> None:
        play = self.play
        match what:
            case "something goes on":
                play.go_on(which, far)
            case "poll":
                play.do(play.one(play.pollers, which), what, far)
            case "claim":
                play.claim(play.one(play.workers, which), far)
            case "report" | "keep" | "sweep":
                play.do(play.one(play.workers, which), what, far)
            case "others take over":
                play.take_over(which, far)
            case "one comes back":
                play.come_back(which, far)
            case "everybody works":
                play.everybody_else_works(far)
            case "beat":
                play.do(play.one(play.processes, which), what, far)
            case "time passes":
                play.pass_time(WAITS[which % len(WAITS)])
            case "processes are started":
                play.replace_dead()
            case "a person acts":
                play.person_acts(which, far)
            case _:
                self._trouble(what, which)

    def _trouble(self, what: str, which: int) -> None:
        play = self.play
        match what.split():
            case ["the", "engine", "fails"]:
                play.there.fail_next(*FAULTS[which % len(FAULTS)])
            case ["a", "postponed", *_]:
                play.carry_out(which)
            case ["the", "service", "is", "difficult"]:
                play.world.service.manners.append(MANNERS[which % len(MANNERS)])
            case ["the", "service", "acts", "late"]:
                play.world.service.land()
                play.look()
            case ["a", "process", "is", how]:
                play.disturb(which, how)
            case ["an", "instance", "starts"] if len(play.created) < 3:
                play.create(KINDS[which % len(KINDS)])
            case ["an", "instance", "is", how]:
                play.change_instance(which, how)


@pytest.fixture(scope="module")
def there() -> Iterator[StillEngine]:
    engine = StillEngine()
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def machine(there: StillEngine, transactional_db: None) -> Iterator[type[Lifecycle]]:
    row = EngineRow.objects.create(name="main", address=there.url, authentication="none")
    for kind in KINDS:
        row.mappings.create(topic=kind, unit=f"model.{kind}", retry_plan="PT20S,PT20S")
    client = engines.client(row)
    yield type("Lifecycle", (Lifecycle,), {"begin": lambda: Play(there, row, client)})
    client.close()


def run(machine: type[Lifecycle], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            print_blob=False,
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(900)  # a play that fails is made as short as can be: that may take minutes
def test_no_task_is_lost_doubled_or_stuck_whatever_fails_when(machine: type[Lifecycle]) -> None:
    run(machine, examples=100, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_no_task_is_lost_doubled_or_stuck_in_many_long_plays(machine: type[Lifecycle]) -> None:
    run(machine, examples=1500, steps=60)
