"""The span of a run and of what it calls."""

from __future__ import annotations

from bptl.lib import tracing
from bptl.lib.spans import Span
from bptl.tasks import traces
from bptl.tasks.endings import Ending
from bptl.tasks.execution.outcomes import Doubt, HandedBack
from bptl.tasks.execution.run import Assignment
from bptl.tasks.execution.waiting import Awaiting
from bptl.tasks.lifecycle import Outcome


def span_of(assignment: Assignment) -> Span:
    """Begin the span of a run: below that of the poller that fetched the task, where its instance has a trace."""
    claim = assignment.claim
    if not tracing.enabled():
        return tracing.span("")
    return tracing.span(
        f"process {claim.topic}",
        kind="consumer",
        attributes={
            **traces.attributes_of(
                engine=assignment.engine_name,
                topic=claim.topic,
                external_id=claim.external_id,
                process_instance_id=claim.process_instance_id,
            ),
            "messaging.operation.type": "process",
            "bptl.task.id": claim.task_id,
            "bptl.task.attempt": claim.attempt,
            "bptl.unit": assignment.unit.name,
        },
        parent=traces.parent_of(claim.variables),
    )


def tell(span: Span, ending: Ending | Doubt | HandedBack | Awaiting | None) -> None:
    """How a run ended."""
    if not tracing.enabled():
        return
    if ending is None:
        span.failed("lease_ended")
    elif isinstance(ending, Doubt):
        span.failed("uncertain")
    elif isinstance(ending, HandedBack):
        span.failed("handed_back")
    elif isinstance(ending, Awaiting):
        span.set("bptl.outcome", "pending")
    else:
        span.set("bptl.outcome", ending.outcome)
        if ending.outcome == Outcome.FAILED:
            span.failed("failed")
