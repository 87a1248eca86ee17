"""A task in words: as a row of a list, as JSON, and as a page that begins with what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from bptl.tasks.actions import possible
from bptl.tasks.callbacks import masked
from bptl.tasks.lifecycle import REMOVED, Status
from bptl.tasks.models import Callback, Completion, Effect, Event, Lease, ServiceCall, Task
from bptl.tasks.queries import Amount, TaskStory

HEADING = ("task", "status", "outcome", "topic", "engine", "business key", "process instance", "leases", "changed at")

COMMANDS = {
    "retry": "bptl tasks retry {id} --reason …            the engine offers it once more",
    "deliver_again": "bptl tasks deliver-again {id} --reason …    its stored result is reported again",
    "complete": "bptl tasks complete {id} --reason … --var NAME=JSON    a person has done its work",
    "answer": "bptl tasks answer {id} --reason … --var NAME=JSON      you answer in the place of the outside",
    "fail": "bptl tasks fail {id} --reason …             nobody will answer: it fails now, without retries",
    "give_up": "bptl tasks give-up {id} --reason …          it stays the incident that it is",
    "hand_back": "bptl tasks hand-back {id} --reason …        our lease ends, the engine offers it again",
}

SETTLE = (
    "bptl tasks settle {id} --happened --result JSON --reason …    {key} happened: it is not repeated",
    "bptl tasks settle {id} --did-not-happen --reason …            {key} did not: it is done again",
)


def row(task: Task) -> tuple[str, ...]:
    """The cells under HEADING."""
    return (
        str(task.pk),
        task.status + (", parked" if task.parked else ""),
        task.outcome or "-",
        task.topic,
        task.engine_name,
        task.business_key or "-",
        task.process_instance_id or "-",
        str(task.attempts),
        _time(task.changed_at),
    )


def amount(found: Amount) -> str:
    """A number of tasks, or that it is an estimate."""
    return f"about {found.rounded}" if found.about else str(found.number)


def facts(task: Task) -> dict[str, Any]:
    """What a list says of one task, for machines."""
    return {
        "id": task.pk,
        "status": task.status,
        "outcome": task.outcome,
        "engine": task.engine_name,
        "topic": task.topic,
        "external_id": task.external_id,
        "process_instance_id": task.process_instance_id,
        "process_definition_key": task.process_definition_key,
        "activity_id": task.activity_id,
        "business_key": task.business_key,
        "tenant_id": task.tenant_id,
        "attempts": task.attempts,
        "parked": task.parked,
        "assumed": task.assumed,
        "by_hand": task.by_hand,
        "emptied_at": task.emptied_at if task.emptied else None,
        "recorded_at": task.recorded_at,
        "changed_at": task.changed_at,
    }


def whole(story: TaskStory) -> dict[str, Any]:
    """Everything about one task, for machines."""
    task = story.task
    return {
        **facts(task),
        "error": _error(story),
        "unit": task.mapping.unit if task.mapping else "",
        "variables": task.variables,
        "result": task.result,
        "report": {"tries": task.report_tries, "refusals": task.report_refusals, "last_refusal": task.report_error},
        "leases": [
            {
                "id": lease.id,
                "number": lease.number,
                "worker_id": lease.worker_id,
                "recorded_at": lease.recorded_at,
                "claimed_at": lease.claimed_at,
                "performed_at": lease.performed_at,
                "ended_at": lease.ended_at,
                "ended_as": lease.ended_as,
                "outcome": lease.outcome,
                "error": lease.error,
                "extensions": lease.extensions,
                "locked_until": lease.locked_until,
            }
            for lease in story.leases
        ],
        "effects": [
            {
                "id": effect.pk,
                "key": effect.key,
                "lease_id": effect.lease_id,
                "arguments": effect.arguments,
                "intended_at": effect.intended_at,
                "gives_up_at": effect.gives_up_at,
                "settles_at": effect.settles_at,
                "end": effect.end,
                "ended_at": effect.ended_at,
                "known_by": effect.known_by,
                "result": effect.result,
                "error": effect.error,
            }
            for effect in story.effects
        ],
        "completions": [
            {
                "key": completion.key,
                "number": completion.number,
                "unit": completion.unit,
                "lease_id": completion.lease_id,
                "state": completion.state,
                "asked_at": completion.asked_at,
                "awaited_at": completion.awaited_at,
                "deadline": completion.deadline,
                "answered_at": completion.answered_at,
                "answered_by": completion.answered_by,
            }
            for completion in story.completions
        ],
        "doubled": list(story.doubled),
        "calls": [
            {
                "attempt": story.attempt_of(call),
                "service": call.service,
                "method": call.method,
                "url": call.url,
                "began_at": call.began_at,
                "milliseconds": call.milliseconds,
                "status": call.status,
                "error": call.error,
                "request_body": call.request_body,
                "answer_body": call.answer_body,
            }
            for call in story.calls
        ],
        "earlier_calls": story.earlier_calls,
        "callbacks": [
            {
                "state": callback.state,
                "url": masked(callback.url),
                "tries": callback.tries,
                "next_try_at": callback.next_try_at,
                "status": callback.status,
                "error": callback.error,
                "ended_at": callback.ended_at,
            }
            for callback in story.callbacks
        ],
        "events": [
            {"at": event.at, "name": event.name, "actor": event.actor, "detail": event.detail} for event in story.events
        ],
        "possible": list(possible(task)),
    }


def page(story: TaskStory) -> list[str]:
    """The lines of ``bptl tasks show``: the error, what it is, its walk, effects, calls, variables, what to do."""
    task = story.task
    lines = [f"task {task.pk}: {task.topic} is {_state(task)}"]
    if error := _error(story):
        lines += ["", f"  error: {error}"]
    lines += [f"  happened twice: effect {key!r}; look in the service, and set it right there" for key in story.doubled]
    if task.emptied_at and task.emptied:
        lines += ["", f"  data removed by retention: {_time(task.emptied_at)}"]
    lines += ["", *_about(task), "", "walk:", *_walk(story)]
    if story.effects:
        lines += ["", "effects:", *(line for effect in story.effects for line in _effect(effect, story))]
    if story.calls:
        earlier = [f"  {story.earlier_calls} earlier ones are not shown"] if story.earlier_calls else []
        lines += ["", "calls to services:", *earlier, *(_call(call, story) for call in story.calls)]
    if story.callbacks:
        lines += ["", "callback:", *(_callback(callback) for callback in story.callbacks)]
    lines += ["", "variables in:", *(["  removed by retention"] if task.emptied else _variables(task.variables))]
    lines += ["", "result:", *_result(task)]
    commands = [*_questions(story), *(COMMANDS[action].format(id=task.pk) for action in possible(task))]
    return [*lines, "", "what can be done now:", *(f"  {command}" for command in commands or ["nothing is needed"])]


def _state(task: Task) -> str:
    notes = [task.outcome, "by hand" if task.by_hand else "", "parked" if task.parked else ""]
    notes += ["assumed: the engine no longer knew it" if task.assumed else ""]
    said = ", ".join(note for note in notes if note)
    return f"{task.status} ({said})" if said else task.status


def _error(story: TaskStory) -> str:
    """The cause of what is wrong now: the engine's refusal of a result, else the error of the last attempt."""
    task = story.task
    if task.status == Status.UNCERTAIN:
        return f"nobody knows, a person must decide: {task.report_error}"
    if task.report_error and task.status != Status.DELIVERED:
        return f"the engine does not take the result: {task.report_error}"
    if task.outcome == "completed":
        return ""
    last = next((lease.error for lease in reversed(story.leases) if lease.error), None)
    return _cause(last) if last else ""


