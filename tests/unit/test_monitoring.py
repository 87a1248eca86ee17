"""The dashboard, the alerts and their runbooks fit together; promtool says when each alert fires."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from stage import prometheus
from stage.prometheus import DASHBOARD, RULES

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
HEADINGS = ("## What it means", "## How to look", "## What to do")


def promtool(*arguments: str) -> None:
    try:
        command = [prometheus.program("promtool"), *arguments]
    except prometheus.Missing as error:
        pytest.skip(str(error))
    done = subprocess.run(command, cwd=RULES.parent, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_and_its_rules_are_valid() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "rules_test.yml")


def test_each_alert_is_tested_to_fire_and_not_to_fire() -> None:
    cases = [
        case
        for test in yaml.safe_load((RULES.parent / "rules_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    names = {alert["alert"] for alert in prometheus.alerts()}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_each_alert_has_severity_summary_and_a_runbook_and_no_runbook_is_without_alert() -> None:
    pages = set()
    for alert in prometheus.alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}, alert["alert"]
        assert alert["annotations"]["summary"].endswith("."), alert["alert"]
        address = alert["annotations"]["runbook_url"]
        page = RUNBOOKS / address.rpartition("/docs/runbooks/")[2]
        text = page.read_text()
        assert text.startswith(f"# {alert['alert']}\n"), page
        places = [text.index(heading) for heading in HEADINGS]
        assert all(one < other for one, other in pairwise(places)), page
        assert f"[{alert['alert']}]({page.name})" in (RUNBOOKS / "README.md").read_text()
        pages.add(page.name)
    assert pages == {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"}


def test_the_dashboard_asks_one_source_that_can_be_chosen_and_its_panels_do_not_overlap() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "engine", "topic"]
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    panels = prometheus.panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]


def test_expressions_are_those_of_panels_and_alerts() -> None:
    found = list(prometheus.expressions())
    assert len([one for one in found if one.where.startswith("alert")]) == len(prometheus.alerts())
    assert not [one for one in found if "$" in one.text]
