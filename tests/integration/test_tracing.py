"""Spans in this process, as a collector receives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bptl.lib import tracing
from tests.doubles.otlp import Collector, Span

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=named-by-the-operator")
        tracing.start(service="bptl-test", version="1")
        yield running
        tracing.stop()


def sent(collector: Collector, name: str) -> Span:
    """One span, once the batch is there."""
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    assert provider.force_flush()  # type: ignore[attr-defined]
    (found,) = collector.named(name)
    return found


def test_where_nothing_is_traced_a_span_is_nothing_and_says_nothing() -> None:
    assert not tracing.enabled()
    with tracing.span("nothing", parent=f"00-{TRACE}-{PARENT}-01") as span:
        span.set("a", 1)
        assert span.traceparent == ""


def test_a_block_is_the_parent_of_what_it_begins(collector: Collector) -> None:
    with tracing.span("outer") as outer, tracing.span("inner") as inner:
        assert outer.traceparent != inner.traceparent
    assert sent(collector, "inner").parent == sent(collector, "outer").id
    assert sent(collector, "outer").parent == ""
    assert sent(collector, "outer").service == "named-by-the-operator"


def test_a_parent_from_elsewhere_goes_before_the_block(collector: Collector) -> None:
    with tracing.span("here"), tracing.span("there", parent=f"00-{TRACE}-{PARENT}-01") as span:
        assert span.traceparent.startswith(f"00-{TRACE}-")
    assert (sent(collector, "there").trace, sent(collector, "there").parent) == (TRACE, PARENT)


@pytest.mark.parametrize("broken", ["x", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"])
def test_what_is_no_traceparent_is_passed_over(broken: str, collector: Collector) -> None:
    with tracing.span(f"root {broken}", parent=broken, links=[broken, f"00-{TRACE}-{PARENT}-01"]):
        pass
    assert sent(collector, f"root {broken}").parent == ""
    assert sent(collector, f"root {broken}").links == [PARENT]


def test_a_trace_that_is_not_sampled_is_handed_on_and_not_sent(collector: Collector) -> None:
    with tracing.span("unsampled", parent=f"00-{TRACE}-{PARENT}-00") as span:
        assert span.traceparent.startswith(f"00-{TRACE}-")
        assert span.traceparent.endswith("-00")
    with tracing.span("afterwards"):
        pass
    sent(collector, "afterwards")
    assert collector.named("unsampled") == []


def test_a_failure_is_told_by_its_class_and_never_by_its_text(collector: Collector) -> None:
    def fail() -> None:
        with tracing.span("failing"):
            raise ValueError("BSN 111222333")

    with pytest.raises(ValueError, match="BSN"):
        fail()
    span = sent(collector, "failing")
    assert (span.failed, span.attributes) == (True, {"error.type": "ValueError"})


def test_a_span_may_begin_before_it_is_made(collector: Collector) -> None:
    tracing.span("earlier", began=1_000_000_000.5).end()
    assert sent(collector, "earlier").began == 1_000_000_000_500_000_000
