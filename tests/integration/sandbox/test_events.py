"""Messages, signals, timers, errors and escalations: who catches them, and what ends."""

# ruff: noqa: E501 - models read best in one line

from __future__ import annotations

import pytest

from bptl.sandbox.errors import EngineError, Refused
from tests.integration.sandbox.laptop import Laptop, bpmn, external, flow

START, END = '<startEvent id="s"/>', '<endEvent id="e"/>'
ROOTS = (
    '<message id="m" name="go"/><signal id="sig" name="alarm"/><error id="x" errorCode="E1"/><error id="y" errorCode="E2"/>'
    '<escalation id="up" escalationCode="UP"/>'
)
MESSAGE = '<messageEventDefinition messageRef="m"/>'
SIGNAL = '<signalEventDefinition signalRef="sig"/>'
ERROR = '<errorEventDefinition errorRef="x" camunda:errorCodeVariable="code" camunda:errorMessageVariable="text"/>'
ANY_ERROR = "<errorEventDefinition/>"
ESCALATION = '<escalationEventDefinition escalationRef="up"/>'


def timer(kind: str, text: str) -> str:
    return f"<timerEventDefinition><{kind}>{text}</{kind}></timerEventDefinition>"


def boundary(name: str, on: str, event: str, *, interrupting: bool = True) -> str:
    cancel = str(interrupting).lower()
    return f'<boundaryEvent id="{name}" attachedToRef="{on}" cancelActivity="{cancel}">{event}</boundaryEvent>'


def catch(name: str, event: str) -> str:
    return f'<intermediateCatchEvent id="{name}">{event}</intermediateCatchEvent>'


def throw(name: str, event: str) -> str:
    return f'<intermediateThrowEvent id="{name}">{event}</intermediateThrowEvent>'


def sub(name: str, *ids: str, inside: str, before: str = "") -> str:
    """A subprocess with a flow along ``ids``."""
    start = f'<startEvent id="{name}-s"/>'
    return f'<subProcess id="{name}">{before}{start}{inside}{flow(f"{name}-s", *ids)}</subProcess>'


def event_sub(name: str, event: str, after: str, *, interrupting: bool = True) -> str:
    cancel = str(interrupting).lower()
    return (
        f'<subProcess id="{name}" triggeredByEvent="true"><startEvent id="{name}-s" isInterrupting="{cancel}">{event}'
        f"</startEvent>{external(after)}{flow(f'{name}-s', after)}</subProcess>"
    )


def test_a_message_and_a_receive_task_wait_for_their_name(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{catch("c", MESSAGE)}<receiveTask id="r" messageRef="m"/>{END}' + flow("s", "c", "r", "e"), roots=ROOTS
    )
    instance = laptop.run(model)
    laptop.message("go", variables={"x": 1})
    assert laptop.variables(instance) == {"x": 1}
    with pytest.raises(Refused):
        laptop.message("stop")
    laptop.message("go", processInstanceId=instance)
    assert laptop.state(instance) == "COMPLETED"


def test_a_message_starts_the_newest_version(laptop: Laptop) -> None:
    model = bpmn(f'{START}<startEvent id="ms">{MESSAGE}</startEvent>{external("a")}{external("b")}' + flow("s", "a") + flow("ms", "b"), roots=ROOTS)  # fmt: skip
    laptop.deploy(model)
    laptop.deploy(model)
    laptop.message("go", businessKey="B-7", variables={"x": 1})
    [task] = laptop.fetch("b")
    assert (task["businessKey"], task["processDefinitionId"].split(":")[1]) == ("B-7", "2")
    assert laptop.fetch("a") == []


def test_a_signal_event_reaches_everybody_who_waits(laptop: Laptop) -> None:
    waiting = bpmn(f"{START}{catch('c', SIGNAL)}{external('a')}" + flow("s", "c", "a"), roots=ROOTS, key="waiting")
    laptop.deploy(waiting, "waiting.bpmn")
    laptop.start("waiting")
    laptop.start("waiting")
    laptop.run(bpmn(f"{START}{throw('t', SIGNAL)}{END}" + flow("s", "t", "e"), roots=ROOTS))
    assert laptop.waits() == ["a", "a"]


