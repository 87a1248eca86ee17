"""BPMN XML → SpiffWorkflow specifications, with what ``elements`` reads attached to every node."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lxml import etree
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser, BpmnValidator
from SpiffWorkflow.bpmn.parser.ProcessParser import ProcessParser
from SpiffWorkflow.bpmn.parser.task_parsers import ConditionalGatewayParser
from SpiffWorkflow.bpmn.parser.TaskParser import TaskParser
from SpiffWorkflow.bpmn.parser.ValidationException import ValidationException

from bptl.sandbox import specs
from bptl.sandbox.elements import BPMN, Element, camunda, read
from bptl.sandbox.errors import ModelRefused
from bptl.sandbox.refuse import Problem, problems


@dataclass(frozen=True)
class Process:
    """One executable process of a file."""

    id: str
    name: str | None
    version_tag: str | None
    spec: Any
    inner: Mapping[str, Any]
    starts: Sequence[Element]


def document(content: bytes, *, resource: str) -> Any:
    """The XML document of a BPMN file, checked against BPMN's schema and for what the sandbox refuses.

    Raises ModelRefused, which names every element and reason.
    """
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
        root = etree.fromstring(content, parser)
        if root.tag != f"{BPMN}definitions":
            raise ValidationException("the document is no BPMN 2.0 <definitions>")
        _validator().validate(copy.deepcopy(root))
    except (etree.XMLSyntaxError, ValidationException) as error:
        line = getattr(error, "line_number", None) or getattr(error, "lineno", None) or 0
        raise _refusal(resource, [Problem("", str(error), line)]) from error
    if found := problems(root):
        raise _refusal(resource, found)
    return root


def processes(content: bytes, *, resource: str) -> list[Process]:
    """The executable processes of a BPMN file, ready to run. Raises ModelRefused."""
    root = document(content, resource=resource)
    parser = _Parser()
    try:
        parser.add_bpmn_xml(root, filename=resource)
        return [
            Process(
                id=node.get("id"),
                name=node.get("name"),
                version_tag=camunda(node, "versionTag"),
                spec=parser.get_spec(node.get("id")),
                inner=parser.get_subprocess_specs(node.get("id")),
                starts=[read(start) for start in node.findall(f"{BPMN}startEvent")],
            )
            for node in root.findall(f"{BPMN}process")
            if node.get("isExecutable") == "true"
        ]
    except ValidationException as error:
        # What the library cannot read although nothing above refused it.
        raise _refusal(resource, [Problem(error.id or "", str(error), error.line_number or 0)]) from error


def _refusal(resource: str, found: Sequence[Problem]) -> ModelRefused:
    lines = "; ".join(
        f"{problem.element}: {problem.reason}" if problem.element else problem.reason for problem in found
    )
    errors = [
        {
            "message": problem.reason,
            "line": problem.line,
            "column": 0,
            "mainElementId": problem.element or None,
            "elementIds": [problem.element] if problem.element else [],
        }
        for problem in found
    ]
    return ModelRefused(
        f"ENGINE-09005 Could not parse BPMN process of {resource}. Errors: {lines}",
        details={resource: {"errors": errors, "warnings": []}},
    )


@cache
def _validator() -> Any:
    return BpmnValidator()


class _NodeParser(TaskParser):
    """A node with its element; flows keep the order of the file, in which Camunda evaluates conditions."""

    task: Any

    def get_position(self, _node: Any) -> dict[str, float]:
        return {"x": 0.0, "y": 0.0}

    def parse_extensions(self, _node: Any = None) -> dict[str, Any]:
        return {}

    def create_task(self) -> Any:
        spec = self.spec_class(self.spec, self.bpmn_id, bpmn_name=self.node.get("name"))
        spec.element = read(self.node)
        return spec

    def parse_node(self) -> Any:
        parsed = super().parse_node()
        if not self.process_parser.get_outgoing_sequence_flows(self.bpmn_id):
            self.task.connect(self.spec.end)  # An activity without a way on is an end of its branch.
        return parsed

    def handles_multiple_outgoing(self) -> bool:
        return True  # ``refuse`` has looked.

    def _add_multiinstance_task(self, loop: Any) -> None:
        inner = self.task
        kind = specs.Sequential if loop.get("isSequential") == "true" else specs.Parallel
        self.spec.task_specs.pop(inner.name)
        self.task = kind(self.spec, inner.name, task_spec="", **_loop(loop))
        self.task.element = Element(inner.name, inner.element.name, "multiInstanceBody", "")
        self._copy_task_attrs(inner, loop)
        inner.completed_event.connect(self.task.merge_child)


def _loop(loop: Any) -> dict[str, Any]:
    cardinality, condition = loop.find(f"{BPMN}loopCardinality"), loop.find(f"{BPMN}completionCondition")
    collection = camunda(loop, "collection")
    return {
        "cardinality": None if cardinality is None else cardinality.text.strip(),
        "condition": None if condition is None else condition.text.strip(),
        "data_input": None if collection is None else specs.Collection(collection, camunda(loop, "elementVariable")),
    }


class _BoundaryParser(_NodeParser):
    def create_task(self) -> Any:
        element = read(self.node)
        spec = specs.Boundary(self.spec, self.bpmn_id, cancel_activity=element.interrupting)
        spec.element = element
        return spec


class _StartParser(_NodeParser):
    def create_task(self) -> Any:
        spec = super().create_task()
        self.spec.start.connect(spec)
        return spec


class _EndParser(_NodeParser):
    def create_task(self) -> Any:
        event = read(self.node).event
        self.spec_class = specs.Terminate if event and event.kind == "terminate" else specs.Step
        return _external_or(self, super().create_task)


def _external_or(parser: _NodeParser, create: Any) -> Any:
    if read(parser.node).kind == "external":
        parser.spec_class = specs.Wait
    return create()


class _ThrowParser(_NodeParser):
    def create_task(self) -> Any:
        return _external_or(self, super().create_task)


class _GatewayParser(_NodeParser, ConditionalGatewayParser):
    pass


class _SubprocessParser(_NodeParser):
    def create_task(self) -> Any:
        parser = self.process_parser.parser
        parser.create_parser(self.node, filename=self.filename, lane=self.lane)
        parser.process_parsers[self.bpmn_id].parent = self.process_parser
        by_event = self.node.get("triggeredByEvent") == "true"
        kind = specs.EventSubprocess if by_event else specs.Subprocess
        spec = kind(self.spec, self.bpmn_id, subworkflow_spec=self.bpmn_id, bpmn_name=self.node.get("name"))
        spec.element = read(self.node)
        if by_event:
            spec.start_element = read(self.node.find(f"{BPMN}startEvent"))
        return spec


class _ProcessParser(ProcessParser):
    def add_tasks(self) -> None:
        """Start events as they are; event subprocesses stand aside until their event comes."""
        self.spec.event_subprocesses = []
        for node in self.xpath("./bpmn:startEvent"):
            self.parse_node(node)
        for node in self.xpath("./bpmn:subProcess[@triggeredByEvent='true']"):
            spec = self.parse_node(node)
            spec.inputs = [self.spec.start]
            self.spec.event_subprocesses.append(spec)

    def create_spec(self) -> Any:
        self.process_executable = True
        return super().create_spec()


def _classes() -> dict[str, tuple[Any, Any]]:
    waiting = {"userTask", "serviceTask", "sendTask", "businessRuleTask", "receiveTask", "callActivity"}
    found = dict.fromkeys((*waiting, "intermediateCatchEvent"), (_NodeParser, specs.Wait))
    found |= dict.fromkeys(("task", "manualTask"), (_NodeParser, specs.Step))
    found |= {
        "startEvent": (_StartParser, specs.Step),
        "endEvent": (_EndParser, specs.Step),
        "intermediateThrowEvent": (_ThrowParser, specs.Step),
        "boundaryEvent": (_BoundaryParser, specs.Boundary),
        "subProcess": (_SubprocessParser, specs.Subprocess),
        "exclusiveGateway": (_GatewayParser, specs.Exclusive),
        "inclusiveGateway": (_GatewayParser, specs.Inclusive),
        "parallelGateway": (_NodeParser, specs.ParallelGateway),
        "eventBasedGateway": (_NodeParser, specs.EventGateway),
    }
    return {BPMN + tag: classes for tag, classes in found.items()}


class _Parser(BpmnParser):
    PARSER_CLASSES = _classes()
    PROCESS_PARSER_CLASS = _ProcessParser
