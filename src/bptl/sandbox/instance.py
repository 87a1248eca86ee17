"""One process instance: a SpiffWorkflow tree, its variables, and the rows of what it waits for.

The specifications of ``specs`` call enter, leave, opened, … while the tree moves; the engine calls fire, throw, finish.
Nothing is kept before ``save``; when a command fails, the engine forgets the instance and reads it again.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from SpiffWorkflow.bpmn.specs.control import BoundaryEventJoin
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from bptl.sandbox import specs, tree, waits
from bptl.sandbox.elements import Element, Value
from bptl.sandbox.errors import EngineError
from bptl.sandbox.expressions import ExpressionFailed, Template, compiled
from bptl.sandbox.parse import Process
from bptl.sandbox.roles import Steering
from bptl.sandbox.scopes import Scopes
from bptl.sandbox.specs import State
from bptl.sandbox.store import Row
from bptl.sandbox.timers import Timer
from bptl.sandbox.variables import Typed, of, python

MOST_ROUNDS = 500
"""How often one command passes one node: a loop without a wait state would never end."""
_COMPLETED: tuple[str, str | None] = ("COMPLETED", None)
_LIVING = State.WAITING | State.STARTED | State.READY


class Instance:
    """The instance of ``row`` (of the table instance) running ``process``."""

    def __init__(self, engine: Steering, row: Row, process: Process, scopes: Scopes, workflow: Any = None) -> None:
        self.engine, self.row, self.process, self.scopes, self.workflow = engine, row, process, scopes, workflow
        self.id: str = row["id"]
        self.changed = False
        self._open: set[str] = set()
        self._thrown: deque[tuple[Any, Element]] = deque()
        self._advancing = False
        self._end = _COMPLETED
        if row["treeJson"]:
            self.workflow = tree.load(row["treeJson"], spec=process.spec, inner=process.inner, host=self)
            self._open = self._living()

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.row["endTime"] is not None

    def task(self, task_id: str) -> Any:
        """The task of the tree with this id; None when it is gone."""
        key = UUID(task_id)
        return next((found.tasks[key] for found in tree.workflows(self.workflow) if key in found.tasks), None)

    def chain(self, task: Any) -> list[str]:
        """The scopes that ``task`` sees, its own first."""
        found = []
        while True:
            found.append(str(task.id))
            if task.parent is not None and isinstance(task.parent.task_spec, specs.Parallel | specs.Sequential):
                found.append(str(task.parent.id))
            if task.workflow.parent_task_id is None:
                return [*found, self.id]
            task = self.workflow.get_task_from_id(task.workflow.parent_task_id)

    # What the tree tells and asks.

    def enter(self, task: Any) -> None:
        """A task is reached and will wait, or a subprocess begins: its inputs, then the rows of its waiting."""
        element, task_id = task.task_spec.element, str(task.id)
        self._open.add(task_id)
        if not _is_possible_event(task):
            self._began(task_id, element)
        for name, value in element.inputs:
            self.scopes.set_local(task_id, {name: self.parameter(task, value)})
        if element.kind:
            waits.begin(self, task, task_id, element, element.kind)

    def leave(self, task: Any) -> None:
        """A task is done: its outputs, what it throws, the end of its rows and of its scope."""
        element, task_id = task.task_spec.element, str(task.id)
        if task_id not in self._open:
            self._began(task_id, element)
            for name, value in element.inputs:
                self.scopes.set_local(task_id, {name: self.parameter(task, value)})
        elif _is_possible_event(task):
            self._began(task_id, element)
        for name, value in () if task.internal_data.get("vanished") else element.outputs:
            self.scopes.set(self.chain(task)[1:], {name: self.parameter(task, value)})
        if element.kind == "throw" and element.event and element.event.kind == "signal":
            self.engine.signals.append((str(self.evaluated(task, element.event.name)), {}))
        elif element.kind == "throw":
            self._thrown.append((task, element))
        elif isinstance(task.parent and task.parent.task_spec, specs.EventGateway):
            for other in task.parent.children:
                if other is not task:
                    other.cancel()
        self._close(task_id)

    def opened(self, workflow: Any) -> None:
        """A scope has begun: its event subprocesses wait."""
        for spec in workflow.spec.event_subprocesses:
            key = f"{workflow.parent_task_id or self.id}:{spec.name}"
            self._open.add(key)
            element = spec.start_element
            waits.begin(self, workflow.task_tree, key, element, element.event.kind)

    def rearm(self, task: Any, again: Any) -> bool:
        """A boundary event that does not interrupt waits again; False when a timer has fired for the last time."""
        if task.task_spec.element.kind != "timer":
            again.task_spec._update(again)
            return True
        following = Timer(*task.internal_data["timer"]).following(self.engine.clock.now())
        if following is None:
            return False
        again.internal_data |= {"entered": True, "timer": [*following]}
        self._open.add(str(again.id))
        waits.put_timer(self, again, str(again.id), task.task_spec.element)
        return True

    def evaluate(self, task: Any, expression: str, external_context: Any = None) -> Any:
        """SpiffWorkflow asks for a condition (then with a context) or for a number of instances."""
        value = self.evaluated(task, compiled(expression.strip()))
        if external_context is not None and not isinstance(value, bool):
            raise EngineError(f"condition expression returns non-Boolean: {expression.strip()} is {value!r}")
        return int(value) if isinstance(value, str) and value.isdigit() else value

    def collection(self, task: Any, expression: str) -> list[Any]:
        """The elements of a multi-instance activity: an expression or the name of a variable."""
        template = compiled(expression if "{" in expression else f"${{{expression}}}")
        found = self.evaluated(task, template)
        if not isinstance(found, list):
            raise EngineError(f"the collection {expression} is no list")
        return found

    def multiple(self, body: Any) -> None:
        """A multi-instance activity begins: Camunda's counters."""
        spec, body_id = body.task_spec, str(body.id)
        body.internal_data["entered"] = True
        self._began(body_id, spec.element)
        whole = self.evaluate(body, spec.cardinality) if spec.cardinality else len(spec.data_input.get(body))
        if not isinstance(whole, int) or whole < 0:
            raise EngineError(f"{whole!r} is no number of instances")
        active = min(1, whole) if isinstance(spec, specs.Sequential) else whole
        counters = {"nrOfInstances": whole, "nrOfCompletedInstances": 0, "nrOfActiveInstances": active}
        self.scopes.set_local(body_id, {name: of(number) for name, number in counters.items()})

    def instance_opened(self, body: Any, child: Any, variable: str | None, item: Any) -> None:
        """One instance begins: its counter and its element."""
        number = sum(1 for other in body.children if other.task_spec is child.task_spec) - 1
        own = {"loopCounter": of(number), **({variable: _derived(item)} if variable else {})}
        self.scopes.set_local(str(child.id), own)

    def instance_closed(self, body: Any, child: Any) -> None:
        """One instance has ended."""
        chain = [str(body.id)]
        done = self.scopes.find(chain, "nrOfCompletedInstances")["value"] + 1
        active = self.scopes.find(chain, "nrOfActiveInstances")["value"]
        if not isinstance(body.task_spec, specs.Sequential):
            active -= 1
        self.scopes.set_local(chain[0], {"nrOfCompletedInstances": of(done), "nrOfActiveInstances": of(active)})

    # Values.

    def resolver(self, task: Any) -> Callable[[str], Any]:
        """Variables as expressions in ``task`` see them."""
        chain = self.chain(task)
        row = self.row
        facts = {"businessKey": row["businessKey"], "processBusinessKey": row["businessKey"], "id": chain[0]}
        facts |= {"processInstanceId": self.id, "processDefinitionId": row["definitionId"], "tenantId": row["tenantId"]}

        def resolve(name: str) -> Any:
            if name.startswith("execution."):
                return facts[name.removeprefix("execution.")]
            return python(self.scopes.find(chain, name))

        return resolve

    def evaluated(self, task: Any, template: Template | None) -> Any:
        """The value of a template in ``task``; None without one."""
        return template.value(self.resolver(task)) if template else None

    def parameter(self, task: Any, value: Value) -> Typed:
        """The typed value of a mapping: ``${variable}`` keeps its type."""
        if isinstance(value, Template) and value.possible_name:
            try:
                return self.scopes.find(self.chain(task), value.possible_name)
            except KeyError:
                return of(None)
        if isinstance(value, Template) and value.name:
            try:
                return self.scopes.find(self.chain(task), value.name)
            except KeyError:
                raise ExpressionFailed(f"Cannot resolve identifier '{value.name}'") from None
        return _derived(self.evaluated(task, value)) if isinstance(value, Template) else of(self._plain(task, value))

    def _plain(self, task: Any, value: Value) -> Any:
        if isinstance(value, Template):
            return self.evaluated(task, value)
        if isinstance(value, list):
            return [self._plain(task, item) for item in value]
        return {key: self._plain(task, item) for key, item in value.items()}

    # What happens to it.

    def begin(self, start_id: str, variables: Mapping[str, Typed]) -> None:
        """Start at the start event ``start_id``; the other start events are none of this instance's."""
        self.changed = True
        self.scopes.set_local(self.id, variables)
        self.workflow = BpmnWorkflow(self.process.spec, self.process.inner, script_engine=self)
        for child in self.workflow.task_tree.children:
            if child.task_spec.name != start_id:
                self.workflow._remove_task(child.id)
        self.opened(self.workflow)
        self.advance()

    def fire(self, key: str, variables: Mapping[str, Typed] | None = None) -> None:
        """What ``key`` waits for has happened: a task's id, or ``scope:event subprocess``. Continues the process."""
        self.changed = True
        scope, _, name = key.partition(":")
        if name:
            workflow = self.workflow if scope == self.id else self.workflow.subprocesses[UUID(scope)]
            self._trigger(workflow, workflow.spec.task_specs[name], variables or {})
        else:
            task = self.task(key)
            self.scopes.set(self.chain(task), variables or {})
            self._release(task)
        self.advance()

    def vanish(self, task: Any) -> None:
        """An error that nobody catches: the token ends here, as at an end event without a trigger."""
        workflow = task.workflow
        multiple = isinstance(task.parent.task_spec, specs.Parallel | specs.Sequential)
        for child in task.children:
            if not isinstance(child.task_spec, BoundaryEventJoin):
                workflow._remove_task(child.id)
        if not multiple:
            end = task._add_child(workflow.spec.end, State.FUTURE)
            end.task_spec._predict(end, mask=State.NOT_FINISHED_MASK)
        task.internal_data["vanished"] = True
        self.fire(str(task.id))

    def throw(self, task: Any, kind: str, code: str, message: str | None = None) -> Element | None:
        """Throw an error or escalation at ``task`` outwards through scopes and callers; what has caught it."""
        self.changed = True
        current = task
        while True:
            activity = (
                current.parent if isinstance(current.parent.task_spec, specs.Parallel | specs.Sequential) else current
            )
            split = activity.parent
            if isinstance(split.task_spec, specs.Split) and not isinstance(activity.task_spec, specs.Boundary):
                waiting = [
                    other
                    for other in split.children
                    if isinstance(other.task_spec, specs.Boundary) and other.state == State.WAITING
                ]
                if caught := _best(waiting, lambda other: other.task_spec.element, kind, code):
                    element: Element = caught.task_spec.element
                    self.fire(str(caught.id), _told(element, code, message))
                    return element
            workflow = current.workflow
            inside = isinstance(current.task_spec, specs.EventSubprocess)
            subscribed = () if inside or _interrupted(workflow) else workflow.spec.event_subprocesses
            if spec := _best(subscribed, lambda spec: spec.start_element, kind, code):
                self._trigger(workflow, spec, _told(spec.start_element, code, message))
                self.advance()
                return spec.start_element  # type: ignore[no-any-return]
            if workflow.parent_task_id is None:
                return self._throw_above(kind, code, message)
            current = self.workflow.get_task_from_id(workflow.parent_task_id)

    def finish(self, state: str, reason: str | None = None) -> None:
        """It ends: completed, or terminated from outside or inside, with everything that it has called."""
        self.row |= {"endTime": self.engine.clock.now(), "state": state, "deleteReason": reason}
        self.changed = True
        for key in [*self._open]:
            self._close(key, canceled=state != "COMPLETED")
        self.scopes.leave(self.id)
        self.engine.ended(self)

    def called_was_deleted(self, task_id: str, reason: str | None) -> None:
        """The instance that a call activity waits for was deleted: that path ends, and perhaps all of this one."""
        self._end = ("EXTERNALLY_TERMINATED", reason)
        self.vanish(self.task(task_id))
        self._end = _COMPLETED

    def advance(self) -> None:
        """Run until everything waits. Raises EngineError, ExpressionFailed or a SpiffWorkflow error."""
        if self._advancing:
            return
        self._advancing = True
        self.changed = True
        rounds: Counter[Any] = Counter()
        try:
            while not self.ended and (ready := self._ready()):
                for task in ready:
                    if task.state == State.READY and task.id in task.workflow.tasks and not self.ended:
                        self._count(rounds, task)
                        task.run()
                        self._settle()
        finally:
            self._advancing = False
        if self.ended:
            return
        for key in self._open - self._living():
            self._close(key, canceled=True)
            self.scopes.leave(key)
        if self.workflow.completed:
            self.finish(*self._end)

    def _count(self, rounds: Counter[Any], task: Any) -> None:
        """One more step. The instances of a multi-instance activity are no rounds."""
        key = task.workflow.parent_task_id, task.task_spec.name
        rounds[key] += not task.triggered
        if rounds[key] > MOST_ROUNDS:
            raise EngineError(f"{key[1]}: {MOST_ROUNDS} rounds without a wait state; the model goes in circles")

    def save(self) -> None:
        """Write what has changed."""
        self.scopes.save(self.engine.store)
        if self.changed:
            self.row["treeJson"] = None if self.ended else tree.dump(self.workflow)
            self.engine.store.put("instance", self.row)
            self.changed = False

    def _ready(self) -> Sequence[Any]:
        """The tasks to run in the innermost scope that has some."""
        for workflow in reversed([*tree.workflows(self.workflow)]):
            if found := [task for task in workflow.tasks.values() if task.state == State.READY]:
                return found
        return ()

    def _settle(self) -> None:
        """What the last step has thrown, and the subprocesses that it has ended."""
        while self._thrown and not self.ended:
            task, element = self._thrown.popleft()
            if element.event and element.code:
                self.throw(task, element.event.kind, element.code)
        if self.workflow.subprocesses:
            living = {found.parent_task_id for found in tree.workflows(self.workflow)}
            for task_id in self.workflow.subprocesses.keys() - living:
                del self.workflow.subprocesses[task_id]

    def _living(self) -> set[str]:
        found = set()
        for workflow in tree.workflows(self.workflow):
            tasks = workflow.tasks.values()
            found |= {str(task.id) for task in tasks if "entered" in task.internal_data and task.has_state(_LIVING)}
            if not _interrupted(workflow):
                scope = workflow.parent_task_id or self.id
                found |= {f"{scope}:{spec.name}" for spec in workflow.spec.event_subprocesses}
        return found

    def _release(self, task: Any) -> None:
        task.internal_data["fired"] = True
        task.task_spec._update(task)

    def _trigger(self, workflow: Any, spec: Any, variables: Mapping[str, Typed]) -> None:
        root = workflow.task_tree
        if spec.start_element.interrupting:
            root.internal_data["interrupted"] = True
            for child in root.children:
                child.cancel()
        child = root._add_child(spec, State.MAYBE)
        child.triggered = True
        child._set_state(State.FUTURE)
        spec._predict(child, mask=State.NOT_FINISHED_MASK)
        self.scopes.set_local(str(child.id), variables)
        spec._update(child)

    def _throw_above(self, kind: str, code: str, message: str | None) -> Element | None:
        caller = self.engine.caller(self)
        if caller is None:
            return None
        caught: Element | None = caller.throw(caller.task(self.row["superTaskId"]), kind, code, message)
        if caught and caught.interrupting and not self.ended:
            self.finish("INTERNALLY_TERMINATED")
        return caught

    def _began(self, task_id: str, element: Element) -> None:
        self._open.add(task_id)
        row: Row = {"id": f"{element.id}:{task_id}", "instanceId": self.id, "activityId": element.id, "taskId": task_id}
        row |= {"activityName": element.name, "activityType": element.type, "startTime": self.engine.clock.now()}
        self.engine.store.put("activity", row)

    def _close(self, key: str, *, canceled: bool = False) -> None:
        self._open.discard(key)
        waits.end(self, key, canceled=canceled)
        statement = "UPDATE activity SET endTime = ?, canceled = ? WHERE instanceId = ? AND taskId = ?"
        self.engine.store.run(statement, [self.engine.clock.now(), int(canceled), self.id, key])
        if not canceled:
            self.scopes.leave(key)