def test_of_the_events_after_a_gateway_the_first_wins(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<eventBasedGateway id="g"/>{catch("c", MESSAGE)}{catch("t", timer("timeDuration", "PT1H"))}'
        + external("a") + external("b") + flow("s", "g", "c", "a") + flow("g", "t", "b"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    laptop.message("go")
    assert laptop.waits() == ["a"]
    laptop.pass_time(hours=2)
    assert laptop.waits() == ["a"]
    laptop.work("a")
    laptop.start()
    laptop.pass_time(hours=2)
    assert laptop.waits() == ["b"]
    with pytest.raises(Refused):
        laptop.message("go")


@pytest.mark.parametrize(
    ("kind", "text"),
    [("timeDuration", "PT1H"), ("timeDuration", "${wait}"), ("timeDate", "${until}"), ("timeCycle", "R2/PT1H")],
)
def test_a_timer_waits_until_the_clock_says_so(laptop: Laptop, kind: str, text: str) -> None:
    model = bpmn(f"{START}{catch('t', timer(kind, text))}{external('a')}" + flow("s", "t", "a"))
    laptop.run(model, wait="PT1H", until="2099-01-01T00:00:00Z" if kind == "timeDate" else "")
    laptop.pass_time(minutes=59)
    assert laptop.waits() == []
    laptop.pass_time(days=365 * 80)
    assert laptop.waits() == ["a"]


def test_a_boundary_timer_ends_its_activity(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}{boundary("b", "a", timer("timeDuration", "PT5M"))}{external("late")}{external("fine")}'
        + flow("s", "a", "fine") + flow("b", "late")
    )  # fmt: skip
    instance = laptop.run(model)
    laptop.pass_time(minutes=6)
    assert laptop.waits() == ["late"]
    [row] = laptop.listed("history/activity-instance", processInstanceId=instance, activityId="a")
    assert row["canceled"] == 1
    laptop.start()
    laptop.work("a")
    laptop.pass_time(minutes=6)
    assert laptop.waits() == ["fine", "late"]


def test_a_boundary_cycle_that_does_not_interrupt_fires_as_often_as_it_says(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}{boundary("b", "a", timer("timeCycle", "R2/PT5M"), interrupting=False)}{external("remind")}'
        + END + flow("s", "a", "e") + flow("b", "remind")
    )  # fmt: skip
    instance = laptop.run(model)
    for number in (1, 2, 2):
        laptop.pass_time(minutes=5)
        assert laptop.waits() == ["a"] + ["remind"] * number
    laptop.work("a")
    laptop.work("remind")
    laptop.work("remind")
    assert laptop.state(instance) == "COMPLETED"


def test_a_boundary_message_that_does_not_interrupt_comes_again(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}{boundary("b", "a", MESSAGE, interrupting=False)}{external("n")}{END}'
        + flow("s", "a", "e") + flow("b", "n"),
        roots=ROOTS,
    )  # fmt: skip
    instance = laptop.run(model)
    laptop.message("go")
    laptop.message("go")
    assert laptop.waits() == ["a", "n", "n"]
    laptop.work("a")
    with pytest.raises(Refused):
        laptop.message("go")
    laptop.work("n")
    laptop.work("n")
    assert laptop.state(instance) == "COMPLETED"


def test_an_error_is_caught_by_its_own_activity_only(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<parallelGateway id="f"/>{external("a")}{external("b")}{boundary("ba", "a", ERROR)}{boundary("bb", "b", ERROR)}'
        + external("ca") + external("cb") + flow("s", "f", "a") + flow("f", "b") + flow("ba", "ca") + flow("bb", "cb"),
        roots=ROOTS,
    )  # fmt: skip
    instance = laptop.run(model)
    laptop.throw("a", "E1", "why")
    assert laptop.waits() == ["b", "ca"]
    assert laptop.variables(instance) == {"code": "E1", "text": "why"}


