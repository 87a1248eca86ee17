"""What the benchmark makes of its runs."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.figures import Figures, Summary, faults, last_line, percentile, table


def figures(name: str = "bptl", **changed: Any) -> Figures:
    plain: dict[str, Any] = {
        "tasks": 1000,
        "seconds": 1.0,
        "fetched": 5.0,
        "p50": 10.0,
        "p95": 20.0,
        "p99": 30.0,
        "cpu_ms": 1.0,
        "pg_ms": 0.5,
        "broker_ms": 0.1,
        "sql": 2.0,
        "commands": 1.0,
        "engine_share": 0.1,
        "engine_ms_per_request": 0.03,
    }
    return Figures(name=name, **{**plain, **changed})


def summaries(*rounds: Figures) -> dict[str, Summary]:
    names = {one.name for one in rounds}
    return {name: Summary(name, tuple(one for one in rounds if one.name == name)) for name in names}


@pytest.mark.parametrize(("share", "value"), [(50, 50), (95, 95), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_the_last_line_gives_medians_and_their_ratio() -> None:
    found = summaries(
        figures(seconds=2.0),
        figures(seconds=1.0),
        figures(seconds=0.1),
        figures("raw durable", seconds=0.25),
        figures("client 10", seconds=5.0),
        figures("bptl at 10/s", p50=8.04, p99=40.0),
        figures("bptl at 100/s", p99=71.26),
    )
    assert last_line(found) == (
        "bench: bptl=1000 raw_durable=4000 ratio=0.25 client=200 cpu_ms=1.00 pg_ms=0.50 sql=2.00 p50_10=8.0 "
        "p99_10=40.0 p99_100=71.3"
    )


def test_what_was_not_measured_is_a_dash() -> None:
    assert "bptl=1000 raw_durable=- ratio=- client=-" in last_line(summaries(figures()))


def test_lost_and_doubled_tasks_make_a_run_invalid() -> None:
    found = faults(summaries(figures(), figures(missing=2), figures(doubled=1)))

    assert found == ["bptl: 2 tasks missing", "bptl: 1 tasks doubled"]


def test_a_busy_load_engine_makes_a_run_invalid() -> None:
    (fault,) = faults(summaries(figures(), figures(engine_share=0.51)))

    assert "0.51 of a core" in fault


def test_a_slow_yardstick_makes_a_run_invalid() -> None:
    (fault,) = faults(summaries(figures("raw durable", seconds=1.0), figures("client 10", seconds=4.0)))

    assert "4.0 times" in fault


def test_the_figures_of_a_good_run_are_believed() -> None:
    assert faults(summaries(figures(), figures("raw durable", seconds=0.1), figures("client 10"))) == []


def test_columns_stand_below_each_other() -> None:
    lines = table(("run", "rate"), [("one", "5"), ("another", "1,000")]).splitlines()

    assert lines == ["run       rate", "───────  ─────", "one          5", "another  1,000"]
