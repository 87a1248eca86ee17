"""Gateways, subprocesses, call activities, multi-instance and mappings: where the token goes, and what it sees."""

# ruff: noqa: E501 - models read best in one line

from __future__ import annotations

import pytest

from bptl.sandbox.errors import EngineError
from tests.integration.sandbox.laptop import Laptop, bpmn, external, flow, seen

START, END = '<startEvent id="s"/>', '<endEvent id="e"/>'


def test_an_exclusive_gateway_takes_the_first_true_condition_in_the_order_of_the_file(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<exclusiveGateway id="g" default="g-c"/>{external("a")}{external("b")}{external("c")}'
        + flow("s", "g") + flow("g", "b", condition="${x &gt; 5}") + flow("g", "a", condition="${x &gt; 1}") + flow("g", "c")
    )  # fmt: skip
    laptop.run(model, x=9)
    assert laptop.waits() == ["b"]
    laptop.start(x=2)
    laptop.start(x=0)
    assert laptop.waits() == ["a", "b", "c"]


def test_without_a_true_condition_and_without_a_default_nothing_happens_and_the_task_stays(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}<exclusiveGateway id="g"/>{external("b")}{external("c")}'
        + flow("s", "a", "g") + flow("g", "b", condition="${x == 1}") + flow("g", "c", condition="${x == 2}")
    )  # fmt: skip
    instance = laptop.run(model, x=0)
    with pytest.raises(EngineError, match="g"):
        laptop.work("a", y=1)
    assert laptop.waits() == ["a"]
    assert laptop.variables(instance) == {"x": 0}
    laptop.tasks.unlock(laptop.listed("external-task")[0]["id"], {})
    laptop.work("a", x=2)
    assert laptop.waits() == ["c"]


def test_a_condition_that_is_not_boolean_is_refused(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<exclusiveGateway id="g" default="g-b"/>{external("a")}{external("b")}'
        + flow("s", "g") + flow("g", "a", condition="${x}") + flow("g", "b")
    )  # fmt: skip
    with pytest.raises(EngineError, match="non-Boolean"):
        laptop.run(model, x=1)
    assert laptop.listed("history/process-instance") == []


def test_parallel_branches_see_each_other_s_variables_and_join(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<parallelGateway id="f"/>{external("a")}{external("b")}<parallelGateway id="j"/>{external("c")}{END}'
        + flow("s", "f", "a", "j") + flow("f", "b", "j", "c", "e")
    )  # fmt: skip
    instance = laptop.run(model)
    laptop.work("a", x=1)
    assert laptop.waits() == ["b"]
    assert laptop.work("b", y=2)["x"] == 1
    assert laptop.work("c") == {"x": 1, "y": 2}
    assert laptop.state(instance) == "COMPLETED"


def test_an_inclusive_gateway_takes_every_true_way_and_waits_for_exactly_those(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<inclusiveGateway id="f" default="f-c"/>{external("a")}{external("b")}{external("c")}'
        f'<inclusiveGateway id="j"/>{external("d")}'
        + flow("s", "f") + flow("f", "a", condition="${x &gt; 0}") + flow("f", "b", condition="${x &gt; 1}") + flow("f", "c")
        + flow("a", "j", "d") + flow("b", "j") + flow("c", "j")
    )  # fmt: skip
    laptop.run(model, x=2)
    assert laptop.waits() == ["a", "b"]
    laptop.work("a")
    assert laptop.waits() == ["b"]
    laptop.work("b")
    assert laptop.waits() == ["d"]
    laptop.work("d")
    laptop.start(x=0)
    laptop.work("c")
    assert laptop.waits() == ["d"]


def test_a_loop_goes_round_until_its_condition_holds(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}{external("a")}<exclusiveGateway id="g" default="g-a"/>{END}'
        + flow("s", "a", "g", "a") + flow("g", "e", condition="${n == 5}")
    )  # fmt: skip
    instance = laptop.run(model)
    for number in range(1, 6):
        laptop.work("a", n=number)
    assert laptop.state(instance) == "COMPLETED"


def test_a_circle_without_a_wait_state_is_stopped(alone: Laptop) -> None:
    model = bpmn(
        f'{START}<exclusiveGateway id="m"/><exclusiveGateway id="g" default="g-m"/>{END}'
        + flow("s", "m", "g", "m") + flow("g", "e", condition="${false}")
    )  # fmt: skip
    with pytest.raises(EngineError, match="circles"):
        alone.run(model)


