"""What the sandbox refuses at deployment, with the element's id and the reason, instead of running it wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from bptl.sandbox.elements import BPMN, CAMUNDA, TASKS, camunda, event_of, extensions, local
from bptl.sandbox.expressions import ExpressionRefused, compiled
from bptl.sandbox.timers import check

DIVERGING = {"exclusiveGateway", "inclusiveGateway", "parallelGateway", "eventBasedGateway"}
CONDITIONAL = {"exclusiveGateway", "inclusiveGateway"}
RUN = (
    DIVERGING | TASKS | {"startEvent", "endEvent", "boundaryEvent", "intermediateCatchEvent", "intermediateThrowEvent"}
)
RUN |= {"task", "manualTask", "userTask", "receiveTask", "subProcess", "callActivity"}
SILENT = {
    "documentation",
    "extensionElements",
    "incoming",
    "outgoing",
    "textAnnotation",
    "association",
    "group",
    "laneSet",
}
SILENT |= {"dataObject", "dataObjectReference", "dataStoreReference", "property", "ioSpecification", "sequenceFlow"}
SILENT |= {"multiInstanceLoopCharacteristics", "standardLoopCharacteristics", "dataInputAssociation"}
SILENT |= {"dataOutputAssociation", "auditing", "monitoring"}

EVENTS: Mapping[str, set[str]] = {
    "startEvent": {"", "message", "signal", "timer"},
    "endEvent": {"", "message", "signal", "error", "escalation", "terminate"},
    "boundaryEvent": {"message", "signal", "timer", "error", "escalation"},
    "intermediateCatchEvent": {"message", "signal", "timer"},
    "intermediateThrowEvent": {"", "message", "signal", "escalation"},
}
EVENT_SUBPROCESS = {"message", "signal", "timer", "error", "escalation"}

ATTRIBUTES = {
    "type",
    "topic",
    "taskPriority",
    "asyncBefore",
    "asyncAfter",
    "exclusive",
    "jobPriority",
    "historyTimeToLive",
}
ATTRIBUTES |= {"versionTag", "isStartableInTasklist", "candidateStarterGroups", "candidateStarterUsers", "assignee"}
ATTRIBUTES |= {"candidateUsers", "candidateGroups", "dueDate", "followUpDate", "priority", "formKey", "formRef"}
ATTRIBUTES |= {"formRefBinding", "formRefVersion", "collection", "elementVariable", "errorCodeVariable"}
ATTRIBUTES |= {"errorMessageVariable", "escalationCodeVariable", "calledElementBinding", "calledElementVersion"}
ATTRIBUTES |= {"errorMessage", "diagramRelationId", "modelerTemplate", "modelerTemplateVersion", "modelerTemplateIcon"}
ELEMENTS = {"properties", "inputOutput", "in", "out", "formData", "failedJobRetryTimeCycle"}
NEVER = "${false}"
"""The one condition of an error that is known: it only declares the error, as element templates do."""
EVALUATED = {"topic", "taskPriority", "assignee", "candidateUsers", "candidateGroups", "dueDate", "followUpDate"}
EVALUATED |= {"priority", "collection", "calledElementVersion"}

JAVA = 'it runs Java, which is not here; use camunda:type="external"'
REASONS = {
    "scriptTask": "the sandbox runs no scripts",
    "script": "the sandbox runs no scripts",
    "complexGateway": "the sandbox does not run complex gateways",
    "adHocSubProcess": "the sandbox does not run ad-hoc subprocesses",
    "transaction": "the sandbox knows no transactions and no compensation",
    "compensate": "the sandbox does not compensate",
    "cancel": "the sandbox knows no transactions and no compensation",
    "link": "the sandbox does not follow links",
    "conditional": "the sandbox does not watch conditions",
    "executionListener": "the sandbox runs no listeners",
    "taskListener": "the sandbox runs no listeners",
    "connector": "the sandbox runs no connectors",
    "class": JAVA,
    "delegateExpression": JAVA,
    "expression": JAVA,
    "decisionRef": "the sandbox evaluates no decisions (DMN)",
}


class Problem(NamedTuple):
    """One refusal: the element, the reason, and the line of the file."""

    element: str
    reason: str
    line: int


def problems(root: Any) -> list[Problem]:
    """Everything in the document ``root`` that the sandbox does not execute as Camunda would."""
    found = []
    for process in root.findall(f"{BPMN}process"):
        for node, reason in _scope(process):
            identified = node if node.get("id") else next((up for up in node.iterancestors() if up.get("id")), node)
            found.append(Problem(identified.get("id") or local(node), reason, node.sourceline or 0))
    return found


_Found = Iterator[tuple[Any, str]]


def _scope(scope: Any) -> _Found:
    """The problems of a process or subprocess and of all in it."""
    yield from _attributes(scope)
    yield from _starts(scope)
    flows = scope.findall(f"{BPMN}sequenceFlow")
    for flow in flows:
        if not flow.get("id"):
            yield flow, "a sequence flow without id"
    for node in scope.iterchildren(f"{BPMN}*"):
        tag = local(node)
        if tag in RUN:
            yield from _node(node, [flow for flow in flows if flow.get("sourceRef") == node.get("id")])
        elif tag not in SILENT and not (scope.getparent() is not None and tag.endswith("EventDefinition")):
            yield node, REASONS.get(tag, f"the sandbox does not run <{tag}>")
        if tag == "subProcess":
            yield from _scope(node)


def _node(node: Any, outgoing: list[Any]) -> _Found:
    if local(node) != "subProcess":
        yield from _attributes(node)
    for rule in _RULES:
        yield from rule(node, outgoing)


def _starts(scope: Any) -> _Found:
    starts = scope.findall(f"{BPMN}startEvent")
    plain = [start for start in starts if event_of(start) is None]
    by_event = scope.get("triggeredByEvent") == "true"
    if not starts:
        yield scope, "there is no start event"
    elif len(plain) > 1:
        yield plain[1], "more than one start event without a trigger"
    elif local(scope) == "subProcess" and (len(starts) > 1 or bool(plain) == by_event):
        yield scope, "a subprocess needs exactly one start event; only that of an event subprocess has a trigger"


def _attributes(node: Any) -> _Found:
    """Camunda's attributes and extension elements of a node: only what is known and can be done."""
    for owner in (
        node,
        *(child for child in node if local(child) == "multiInstanceLoopCharacteristics"),
        event_of(node),
    ):
        for key, text in owner.attrib.items() if owner is not None else ():
            word = key.rpartition("}")[2]
            if not key.startswith(CAMUNDA):
                continue
            if word not in ATTRIBUTES:
                yield node, REASONS.get(word, f"the sandbox does not know camunda:{word}")
            elif word in EVALUATED:
                yield from _expression(node, text)
    for holder in node.findall(f"{BPMN}extensionElements"):
        for item in holder.iterdescendants():
            if isinstance(item.tag, str) and item.tag.startswith(CAMUNDA):
                word = local(item)
                if word == "errorEventDefinition" and item.get("expression") == NEVER:
                    continue
                if word in REASONS or (item.getparent() is holder and word not in ELEMENTS):
                    yield node, REASONS.get(word, f"the sandbox does not know <camunda:{word}>")
                elif word in {"inputParameter", "outputParameter", "value", "entry"}:
                    yield from _expression(node, item.text or "")