def test_the_code_comes_before_the_event_that_catches_all(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}{boundary("all", "a", ANY_ERROR)}{boundary("one", "a", ERROR)}{external("c")}{external("d")}'
        + flow("s", "a") + flow("all", "c") + flow("one", "d"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    laptop.throw("a", "E1")
    assert laptop.waits() == ["d"]
    laptop.start()
    laptop.throw("a", "E2")
    assert laptop.waits() == ["c", "d"]


def test_an_error_ends_the_subprocess_that_catches_it_with_all_that_waits_in_it(laptop: Laptop) -> None:
    inside = f'<parallelGateway id="f"/>{external("a")}{external("b")}<endEvent id="x1"/>{flow("f", "b")}'
    model = bpmn(
        f'{START}{sub("sub", "f", "a", "x1", inside=inside)}{boundary("c", "sub", ERROR)}{external("caught")}'
        + flow("s", "sub") + flow("c", "caught"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    laptop.throw("a", "E1")
    assert laptop.waits() == ["caught"]


def test_an_error_end_event_is_caught_around_its_subprocess(laptop: Laptop) -> None:
    inside = f'{external("a")}<endEvent id="x1"><errorEventDefinition errorRef="x"/></endEvent>'
    model = bpmn(
        f'{START}{sub("sub", "a", "x1", inside=inside)}{boundary("c", "sub", ERROR)}{external("caught")}{external("on")}'
        + flow("s", "sub", "on") + flow("c", "caught"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    laptop.work("a")
    assert laptop.waits() == ["caught"]


def test_an_error_leaves_a_called_process_and_ends_it(laptop: Laptop) -> None:
    called = bpmn(f"{START}{external('a')}" + flow("s", "a"), key="called")
    laptop.deploy(called, "called.bpmn")
    model = bpmn(
        f'{START}<callActivity id="call" calledElement="called"/>{boundary("c", "call", ERROR)}{external("caught")}'
        + flow("s", "call") + flow("c", "caught"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    [task] = laptop.fetch("a")
    laptop.tasks.throw(task["id"], {"workerId": "w", "errorCode": "E1"})
    assert laptop.waits() == ["caught"]
    assert laptop.state(task["processInstanceId"]) == "INTERNALLY_TERMINATED"


def test_an_error_thrown_at_once_in_a_called_process_is_caught_too(laptop: Laptop) -> None:
    ends = '<endEvent id="x1"><errorEventDefinition errorRef="x"/></endEvent>'
    laptop.deploy(bpmn(f"{START}{ends}" + flow("s", "x1"), key="called", roots=ROOTS), "called.bpmn")
    model = bpmn(
        f'{START}<callActivity id="call" calledElement="called"/>{boundary("c", "call", ERROR)}{external("caught")}{external("on")}'
        + flow("s", "call", "on") + flow("c", "caught"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    assert laptop.waits() == ["caught"]


def test_an_uncaught_error_ends_its_branch_only(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<parallelGateway id="f"/>{external("a")}{external("b")}{external("on")}{END}'
        + flow("s", "f", "a", "on") + flow("f", "b", "e")
    )  # fmt: skip
    instance = laptop.run(model)
    laptop.throw("a", "E1")
    assert (laptop.waits(), laptop.state(instance)) == (["b"], "ACTIVE")
    laptop.work("b")
    assert laptop.state(instance) == "COMPLETED"


def test_an_uncaught_error_of_one_instance_counts_as_its_end(laptop: Laptop) -> None:
    loop = "<multiInstanceLoopCharacteristics><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics>"
    laptop.run(bpmn(f"{START}{external('a', loop)}{external('b')}" + flow("s", "a", "b")))
    laptop.throw("a", "E1")
    assert laptop.waits() == ["a"]
    laptop.work("a")
    assert laptop.waits() == ["b"]


def test_an_error_of_one_instance_ends_the_whole_multi_instance_activity(laptop: Laptop) -> None:
    loop = "<multiInstanceLoopCharacteristics><loopCardinality>3</loopCardinality></multiInstanceLoopCharacteristics>"
    inside = external("a") + '<endEvent id="x1"/>'
    model = bpmn(
        f'{START}{sub("sub", "a", "x1", inside=inside, before=loop)}'
        + boundary("c", "sub", ERROR) + external("caught") + flow("s", "sub") + flow("c", "caught"),
        roots=ROOTS,
    )  # fmt: skip
    laptop.run(model)
    assert laptop.waits() == ["a", "a", "a"]
    laptop.throw("a", "E1")
    assert laptop.waits() == ["caught"]


def test_an_escalation_does_not_end_what_it_does_not_interrupt(laptop: Laptop) -> None:
    inside = throw("t", ESCALATION) + external("a") + '<endEvent id="x1"/>'
    model = bpmn(
        f'{START}{sub("sub", "t", "a", "x1", inside=inside)}{boundary("c", "sub", ESCALATION, interrupting=False)}'
        + external("told") + END + flow("s", "sub", "e") + flow("c", "told"),
        roots=ROOTS,
    )  # fmt: skip
    instance = laptop.run(model)
    assert laptop.waits() == ["a", "told"]
    laptop.work("told")
    laptop.work("a")
    assert laptop.state(instance) == "COMPLETED"


@pytest.mark.parametrize("interrupting", [True, False])
def test_an_event_subprocess_waits_as_long_as_its_scope(laptop: Laptop, *, interrupting: bool) -> None:
    model = bpmn(f"{START}{external('a')}{END}{event_sub('es', MESSAGE, 'b', interrupting=interrupting)}" + flow("s", "a", "e"), roots=ROOTS)  # fmt: skip
    instance = laptop.run(model)
    laptop.message("go", variables={"x": 1})
    assert laptop.waits() == (["b"] if interrupting else ["a", "b"])
    if interrupting:
        with pytest.raises(Refused):
            laptop.message("go")
    else:
        laptop.message("go")
        laptop.work("b")
        laptop.work("a")
    assert laptop.state(instance) == "ACTIVE"
    laptop.work("b")
    assert laptop.state(instance) == "COMPLETED"
    with pytest.raises(Refused):
        laptop.message("go")


def test_an_event_subprocess_catches_errors_and_timers_of_its_scope(laptop: Laptop) -> None:
    before = event_sub("on-error", ERROR, "b") + event_sub("on-time", timer("timeDuration", "PT1H"), "late")
    inside = external("a") + '<endEvent id="x1"/>'
    model = bpmn(f"{START}{sub('sub', 'a', 'x1', inside=inside, before=before)}{external('on')}" + flow("s", "sub", "on"), roots=ROOTS)  # fmt: skip
    laptop.run(model)
    laptop.throw("a", "E1", "why")
    assert laptop.work("b") == {"code": "E1", "text": "why"}
    assert laptop.waits() == ["on"]
    laptop.work("on")
    laptop.start()
    laptop.pass_time(hours=2)
    assert laptop.waits() == ["late"]


def test_an_error_in_an_event_subprocess_is_not_caught_by_itself(laptop: Laptop) -> None:
    model = bpmn(f"{START}{external('a')}{event_sub('es', ANY_ERROR, 'b')}" + flow("s", "a"))
    instance = laptop.run(model)
    laptop.throw("a", "E1")
    laptop.throw("b", "E2")
    assert laptop.state(instance) == "COMPLETED"


def test_a_timer_start_event_starts_instances(laptop: Laptop) -> None:
    start = f'<startEvent id="ts">{timer("timeCycle", "R2/PT1H")}</startEvent>'
    laptop.deploy(bpmn(f"{start}{external('a')}" + flow("ts", "a")))
    laptop.pass_time(hours=1)
    laptop.pass_time(hours=1)
    laptop.pass_time(hours=1)
    assert laptop.waits() == ["a", "a"]


def test_times_of_a_cycle_that_passed_unseen_are_not_made_up_for(laptop: Laptop) -> None:
    start = f'<startEvent id="ts">{timer("timeCycle", "R2/PT1H")}</startEvent>'
    laptop.deploy(bpmn(f"{start}{external('a')}" + flow("ts", "a")))
    laptop.pass_time(hours=5)
    assert laptop.waits() == ["a"]


def test_a_message_end_event_may_be_an_external_task(laptop: Laptop) -> None:
    end = '<endEvent id="e"><messageEventDefinition camunda:type="external" camunda:topic="send"/></endEvent>'
    instance = laptop.run(bpmn(f"{START}{end}" + flow("s", "e")))
    laptop.work("send")
    assert laptop.state(instance) == "COMPLETED"


def test_a_timer_whose_way_on_fails_is_an_incident_and_the_others_go_on(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{catch("t", timer("timeDuration", "PT1H"))}<exclusiveGateway id="g"/>{external("a")}{external("b")}'
        + flow("s", "t", "g") + flow("g", "a", condition="${x == 1}") + flow("g", "b", condition="${missing}")
    )  # fmt: skip
    laptop.run(model, x=2)
    laptop.start(x=1)
    laptop.pass_time(hours=2)
    assert laptop.waits() == ["a"]
    [incident] = laptop.listed("incident")
    assert (incident["incidentType"], incident["activityId"]) == ("failedJob", "t")


def test_suspended_instances_let_their_timers_and_messages_wait(laptop: Laptop) -> None:
    model = bpmn(f"{START}{catch('t', timer('timeDuration', 'PT1H'))}{external('a')}" + flow("s", "t", "a"))
    instance = laptop.run(model)
    laptop.suspend(instance, suspended=True)
    laptop.pass_time(hours=2)
    assert laptop.waits() == []
    laptop.suspend(instance, suspended=False)
    laptop.pass_time(seconds=1)
    assert laptop.waits() == ["a"]


def test_what_fails_at_the_start_leaves_nothing(laptop: Laptop) -> None:
    model = bpmn(f'{START}<serviceTask id="a" camunda:type="external" camunda:topic="${{nobody}}"/>' + flow("s", "a"))
    with pytest.raises(EngineError, match="nobody"):
        laptop.run(model)
    assert laptop.listed("history/process-instance") == laptop.listed("external-task") == []


def test_history_knows_an_event_only_once_it_has_happened(laptop: Laptop) -> None:
    model = bpmn(
        f"{START}{external('a')}{boundary('err', 'a', ERROR)}{external('b')}{boundary('late', 'b', timer('timeDuration', 'PT5M'))}"
        f'<eventBasedGateway id="g"/>{catch("c", MESSAGE)}{catch("d", SIGNAL)}{END}<endEvent id="z"/>'
        + flow("s", "a", "b", "e") + flow("err", "z") + flow("late", "g", "c", "z") + flow("g", "d", "z"),
        roots=ROOTS,
    )  # fmt: skip
    instance = laptop.run(model)
    assert "err" not in laptop.path(instance)
    laptop.work("a")
    laptop.pass_time(minutes=5)
    laptop.message("go")
    assert laptop.state(instance) == "COMPLETED"
    assert laptop.path(instance) == ["s", "a", "b", "late", "g", "c", "z"]


def test_an_activity_that_ends_with_its_instance_was_cancelled(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}{boundary("b", "a", ERROR)}{END}<endEvent id="z"/>'
        + flow("s", "a", "e")
        + flow("b", "z"),
        roots=ROOTS,
    )
    instance = laptop.run(model)
    laptop.throw("a", "E1")
    assert laptop.state(instance) == "COMPLETED"
    rows = laptop.listed("history/activity-instance", processInstanceId=instance)
    assert [row["activityId"] for row in rows if row["canceled"]] == ["a"]


def test_what_a_terminate_end_event_leaves_behind_is_ended_too(laptop: Laptop) -> None:
    called = bpmn(f'<startEvent id="cs"/>{external("inside")}' + flow("cs", "inside"), key="called")
    laptop.deploy(called, "called.bpmn")
    model = bpmn(
        f'{START}<parallelGateway id="f"/><callActivity id="c" calledElement="called"/>{external("a")}'
        '<endEvent id="t"><terminateEventDefinition/></endEvent>' + flow("s", "f", "c") + flow("f", "a", "t")
    )
    instance = laptop.run(model)
    laptop.work("a")
    assert laptop.state(instance) == "COMPLETED"
    assert laptop.waits() == []
