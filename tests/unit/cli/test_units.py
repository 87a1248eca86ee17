"""`bptl units` lists what is installed and explains one unit to a modeller."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from pydantic import AliasChoices, Field, HttpUrl

from bptl.cli import units as command
from bptl.work_units import demo, process
from bptl.work_units.contract import Inputs, Outputs, Work, work_unit
from bptl.work_units.registry import Fault, Registry


class Regel(Inputs):
    bedrag: float = Field(description="In euros.")


class Factuur(Inputs):
    zaak: HttpUrl = Field(validation_alias=AliasChoices("zaakUrl", "zaak"), description="The zaak.")
    regels: list[Regel]
    spoed: bool = False
    oorzaak: Regel | None = None


class Verzonden(Outputs):
    factuur: str = Field(alias="factuurUrl", description="Address of the invoice.")
    fout: str | None = None


@work_unit(
    "acme.send_invoice",
    needs={"zrc": "Zaken API"},
    throws={"NO_CUSTOMER": "The customer is unknown."},
    retry_plan="R3/PT30S",
    rights=["CREATE on process instance"],
    replaces="acme.old.SendInvoice",
    nl="""
    Verstuur een factuur.

    Per e-mail.
    """,
)
def send_invoice(work: Work, inputs: Factuur) -> Verzonden:
    """Send an invoice.

    By mail.
    """
    return Verzonden(factuur="")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry([send_invoice, demo.quick, demo.log_variables, process.call_activity])
    monkeypatch.setattr(command, "load", lambda: made)
    return made


def bptl_units(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(command.units, list(arguments))


def test_the_list_shows_every_unit_with_what_goes_in_and_out() -> None:
    result = bptl_units()
    assert result.exit_code == 0
    for expected in (
        "acme.send_invoice",
        "Send an invoice.",
        "zaakUrl, regels, spoed?",
        "factuurUrl, fout",
        "zrc",
        "acme.old.SendInvoice",
        "process.call_activity",
        "bptl.dummy.tasks.dummy",
    ):
        assert expected in result.stdout


def test_names_stay_whole_on_a_narrow_terminal() -> None:
    result = CliRunner(env={"COLUMNS": "60"}).invoke(command.units, [])
    assert "bptl.work_units.camunda_api.tasks.CallActivity" in result.stdout
    assert "subprocessDefinitionVersion?" in result.stdout


def test_the_list_comes_as_json_for_machines() -> None:
    listed = json.loads(bptl_units("--json").stdout)
    assert [unit["name"] for unit in listed] == [
        "acme.send_invoice",
        "demo.log_variables",
        "demo.quick",
        "process.call_activity",
    ]
    invoice = listed[0]
    assert invoice["inputs"][0] == {
        "name": "zaakUrl",
        "type": "web address",
        "required": True,
        "default": None,
        "description": "The zaak.",
        "also": ["zaak"],
    }
    assert [variable["name"] for variable in invoice["inputs"]] == [
        "zaakUrl",
        "regels",
        "regels[].bedrag",
        "spoed",
        "oorzaak",
        "oorzaak.bedrag",
    ]
    assert invoice["services"] == {"zrc": {"kind": "zrc", "purpose": "Zaken API", "optional": False}}
    assert invoice["snippet"].startswith('<bpmn:serviceTask id="acme_send_invoice"')


@pytest.mark.parametrize("name", ["acme.send_invoice", "acme.old.SendInvoice"])
def test_one_unit_is_explained_in_full_under_either_name(name: str) -> None:
    result = bptl_units("show", name)
    assert result.exit_code == 0
    for expected in (
        "By mail.",
        "zaakUrl (web address, required; also accepted as zaak)\n      The zaak.",
        "regels (list of object, required)",
        "regels[].bedrag (number, required)",
        "spoed (true or false, optional, default false)",
        "factuurUrl (text)",
        "fout (text, not always set)",
        "NO_CUSTOMER: The customer is unknown.",
        "R3/PT30S",
        "CREATE on process instance",
        "acme.old.SendInvoice",
    ):
        assert expected in result.stdout


def test_the_page_of_a_unit_is_there_in_dutch_where_it_was_written() -> None:
    shown = bptl_units("show", "acme.send_invoice", "--language", "nl").stdout
    assert "Verstuur een factuur.\n\nPer e-mail.\n" in shown
    assert "By mail." not in shown
    assert "Greet the applicant" in bptl_units("show", "demo.quick", "--language", "nl").stdout


def test_a_modeller_finds_the_service_task_to_paste() -> None:
    assert (
        '<camunda:inputParameter name="zaakUrl">${zaakUrl}</camunda:inputParameter>'
        in bptl_units("show", "acme.send_invoice").stdout
    )


def test_one_unit_comes_as_json_too() -> None:
    assert json.loads(bptl_units("show", "demo.quick", "--json").stdout)["name"] == "demo.quick"


def test_what_a_unit_has_not_is_said() -> None:
    shown = bptl_units("show", "demo.log_variables").stdout
    assert "Inputs:\n  none" in shown
    assert "Outputs:\n  none" in shown
    assert "Retry plan:\n  the default plan" in shown


def test_an_unknown_name_fails_and_suggests_a_known_one() -> None:
    result = bptl_units("show", "demo.quik")
    assert result.exit_code == 1
    assert "did you mean demo.quick" in result.stderr


def test_a_broken_package_is_told_beside_the_list_and_keeps_json_clean(registry: Registry) -> None:
    registry.faults.append(Fault("acme", "ImportError: no module named acme"))
    result = bptl_units("--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 4
    assert "acme could not be loaded: ImportError" in result.stderr


def test_the_command_works_without_django() -> None:
    program = (
        "import sys; sys.modules['django'] = None\n"
        "from bptl.cli.units import units\n"
        "units(['show', 'demo.quick'], standalone_mode=False)\n"
        "assert not [name for name in sys.modules if name.startswith(('celery', 'psycopg'))]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "begroeting (text)" in done.stdout