def _cause(error: Mapping[str, Any]) -> str:
    code = f"{error['code']}: " if error.get("code") else ""
    return f"{code}{error.get('message', '')}"


def _about(task: Task) -> Iterator[str]:
    rows = {
        "engine": f"{task.engine.name}, external task {task.external_id}" if task.engine else "",
        "caller": f"{task.caller or 'unknown'}, Idempotency-Key {task.external_id}" if not task.engine else "",
        "unit": task.mapping.unit if task.mapping else "its mapping was deleted",
        "process": f"{task.process_definition_key}, instance {task.process_instance_id}, activity {task.activity_id}",
        "business key": task.business_key,
        "tenant": task.tenant_id,
        "priority": str(task.priority or ""),
        "extension properties": json.dumps(task.extension_properties) if task.extension_properties else "",
    }
    return (f"  {name}: {value}" for name, value in rows.items() if value)


def _walk(story: TaskStory) -> list[str]:
    steps = [step for lease in story.leases for step in _steps(lease)]
    steps += [(event.at, _event(event)) for event in story.events]
    steps += [step for completion in story.completions for step in _completion(completion)]
    if story.task.created_at:
        steps.append((story.task.created_at, "created at the engine (by its clock)"))
    return [f"  {_time(at)}  {text}" for at, text in sorted(steps, key=lambda step: step[0])]


