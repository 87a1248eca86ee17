"""``bptl try``: a model runs to its end, or the modeller reads why not."""

# ruff: noqa: E501 - models read best in one line

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bptl.cli.main import bptl
from stage import sample
from tests.integration.sandbox.laptop import bpmn, external, flow

START, END = '<startEvent id="s"/>', '<endEvent id="e"/>'
LINE = f"{START}{external('a')}{END}" + flow("s", "a", "e")
UNITS = [f"--unit={topic}={unit}" for topic, unit in sample.UNIT_OF_TOPIC.items()]
PERMIT = [str(sample.MODEL), *UNITS, "--var", "welstandsplichtig=true", "--var", 'bijlagen=["plan.pdf"]']


@pytest.fixture
def model(tmp_path: Path) -> Any:
    """Writes a model and answers its path."""

    def write(body: str, *, name: str = "model.bpmn", **parts: str) -> str:
        (tmp_path / name).write_bytes(bpmn(body, **parts))
        return str(tmp_path / name)

    return write


def test_a_trial_sends_no_mail_and_says_what_to_do_instead(model: Any) -> None:
    person = '{"name": "Jan", "email": "jan@example.nl"}'
    letter = {"sender": person, "receiver": person, "email": '{"subject": "Dag", "content": ""}', "context": "{}"}
    given = [f"--var={name}={value}" for name, value in {**letter, "template": '"generiek"'}.items()]
    ended = bptl_try(model(LINE), "--unit=a=mail.send", *given)
    assert ended.exit_code == 1
    assert "a trial sends no mail; give an answer in the unit's place (--answer)" in ended.output


