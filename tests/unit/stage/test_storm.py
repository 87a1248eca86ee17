"""What the storm's witnesses say is added up and judged rightly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stage import prometheus
from stage.engine_rest import EngineRest
from stage.prometheus import Prometheus
from stage.storm import by_phase, main
from stage.storm_account import IN_THE_RUSH, IN_TIME, Account, Storm
from stage.storm_graphs import Sky, Span, legend, slices

MARKS = {"calm": 100.0, "down": 120.0, "slow": 150.0, "well": 170.0}
QUICK = [20.0] * 50
GOOD = Account(
    ended=60,
    incidents=0,
    burned=0,
    lost=0,
    doubled=0,
    after=17.2,
    marks=MARKS,
    others=dict.fromkeys(MARKS, QUICK),
)


def test_the_line_tells_all_figures() -> None:
    assert GOOD.line(Storm(60, 15.0, 12.5)) == (
        "storm: cases=60 down_s=15 slow_s=12.5 ended=60 incidents=0 retries_burned=0 lost=0 doubled=0 done_after_s=17 "
        "other_p95_ms_calm=20 other_p95_ms_down=20 other_p95_ms_slow=20 other_p95_ms_well=20"
    )
    assert "done_after_s=- " in replace(GOOD, after=None).line(Storm(60, 15.0, 12.5))


def test_a_good_storm_has_no_faults() -> None:
    assert GOOD.faults == []


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        (replace(GOOD, incidents=2), "2 incidents"),
        (replace(GOOD, burned=1), "1 retries burned"),
        (replace(GOOD, lost=3), "3 cases without their effect"),
        (replace(GOOD, doubled=4), "4 effects doubled"),
        (replace(GOOD, after=None), "not done within 60 s after the service was well"),
        (replace(GOOD, after=IN_TIME + 1), "not done within 60 s after the service was well"),
    ],
)
def test_what_must_not_be_is_a_fault(account: Account, fault: str) -> None:
    assert account.faults == [fault]


@pytest.mark.parametrize("phase", ["down", "slow"])
@pytest.mark.parametrize("times", [[20.0] * 40 + [500.0] * 10, []])
def test_other_cases_that_are_held_up_or_never_end_are_a_fault(phase: str, times: list[float]) -> None:
    (fault,) = replace(GOOD, others={**GOOD.others, phase: times}).faults
    assert fault.startswith(f"other cases were held up while it was {phase}: ")


def test_other_cases_that_stand_in_line_behind_the_rush_are_a_fault() -> None:
    (fault,) = replace(GOOD, others={**GOOD.others, "well": [20.0] * 40 + [IN_THE_RUSH + 500] * 10}).faults
    assert fault.startswith("other cases were held up while it was well: ")


def test_a_few_slow_cases_and_the_rush_afterwards_are_none() -> None:
    others = {**GOOD.others, "down": [*QUICK, 500.0], "well": [900.0] * 50}
    assert replace(GOOD, others=others).faults == []


def test_a_case_belongs_to_the_phase_in_which_it_began() -> None:
    cases = [(99.0, 1.0), (100.0, 2.0), (119.9, 30_000.0), (150.0, 4.0), (999.0, 5.0)]
    assert by_phase(cases, MARKS) == {"calm": [2.0, 30_000.0], "down": [], "slow": [4.0], "well": [5.0]}


def test_slices_tell_the_median_and_the_longest_of_five_seconds() -> None:
    times = [(10.0, 1.0), (12.0, 3.0), (14.9, 50.0), (21.0, 7.0)]
    assert slices(times) == {"median": [(12.5, 3.0), (22.5, 7.0)], "longest": [(12.5, 50.0), (22.5, 7.0)]}


def test_a_series_is_named_as_the_dashboard_names_it() -> None:
    labels = {"service": "zrc", "by": "bptl"}
    assert legend("{{engine}}{{service}} (opened by {{by}})", labels) == "zrc (opened by bptl)"


class Remembered(Prometheus):
    """One that knows the breakers, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(port=0)
        self.asked: list[str] = []

    def over(self, expression: str, *, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        self.asked.append(expression)
        if "bptl_breaker_open_seconds" not in expression:
            return []
        return [{"metric": {"service": "zrc", "by": "bptl"}, "values": [[begin, "0"], [begin + step, "1"]]}]


def test_each_panel_that_has_data_is_drawn_and_what_the_engine_said(tmp_path: Path) -> None:
    read = Remembered()
    engine = EngineRest("http://engine.invalid", user="", password="")
    sky = Sky(engine, read, waiting=lambda: 3)
    sky.cases, sky.incidents = [(99.0, 7.0), (101.0, 3.0)], [(101.0, 0.0)]
    written = sky.draw(tmp_path, Span(100.0, 200.0, {"down": 120.0}), others=[(130.0, 25.0)])

    assert {file.name for file in written} == {
        "storm-at-the-engine-cases-and-incidents.svg",
        "storm-how-long-cases-take-that-need-no-service.svg",
        "storm-open-circuit-breakers.svg",
    }
    assert "zrc (opened by bptl)" in (tmp_path / "storm-open-circuit-breakers.svg").read_text()
    assert all(">down</text>" in file.read_text() for file in written)
    targets = [target for panel in prometheus.panels() for target in panel.get("targets", ())]
    assert len(read.asked) == len(targets)
    assert not [expression for expression in read.asked if "$" in expression]


def test_without_prometheus_no_storm_begins_that_is_to_be_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["--graphs", str(tmp_path / "graphs")])
    assert ended.value.code == 2
    assert "apt-get install prometheus" in capsys.readouterr().err
