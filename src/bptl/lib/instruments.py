"""Numbers that a process counts about itself, in the terms of Prometheus; ``bptl.lib.exposition`` shows them.

    METRICS = Registry()
    FETCHED = METRICS.counter("bptl_tasks_fetched_total", "Tasks that came.", labels=("topic",), told_by="poll")
    FETCHED.count((task.topic,) for task in tasks)

Made for a road of thousands of tasks a second: numbers are added in groups, under one lock a group, and while nobody
reads them (``Registry.on``) nothing is done at all, not even with what a generator would have answered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

Labels = tuple[str, ...]
"""Values of the labels of one series, in the order in which the instrument declares them."""

MOST_SERIES = 2_000
"""Series of one instrument. What comes on top is counted as OTHER: no monitoring drowns in labels, whatever we do."""

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Declared:
    """What an instrument is called and says, in one sentence, and which kinds of processes tell it."""

    name: str
    help: str
    labels: Labels
    told_by: str


class Counter:
    """A number that only grows, for each set of labels."""

    def __init__(self, declared: Declared, registry: Registry) -> None:
        self.declared = declared
        self._registry = registry
        self._lock = Lock()
        self._values: dict[Labels, float] = {}

    def count(self, several: Iterable[Labels]) -> None:
        """Add one for each of these sets of labels."""
        if not self._registry.on:
            return
        with self._lock:
            for labels in several:
                self._add(labels, 1)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add to one set of labels."""
        if not self._registry.on:
            return
        with self._lock:
            self._add(labels, amount)

    def values(self) -> Mapping[Labels, float]:
        """All of it, now."""
        with self._lock:
            return dict(self._values)

    def _add(self, labels: Labels, amount: float) -> None:
        if labels in self._values:
            self._values[labels] += amount
        else:
            labels = _bounded(labels, self._values)
            self._values[labels] = self._values.get(labels, 0) + amount


@dataclass(slots=True)
class Distribution:
    """How often a value was at most each bound, and more than all of them, not added up; ``total`` of all values."""

    counts: list[int]
    total: float = 0.0


class Histogram:
    """How values are distributed over ``bounds`` (ascending, of the same unit as the name says)."""

    def __init__(self, declared: Declared, registry: Registry, bounds: Sequence[float]) -> None:
        self.declared = declared
        self.bounds = tuple(bounds)
        self._registry = registry
        self._lock = Lock()
        self._values: dict[Labels, Distribution] = {}

    def observe(self, several: Iterable[tuple[Labels, float]]) -> None:
        """Add values, each with its set of labels."""
        if not self._registry.on:
            return
        with self._lock:
            for labels, value in several:
                known = self._values.get(labels)
                if known is None:
                    key = _bounded(labels, self._values)
                    known = self._values.setdefault(key, Distribution([0] * (len(self.bounds) + 1)))
                known.counts[bisect_left(self.bounds, value)] += 1
                known.total += value

    def values(self) -> Mapping[Labels, Distribution]:
        """All of it, now."""
        with self._lock:
            return {labels: Distribution(list(one.counts), one.total) for labels, one in self._values.items()}


class Gauge:
    """A number of now, which is read when somebody asks: whoever knows it says how (``read_by``)."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._readers: list[Callable[[], Iterable[tuple[Labels, float]]]] = []

    def read_by(self, reader: Callable[[], Iterable[tuple[Labels, float]]]) -> None:
        """From now on ``reader`` answers the values, too."""
        self._readers.append(reader)

    def values(self) -> Mapping[Labels, float]:
        """What the readers say now; of one set of labels that is said twice, the greater."""
        found: dict[Labels, float] = {}
        for reader in self._readers:
            for labels, value in reader():
                found[labels] = max(value, found.get(labels, value))
        return found


Instrument = Counter | Histogram | Gauge


class Registry:
    """The instruments of one subject, in the order of their declaration. ``on``: somebody reads them."""

    def __init__(self) -> None:
        self.on = False
        self._instruments: dict[str, Instrument] = {}

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._instruments.values())

    def counter(self, name: str, help: str, *, labels: Labels = (), told_by: str) -> Counter:
        """Declare a counter; its name ends with ``_total``."""
        made = Counter(Declared(name, help, labels, told_by), self)
        self._instruments[name] = made
        return made

    def histogram(
        self, name: str, help: str, *, labels: Labels = (), told_by: str, bounds: Sequence[float]
    ) -> Histogram:
        """Declare a histogram; its name ends with the unit."""
        made = Histogram(Declared(name, help, labels, told_by), self, bounds)
        self._instruments[name] = made
        return made

    def gauge(self, name: str, help: str, *, labels: Labels = (), told_by: str) -> Gauge:
        """Declare a gauge."""
        made = Gauge(Declared(name, help, labels, told_by))
        self._instruments[name] = made
        return made


def _bounded(labels: Labels, known: Mapping[Labels, object]) -> Labels:
    return labels if len(known) < MOST_SERIES else (OTHER,) * len(labels)