def _is_possible_event(task: Any) -> bool:
    """At a boundary or behind an event-based gateway: history knows it only once it has happened."""
    after_gateway = isinstance(task.parent and task.parent.task_spec, specs.EventGateway)
    return after_gateway or isinstance(task.task_spec, specs.Boundary)


def _interrupted(workflow: Any) -> bool:
    """Whether an event subprocess has ended everything else in this scope."""
    return bool(workflow.task_tree.internal_data.get("interrupted"))


def _derived(value: Any) -> Typed:
    """The result of an expression: parts of JSON stay JSON."""
    if isinstance(value, list | dict):
        return {"type": "Json", "value": json.dumps(value), "valueInfo": {}}
    return of(value)


def _best(candidates: Any, element: Callable[[Any], Element], kind: str, code: str) -> Any:
    """The candidate that catches: one for this code before one for every code."""
    found = [candidate for candidate in candidates if element(candidate).catches(kind, code)]
    return min(found, key=lambda candidate: element(candidate).code is None, default=None)


def _told(element: Element, code: str, message: str | None) -> dict[str, Typed]:
    """The variables into which a catching event puts code and message."""
    event = element.event
    wanted = {event.code_variable: code, event.message_variable: message} if event else {}
    return {name: of(value) for name, value in wanted.items() if name}


def new_id() -> str:
    """A new id."""
    return str(uuid4())
