"""A start whose answer is lost: the engine is asked what became of it. The sandbox behind a line with faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from bptl.engines.base import EngineUnavailable, Instance
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.variables import decode_all
from bptl.sandbox.server import Server
from bptl.tasks.execution.work import STARTED_BY, EngineProcesses
from bptl.work_units.contract import DidNotHappen, LeaseEnded, TryAgain, Uncertain
from tests.integration.ledger import Run, ends, first_run, next_run
from tests.integration.sandbox.laptop import Laptop, bpmn, external, flow
from tests.integration.scene import Scene

LONG = bpmn('<startEvent id="s"/>' + external("work") + '<endEvent id="e"/>' + flow("s", "work", "e"), key="long")
SHORT = bpmn('<startEvent id="s"/><endEvent id="e"/>' + flow("s", "e"), key="short")
"""It has ended when its start is answered."""
NESTING = bpmn(
    '<startEvent id="s"/><callActivity id="c" calledElement="long">'
    '<extensionElements><camunda:in variables="all"/></extensionElements></callActivity>'
    '<endEvent id="e"/>' + flow("s", "c", "e"),
    key="nesting",
)


class Line(Camunda7):
    """Our client; starts may lose their answer or never arrive, questions may get no answer."""

    lost_answers = 0
    lost_requests = 0
    silent = False
    history_is_ours = True

    def start(self, **given: Any) -> Instance:
        """The engine's, but for the faults."""
        if self.lost_requests:
            self.lost_requests -= 1
            raise EngineUnavailable("cut before it arrived", sent=True)
        started = super().start(**given)
        if self.lost_answers:
            self.lost_answers -= 1
            raise EngineUnavailable("cut after it arrived", sent=True)
        return started

    def instances(self, **wanted: Any) -> Sequence[Instance]:
        """The engine's, but for the faults."""
        if self.silent:
            raise EngineUnavailable("no answer in 20 s", sent=True)
        return super().instances(**wanted)

    def past_instances(self, **wanted: Any) -> Sequence[Instance]:
        """Without the right there are none, as of a real engine (tests/engines/test_rights.py)."""
        return super().past_instances(**wanted) if self.history_is_ours else []

    def started(self, key: str) -> list[str]:
        """All instances of a process that there ever were."""
        return [instance.id for instance in super().past_instances(definition_key=key)]


@pytest.fixture
def line() -> Iterator[Line]:
    laptop = Laptop()
    for model, name in ((LONG, "long.bpmn"), (SHORT, "short.bpmn"), (NESTING, "nesting.bpmn")):
        laptop.deploy(model, name)
    server = Server(("127.0.0.1", 0), laptop.engine)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    line = Line(f"http://127.0.0.1:{server.server_address[1]}/engine-rest/")
    yield line
    line.close()
    server.shutdown()
    server.server_close()
    thread.join(5)
    laptop.engine.store.close()


def processes(run: Run, line: Line) -> EngineProcesses:
    """What the unit of a run is given; the ledger is that of the run."""

    def once(key: str, effect: Any, **given: Any) -> Any:
        return run.once(effect, key=key, **given)

    return EngineProcesses(
        line,
        own_instance=run.claim.process_instance_id,
        external_id=run.claim.external_id,
        cancellation=run.cancellation,
        once=once,
    )


def lost(run: Run, line: Line, key: str) -> None:
    """A start of which we hear nothing."""
    with pytest.raises(TryAgain) as raised:
        processes(run, line).start(key=key)
    assert not isinstance(raised.value, DidNotHappen)


def test_a_start_whose_answer_was_lost_is_found_among_the_running_instances(scene: Scene, line: Line) -> None:
    line.lost_answers, line.history_is_ours = 1, False
    run = first_run(scene)
    lost(run, line, "long")
    started = processes(next_run(scene, run), line).start(key="long")
    assert line.started("long") == [started]
    assert ends(run, "start long") == ["happened"]


def test_a_start_whose_process_has_ended_is_found_in_the_history(scene: Scene, line: Line) -> None:
    line.lost_answers = 1
    run = first_run(scene)
    lost(run, line, "short")
    assert [processes(next_run(scene, run), line).start(key="short")] == line.started("short")


def test_a_start_that_never_arrived_is_repeated_when_the_history_shows_other_starts_of_ours(
    scene: Scene, line: Line
) -> None:
    processes(first_run(scene), line).start(key="short")
    line.lost_requests = 1
    run = first_run(scene)
    lost(run, line, "short")
    again = next_run(scene, run)
    started = processes(again, line).start(key="short")
    assert len(line.started("short")) == 2
    assert started in line.started("short")
    assert ends(run, "start short") == ["did_not_happen", "happened"]