def _steps(lease: Lease) -> list[tuple[datetime, str]]:
    who = f"lease {lease.number}"
    steps = [(lease.recorded_at, f"{who}: fetched as {lease.worker_id}, locked for {lease.lock_ms / 1000:g} s")]
    if lease.claimed_at:
        steps.append((lease.claimed_at, f"{who}: started"))
    if lease.performed_at:
        error = f": {_cause(lease.error)}" if lease.error else ""
        steps.append((lease.performed_at, f"{who}: {lease.outcome}{error}{_again(lease.error)}"))
    if lease.ended_at:
        extended = f", extended {lease.extensions} times" if lease.extensions else ""
        steps.append((lease.ended_at, f"{who}: ended as {lease.ended_as}{extended}"))
    return steps


def _completion(completion: Completion) -> Iterator[tuple[datetime, str]]:
    name = f"completion {completion}"
    if completion.awaited_at:
        asked = f"asked at {_time(completion.asked_at)} by {completion.unit}"
        yield completion.awaited_at, f"{name}: waits for an answer until {_time(completion.deadline)}, {asked}"
    if completion.answered_at:
        by = f" by {completion.answered_by}" if completion.answered_by else ""
        yield completion.answered_at, f"{name}: answered{by}"
    if completion.state == Completion.State.EXPIRED:
        yield completion.deadline, f"{name}: no answer came in time"


def _again(error: Mapping[str, Any] | None) -> str:
    if not error or error.get("retries") is None:
        return ""
    if error["retries"] == 0:
        return "; no retries left"
    return f"; {error['retries']} retries left, the next in {error.get('wait_ms', 0) / 1000:.1f} s"


def _event(event: Event) -> str:
    detail = ", ".join(f"{name}: {value}" for name, value in event.detail.items())
    return " ".join(part for part in (event.name, f"by {event.actor}" if event.actor else "", detail) if part)


def _effect(effect: Effect, story: TaskStory) -> Iterator[str]:
    """One row of the ledger: what became of it, with what it was done, what it gave."""
    number = story.attempt_of(effect)
    lease = f"lease {number}" if number else "a lease"
    if effect.ended_at is None:
        state = f"open since {_time(effect.intended_at)}: nobody knows yet whether it happened"
    else:
        # The command line speaks English, the choices of the model the language of who looks.
        state = f"{effect.end.replace('_', ' ')}, known by {effect.known_by} since {_time(effect.ended_at)}"
    yield f"  {effect.pk}  {effect.key} ({lease}): {state}"
    if effect.arguments and REMOVED not in effect.arguments:
        yield f"      arguments: {json.dumps(effect.arguments, ensure_ascii=False)}"
    if effect.end == Effect.End.HAPPENED and REMOVED not in effect.arguments:
        yield f"      result: {json.dumps(effect.result, ensure_ascii=False)}"
    if effect.error:
        yield f"      last error: {effect.error}"


def _call(call: ServiceCall, story: TaskStory) -> str:
    """One call in a line; its bodies are on the task's page and in --json."""
    number = story.attempt_of(call)
    told = f"  {_time(call.began_at)}  lease {number or '?'}: {call.method} {call.url} ({call.service})"
    return f"{told}: {call.status or call.error} in {call.milliseconds} ms"


def _callback(callback: Callback) -> str:
    tries = f"after {callback.tries} tries" if callback.tries != 1 else "after 1 try"
    error = f": {callback.error}" if callback.error else ""
    return f"  {callback.state.replace('_', ' ')} {tries}, {masked(callback.url) or 'no address'}{error}"


def _questions(story: TaskStory) -> Iterator[str]:
    """The commands that answer what a person is asked."""
    for effect in story.questions:
        yield from (command.format(id=effect.pk, key=effect.key) for command in SETTLE)


def _variables(variables: Mapping[str, Any]) -> Sequence[str]:
    rows = [
        f"  {name} = {json.dumps(data.get('value'), ensure_ascii=False)}  ({data.get('type')})"
        for name, data in sorted(variables.items())
    ]
    return rows or ["  none"]


def _result(task: Task) -> Sequence[str]:
    if task.emptied and task.result:
        return ["  removed by retention"]
    if not task.result:
        return ["  none yet"]
    rest = [
        f"  {name}: {line}"
        for name, value in task.result.items()
        if name != "variables"
        for line in str(value).splitlines()
    ]
    return [*rest, *(_variables(task.result["variables"]) if "variables" in task.result else [])]


def _time(at: datetime) -> str:
    return timezone.localtime(at).isoformat(sep=" ", timespec="milliseconds")