def _expression(node: Any, text: str) -> _Found:
    try:
        compiled(text.strip())
    except ExpressionRefused as error:
        yield node, str(error)


def _flows(node: Any, outgoing: list[Any]) -> _Found:
    tag, default = local(node), node.get("default")
    if len(outgoing) > 1 and tag not in DIVERGING:
        yield node, "more than one outgoing flow (implicit fork): use a parallel gateway"
    for flow in outgoing:
        condition = flow.find(f"{BPMN}conditionExpression")
        if condition is not None and tag not in DIVERGING:
            yield flow, "a condition on a flow that leaves no gateway: use an exclusive gateway"
        elif condition is not None and tag in CONDITIONAL:
            if condition.get("language") or camunda(condition, "resource"):
                yield flow, REASONS["script"]
            yield from _expression(flow, condition.text or "")
        elif tag in CONDITIONAL and len(outgoing) > 1 and flow.get("id") != default:
            yield flow, "a flow of a gateway that has no condition and is not the default"
    if tag == "eventBasedGateway":
        targets = {flow.get("targetRef") for flow in outgoing}
        for other in node.getparent():
            if other.get("id") in targets and local(other) not in {"intermediateCatchEvent", "receiveTask"}:
                yield other, "after an event-based gateway only catching events and receive tasks are possible"
        if node.get("eventGatewayType", "Exclusive") != "Exclusive" or node.get("instantiate") == "true":
            yield node, "the sandbox runs only exclusive event-based gateways"