def test_a_subprocess_has_variables_of_its_own_and_sees_those_around_it(laptop: Laptop) -> None:
    mapping = (
        "<extensionElements><camunda:inputOutput>"
        '<camunda:inputParameter name="inner">${outer}!</camunda:inputParameter>'
        '<camunda:outputParameter name="result">${inner}</camunda:outputParameter>'
        "</camunda:inputOutput></extensionElements>"
    )
    model = bpmn(
        f'{START}<subProcess id="sub">{mapping}<startEvent id="ss"/>{external("a")}<endEvent id="se"/>'
        f'{flow("ss", "a", "se")}</subProcess>{external("b")}{END}' + flow("s", "sub", "b", "e")
    )  # fmt: skip
    laptop.run(model, outer="o")
    assert laptop.work("a", inner="changed", fresh=1) == {"outer": "o", "inner": "o!"}
    assert laptop.work("b") == {"outer": "o", "result": "changed", "fresh": 1}


def test_inputs_are_local_lists_and_maps_are_built_and_outputs_leave(alone: Laptop) -> None:
    mapping = (
        "<extensionElements><camunda:inputOutput>"
        '<camunda:inputParameter name="text">case ${n + 1}</camunda:inputParameter>'
        '<camunda:inputParameter name="list"><camunda:list><camunda:value>${n}</camunda:value>'
        "<camunda:value>two</camunda:value></camunda:list></camunda:inputParameter>"
        '<camunda:inputParameter name="map"><camunda:map><camunda:entry key="k">${n}</camunda:entry></camunda:map>'
        "</camunda:inputParameter>"
        '<camunda:outputParameter name="answer">${found.items[0]}</camunda:outputParameter>'
        "</camunda:inputOutput></extensionElements>"
    )
    model = bpmn(f"{START}{external('a', mapping)}{external('b')}" + flow("s", "a", "b"))
    alone.run(model, n=1)
    [task] = alone.fetch("a")
    assert seen(task) == {"n": 1, "text": "case 2", "list": [1, "two"], "map": {"k": 1}}
    alone.tasks.complete(
        task["id"],
        {"workerId": "w", "localVariables": {"found": {"type": "Json", "value": '{"items": [{"deep": true}]}'}}},
    )
    [following] = alone.fetch("b")
    assert following["variables"]["answer"]["type"] == "Json"
    assert seen(following) == {"n": 1, "answer": {"deep": True}}


CALLED = bpmn(
    f'<startEvent id="cs"/>{external("inside")}<endEvent id="ce"/>' + flow("cs", "inside", "ce"), key="called"
)


def caller(mappings: str, after: str = "b") -> bytes:
    inside = f"<extensionElements>{mappings}</extensionElements>"
    return bpmn(
        f'{START}<callActivity id="call" calledElement="called">{inside}</callActivity>{external(after)}'
        + flow("s", "call", after)
    )


def test_a_called_process_gets_what_is_mapped_and_gives_back_what_is_mapped(laptop: Laptop) -> None:
    laptop.deploy(CALLED, "called.bpmn")
    mappings = (
        '<camunda:in source="x" target="y"/><camunda:in sourceExpression="${x * 2}" target="z"/>'
        '<camunda:in businessKey="#{execution.processBusinessKey}"/><camunda:out source="r" target="result"/>'
    )
    parent = laptop.run(caller(mappings), x=4, business_key="B-1")
    [task] = laptop.fetch("inside")
    assert seen(task) == {"y": 4, "z": 8}
    assert task["businessKey"] == "B-1"
    [row] = laptop.listed("history/process-instance", superProcessInstanceId=parent)
    assert row["id"] == task["processInstanceId"] != parent
    laptop.complete(task, r="done", other=1)
    assert laptop.state(row["id"]) == "COMPLETED"
    assert laptop.work("b") == {"x": 4, "result": "done"}
    assert laptop.state(parent) == "COMPLETED"


def test_all_variables_may_be_mapped(laptop: Laptop) -> None:
    laptop.deploy(CALLED, "called.bpmn")
    laptop.run(caller('<camunda:in variables="all"/><camunda:out variables="all"/>'), x=1)
    assert laptop.work("inside", y=2) == {"x": 1}
    assert laptop.work("b") == {"x": 1, "y": 2}


def test_a_called_process_without_a_wait_state_is_passed_at_once(laptop: Laptop) -> None:
    laptop.deploy(bpmn(f"{START}{END}" + flow("s", "e"), key="called"), "called.bpmn")
    laptop.run(caller(""))
    assert laptop.waits() == ["b"]


def test_a_missing_called_process_refuses_the_start(laptop: Laptop) -> None:
    with pytest.raises(EngineError, match="called"):
        laptop.run(caller(""))
    assert laptop.listed("history/process-instance") == []


def test_deleting_an_instance_ends_what_it_called(laptop: Laptop) -> None:
    laptop.deploy(CALLED, "called.bpmn")
    parent = laptop.run(caller(""))
    [task] = laptop.fetch("inside")
    laptop.delete(parent, "no longer wanted")
    assert laptop.waits() == []
    assert laptop.state(parent) == "EXTERNALLY_TERMINATED"
    assert laptop.state(task["processInstanceId"]) == "EXTERNALLY_TERMINATED"


