"""SpiffWorkflow's task specifications, as steps that tell the instance what happens and ask for values.

The workflow's script engine is our ``Instance``: every task reaches it as ``task.workflow.script_engine``. Variables
are kept there, per scope, as in Camunda; the data that SpiffWorkflow would pass along with the token stays empty.
"""

from __future__ import annotations

from typing import Any

from SpiffWorkflow.bpmn.specs.control import BoundaryEventSplit
from SpiffWorkflow.bpmn.specs.event_definitions.simple import NoneEventDefinition, TerminateEventDefinition
from SpiffWorkflow.bpmn.specs.mixins import (
    BoundaryEventMixin,
    BpmnSpecMixin,
    EndEventMixin,
    ExclusiveGatewayMixin,
    InclusiveGatewayMixin,
    ParallelGatewayMixin,
    ParallelMultiInstanceTaskMixin,
    SequentialMultiInstanceTaskMixin,
    SubWorkflowTaskMixin,
)
from SpiffWorkflow.bpmn.specs.mixins.multiinstance_task import MultiInstanceTask
from SpiffWorkflow.util.task import TaskState

from bptl.sandbox.elements import Element

Split = BoundaryEventSplit
State = TaskState


class Observed:
    """Tells the instance when it is done; ``element`` is what the model says about it. To be put before the others."""

    element: Element

    def _run_hook(self, task: Any) -> Any:
        task.workflow.script_engine.leave(task)
        return super()._run_hook(task)  # type: ignore[misc]


class Waiting(Observed):
    """Reached, it waits until the instance fires it."""

    def _update_hook(self, task: Any) -> bool:
        if task.internal_data.get("fired"):
            return True
        if "entered" not in task.internal_data:
            task.internal_data["entered"] = True
            task._set_state(TaskState.WAITING)
            task.workflow.script_engine.enter(task)
        return False


class Step(Observed, BpmnSpecMixin):
    """Done as soon as it is reached."""


class Wait(Waiting, BpmnSpecMixin):
    """A task or event that waits."""


class Boundary(Waiting, BoundaryEventMixin, BpmnSpecMixin):
    """A boundary event; an interrupting one ends its activity through SpiffWorkflow's join."""

    def __init__(self, wf_spec: Any, bpmn_id: str, **options: Any) -> None:
        super().__init__(wf_spec, bpmn_id, event_definition=NoneEventDefinition(), **options)

    def _run_hook(self, task: Any) -> bool:
        task.workflow.script_engine.leave(task)
        if not self.cancel_activity and self.element.kind != "error":
            self.rearm(task)
        return True

    def rearm(self, task: Any) -> None:
        """What does not interrupt its activity may happen again."""
        again = task.parent._add_child(self, TaskState.MAYBE)
        again.triggered = True
        again._set_state(TaskState.WAITING)
        self._predict(again, mask=TaskState.NOT_FINISHED_MASK)
        if not task.workflow.script_engine.rearm(task, again):
            again.cancel()


class Terminate(Observed, EndEventMixin, BpmnSpecMixin):
    """Ends its scope at once."""

    def __init__(self, wf_spec: Any, bpmn_id: str, **options: Any) -> None:
        super().__init__(wf_spec, bpmn_id, event_definition=TerminateEventDefinition(), **options)

    def _run_hook(self, task: Any) -> bool:
        task.workflow.script_engine.leave(task)
        return True


class Exclusive(Observed, ExclusiveGatewayMixin, BpmnSpecMixin):
    """One way on."""


class Inclusive(Observed, InclusiveGatewayMixin, BpmnSpecMixin):
    """Every way whose condition is true."""


class ParallelGateway(Observed, ParallelGatewayMixin, BpmnSpecMixin):
    """All ways; waits for all that come."""


class EventGateway(Observed, BpmnSpecMixin):
    """All its events wait; the first that happens cancels the others (the instance sees to it)."""


class Subprocess(Observed, SubWorkflowTaskMixin, BpmnSpecMixin):
    """An embedded subprocess: a scope of its own."""

    def _update_hook(self, task: Any) -> Any:
        if "entered" in task.internal_data:
            return super()._update_hook(task)
        task.internal_data["entered"] = True
        task.workflow.script_engine.enter(task)
        ready = super()._update_hook(task)
        task.workflow.script_engine.opened(task.workflow.top_workflow.subprocesses[task.id])
        return ready


class EventSubprocess(Subprocess):
    """A subprocess that the instance adds when ``start_element`` happens."""

    start_element: Element


class Collection:
    """What a multi-instance activity runs over, and the variable for its element."""

    def __init__(self, expression: str, element_variable: str | None) -> None:
        self.expression, self.element_variable = expression, element_variable

    def get(self, task: Any) -> list[Any]:
        """The elements."""
        elements: list[Any] = task.workflow.script_engine.collection(task, self.expression)
        return elements

    def exists(self, _task: Any) -> bool:
        """``get`` says it better when there is none."""
        return True


class _Multiple(Observed, MultiInstanceTask):
    """What sequential and parallel instances share: each is a scope with Camunda's counters."""

    def _update_hook(self, task: Any) -> Any:
        task.workflow.script_engine.multiple(task)
        return super()._update_hook(task)

    def create_child(self, task: Any, item: Any, key_or_index: Any = None) -> None:
        spec = task.workflow.spec.task_specs[self.task_spec]
        child = task._add_child(spec, TaskState.WAITING)
        child.triggered = True
        child.internal_data["key_or_index"] = key_or_index
        variable = self.data_input.element_variable if self.data_input else None
        task.workflow.script_engine.instance_opened(task, child, variable, item)
        spec._update(child)

    def merge_child(self, workflow: Any, child: Any) -> None:
        workflow.script_engine.instance_closed(child.parent, child)
        super().merge_child(workflow, child)


class Parallel(_Multiple, ParallelMultiInstanceTaskMixin, BpmnSpecMixin):
    """All instances at once."""


class Sequential(_Multiple, SequentialMultiInstanceTaskMixin, BpmnSpecMixin):
    """One instance after the other."""
