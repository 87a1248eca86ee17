"""Questions to the BPMN of a process definition, answered from its XML alone."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

_BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
_SCOPES = {f"{_BPMN}{name}" for name in ("process", "subProcess", "transaction", "adHocSubProcess")}


class UnreadableModel(ValueError):
    """The XML is no BPMN that we read."""


def catches_error(xml: str, activity_id: str, code: str) -> bool:
    """Whether a BPMN error ``code`` thrown by an activity is caught in this definition: by a boundary event of the
    activity or of a sub-process around it, or by an error start event of an event sub-process around it.

    Source: BPMN 2.0, 10.5.6; Camunda 7 also lets an event without error, or an error without code, catch everything.
    Raises UnreadableModel.
    """
    root = _parse(xml)
    parents = {child: parent for parent in root.iter() for child in parent}
    activity = next((element for element in root.iter() if element.get("id") == activity_id), None)
    if activity is None:
        raise UnreadableModel(f"the model has no element {activity_id!r}")
    codes = {error.get("id", ""): error.get("errorCode", "") for error in root.iter(f"{_BPMN}error")}
    inner = activity
    while (scope := parents.get(inner)) is not None:
        if any(_catches(event, codes, code) for event in _boundary_events(scope, inner.get("id", ""))):
            return True
        if any(_catches(event, codes, code) for event in _error_starts(scope)):
            return True
        if scope.tag not in _SCOPES:
            break
        inner = scope
    return False


def called_activities(xml: str, process_key: str) -> list[str]:
    """The ids of the call activities that (may) call ``process_key``: those that name it, or an expression."""
    return [
        element.get("id", "")
        for element in _parse(xml).iter(f"{_BPMN}callActivity")
        if (called := element.get("calledElement", "")) == process_key or "${" in called or "#{" in called
    ]


def _parse(xml: str) -> ET.Element:
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise UnreadableModel("a model with a document type is not read")
    try:
        return ET.fromstring(xml)  # noqa: S314 - entities need a document type, refused above
    except ET.ParseError as error:
        raise UnreadableModel(f"the model is no XML: {error}") from error


def _boundary_events(scope: ET.Element, attached_to: str) -> Iterator[ET.Element]:
    return (event for event in scope.findall(f"{_BPMN}boundaryEvent") if event.get("attachedToRef") == attached_to)


def _error_starts(scope: ET.Element) -> Iterator[ET.Element]:
    for sub_process in scope.findall(f"{_BPMN}subProcess"):
        if sub_process.get("triggeredByEvent") == "true":
            yield from sub_process.findall(f"{_BPMN}startEvent")


def _catches(event: ET.Element, codes: dict[str, str], code: str) -> bool:
    for definition in event.findall(f"{_BPMN}errorEventDefinition"):
        reference = definition.get("errorRef")
        if not reference or codes.get(reference, reference) in {"", code}:
            return True
    return False
