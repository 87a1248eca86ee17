"""SpiffWorkflow's task trees as JSON and back: what of an instance survives a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.task import Task

from bptl.sandbox.specs import State


def workflows(top: Any) -> Iterator[Any]:
    """The workflow ``top`` and its living subprocesses, outer ones first."""
    yield top
    waiting = [top]
    while waiting and top.subprocesses:
        workflow = waiting.pop()
        for task_id in set(workflow.tasks) & set(top.subprocesses):
            if not workflow.tasks[task_id].has_state(State.FINISHED_MASK):
                waiting.append(top.subprocesses[task_id])
                yield waiting[-1]


def dump(top: Any) -> str:
    """The state of all living workflows as JSON."""
    return json.dumps([_dumped(workflow) for workflow in workflows(top)], separators=(",", ":"))


def load(text: str, *, spec: Any, inner: Mapping[str, Any], host: Any) -> Any:
    """The reverse of ``dump``; ``host`` is the script engine of our specifications."""
    top, *others = json.loads(text)
    workflow = BpmnWorkflow(spec, inner, script_engine=host, deserializing=True)
    _restore(workflow, top)
    for data in others:
        task = workflow.get_task_from_id(UUID(data["parent"]))
        subprocess = BpmnSubWorkflow(inner[task.task_spec.spec], task.id, workflow, deserializing=True)
        workflow.subprocesses[task.id] = subprocess
        subprocess.completed_event.connect(task.task_spec._on_subworkflow_completed, task)
        _restore(subprocess, data)
    return workflow


def _dumped(workflow: Any) -> dict[str, Any]:
    return {
        "parent": str(workflow.parent_task_id) if workflow.parent_task_id else None,
        "completed": workflow.completed,
        "root": str(workflow.task_tree.id),
        "last": str(workflow.last_task.id) if workflow.last_task else None,
        "tasks": [
            [
                str(task.id),
                str(task._parent) if task._parent else None,
                [str(child) for child in task._children],
                task.task_spec.name,
                task.state,
                task.triggered,
                task.thread_id,
                task.internal_data,
            ]
            for task in workflow.tasks.values()
        ],
    }


def _restore(workflow: Any, data: Mapping[str, Any]) -> None:
    for task_id, parent, children, spec, state, triggered, thread, internal in data["tasks"]:
        task = Task(workflow, workflow.spec.task_specs[spec], state=state, id=UUID(task_id))
        task._parent = UUID(parent) if parent else None
        task._children = [UUID(child) for child in children]
        task.triggered, task.thread_id, task.internal_data = triggered, thread, internal
    workflow.task_tree = workflow.tasks[UUID(data["root"])]
    workflow.last_task = workflow.tasks.get(UUID(data["last"])) if data["last"] else None
    workflow.completed = data["completed"]
