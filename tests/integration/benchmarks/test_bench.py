"""The benchmark as people start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=280)


@pytest.mark.slow
def test_a_profile_runs_with_the_deployed_processes_and_loses_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = bench(
        *("--quick", "--rounds", "1", "--profile", "effect", "--json", str(figures), "--logs", str(tmp_path / "logs"))
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("bench: bptl=- raw_durable=-")
    told: dict[str, Any] = json.loads(figures.read_text())
    (run,) = told["runs"]["bptl, 3 calls, 1 effect"]["rounds"]
    assert (run["tasks"], run["missing"], run["doubled"]) == (400, 0, 0)
    assert run["sql"] > 0
    assert run["commands"] > 0
    assert set(told["resident_mb"]) == {"web", "beat", "work-1", "work-2", "poll-1", "flower"}
    lines = (tmp_path / "logs" / "work-1.log").read_text().splitlines()
    # For root Celery adds a warning of its own, which is no JSON.
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert "info" in {event["level"] for event in events}
    assert [event for event in events if event["level"] == "error"] == []


@pytest.mark.slow
def test_full_tables_are_filled_and_measured_beside_empty_ones(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    # Its exit code tells of times too, which a shared machine does not keep.
    done = bench(
        *("--quick", "--rounds", "1", "--profile", "full-tables", "--finished", "20000"),
        *("--json", str(figures), "--logs", str(tmp_path / "logs")),
    )

    assert done.stdout.splitlines()[-1].startswith("full-tables: tasks=20000 "), done.stdout + done.stderr
    told: dict[str, Any] = json.loads(figures.read_text())
    assert {name: rounds[0]["missing"] + rounds[0]["doubled"] for name, rounds in told["runs"].items()} == {
        "empty tables": 0,
        "full tables": 0,
        "full tables, retention": 0,
    }
    assert told["plans"]["plans"] > 1_000
    assert len(told["pages"]) > 40
    assert told["paces"][0] > 0


@pytest.mark.slow
def test_every_page_of_the_url_configuration_is_visited_or_says_why_not(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    # Its exit code tells of times too, which a shared machine does not keep.
    done = bench(
        *("--profile", "pages", "--finished", "2000", "--json", str(figures), "--logs", str(tmp_path / "logs"))
    )

    assert done.stdout.splitlines()[-1].startswith("pages: tasks=2000 "), done.stdout + done.stderr
    told: dict[str, Any] = json.loads(figures.read_text())
    assert told["missing"] == []
    assert {"overview", "tasks", "task", "task-call", "task-retry", "tasks-csv", "unit"} <= set(told["pages"])
    assert set(told["left"].values()) <= {"only sent to", "leads elsewhere"}
    assert len(told["lists"]) > 60


def test_an_unknown_profile_is_refused_with_the_names_of_all() -> None:
    done = bench("--profile", "nothing")

    assert done.returncode == 2
    assert "'backlog'" in done.stderr