def _work(node: Any, _outgoing: list[Any]) -> _Found:
    tag, definition = local(node), event_of(node)
    sends = (
        definition is not None
        and local(definition) == "messageEventDefinition"
        and tag in {"endEvent", "intermediateThrowEvent"}
    )
    owner = definition if sends else node
    if tag in TASKS or sends:
        kind = camunda(owner, "type")
        if kind != "external" and not any(
            camunda(owner, word) for word in ("class", "delegateExpression", "expression", "decisionRef")
        ):
            yield node, f'it must be an external task (camunda:type="external"), not {kind or "without implementation"}'
        elif kind == "external" and not camunda(owner, "topic"):
            yield node, "an external task needs a camunda:topic"
    if node.get("isForCompensation") == "true":
        yield node, REASONS["compensate"]
    if node.find(f"{BPMN}standardLoopCharacteristics") is not None:
        yield node, "Camunda ignores loops; use a multi-instance activity"
    for loop in node.findall(f"{BPMN}multiInstanceLoopCharacteristics"):
        cardinality = loop.find(f"{BPMN}loopCardinality")
        if (cardinality is None) == (camunda(loop, "collection") is None):
            yield node, "multi-instance needs one of loopCardinality and camunda:collection"
        for expression in (cardinality, loop.find(f"{BPMN}completionCondition")):
            if expression is not None:
                yield from _expression(node, expression.text or "")
        if tag == "boundaryEvent" or tag in DIVERGING:
            yield node, "only activities can be multi-instance"


def _event(node: Any, _outgoing: list[Any]) -> _Found:
    tag = local(node)
    if not tag.endswith("Event"):
        return
    definitions = [child for child in node if local(child).endswith("EventDefinition")]
    kind = local(definitions[0]).removesuffix("EventDefinition") if definitions else ""
    inside = node.getparent().get("triggeredByEvent") == "true" and tag == "startEvent"
    if len(definitions) > 1:
        yield node, "an event with more than one definition"
    elif kind not in (EVENT_SUBPROCESS if inside else EVENTS[tag]):
        yield node, REASONS.get(kind, f"the sandbox does not run a {tag} of kind {kind or 'none'}")
    elif kind == "timer":
        times = [child for child in definitions[0] if local(child).startswith("time")]
        reason = check(local(times[0]), (times[0].text or "").strip()) if times else "a timer without a time"
        if reason:
            yield node, reason
    elif kind in {"message", "signal", "error", "escalation"}:
        yield from _reference(node, definitions[0], kind)


def _reference(node: Any, owner: Any, kind: str) -> _Found:
    reference, root = owner.get(f"{kind}Ref"), node.getroottree().getroot()
    wanted = next((item for item in root.findall(BPMN + kind) if item.get("id") == reference), None)
    thrown = local(node) in {"endEvent", "intermediateThrowEvent"}
    if wanted is None and (reference or kind == "signal" or (kind == "message" and not thrown)):
        yield node, f"it refers to no {kind} of this file"
    elif thrown and kind in {"error", "escalation"} and (wanted is None or not wanted.get(f"{kind}Code")):
        yield node, f"the {kind} that it throws has no code"
    elif wanted is not None and kind in {"message", "signal"}:
        if not wanted.get("name"):
            yield node, f"the {kind} has no name"
        yield from _expression(node, wanted.get("name", ""))


def _call(node: Any, _outgoing: list[Any]) -> _Found:
    tag = local(node)
    if tag == "receiveTask":
        yield from _reference(node, node, "message")
    if tag != "callActivity":
        return
    if not node.get("calledElement"):
        yield node, "a call activity needs a calledElement"
    yield from _expression(node, node.get("calledElement", ""))
    if camunda(node, "calledElementBinding") not in {None, "latest", "version", "deployment"}:
        yield node, "the sandbox binds called elements by latest, version or deployment"
    for item in (*extensions(node, "in"), *extensions(node, "out")):
        if item.get("local") == "true":
            yield node, "the sandbox does not map local variables only"
        for word in ("sourceExpression", "businessKey"):
            yield from _expression(node, item.get(word, ""))


_RULES: tuple[Callable[[Any, list[Any]], _Found], ...] = (_flows, _work, _event, _call)