def bptl_try(*arguments: str) -> Result:
    return CliRunner().invoke(bptl, ["try", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bptl_try(*arguments, "--json").stdout)
    return found


def path(verdict: dict[str, Any]) -> list[str]:
    return [step["element"] for step in verdict["steps"] if not step["cancelled"]]


def test_the_sample_runs_with_its_real_units_and_shows_what_each_changed() -> None:
    result = bptl_try(*PERMIT, "--var", "hoogte=8.5", "--var", "failures=0")
    assert result.exit_code == 0
    assert "registreren   Registreren en leges berekenen  ← unit demo.quick" in result.stdout
    assert 'besluit = "verlenen"' in result.stdout
    assert "ended:" in result.stdout


def test_time_jumps_to_the_timer_when_nobody_answers() -> None:
    verdict = told(*PERMIT, "--var", "hoogte=8.5", "--var", "seconds=3600", "--var", "failures=0")
    assert verdict["ended"]
    assert "termijn" in path(verdict)
    assert verdict["seconds"] >= 3600, "a slow unit lets the engine's time pass, not the modeller's"


def test_a_person_who_answers_is_before_the_timer() -> None:
    verdict = told(*PERMIT, "--var", "hoogte=8.5", "--var", "failures=0", "--answer", 'adviseren={"advies": "goed"}')
    assert verdict["ended"]
    assert "termijn" not in path(verdict)
    assert verdict["variables"]["advies"] == "goed"


def test_a_unit_that_fails_for_a_while_is_tried_again_by_the_models_plan() -> None:
    verdict = told(*PERMIT, "--var", "hoogte=8.5", "--var", "failures=2")
    assert verdict["ended"]
    assert verdict["variables"]["pogingen"] == 3


def test_retries_that_are_used_up_are_an_incident_with_its_cause() -> None:
    result = bptl_try(*PERMIT, "--var", "hoogte=8.5", "--var", "failures=9")
    assert result.exit_code == 1
    assert "reason: incident at publiceren: attempt 4 fails, as asked: 9 failures" in result.stdout


def test_bad_input_is_an_incident_that_names_the_variable() -> None:
    assert told(*PERMIT, "--var", "hoogte=veel")["reasons"] == [
        "incident at besluiten: input of demo.decide: hoogte: must be a number, not 'veel'"
    ]


def test_an_answer_stands_in_for_a_unit(model: Any) -> None:
    verdict = told(model(LINE), "--answer", 'a={"leges": 12.5, "regels": [1, 2]}')
    assert verdict["ended"]
    assert path(verdict) == ["s", "a", "e"]
    assert verdict["variables"] == {"leges": 12.5, "regels": [1, 2]}


def test_answers_are_used_in_their_order_and_the_last_stays(model: Any) -> None:
    verdict = told(model(LINE), "--answer", 'a={"fail": "away"}', "--answer", 'a={"fail": "away"}', "--answer", "a={}")
    assert verdict["ended"]
    assert path(verdict) == ["s", "a", "a", "a", "e"]


def test_a_topic_that_is_called_like_a_unit_is_done_by_it(model: Any) -> None:
    task = external("a").replace('camunda:topic="a"', 'camunda:topic="demo.quick"')
    verdict = told(model(f"{START}{task}{END}" + flow("s", "a", "e")), "--var", "bouwkosten=100000")
    assert verdict["variables"]["leges"] == 2500.0


def test_a_bpmn_error_takes_the_path_that_catches_it(model: Any) -> None:
    caught = '<boundaryEvent id="b" attachedToRef="a"><errorEventDefinition errorRef="x" camunda:errorMessageVariable="reden"/></boundaryEvent><endEvent id="z"/>'
    file = model(LINE + caught + flow("b", "z"), roots='<error id="x" errorCode="X1"/>')
    verdict = told(file, "--answer", 'a={"error": "X1", "message": "te hoog"}')
    assert verdict["ended"]
    assert path(verdict) == ["s", "b", "z"]
    assert verdict["variables"] == {"reden": "te hoog"}


def test_a_bpmn_error_that_nobody_catches_is_no_end(model: Any) -> None:
    result = bptl_try(model(LINE), "--answer", 'a={"error": "X1"}')
    assert result.exit_code == 1
    assert "no event catches the BPMN error X1 of a" in result.stdout


def test_a_topic_without_answer_and_unit_says_what_to_give(model: Any) -> None:
    result = bptl_try(model(LINE))
    assert result.exit_code == 1
    assert "nobody does topic a of a: give --answer 'a={…}' or --unit a=UNIT" in result.stdout


def test_who_is_waited_for_is_told(model: Any) -> None:
    catch = '<intermediateCatchEvent id="c"><messageEventDefinition messageRef="m"/></intermediateCatchEvent>'
    body = f'{START}<parallelGateway id="g"/><userTask id="u"/>{catch}{END}' + flow("s", "g", "u", "e") + flow("g", "c")
    file = model(body, roots='<message id="m" name="betaald"/>')
    assert told(file)["reasons"] == [
        "the user task u waits for somebody: give --answer 'u={…}'",
        "c waits for the message betaald: give --answer 'betaald={…}'",
    ]
    verdict = told(file, "--answer", 'betaald={"bedrag": 10}', "--answer", "u={}")
    assert verdict["ended"]
    assert verdict["variables"] == {"bedrag": 10}


def test_what_the_sandbox_refuses_is_named_with_element_and_line(model: Any) -> None:
    result = bptl_try(model(f'{START}<scriptTask id="boom"/>{END}' + flow("s", "boom", "e")))
    assert result.exit_code == 1
    assert "model.bpmn: boom (line 1): the sandbox runs no scripts" in result.stdout


def test_a_circle_is_ended(model: Any) -> None:
    body = f'{START}<exclusiveGateway id="g"/>{external("a")}' + flow("s", "g", "a", "g")
    result = bptl_try(model(body), "--answer", "a={}", "--max-steps", "20")
    assert result.exit_code == 1
    assert "not ended after 20 steps" in result.stdout


def test_a_called_process_comes_from_another_file(model: Any) -> None:
    called = model(LINE, name="called.bpmn", key="called")
    main = model(f'{START}<callActivity id="c" calledElement="called"/>{END}' + flow("s", "c", "e"), name="main.bpmn")
    verdict = told(main, called, "--answer", "a={}")
    assert verdict["ended"]
    assert [(step["process"], step["element"]) for step in verdict["steps"]] == [
        ("p", "s"), ("p", "c"), ("called", "s"), ("called", "a"), ("called", "e"), ("p", "e"),
    ]  # fmt: skip


def test_a_unit_reaches_the_processes_of_its_engine(model: Any) -> None:
    started = model(LINE, name="started.bpmn", key="started")
    main = model(LINE.replace('topic="a"', 'topic="process.call_activity"'), name="main.bpmn")
    verdict = told(main, started, "--var", "subprocessDefinition=started", "--unit", "a=demo.quick")
    assert verdict["ended"]
    assert [step["element"] for step in verdict["steps"] if step["process"] == "started"] == ["s", "a", "e"]


def test_a_misspelt_answer_is_noted(model: Any) -> None:
    result = bptl_try(model(LINE), "--answer", "a={}", "--answer", "aa={}")
    assert result.exit_code == 0
    assert "note: nobody asked for the answer aa" in result.stdout


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--answer", "a={"),
        ("--answer", "a=[]"),
        ("--answer", 'a={"error": "X", "leges": 1}'),
        ("--var", "x"),
        ("--unit", "a=demo.quik"),
    ],
)
def test_an_option_that_cannot_be_read_is_explained(model: Any, option: str, text: str) -> None:
    result = bptl_try(model(LINE), option, text)
    assert result.exit_code == 2
    assert "Error:" in result.stderr


@pytest.mark.parametrize("command", [["try", str(sample.MODEL)], ["sandbox"]])
def test_without_the_extra_one_line_says_what_to_install(command: list[str]) -> None:
    program = f"import sys; sys.modules['SpiffWorkflow'] = None\nfrom bptl.cli.main import bptl\nbptl({command!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'bptl[sandbox]'" in done.stderr


def test_a_trial_needs_no_django_and_no_database() -> None:
    program = (
        "import sys; sys.modules['django'] = None\n"
        f"from bptl.cli.main import bptl\nbptl(['try', *{PERMIT!r}, '--var', 'hoogte=9'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_unit_that_waits_for_somebody_outside_is_answered_from_the_command_line(model: Any) -> None:
    waits = [model(LINE), "--unit=a=demo.wait_for_answer"]
    stuck = bptl_try(*waits)
    assert stuck.exit_code == 1
    assert "demo.wait_for_answer waits for an answer from outside: give --answer 'advies={…}'" in stuck.output
    assert told(*waits, """--answer=advies={"advies": "positief"}""")["variables"]["advies"] == "positief"
    misfit = bptl_try(*waits, """--answer=advies={"advies": "misschien"}""")
    assert (misfit.exit_code, "advies: must be 'positief' or 'negatief'" in misfit.output) == (1, True)
