"""Numbers that a process counts: grouped, bounded, free while nobody reads them, and as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bptl.lib import instruments
from bptl.lib.exposition import Exposition
from bptl.lib.instruments import OTHER, Registry


@pytest.fixture
def read() -> Registry:
    registry = Registry()
    registry.on = True
    return registry


def shown(registry: Registry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, content_type = Exposition(registry, about_process=False).text("")
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_while_nobody_reads_nothing_is_done_at_all() -> None:
    registry = Registry()
    counter = registry.counter("a_total", "A.", labels=("x",), told_by="work")
    histogram = registry.histogram("b_seconds", "B.", labels=("x",), told_by="work", bounds=(1,))

    asked: list[str] = []

    def several() -> Iterator[tuple[str, ...]]:
        asked.append("the generator")
        yield ("x",)

    counter.count(several())
    counter.add("x")
    histogram.observe((labels, 1.0) for labels in several())
    assert asked == []
    assert counter.values() == {}
    assert histogram.values() == {}


def test_a_group_is_added_up_by_labels(read: Registry) -> None:
    counter = read.counter("a_total", "A.", labels=("x",), told_by="work")
    counter.count([("one",), ("two",), ("one",)])
    counter.add("two", amount=5)
    assert shown(read) == {("a_total", (("x", "one"),)): 2, ("a_total", (("x", "two"),)): 6}


def test_a_histogram_says_how_many_values_are_at_most_each_bound(read: Registry) -> None:
    histogram = read.histogram("b_seconds", "B.", labels=("x",), told_by="work", bounds=(0.1, 1.0))
    histogram.observe([(("q",), value) for value in (0.1, 0.5, 1.0, 7.0)])
    found = shown(read)
    assert {labels[0][1]: value for (name, labels), value in found.items() if name == "b_seconds_bucket"} == {
        "0.1": 1,
        "1.0": 3,
        "+Inf": 4,
    }
    assert found["b_seconds_count", (("x", "q"),)] == 4
    assert found["b_seconds_sum", (("x", "q"),)] == pytest.approx(8.6)


def test_more_labels_than_monitoring_can_bear_are_counted_together(
    read: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "MOST_SERIES", 2)
    counter = read.counter("a_total", "A.", labels=("x",), told_by="work")
    histogram = read.histogram("b_seconds", "B.", labels=("x",), told_by="work", bounds=(1,))
    for name in ("one", "two", "three", "four", "one"):
        counter.add(name)
        histogram.observe([((name,), 0.5)])
    assert counter.values() == {("one",): 2, ("two",): 1, (OTHER,): 2}
    assert {labels: sum(found.counts) for labels, found in histogram.values().items()} == {
        ("one",): 2,
        ("two",): 1,
        (OTHER,): 2,
    }


def test_a_gauge_is_read_when_somebody_asks_and_the_greater_of_two_counts(read: Registry) -> None:
    gauge = read.gauge("c", "C.", labels=("loop",), told_by="poll")
    values = [3.0]
    gauge.read_by(lambda: [(("poll",), values[0])])
    gauge.read_by(lambda: [(("poll",), 2.0), (("other",), 1.0)])
    assert shown(read) == {("c", (("loop", "poll"),)): 3, ("c", (("loop", "other"),)): 1}
    values[0] = 1.0
    assert shown(read)["c", (("loop", "poll"),)] == 2


def test_what_has_no_value_yet_is_known_by_name(read: Registry) -> None:
    read.counter("a_total", "Says what it is.", labels=("x",), told_by="work")
    text, _ = Exposition(read, about_process=False).text("")
    assert b"# HELP a_total Says what it is." in text
