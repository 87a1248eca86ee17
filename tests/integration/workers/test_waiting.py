"""Waiting tasks in a worker: no place, no lock of its own, and an answer that is delivered at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bptl.tasks import answering
from bptl.tasks.answering import Answer
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Completion, Effect, Lease, Task
from bptl.tasks.upkeep.sweep import sweep
from bptl.workers.floor import Floor
from tests.doubles.engine import ExternalTask, FakeEngine
from tests.integration.scene import Scene, due_now
from tests.integration.waiting import until
from tests.integration.workers import units
from tests.integration.workers.test_floor import becomes, queue, text

OpenFloor = Callable[..., Floor]
SIGNED = Answer(Outcome.COMPLETED, {"signedBy": "Saskia"})


@pytest.fixture(autouse=True)
def _address(settings: Any) -> None:
    settings.BPTL_PAGES_URL = "https://bptl.example.com/tasks/"
    units.ASKED.clear()


@pytest.fixture
def signing(scene: Scene) -> Scene:
    scene.map("sign", "test.sign")
    return scene


def token_of(external: ExternalTask) -> str:
    return units.ASKED[external.id][-1].token


def test_the_address_is_that_of_this_installation(signing: Scene, there: FakeEngine, open_floor: OpenFloor) -> None:
    (external,) = queue(signing, there, "sign")
    open_floor()
    becomes(external, Status.WAITING)
    (asked,) = units.ASKED[external.id]
    assert asked.url == f"https://bptl.example.com/tasks/api/v1/completions/{asked.token}"
    assert asked.token not in repr(asked)


def test_an_installation_that_does_not_know_its_address_hands_none_out(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor, settings: Any
) -> None:
    settings.BPTL_PAGES_URL = ""
    (external,) = queue(signing, there, "sign")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    (failure,) = there.failures
    assert (failure.retries, "set BPTL_PAGES_URL" in failure.message) == (0, True)


def test_five_waiting_tasks_hold_no_place_of_a_worker_that_has_one(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    waiting = queue(signing, there, "sign", amount=5)
    floor = open_floor(places=1)
    for external in waiting:
        becomes(external, Status.WAITING)
    (ordinary,) = queue(signing, there)
    becomes(ordinary, Status.DELIVERED, Outcome.COMPLETED)
    assert floor.running == 0
    for external in waiting:
        answering.from_outside(token_of(external), SIGNED, digest="one")
    floor.wake()
    for external in waiting:
        becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[waiting[0].id] == {"signedBy": "Saskia", "pages": 1}


def test_an_answer_that_comes_while_the_unit_runs_is_used_when_it_says_pending(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    (external,) = queue(signing, there, "sign", variables={"gate": text("early")})
    open_floor()
    until(lambda: units.ASKED[external.id])
    answering.from_outside(token_of(external), SIGNED, digest="one")
    assert Completion.objects.get().state == "answered"
    units.GATES["early"].set()
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.calls["complete"] == 1


def test_a_worker_that_stops_keeps_its_waiting_tasks_waiting(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    (external,) = queue(signing, there, "sign")
    floor = open_floor()
    task = becomes(external, Status.WAITING)
    assert floor.drain(grace=2)
    assert becomes(external, Status.WAITING).lease_id == task.lease_id
    due_now(task)
    assert sweep(signing.process(), signing.clients).kept == 1
    answering.from_outside(token_of(external), SIGNED, digest="one")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)


def test_an_attempt_that_is_repeated_does_not_break_an_address_that_was_sent(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    failures = {"type": "Integer", "value": 1, "valueInfo": {}}
    (external,) = queue(signing, there, "sign", variables={"failures": failures})
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    there.advance(120)
    signing.fetch(signing.process())
    becomes(external, Status.WAITING)
    first, second = units.ASKED[external.id]
    assert first.url == second.url
    assert units.PAID[f"{external.id}:1"] == 1
    answering.from_outside(first.token, SIGNED, digest="one")
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)


def test_a_token_stands_in_no_row_although_the_unit_gives_it_to_the_ledger(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    (external,) = queue(signing, there, "sign")
    open_floor()
    becomes(external, Status.WAITING)
    (effect,) = Effect.objects.all()
    assert effect.arguments == {"url": "https://bptl.example.com/tasks/api/v1/completions/bptl_***"}
    rows = [*Task.objects.values(), *Lease.objects.values(), *Effect.objects.values(), *Completion.objects.values()]
    assert token_of(external) not in str(rows)


def test_a_deadline_that_passes_leads_to_an_attempt_with_a_fresh_address(
    signing: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    seconds = {"type": "Double", "value": 0.2, "valueInfo": {}}
    (external,) = queue(signing, there, "sign", variables={"seconds": seconds})
    floor = open_floor()
    until(lambda: sweep(signing.process(), signing.clients).expired or Task.objects.filter(outcome="failed").exists())
    floor.wake()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert there.failures[0].message.startswith("no answer before ")
    there.advance(120)
    signing.fetch(signing.process())
    until(lambda: units.PAID[f"{external.id}:2"] == 1)
    assert [asked.number for asked in units.ASKED[external.id]] == [1, 2]
