"""The trace of a process: carried in a process variable where BPTL_TRACE_VARIABLE names one, and nowhere else.

The variable is a W3C traceparent. A poller that fetches it begins a span below it and writes that span into the row's
copy, so the worker's span comes below the poller's. An instance without one is given the span of the first run that
completes, so that what follows is in its trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.conf import settings

from bptl.engines.base import ExternalTask
from bptl.engines.variables import encode
from bptl.lib import tracing
from bptl.lib.spans import Attributes, Span


def names() -> tuple[str, ...]:
    """The variables that a fetch asks for because of traces."""
    return (settings.BPTL_TRACE_VARIABLE,) if tracing.enabled() and settings.BPTL_TRACE_VARIABLE else ()


def parent_of(variables: Mapping[str, Mapping[str, Any]]) -> str:
    """The traceparent among variables in wire form; empty when there is none."""
    return next((value for name in names() if isinstance(value := variables.get(name, {}).get("value"), str)), "")


def attributes_of(*, engine: str, topic: str, external_id: str, process_instance_id: str) -> Attributes:
    """What a span says of a task, in the words of the semantic conventions where they have one.

    Never the business key, which often is somebody's name or number, and no variable.
    """
    return {
        "messaging.system": "bptl",
        "messaging.destination.name": topic,
        "messaging.message.id": external_id,
        "bptl.engine": engine,
        "bptl.process_instance.id": process_instance_id,
    }


@contextmanager
def received(engine: str, tasks: Sequence[ExternalTask], *, began: float) -> Iterator[Sequence[ExternalTask]]:
    """The spans of one answer with tasks while it is recorded: one of the fetch, and one in the trace of each task.

    ``began`` (seconds since 1970) is when the engine was asked. Gives the tasks as they are to be recorded.
    """
    if not tasks or not tracing.enabled():
        yield tasks
        return
    begun: list[Span] = []
    handed_on = [_handed_on(engine, task, begun) for task in tasks]
    fetched = tracing.span(
        f"fetch {engine}",
        kind="client",
        attributes={
            "messaging.system": "bptl",
            "messaging.operation.type": "receive",
            "messaging.batch.message_count": len(tasks),
            "bptl.engine": engine,
        },
        links=[span.traceparent for span in begun],
        began=began,
    )
    try:
        with fetched, tracing.span("record"):
            yield handed_on
    finally:
        for span in begun:
            span.end()


def _handed_on(engine: str, task: ExternalTask, begun: list[Span]) -> ExternalTask:
    for name in names():
        parent = task.variables[name].value if name in task.variables else None
        if isinstance(parent, str) and parent:
            said = attributes_of(
                engine=engine,
                topic=task.topic,
                external_id=task.id,
                process_instance_id=task.process_instance_id,
            )
            span = tracing.span(f"receive {task.topic}", kind="consumer", attributes=said, parent=parent)
            begun.append(span)
            return replace(task, variables={**task.variables, name: encode(span.traceparent)})
    return task


def given(traceparent: str) -> dict[str, str]:
    """What a completion adds to the variables of an instance that has no trace yet."""
    return {name: traceparent for name in names() if traceparent}
