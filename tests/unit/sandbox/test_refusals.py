"""What the sandbox would execute wrongly is refused at deployment, with the element and the reason."""

# ruff: noqa: E501 - a table of models, one a line

from __future__ import annotations

import pytest

from bptl.sandbox.errors import ModelRefused
from bptl.sandbox.parse import processes
from tests.integration.sandbox.laptop import bpmn, external, flow

START, END = '<startEvent id="s"/>', '<endEvent id="e"/>'
STRAIGHT = flow("s", "x", "e")
SCRIPT = '<camunda:script scriptFormat="groovy">1</camunda:script>'


def straight(element: str) -> bytes:
    return bpmn(START + element + END + STRAIGHT)


def with_extension(inside: str) -> bytes:
    return straight(external("x", f"<extensionElements>{inside}</extensionElements>"))


def event(tag: str, definition: str, attributes: str = "") -> str:
    return f'<{tag} id="x" {attributes}>{definition}</{tag}>'


REFUSED = {
    "script task": (straight('<scriptTask id="x" scriptFormat="groovy"><script>1</script></scriptTask>'), "x", "script"),
    "script as parameter": (with_extension(f'<camunda:inputOutput><camunda:inputParameter name="a">{SCRIPT}</camunda:inputParameter></camunda:inputOutput>'), "x", "script"),
    "execution listener": (with_extension('<camunda:executionListener event="start" class="C"/>'), "x", "listener"),
    "task listener": (straight('<userTask id="x"><extensionElements><camunda:taskListener event="create" expression="${a}"/></extensionElements></userTask>'), "x", "listener"),
    "connector": (with_extension("<camunda:connector/>"), "x", "connector"),
    "error expression": (with_extension('<camunda:errorEventDefinition errorRef="q" expression="${true}"/>'), "x", "errorEventDefinition"),
    "java class": (straight('<serviceTask id="x" camunda:class="C"/>'), "x", "Java"),
    "delegate expression": (straight('<serviceTask id="x" camunda:delegateExpression="${bean}"/>'), "x", "Java"),
    "service expression": (straight('<serviceTask id="x" camunda:expression="${bean.go()}"/>'), "x", "Java"),
    "service task without implementation": (straight('<serviceTask id="x"/>'), "x", "external"),
    "mail task": (straight('<serviceTask id="x" camunda:type="mail"/>'), "x", "external"),
    "external task without topic": (straight('<serviceTask id="x" camunda:type="external"/>'), "x", "topic"),
    "send task without implementation": (straight('<sendTask id="x"/>'), "x", "external"),
    "decision": (straight('<businessRuleTask id="x" camunda:decisionRef="d"/>'), "x", "DMN"),
    "bean method": (straight(external("x").replace('topic="x"', 'topic="${bean.topic()}"')), "x", "beans"),
    "getVariable": (straight(external("x").replace('topic="x"', "topic=\"${execution.getVariable('t')}\"")), "x", "execution.getVariable"),
    "unknown attribute": (straight(external("x", attributes='camunda:resultVariable="r"')), "x", "resultVariable"),
    "compensation": (straight(event("intermediateThrowEvent", "<compensateEventDefinition/>")), "x", "compensate"),
    "for compensation": (straight('<task id="x" isForCompensation="true"/>'), "x", "compensate"),
    "link": (straight(event("intermediateThrowEvent", '<linkEventDefinition name="l"/>')), "x", "link"),
    "conditional event": (straight(event("intermediateCatchEvent", "<conditionalEventDefinition><condition>${a}</condition></conditionalEventDefinition>")), "x", "condition"),
    "transaction": (straight(f'<transaction id="x"><startEvent id="ss"/><endEvent id="se"/>{flow("ss", "se")}</transaction>'), "x", "transaction"),
    "ad-hoc subprocess": (straight('<adHocSubProcess id="x"><task id="t"/></adHocSubProcess>'), "x", "ad-hoc"),
    "complex gateway": (straight('<complexGateway id="x"/>'), "x", "complex"),
    "two definitions": (straight(event("intermediateCatchEvent", "<timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition>")), "x", "more than one"),
    "message throw": (straight(event("intermediateThrowEvent", "<messageEventDefinition/>")), "x", "external"),
    "message without name": (straight(event("intermediateCatchEvent", "<messageEventDefinition/>")), "x", "refers to no message"),
    "cron": (straight(event("intermediateCatchEvent", "<timerEventDefinition><timeCycle>0 0 * * * ?</timeCycle></timerEventDefinition>")), "x", "cron"),
    "bad duration": (straight(event("intermediateCatchEvent", "<timerEventDefinition><timeDuration>an hour</timeDuration></timerEventDefinition>")), "x", "timeDuration"),
    "loop": (straight('<task id="x"><standardLoopCharacteristics/></task>'), "x", "multi-instance"),
    "empty multi-instance": (straight(external("x", "<multiInstanceLoopCharacteristics/>")), "x", "loopCardinality"),
    "implicit fork": (bpmn(START + external("x") + external("y") + END + flow("s", "x", "e") + flow("x", "y")), "x", "implicit fork"),
    "fork at the start": (bpmn(START + external("x") + END + flow("s", "x", "e") + flow("s", "e")), "s", "implicit fork"),
    "condition after a task": (bpmn(START + external("x") + END + flow("s", "x") + flow("x", "e", condition="${a}")), "x-e", "gateway"),
    "script condition": (bpmn(START + '<exclusiveGateway id="x" default="x-e"/>' + external("y") + END + flow("s", "x", "e") + flow("x", "y", condition="1").replace("<conditionExpression>", '<conditionExpression xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="tFormalExpression" language="groovy">')), "x-y", "script"),
    "bad condition": (bpmn(START + '<exclusiveGateway id="x" default="x-e"/>' + external("y") + END + flow("s", "x", "e") + flow("x", "y", condition="${bean.ok()}")), "x-y", "beans"),
    "flow without condition": (bpmn(START + '<exclusiveGateway id="x"/>' + external("y") + END + flow("s", "x", "e") + flow("x", "y", condition="${a}")), "x-e", "default"),
    "task after event gateway": (bpmn(START + '<eventBasedGateway id="x"/>' + external("y") + flow("s", "x", "y")), "y", "catching"),
    "no start event": (bpmn('<task id="x"/>'), "p", "start event"),
    "two start events": (bpmn(START + '<startEvent id="x"/>' + END + flow("s", "e") + flow("x", "e")), "x", "start event"),
    "call without element": (straight('<callActivity id="x"/>'), "x", "calledElement"),
    "call of a case": (straight('<callActivity id="x" calledElement="c" camunda:caseRef="d"/>'), "x", "caseRef"),
    "mapping in Java": (straight('<callActivity id="x" calledElement="c" camunda:variableMappingClass="C"/>'), "x", "variableMappingClass"),
    "error without code": (bpmn(START + '<endEvent id="x"><errorEventDefinition/></endEvent>' + flow("s", "x")), "x", "code"),
    "inside a subprocess": (straight(f'<subProcess id="sub"><startEvent id="ss"/><scriptTask id="x"/>{flow("ss", "x")}</subProcess>'.replace('id="sub"', 'id="sub"')), "x", "script"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "element", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_model_is_refused_with_the_element_and_the_reason(model: bytes, element: str, reason: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        processes(model, resource="p.bpmn")
    assert refused.value.status == 400
    assert refused.value.details
    errors = refused.value.details["p.bpmn"]["errors"]
    told = {(error["mainElementId"], error["message"]) for error in errors}
    assert any(where == element and reason in why for where, why in told), told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no xml",
        b"<definitions><process/></definitions>",
        b'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><d>&e;</d>',
    ],
)
def test_what_is_no_bpmn_is_refused(content: bytes) -> None:
    with pytest.raises(ModelRefused):
        processes(content, resource="p.bpmn")


def test_all_problems_are_told_at_once() -> None:
    model = bpmn(START + '<scriptTask id="x"/><serviceTask id="y"/>' + flow("s", "x", "y"))
    with pytest.raises(ModelRefused, match=r"x: .*; y: "):
        processes(model, resource="p.bpmn")


def test_a_process_that_is_not_executable_is_no_definition() -> None:
    model = straight(external("x")).replace(b'isExecutable="true"', b'isExecutable="false"')
    assert processes(model, resource="p.bpmn") == []


def test_operaton_s_own_namespace_is_camunda_s() -> None:
    model = straight(external("x")).replace(b"http://camunda.org/schema", b"http://operaton.org/schema")
    [process] = processes(model, resource="p.bpmn")
    assert process.spec.task_specs["x"].element.camunda["topic"] == "x"
