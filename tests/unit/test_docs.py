"""The paper tells the truth: links lead somewhere, commands exist, decisions are listed, examples run."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from bptl.cli.main import VERBS, bptl
from bptl.sandbox.parse import processes
from stage.environment import without_servers

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIAL = "docs/tutorial/first-unit.md"
TESTS_OF_EXAMPLES = {
    "README.md": 3,
    "docs/how-to/add-a-work-unit.md": 4,
    TUTORIAL: 2,
    "docs/how-to/wait-for-an-answer.md": 1,
}
WINDOWS = "docs/explanation/crash-windows.md"
FOUNDING = "docs/explanation/founding-page.md"

LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^ {4}|`)bptl ([a-z]+)(?: ([a-z][a-z-]*))?\b", re.MULTILINE)
EXAMPLE = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WINDOW = re.compile(r"^\| W(\d+) \|.*$", re.MULTILINE)
TABLE_ROW = re.compile(r"^\| (.*?) ?\| (.*?) ?\| (.*?) ?\|$", re.MULTILINE)
MODEL = re.compile(r"^```xml\n(.*?)^```", re.MULTILINE | re.DOTALL)

page = pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in PAGES])


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@page
def test_every_relative_link_leads_to_a_file(path: str) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(read(path)) if not link.startswith("https://")]
    assert [target for target in targets if target and not ((ROOT / path).parent / target).exists()] == []


def unknown_commands(text: str) -> Iterator[str]:
    """Commands that the command line does not have; a second word counts where the first is a group."""
    context = click.Context(bptl)
    names = {verb.name for verb in VERBS}
    for verb, second in COMMAND.findall(text):
        command = bptl.get_command(context, verb) if verb in names else None
        if command is None or (second and isinstance(command, click.Group) and second not in command.commands):
            yield f"bptl {verb} {second}".strip()


@page
def test_every_command_of_bptl_that_is_named_exists(path: str) -> None:
    assert list(unknown_commands(read(path))) == []


def test_the_readme_names_every_verb_of_the_command_line() -> None:
    named = {verb for verb, _ in COMMAND.findall(read("README.md"))}
    assert {verb.name for verb in VERBS} - named == set()


def test_every_decision_is_in_the_list_of_decisions() -> None:
    folder = ROOT / "docs" / "adr"
    decisions = {path.name for path in folder.glob("[0-9]*.md")}
    assert decisions == {link for link in LINK.findall(read("docs/adr/README.md")) if link[0].isdigit()}
    assert all(len(read(f"docs/adr/{name}").splitlines()) < 60 for name in decisions)


def crash_tests() -> Iterator[tuple[str, bool]]:
    """Names of the tests of crash windows, and whether each kills and stops."""
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and re.match(r"test_w\d\d_", node.name):
                yield node.name, "EITHER" in {ast.unparse(decorator) for decorator in node.decorator_list}


def test_every_crash_window_names_the_tests_that_prove_it() -> None:
    assert [int(row[1]) for row in WINDOW.finditer(read(WINDOWS))] == list(range(1, 21))
    named = {
        name: int(row[1]) for row in WINDOW.finditer(read(WINDOWS)) for name in re.findall(r"`(test_\w+)`", row[0])
    }
    written = dict(crash_tests())
    assert set(named) == set(written)
    assert all(name.startswith(f"test_w{window:02}_") for name, window in named.items())
    assert {named[name] for name, both in written.items() if both} == set(range(1, 21))


def test_every_sentence_of_the_founding_page_says_what_proves_it() -> None:
    rows = [row for row in TABLE_ROW.findall(read(FOUNDING)) if row[0] != "The page"]
    assert len(rows) >= 25
    assert [row for row in rows if not all(cell.strip() for cell in row)] == []
    named = set(re.findall(r"`(test_\w+)`", read(FOUNDING)))
    written = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert named - written == set()


def test_the_compose_file_is_the_recap() -> None:
    services = yaml.safe_load(read("docker-compose.yml"))["services"]
    amount = {name: service.get("deploy", {}).get("replicas", 1) for name, service in services.items()}
    assert amount == {
        "postgres": 1,
        "redis": 1,
        "web": 1,
        "beat": 1,
        "long-polling": 2,
        "worker": 3,
        "flower": 1,
        "nginx": 1,
        "operaton": 1,
    }
    assert [name for name, service in services.items() if "profiles" in service] == ["operaton"]
    queues = {name: services[name]["environment"]["CELERY_WORKER_QUEUE"] for name in ("long-polling", "worker")}
    assert queues == {"long-polling": "long-polling", "worker": "celery"}
    scripts = [services[name]["command"] for name in ("beat", "long-polling", "worker", "flower")]
    assert scripts == [["/celery_beat.sh"], ["/celery_worker.sh"], ["/celery_worker.sh"], ["/celery_flower.sh"]]


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to import from; what was imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("gemeente_units"):
            del sys.modules[name]


@pytest.mark.parametrize(("path", "tests"), TESTS_OF_EXAMPLES.items())
def test_the_examples_run(path: str, tests: int, examples: Path) -> None:
    """Each example is a file of a package with a test file beside it; the tests of that file are run."""
    for name, code in EXAMPLE.findall(read(path)):
        (examples / name).parent.mkdir(exist_ok=True)
        (examples / name).write_text(code, encoding="utf-8")
    ran = 0
    for file in examples.glob("test_*.py"):
        for name, found in runpy.run_path(str(file)).items():
            if name.startswith("test_"):
                found()
                ran += 1
    assert ran == tests


def test_the_model_of_the_tutorial_can_be_deployed_in_the_sandbox() -> None:
    found = MODEL.search(read(TUTORIAL))
    assert found
    assert [process.id for process in processes(found[1].encode(), resource="evenement.bpmn")] == ["evenement"]


def test_the_pages_that_are_made_from_code_are_up_to_date(tmp_path: Path) -> None:
    """In a process of their own: a setting in the environment of the tests would change the defaults that they show."""
    environment = {"PATH": os.environ["PATH"], **without_servers()}
    subprocess.run([sys.executable, "-m", "stage.reference", str(tmp_path)], env=environment, cwd=ROOT, check=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert set(made) == {
        *("command-line.md", "environment.md", "metrics.md", "openapi.yaml", "rows.md", "work-units.md")
    }
    assert made == {name: read(f"docs/reference/{name}") for name in made}, "write them anew with ./run docs"
