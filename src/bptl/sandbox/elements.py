"""What a model says about one element beyond the flow: events, Camunda's attributes and mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bptl.sandbox.expressions import Template, compiled

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
CAMUNDA = ("{http://camunda.org/schema/1.0/bpmn}", "{http://operaton.org/schema/1.0/bpmn}")
TASKS = {"serviceTask", "sendTask", "businessRuleTask"}
NO_EVENT = {"intermediateThrowEvent": "intermediateNoneThrowEvent", "endEvent": "noneEndEvent"}

Value = Template | list[Any] | dict[str, Any]
"""A parameter's value: text, or a list or map of values."""


@dataclass(frozen=True)
class Event:
    """An event definition: ``kind`` message, signal, timer, error, escalation or terminate; ``name`` is the code of
    an error or escalation (None: every one), the name of a message or signal, the time of a timer (``timer``: which).
    """

    kind: str
    name: Template | None = None
    timer: str = ""
    code_variable: str | None = None
    message_variable: str | None = None


@dataclass(frozen=True)
class Element:
    """One flow node. ``kind`` is what it waits for (see ``waits``), throw, or empty; ``type`` is the history's word."""

    id: str
    name: str | None
    type: str
    kind: str
    event: Event | None = None
    interrupting: bool = True
    camunda: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[tuple[str, Value]] = ()
    outputs: Sequence[tuple[str, Value]] = ()
    call: Mapping[str, Any] = field(default_factory=dict)

    @property
    def happening(self) -> Event:
        """The event of an element that has one."""
        if self.event is None:
            raise ValueError(f"{self.id} has no event")
        return self.event

    def template(self, attribute: str, default: str = "") -> Template:
        """A Camunda attribute as an expression."""
        return compiled(self.camunda.get(attribute, default))

    def catches(self, kind: str, code: str) -> bool:
        """Whether this event catches an error or escalation with this code."""
        return self.event is not None and self.event.kind == kind and self.code in {None, code}

    @property
    def code(self) -> str | None:
        """The error or escalation code; None catches every one."""
        return self.event.name.text if self.event and self.event.name else None


def local(node: Any) -> str:
    """The tag without its namespace."""
    return str(node.tag).rpartition("}")[2]


def camunda(node: Any, name: str) -> str | None:
    """An attribute in Camunda's or Operaton's namespace."""
    return next((node.get(space + name) for space in CAMUNDA if node.get(space + name) is not None), None)


def extensions(node: Any, name: str) -> Iterator[Any]:
    """The extension elements of ``node`` called ``name``."""
    for holder in node.findall(f"{BPMN}extensionElements"):
        for space in CAMUNDA:
            yield from holder.findall(space + name)


def event_of(node: Any) -> Any:
    """The event definition inside ``node``, or None."""
    return next((child for child in node if local(child).endswith("EventDefinition")), None)


def read(node: Any) -> Element:
    """The element of an XML node that ``refuse`` has accepted."""
    tag = local(node)
    definition = event_of(node)
    event = _event(node if tag == "receiveTask" else definition, node)
    attributes = {key.rpartition("}")[2]: value for key, value in node.attrib.items() if key.startswith(CAMUNDA)}
    if definition is not None:
        attributes |= {
            key.rpartition("}")[2]: value for key, value in definition.attrib.items() if key.startswith(CAMUNDA)
        }
    inputs, outputs = _parameters(node, "inputParameter"), _parameters(node, "outputParameter")
    properties = {
        item.get("name", ""): item.get("value", "") for holder in extensions(node, "properties") for item in holder
    }
    return Element(
        id=node.get("id"),
        name=node.get("name"),
        type=_type(tag, event),
        kind=_kind(tag, event, attributes),
        event=event,
        interrupting=node.get("cancelActivity", node.get("isInterrupting", "true")) == "true",
        camunda=attributes,
        properties=properties,
        inputs=inputs,
        outputs=outputs,
        call=_call(node) if tag == "callActivity" else {},
    )


def _kind(tag: str, event: Event | None, attributes: Mapping[str, str]) -> str:
    if attributes.get("type") == "external":
        return "external"
    if tag in {"userTask", "callActivity"}:
        return {"userTask": "user", "callActivity": "call"}[tag]
    if event is None or tag == "startEvent":
        return ""
    return "throw" if tag in {"endEvent", "intermediateThrowEvent"} else event.kind


def _type(tag: str, event: Event | None) -> str:
    if not tag.endswith("Event"):
        return tag
    kind = event.kind if event else ""
    if tag == "startEvent":
        return f"{kind}StartEvent" if kind else tag
    if not kind:
        return NO_EVENT[tag]
    kind = kind.capitalize()
    forms = {"boundaryEvent": f"boundary{kind}", "intermediateCatchEvent": f"intermediate{kind}Catch"}
    return forms.get(tag) or (f"intermediate{kind}Throw" if tag != "endEvent" else f"{kind.lower()}EndEvent")


def _event(definition: Any, node: Any) -> Event | None:
    if definition is None:
        return None
    kind = local(definition).removesuffix("EventDefinition").removesuffix("Task")
    kind = "message" if kind == "receive" else kind
    if kind == "timer":
        time = next(child for child in definition if local(child).startswith("time"))
        return Event(kind, compiled((time.text or "").strip()), local(time))
    referred = None
    if (reference := definition.get(f"{kind}Ref")) is not None:
        referred = next(
            item for item in node.getroottree().getroot().findall(BPMN + kind) if item.get("id") == reference
        )
    word = {"error": "errorCode", "escalation": "escalationCode"}.get(kind, "name")
    name = referred.get(word) if referred is not None else None
    return Event(
        kind,
        compiled(name) if name else None,
        code_variable=camunda(definition, f"{kind}CodeVariable"),
        message_variable=camunda(definition, "errorMessageVariable"),
    )


def _parameters(node: Any, tag: str) -> list[tuple[str, Value]]:
    return [
        (item.get("name"), _value(item))
        for holder in extensions(node, "inputOutput")
        for item in holder
        if local(item) == tag
    ]


def _value(node: Any) -> Value:
    inside = next((child for child in node if isinstance(child.tag, str)), None)
    if inside is None:
        return compiled((node.text or "").strip())
    if local(inside) == "list":
        return [_value(item) for item in inside]
    return {item.get("key"): _value(item) for item in inside}


def _call(node: Any) -> dict[str, Any]:
    return {
        "element": compiled(node.get("calledElement")),
        "in": [dict(item.attrib) for item in extensions(node, "in")],
        "out": [dict(item.attrib) for item in extensions(node, "out")],
    }