def multiple(attributes: str = "", inside: str = "") -> str:
    return f"<multiInstanceLoopCharacteristics {attributes}>{inside}</multiInstanceLoopCharacteristics>"


def test_parallel_instances_run_at_once_each_with_its_element(laptop: Laptop) -> None:
    loop = multiple('camunda:collection="names" camunda:elementVariable="name"')
    laptop.run(bpmn(f"{START}{external('a', loop)}{external('b')}" + flow("s", "a", "b")), names=["x", "y", "z"])
    tasks = laptop.fetch("a")
    assert sorted((seen(task)["name"], seen(task)["loopCounter"]) for task in tasks) == [("x", 0), ("y", 1), ("z", 2)]
    for task in tasks[:2]:
        laptop.complete(task)
    assert laptop.waits() == ["a"]
    laptop.complete(tasks[2], last=True)
    assert set(laptop.work("b")) == {"names", "last"}


def test_sequential_instances_run_one_after_the_other(laptop: Laptop) -> None:
    loop = multiple('isSequential="true"', "<loopCardinality>${n}</loopCardinality>")
    instance = laptop.run(bpmn(f"{START}{external('a', loop)}{END}" + flow("s", "a", "e")), n=3)
    counters = [laptop.work("a")["loopCounter"] for _ in range(3)]
    assert counters == [0, 1, 2]
    assert laptop.state(instance) == "COMPLETED"


def test_a_completion_condition_ends_the_others(laptop: Laptop) -> None:
    condition = "<completionCondition>${nrOfCompletedInstances / nrOfInstances &gt;= 0.5}</completionCondition>"
    loop = multiple("", f"<loopCardinality>4</loopCardinality>{condition}")
    laptop.run(bpmn(f"{START}{external('a', loop)}{external('b')}" + flow("s", "a", "b")))
    tasks = laptop.fetch("a")
    laptop.complete(tasks[0])
    assert laptop.waits() == ["a", "a", "a"]
    laptop.complete(tasks[1])
    assert laptop.waits() == ["b"]


@pytest.mark.parametrize("sequential", ["true", "false"])
def test_an_empty_collection_is_passed(laptop: Laptop, sequential: str) -> None:
    loop = multiple(f'camunda:collection="${{names}}" isSequential="{sequential}"')
    laptop.run(bpmn(f"{START}{external('a', loop)}{external('b')}" + flow("s", "a", "b")), names=[])
    assert laptop.waits() == ["b"]


def test_subprocesses_and_calls_may_be_multiple(laptop: Laptop) -> None:
    laptop.deploy(CALLED, "called.bpmn")
    each = multiple('camunda:collection="names" camunda:elementVariable="name"')
    inside = f'<extensionElements><camunda:in source="name" target="name"/></extensionElements>{each}'
    model = bpmn(
        f'{START}<subProcess id="sub">{each}<startEvent id="ss"/>{external("a")}<endEvent id="se"/>{flow("ss", "a", "se")}'
        f'</subProcess><callActivity id="call" calledElement="called">{inside}</callActivity>{END}'
        + flow("s", "sub", "call", "e")
    )  # fmt: skip
    instance = laptop.run(model, names=["x", "y"])
    assert sorted(laptop.work("a")["name"] for _ in range(2)) == ["x", "y"]
    assert sorted(laptop.work("inside")["name"] for _ in range(2)) == ["x", "y"]
    assert laptop.state(instance) == "COMPLETED"


def test_a_terminate_end_event_ends_everything_in_its_scope(laptop: Laptop) -> None:
    model = bpmn(
        f'{START}<parallelGateway id="f"/>{external("a")}{external("b")}'
        '<endEvent id="t"><terminateEventDefinition/></endEvent>' + flow("s", "f", "a", "t") + flow("f", "b")
    )
    instance = laptop.run(model)
    laptop.work("a")
    assert laptop.waits() == []
    assert laptop.state(instance) == "COMPLETED"


def test_the_history_tells_the_path(laptop: Laptop) -> None:
    instance = laptop.run(bpmn(f"{START}{external('a')}<task id='t'/>{END}" + flow("s", "a", "t", "e")))
    laptop.work("a")
    rows = laptop.listed("history/activity-instance", processInstanceId=instance)
    assert [(row["activityId"], row["activityType"]) for row in rows] == [
        ("s", "startEvent"), ("a", "serviceTask"), ("t", "task"), ("e", "noneEndEvent"),
    ]  # fmt: skip
    assert all(row["endTime"] and not row["canceled"] for row in rows)
