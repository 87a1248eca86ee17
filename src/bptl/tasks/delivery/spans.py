"""The span of one try to report."""

from __future__ import annotations

from bptl.lib import tracing
from bptl.lib.spans import Span
from bptl.tasks.delivery.report import Answer, Report, Verdict


def span_of(report: Report) -> Span:
    """Begin it: below the span of the run, as long as the process that ran the unit reports, else in its own trace."""
    if not tracing.enabled():
        return tracing.span("")
    return tracing.span(
        f"report {report.outcome}",
        kind="client",
        attributes={
            "messaging.system": "bptl",
            "messaging.operation.type": "settle",
            "messaging.message.id": report.external_id,
            "bptl.task.id": report.task_id,
            "bptl.report.try": report.tries,
        },
        parent=report.trace,
    )


def tell(span: Span, verdict: Verdict) -> None:
    """What the engine answered."""
    if not tracing.enabled():
        return
    span.set("bptl.report.answer", verdict.answer)
    if verdict.answer not in {Answer.TAKEN, Answer.ASSUMED}:
        span.failed(verdict.answer)
