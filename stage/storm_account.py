"""How hard a storm blows, and what its witnesses say afterwards."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IN_TIME = 60.0
"""Seconds from the moment at which the service is well until all waiting cases must be done."""

IN_THE_RUSH = 1_000.0
"""Milliseconds that 95 % of the cases without a service take at most while all that waited is done at once."""


@dataclass(frozen=True, slots=True)
class Storm:
    """How hard it blows: cases that wait, and seconds for which the service is down and slow."""

    cases: int
    down: float
    slow: float


@dataclass(frozen=True, slots=True)
class Account:
    """What the witnesses say. ``after`` (seconds) is from *well* until all were done, None when they never were.

    ``marks`` are the times (epoch seconds) at which each phase began: calm, down, slow, well and, when all were
    done, done. ``others`` are milliseconds of the cases that need no service, by the phase in which they began.
    """

    ended: int
    incidents: int
    burned: int
    lost: int
    doubled: int
    after: float | None
    marks: Mapping[str, float]
    others: Mapping[str, Sequence[float]]

    def line(self, storm: Storm) -> str:
        """The line for machines."""
        others = " ".join(f"other_p95_ms_{phase}={p95(times):.0f}" for phase, times in self.others.items())
        after = "-" if self.after is None else f"{self.after:.0f}"
        return (
            f"storm: cases={storm.cases} down_s={storm.down:g} slow_s={storm.slow:g} ended={self.ended} "
            f"incidents={self.incidents} retries_burned={self.burned} lost={self.lost} doubled={self.doubled} "
            f"done_after_s={after} {others}"
        )

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        found = [
            f"{amount} {what}"
            for what, amount in (
                ("incidents", self.incidents),
                ("retries burned", self.burned),
                ("cases without their effect", self.lost),
                ("effects doubled", self.doubled),
            )
            if amount
        ]
        if self.after is None or self.after > IN_TIME:
            found.append(f"not done within {IN_TIME:.0f} s after the service was well")
        calm = p95(self.others["calm"])
        most = {"down": 3 * calm + 100, "slow": 3 * calm + 100, "well": IN_THE_RUSH}
        found += [
            f"other cases were held up while it was {phase}: p95 {p95(times):.0f} ms, in calm {calm:.0f} ms"
            for phase, times in self.others.items()
            # What is no number is a fault too: then none of them ended at all.
            if phase in most and not p95(times) <= most[phase]
        ]
        return found


def p95(values: Sequence[float]) -> float:
    """The value that 95 % do not exceed; no number when there are fewer than two."""
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else float("nan")
