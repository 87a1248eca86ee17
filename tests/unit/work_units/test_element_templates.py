"""An element template says in the modeler's words what the unit declares, and the published schema finds it valid."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import Field

from bptl.work_units.contract import Inputs, OpenOutputs, Outputs, Work, unit_of, work_unit
from bptl.work_units.element_templates import element_template
from bptl.work_units.registry import load
from stage import assets

Template = dict[str, Any]


class Soort(Enum):
    NIEUW = "nieuw"
    OUD = "oud"


class Adres(Inputs):
    straat: str
    nummer: int = 1


class Everything(Inputs):
    naam: str = Field(description="Name of <somebody>.")
    aantal: int
    bedrag: float = 2.5
    datum: date | None = None
    soort: Soort = Soort.NIEUW
    methode: Literal["GET", "POST"]
    richting: Literal["heen", "terug"] | Literal[""] = "heen"
    spoed: bool = False
    adres: Adres
    regels: list[Adres] = Field(default_factory=list)
    verwijzing: str | None
    iets: Any = None


class Answer(Outputs):
    nummer: int = Field(description="Number given.")
    bijlage: str | None = None


class Free(OpenOutputs):
    pass


class Nothing(Inputs):
    pass


@work_unit(
    "acme.take",
    throws={"GEEN PLEK": "There is no place.", "TE_LAAT": "Too late."},
    retry_plan="PT2S,PT5S",
    replaces="old.Take",
    needs={"zrc": "Zaken API"},
    nl="Neem iets aan.\n\nMet uitleg.",
)
def take(work: Work, inputs: Everything) -> Answer:
    """Take something.

    With more to say.
    """
    raise NotImplementedError


@work_unit("acme.ring")
def ring(work: Work, inputs: Nothing) -> Free:
    """Ring the bell."""
    raise NotImplementedError


def template(unit: Callable[..., Any] = take, **options: Any) -> Template:
    return element_template(unit_of(unit), **options)


def bound(kind: str, found: Template) -> dict[str, Template]:
    """Properties by what they are bound to."""
    chosen = [one for one in found["properties"] if one["binding"]["type"] == kind]
    return {one["binding"].get("name") or one["value"]: one for one in chosen}


def inputs(**options: Any) -> dict[str, Template]:
    return bound("camunda:inputParameter", template(**options))


def texts(found: Template) -> dict[str, str]:
    return {choice["value"]: choice["name"] for choice in found["choices"]}


def accepts(found: Template, text: str) -> bool:
    return re.search(found["constraints"]["pattern"]["value"], text) is not None


def test_the_topic_is_fixed_and_the_task_is_an_external_one() -> None:
    found = template(topic="aannemen")
    fixed = bound("property", found)
    assert fixed["camunda:type"]["value"] == "external"
    assert fixed["camunda:topic"]["value"] == "aannemen"
    assert fixed["camunda:topic"]["editable"] is False
    assert (found["id"], found["name"]) == ("bptl:acme.take:aannemen", "aannemen (acme.take)")
    assert bound("property", template())["camunda:topic"]["value"] == "acme.take"
    assert template()["id"] == "bptl:acme.take"


def test_a_required_input_reads_the_variable_of_its_name_and_may_not_be_empty() -> None:
    naam = inputs()["naam"]
    assert (naam["value"], naam["group"], naam["constraints"]) == ("${naam}", "inputs", {"notEmpty": True})
    assert naam["description"] == "Name of &lt;somebody&gt;. Type: text."


def test_a_required_input_that_may_be_null_may_be_empty() -> None:
    assert "notEmpty" not in inputs()["verwijzing"].get("constraints", {})


def test_a_default_is_filled_in() -> None:
    bedrag = inputs()["bedrag"]
    assert (bedrag["value"], bedrag["group"]) == ("2.5", "optional")


@pytest.mark.parametrize("name", ["datum", "regels", "iets"])
def test_an_optional_input_without_default_hides_no_variable_and_fails_on_none(name: str) -> None:
    assert inputs()[name]["value"] == f'${{execution.getVariableTyped("{name}", false)}}'


@pytest.mark.parametrize("text", ["12", "-3", "${aantal + 1}"])
def test_a_number_is_a_number_or_an_expression(text: str) -> None:
    assert accepts(inputs()["aantal"], text)


@pytest.mark.parametrize("text", ["twaalf", "1.5", "", "12 stuks"])
def test_a_number_is_nothing_else(text: str) -> None:
    assert not accepts(inputs()["aantal"], text)


def test_an_optional_value_may_be_emptied() -> None:
    assert accepts(inputs()["datum"], "")
    assert not accepts(inputs()["datum"], "morgen")


def test_choices_are_a_list_to_choose_from_and_a_variable_may_decide() -> None:
    methode = inputs()["methode"]
    assert methode["type"] == "Dropdown"
    assert methode["value"] == "${methode}"
    assert texts(methode) == {"GET": "GET", "POST": "POST", "${methode}": "the process variable methode"}
    assert list(texts(inputs()["soort"]))[:2] == ["nieuw", "oud"]
    assert inputs()["soort"]["value"] == "nieuw"


def test_empty_text_as_a_choice_is_no_null() -> None:
    richting = inputs()["richting"]
    assert richting["value"] == "heen"
    assert texts(richting)['${""}'] == "(empty)"


def test_true_and_false_are_choices_too() -> None:
    spoed = inputs()["spoed"]
    assert spoed["value"] == "false"
    assert list(texts(spoed).items())[:2] == [("true", "yes"), ("false", "no")]


def test_an_object_is_read_as_it_is_and_its_fields_are_named() -> None:
    adres = inputs()["adres"]
    assert adres["type"] == "Text"
    assert adres["value"] == '${execution.getVariableTyped("adres", false)}'
    assert "adres.straat, adres.nummer" in adres["description"]


def test_the_application_is_asked_for_where_services_need_one() -> None:
    assert inputs()["bptlAppId"]["value"] == "${bptlAppId}"
    assert "bptlAppId" not in bound("camunda:inputParameter", template(ring))


def test_outputs_are_set_under_their_names_and_a_missing_one_breaks_nothing() -> None:
    outputs = bound("camunda:outputParameter", template())
    assert list(outputs) == ["nummer", "bijlage"]
    assert outputs["nummer"]["binding"]["source"] == '${execution.getVariableTyped("nummer", false)}'
    assert "Null when the unit does not set it" in outputs["bijlage"]["description"]
    assert bound("camunda:outputParameter", template(ring)) == {}
    assert "the variables that the inputs name" in template(ring)["description"]


def test_retries_can_be_planned_in_the_model() -> None:
    found = bound("camunda:property", template())["RETRY_CONFIG"]
    assert found["value"] == ""
    assert "Empty: PT2S,PT5S." in found["description"]


def test_declared_error_codes_are_errors_of_the_model_that_it_never_throws_by_itself() -> None:
    found = template()
    thrown = [one for one in found["properties"] if one["binding"]["type"] == "camunda:errorEventDefinition"]
    assert {one["value"] for one in thrown} == {"${false}"}
    assert [one["binding"]["errorRef"] for one in thrown] == [scope["id"] for scope in found["scopes"]]
    says = [{one["binding"]["name"]: one["value"] for one in scope["properties"]} for scope in found["scopes"]]
    assert [(error["errorCode"], error["camunda:errorMessage"]) for error in says] == [
        ("GEEN PLEK", "There is no place."),
        ("TE_LAAT", "Too late."),
    ]
    assert "scopes" not in template(ring)


def test_it_leads_to_the_page_of_the_unit_and_is_found_by_its_old_name() -> None:
    found = template(page="https://bptl.example.nl/units/acme.take/")
    assert found["documentationRef"] == "https://bptl.example.nl/units/acme.take/"
    assert "old.Take" in found["keywords"]


def test_it_speaks_dutch() -> None:
    found = template(language="nl")
    assert found["description"].startswith("Neem iets aan. BPMN-fouten: GEEN PLEK, TE_LAAT.")
    assert texts(inputs(language="nl")["spoed"])["true"] == "ja"


def test_the_published_schema_finds_every_template_valid() -> None:
    units = [*load(), unit_of(take), unit_of(ring)]
    page = "https://bptl.example.nl/units/"
    made = [element_template(unit, page=page, language=language) for unit in units for language in ("en", "nl")]
    made += [element_template(unit_of(take), topic="met spaties & tekens")]
    assert invalid(made) == []


def test_the_schema_is_really_asked() -> None:
    broken = template()
    del broken["appliesTo"]
    assert invalid([broken]) != []


VALIDATE = """
import Ajv from "ajv";
import { readFileSync } from "node:fs";
const schema = "node_modules/@camunda/element-templates-json-schema/resources/schema.json";
const ajv = new Ajv({ strict: false, allErrors: true });
const validate = ajv.compile(JSON.parse(readFileSync(schema, "utf8")));
const templates = JSON.parse(readFileSync(0, "utf8"));
const found = templates.filter((one) => !validate(one)).map((one) => [one.id, ajv.errorsText(validate.errors)]);
console.log(JSON.stringify(found));
"""


def invalid(templates: list[Template]) -> list[Any]:
    """What the schema that modelers use says against them."""
    node, _npm = assets.tools()
    command = [str(node), "--input-type=module", "--eval", VALIDATE]
    said = subprocess.run(
        command, cwd=assets.SOURCES, input=json.dumps(templates), capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    found: list[Any] = json.loads(said.stdout)
    return found
