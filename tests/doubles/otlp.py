"""A collector of OpenTelemetry on 127.0.0.1: takes traces as protobuf over HTTP (OTLP 1.x) and keeps their spans."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.doubles.outside import Answer, Asked, Outside

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True)
class Span:
    """One span as it came; ids are hex digits, ``parent`` is empty for a root. Times are nanoseconds since 1970."""

    service: str
    trace: str
    id: str
    parent: str
    name: str
    kind: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, Any]
    links: list[str]


class Collector:
    """One collector. ``refuses``: answers 401, and repeats what it was sent in its answer."""

    def __init__(self, *, refuses: bool = False) -> None:
        self._outside = Outside("/")
        self._outside.answers["/v1/traces"] = self._refuse if refuses else self._take
        self.endpoint = self._outside.root.rstrip("/")
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        self._outside.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outside.__exit__(kind, error, trace)

    def named(self, name: str) -> list[Span]:
        """Those with this name, in the order in which they began."""
        return sorted((span for span in list(self.spans) if span.name == name), key=lambda span: span.began)

    def _take(self, asked: Asked) -> Answer:
        self._keep(asked)
        content = ExportTraceServiceResponse().SerializeToString()
        return Answer(200, content, {"Content-Type": "application/x-protobuf"})

    def _refuse(self, asked: Asked) -> Answer:
        self._keep(asked)
        return Answer(401, {"message": f"who are you? {asked.headers}"})

    def _keep(self, asked: Asked) -> None:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        self.headers.append(headers)
        body = gzip.decompress(asked.body) if headers.get("content-encoding") == "gzip" else asked.body
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(of_resource.resource.attributes).get("service.name", "")
            for scope in of_resource.scope_spans:
                self.spans += [_span(str(service), span) for span in scope.spans]


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS.get(span.kind, ""),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == 2,
        attributes=_values(span.attributes),
        links=[link.span_id.hex() for link in span.links],
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in attributes}
