"""A chart shows each value where it belongs, and can be read in light, in dark and without colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import pytest

from stage.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, UNITS, WIDTH, Chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: Chart) -> ET.Element:
    return ET.fromstring(chart.svg())  # noqa: S314 our own


def texts(chart: Chart) -> list[str]:
    return [element.text or "" for element in drawn(chart).iter(f"{SVG}text")]


def curve(chart: Chart, number: int = 0) -> str:
    """How the first line of that colour goes."""
    found = [one for one in drawn(chart).iter(f"{SVG}path") if one.get("class") == f"c{number}"]
    return found[0].get("d") or ""


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_a_line_goes_from_corner_to_corner_when_its_values_do() -> None:
    chart = Chart("Tasks", {"done": [(0.0, 0.0), (60.0, 10.0)]}, seconds=60.0)
    assert places(curve(chart)) == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]


def test_the_axes_are_labelled_in_round_numbers_of_the_unit_and_in_minutes() -> None:
    chart = Chart("Tasks", {"done": [(0.0, 3.0), (360.0, 37.0)]}, seconds=360.0, unit=UNITS["ops"])
    assert {"0/s", "10/s", "20/s", "30/s", "40/s"} <= set(texts(chart))
    assert {"0 min", "1", "2", "6"} <= set(texts(chart))
    share = Chart("Share", {"zaken": [(0.0, 0.5)]}, seconds=60.0, unit=UNITS["percentunit"])
    assert {"0 %", "20 %", "40 %", "60 %"} <= set(texts(share))


def test_marks_stand_at_their_moments_with_their_names() -> None:
    chart = Chart("Tasks", {"done": [(0.0, 1.0)]}, seconds=100.0, marks={"down": 50.0})
    (mark,) = [one for one in drawn(chart).iter(f"{SVG}path") if one.get("class") == "mark"]
    assert (mark.get("d") or "").startswith(f"M{(LEFT + WIDTH - RIGHT) / 2:.1f} ")
    assert "down" in texts(chart)


@pytest.mark.parametrize(
    ("points", "pieces"),
    [
        ([(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)], 1),
        ([(0.0, 1.0), (1.0, 2.0), (9.0, 1.0)], 2),
        ([(0.0, 1.0), (1.0, float("nan")), (4.0, 1.0)], 2),
        ([(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (9.0, 1.0), (10.0, 1.0)], 2),
    ],
)
def test_where_nothing_was_told_no_line_is_drawn(points: list[tuple[float, float]], pieces: int) -> None:
    assert curve(Chart("Tasks", {"done": points}, seconds=10.0, gap=2.0)).count("M") == pieces


def test_a_level_line_is_its_two_ends_and_keeps_its_corners() -> None:
    values = [0.0] * 50 + [5.0] * 50
    points = [(float(second), value) for second, value in enumerate(values)]
    path = curve(Chart("Tasks", {"done": points}, seconds=99.0))
    assert len(places(path)) == 4


def test_a_curve_that_is_always_zero_lies_on_the_axis() -> None:
    path = curve(Chart("Incidents", {"incidents": [(0.0, 0.0), (60.0, 0.0)]}, seconds=60.0))
    assert {y for _, y in places(path)} == {HEIGHT - BOTTOM}


def test_a_single_value_is_a_dot() -> None:
    assert curve(Chart("Tasks", {"done": [(30.0, 1.0)]}, seconds=60.0)).endswith("h0")


def test_every_curve_is_in_the_legend_and_no_two_look_alike() -> None:
    curves: Mapping[str, list[tuple[float, float]]] = {f"topic <{number}>": [(0.0, 1.0)] for number in range(20)}
    chart = Chart("Tasks & topics", curves, seconds=60.0)
    assert set(curves) <= set(texts(chart))
    lines = [one for one in drawn(chart).iter(f"{SVG}path") if re.fullmatch(r"c\d+", one.get("class") or "")]
    assert len({(one.get("class"), one.get("stroke-dasharray")) for one in lines}) == 20
    lowest = max(float(one.get("y") or 0) for one in drawn(chart).iter(f"{SVG}text"))
    assert lowest < float(drawn(chart).get("height") or 0)


def test_a_dark_page_has_colours_of_its_own() -> None:
    style = next(drawn(Chart("Tasks", {"done": [(0.0, 1.0)]}, seconds=60.0)).iter(f"{SVG}style")).text or ""
    light, dark = style.split("@media(prefers-color-scheme:dark)")
    for kind in (".paper", "text", ".grid", ".mark", ".c0", ".c7"):
        (one,), (other,) = (re.findall(re.escape(kind) + r"\{(?:fill|stroke):(#\w+)\}", part) for part in (light, dark))
        assert one != other, kind
