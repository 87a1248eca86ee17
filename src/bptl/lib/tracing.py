"""Spans of OpenTelemetry, in a process that was told where to send them; in every other one each call here is nothing.

The SDK is imported by ``start`` only. Attributes are names and numbers of our own: no texts of errors, no addresses, no
bodies, because nobody redacts what is on its way to a collector.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bptl.lib.spans import Attributes, Kind, Span

_NOTHING = Span()
_recorder: Any = None
"""``bptl.lib.otel.Recorder``, not named so that nobody imports it in vain."""


def start(*, service: str, version: str, headers: str = "") -> None:
    """Send spans to where the standard variables OTEL_EXPORTER_OTLP_* say, as protobuf over HTTP.

    ``service`` is the name of the process where OTEL_SERVICE_NAME gives none; ``headers`` (``name=value,…``) go with
    every export.
    """
    global _recorder  # noqa: PLW0603 - once, when the process starts
    from bptl.lib.otel import Recorder

    _recorder = Recorder(service=service, version=version, headers=headers)


def stop() -> None:
    """Send what is left, and record nothing any more."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        recorder.stop()


def enabled() -> bool:
    """Whether this process records spans."""
    return _recorder is not None


def span(
    name: str,
    *,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    parent: str = "",
    links: Iterable[str] = (),
    began: float | None = None,
) -> Span:
    """Begin a span, as a child of ``parent`` (traceparent), else of the block's span in this thread, else of none.

    ``links`` are traceparents of other traces; what is no traceparent is passed over. ``began`` (seconds since 1970)
    lets it begin earlier.
    """
    if _recorder is None:
        return _NOTHING
    begun: Span = _recorder.span(name, kind=kind, attributes=attributes, parent=parent, links=links, began=began)
    return begun
