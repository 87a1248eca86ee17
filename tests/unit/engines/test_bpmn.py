"""Who catches a BPMN error, read from the model alone."""

from __future__ import annotations

import pytest

from bptl.engines.bpmn import UnreadableModel, called_activities, catches_error

_MODEL = """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL">
  <error id="error-incomplete" errorCode="INCOMPLETE"/>
  <error id="error-other" errorCode="OTHER"/>
  <error id="error-any"/>
  <process id="p">
    <serviceTask id="bare"/>
    <serviceTask id="guarded"/>
    <boundaryEvent id="b1" attachedToRef="guarded"><errorEventDefinition errorRef="error-incomplete"/></boundaryEvent>
    <serviceTask id="open-handed"/>
    <boundaryEvent id="b2" attachedToRef="open-handed"><errorEventDefinition/></boundaryEvent>
    <serviceTask id="codeless"/>
    <boundaryEvent id="b3" attachedToRef="codeless"><errorEventDefinition errorRef="error-any"/></boundaryEvent>
    <serviceTask id="timed"/>
    <boundaryEvent id="b4" attachedToRef="timed"><timerEventDefinition/></boundaryEvent>
    <subProcess id="sub">
      <serviceTask id="inside"/>
      <subProcess id="deeper"><serviceTask id="deep"/></subProcess>
    </subProcess>
    <boundaryEvent id="b5" attachedToRef="sub"><errorEventDefinition errorRef="error-other"/></boundaryEvent>
    <subProcess id="listening">
      <serviceTask id="beside"/>
      <subProcess id="handler" triggeredByEvent="true">
        <startEvent id="on-error"><errorEventDefinition errorRef="error-incomplete"/></startEvent>
      </subProcess>
    </subProcess>
    <callActivity id="calls" calledElement="child"/>
    <callActivity id="calls-any" calledElement="${which}"/>
    <callActivity id="calls-else" calledElement="stranger"/>
  </process>
</definitions>"""


@pytest.mark.parametrize(
    ("activity", "code", "caught"),
    [
        ("bare", "INCOMPLETE", False),
        ("guarded", "INCOMPLETE", True),
        ("guarded", "OTHER", False),
        ("open-handed", "ANYTHING", True),
        ("codeless", "ANYTHING", True),
        ("timed", "INCOMPLETE", False),
        ("inside", "OTHER", True),
        ("deep", "OTHER", True),
        ("inside", "INCOMPLETE", False),
        ("beside", "INCOMPLETE", True),
        ("beside", "OTHER", False),
    ],
)
def test_an_error_is_caught_at_its_activity_or_around_it(activity: str, code: str, caught: bool) -> None:
    assert catches_error(_MODEL, activity, code) is caught


def test_the_call_activities_that_may_have_called_a_process_are_named() -> None:
    assert called_activities(_MODEL, "child") == ["calls", "calls-any"]


@pytest.mark.parametrize(
    "xml", ["no xml", "<definitions/>", '<!DOCTYPE a [<!ENTITY x "y">]><definitions/>'], ids=["text", "empty", "entity"]
)
def test_a_model_that_cannot_be_read_says_so(xml: str) -> None:
    with pytest.raises(UnreadableModel):
        catches_error(xml, "bare", "X")
