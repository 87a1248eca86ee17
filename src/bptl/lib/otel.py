"""The only module that knows OpenTelemetry's SDK; ``bptl.lib.tracing`` imports it where spans are sent."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from bptl.lib.spans import Attributes, Kind, Span

_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "consumer": SpanKind.CONSUMER}
_WORDS = TraceContextTextMapPropagator()


class Recorder:
    """Makes spans, and sends them in batches from a thread of its own; what a collector does not take is dropped."""

    def __init__(self, *, service: str, version: str, headers: str) -> None:
        ours = Resource({SERVICE_NAME: service, SERVICE_VERSION: version})
        # The environment's word goes last: that of the operator.
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(headers=dict(parse_env_headers(headers, liberal=True)) if headers else None)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        # Spans that a unit's own package makes belong to the same trace.
        trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer("bptl", version)

    def span(
        self,
        name: str,
        *,
        kind: Kind,
        attributes: Attributes | None,
        parent: str,
        links: Iterable[str],
        began: float | None,
    ) -> Recorded:
        """See ``tracing.span``."""
        return Recorded(
            self._tracer.start_span(
                name,
                context=_context(parent) if parent else None,
                kind=_KINDS[kind],
                attributes=attributes,
                links=[Link(found) for text in links if (found := _span_context(text)).is_valid],
                start_time=round(began * 1e9) if began is not None else None,
                record_exception=False,
            )
        )

    def stop(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


class Recorded(Span):
    """A span that is recorded, or handed on where a sampler chose not to."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        told = span.get_span_context()
        self.traceparent = f"00-{told.trace_id:032x}-{told.span_id:016x}-{told.trace_flags:02x}"

    def set(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        self._span.set_attribute(name, value)

    def failed(self, kind: str) -> None:
        """Status *error* and ``error.type``."""
        self._span.set_status(Status(StatusCode.ERROR))
        self._span.set_attribute("error.type", kind)

    def end(self) -> None:
        """It is over."""
        self._span.end()

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context.detach(self._token)
        if kind is not None:
            self.failed(kind.__name__)
        self.end()


def _context(traceparent: str) -> context.Context:
    return _WORDS.extract({"traceparent": traceparent}, context=context.Context())


def _span_context(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(_context(traceparent)).get_span_context()
