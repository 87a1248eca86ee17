"""The whole case of the demo fits its model, its units and what BPTL is told of services."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bptl.work_units import registry
from stage import zaak

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
DRAWN = "{http://www.omg.org/spec/BPMN/20100524/DI}"
CAMUNDA = "{http://camunda.org/schema/1.0/bpmn}"
MODEL = ET.parse(zaak.MODEL).getroot()  # noqa: S314 - our own file
STEPS = list(MODEL.iter(f"{BPMN}serviceTask"))
ROOTS = {alias: f"http://127.0.0.1:8020/{name}/api/v1/" for alias, name in zaak.NAMES.items()}


def test_every_external_task_of_the_model_has_a_unit_that_exists() -> None:
    assert {step.get(f"{CAMUNDA}topic") for step in STEPS} == set(zaak.UNIT_OF_TOPIC)
    units = registry.load()
    assert all(name in units for name, _ in zaak.UNIT_OF_TOPIC.values())


def test_the_model_can_be_drawn_whole() -> None:
    process = MODEL.find(f"{BPMN}process")
    assert process is not None
    wanted = {element.get("id") for element in process if element.get("id")}
    drawn = {element.get("bpmnElement") for element in MODEL.iter() if element.tag.startswith(DRAWN)}
    assert wanted <= drawn


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.get("id"))
def test_every_step_gets_what_its_unit_asks_for(step: ET.Element) -> None:
    given: dict[str, Any] = {"zaakUrl": "http://127.0.0.1/zaken/0b0a6ba9-9bd4-4a1a-8ad9-1d4e2a0b0d9f"}
    for name, value in zaak.variables(4).items():
        given[name] = json.loads(value["value"]) if isinstance(value, dict) else value
    for entry in step.iter(f"{CAMUNDA}inputParameter"):
        text = entry.text or ""
        # A number is an expression, because a text is one for the engine.
        given[str(entry.get("name"))] = int(text[2:-1]) if text[2:-1].isdigit() else text
    does = registry.load().get(zaak.UNIT_OF_TOPIC[str(step.get(f"{CAMUNDA}topic"))][0])
    does.read({name: value for name, value in given.items() if name in does.variable_names})


def test_every_unit_has_the_services_that_it_cannot_do_without() -> None:
    for name, aliases in zaak.UNIT_OF_TOPIC.values():
        needs = registry.load().get(name).needs
        wanted = {alias for alias, need in needs.items() if not need.optional}
        assert wanted <= set(aliases) <= set(needs), name


def test_bptl_is_told_of_every_service_that_a_mapping_names_and_of_no_secret() -> None:
    told = zaak.configuration("sandbox", roots=ROOTS)
    named = {name for mapping in told["mappings"]["items"] for name in mapping["services"].values()}
    assert named == {service["name"] for service in told["services"]["items"]}
    [application] = told["applications"]["items"]
    assert named == {grant["service"] for grant in application["services"]}
    assert {json.dumps(grant["secret"]) for grant in application["services"]} == {
        '{"value_from": {"env": "ZGW_SECRET"}}'
    }


def test_zaken_have_names_of_their_own() -> None:
    names = {json.loads(zaak.variables(number)["zaakDetails"]["value"])["identificatie"] for number in range(1, 101)}
    assert len(names) == 100