@pytest.mark.parametrize("closed", [True, False], ids=["history not ours", "history without any start of ours"])
def test_where_the_engine_cannot_tell_a_person_is_asked_and_nothing_is_started(
    scene: Scene, line: Line, closed: bool
) -> None:
    if closed:
        processes(first_run(scene), line).start(key="short")
        line.history_is_ours = False
    else:
        Camunda7.start(line, key="short")  # somebody else's, without our mark
    before = line.started("short")
    line.lost_requests = 1
    run = first_run(scene)
    lost(run, line, "short")
    with pytest.raises(Uncertain, match="READ_HISTORY"):
        processes(next_run(scene, run), line).start(key="short")
    assert line.started("short") == before
    assert ends(run, "start short") == [""]


def test_an_engine_that_does_not_answer_the_question_is_asked_again_later(scene: Scene, line: Line) -> None:
    line.lost_answers, line.silent = 1, True
    run = first_run(scene)
    lost(run, line, "long")
    again = next_run(scene, run)
    with pytest.raises(DidNotHappen, match="no answer in 20 s"):
        processes(again, line).start(key="long")
    assert ends(run, "start long") == [""], "that the question failed says nothing about the start"
    line.silent = False
    assert [processes(next_run(scene, again), line).start(key="long")] == line.started("long")


def test_two_starts_of_one_process_are_told_apart(scene: Scene, line: Line) -> None:
    run = first_run(scene)
    ours = processes(run, line)
    first = ours.start(key="long")
    line.lost_answers = 1
    with pytest.raises(TryAgain):
        ours.start(key="long")
    later = processes(next_run(scene, run), line)
    second = (later.start(key="long"), later.start(key="long"))
    assert second[0] == first
    assert sorted(second) == sorted(line.started("long"))


def test_an_instance_that_the_started_one_calls_is_not_mistaken_for_it(scene: Scene, line: Line) -> None:
    line.lost_answers = 1
    run = first_run(scene)
    lost(run, line, "nesting")
    assert len(line.started("long")) == 1
    assert [processes(next_run(scene, run), line).start(key="nesting")] == line.started("nesting")


def test_the_variables_of_a_caller_never_make_its_mark_that_of_the_called(scene: Scene, line: Line) -> None:
    first = processes(first_run(scene), line).start(key="long")
    handed_over = decode_all(line.variables(first))
    run = first_run(scene)
    second = processes(run, line).start(key="long", variables=handed_over)
    assert decode_all(line.variables(second)) == {STARTED_BY: f"{run.claim.external_id}:start long"}


def test_a_question_for_the_definition_without_an_answer_has_started_nothing(
    scene: Scene, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(**_: Any) -> None:
        raise EngineUnavailable("no answer in 20 s", sent=True)

    monkeypatch.setattr(line, "definitions", no_answer)
    run = first_run(scene)
    with pytest.raises(DidNotHappen):
        processes(run, line).start(key="long", version=1)
    assert ends(run, "start long") == ["did_not_happen"]


def test_an_engine_that_asks_for_patience_has_started_nothing_and_says_when_to_come_back(
    scene: Scene, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patience(**_: Any) -> None:
        raise EngineUnavailable("patience", sent=True, status=429, retry_after=timedelta(seconds=90))

    monkeypatch.setattr(line, "start", patience)
    run = first_run(scene)
    with pytest.raises(DidNotHappen) as raised:
        processes(run, line).start(key="long")
    assert raised.value.delay == timedelta(seconds=90)
    assert ends(run, "start long") == ["did_not_happen"]


@pytest.mark.parametrize("write", ["correlate", "signal"])
def test_a_message_without_an_answer_is_left_to_a_person(
    scene: Scene, line: Line, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: Any, **__: Any) -> None:
        raise EngineUnavailable("no answer in 20 s", sent=True)

    monkeypatch.setattr(line, write, no_answer)
    run = first_run(scene)
    with pytest.raises(Uncertain):
        getattr(processes(run, line), write)("betaald")
    assert ends(run, f"{write} betaald") == [""]


def test_cancelled_work_reads_and_writes_nothing_more(scene: Scene, line: Line) -> None:
    run = first_run(scene)
    run.cancellation.cancel("the worker stops")
    ours = processes(run, line)
    calls = (
        lambda: ours.start(key="long"),
        lambda: ours.correlate("betaald"),
        lambda: ours.signal("alarm"),
        ours.variables,
        lambda: ours.set_variables({"a": 1}),
    )
    for call in calls:
        with pytest.raises(LeaseEnded):
            call()
    assert line.started("long") == []
