"""The sample of the demo fits its model and the units that do its steps."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from bptl.connections.plans import parse
from bptl.work_units import registry
from bptl.work_units.contract import BusinessError, InvalidInput, TryAgain
from bptl.work_units.testing import FakeWork, run
from stage import sample

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
DRAWN = "{http://www.omg.org/spec/BPMN/20100524/DI}"
CAMUNDA = "{http://camunda.org/schema/1.0/bpmn}"
MODEL = ET.parse(sample.MODEL).getroot()  # noqa: S314 - our own file


def values(number: int) -> dict[str, object]:
    """The variables of a case as a unit would read them."""
    plain = {}
    for name, value in sample.variables(number).items():
        inner = value["value"] if isinstance(value, dict) else value
        plain[name] = json.loads(inner) if name == "bijlagen" else inner
    return plain


def test_every_external_task_of_the_model_has_a_unit_that_exists() -> None:
    topics = {task.get(f"{CAMUNDA}topic") for task in MODEL.iter(f"{BPMN}serviceTask")}
    assert topics == set(sample.UNIT_OF_TOPIC)
    units = registry.load()
    assert all(unit in units for unit in sample.UNIT_OF_TOPIC.values())


def test_the_model_can_be_drawn_whole() -> None:
    process = MODEL.find(f"{BPMN}process")
    assert process is not None
    wanted = {element.get("id") for element in process if element.get("id")}
    drawn = {element.get("bpmnElement") for element in MODEL.iter() if element.tag.startswith(DRAWN)}
    assert wanted <= drawn


def test_the_error_that_the_model_catches_is_one_that_the_unit_throws() -> None:
    codes = {error.get("errorCode") for error in MODEL.iter(f"{BPMN}error")}
    assert codes == set(registry.load().get("demo.decide").throws)


def test_five_cases_take_every_path() -> None:
    decisions = set()
    for number in range(1, 6):
        try:
            decisions.add(run(registry.load().get("demo.decide"), values(number)).variables["besluit"])
        except BusinessError as error:
            decisions.add(error.code)
    assert decisions == {"verlenen", "weigeren", "AANVRAAG_ONVOLLEDIG"}


def test_some_case_that_is_granted_fails_before_it_is_published() -> None:
    with pytest.raises(TryAgain):
        run(registry.load().get("demo.publish_besluit"), values(2), work=FakeWork())


def test_somebody_who_watches_finds_work_to_do() -> None:
    bad, outage = sample.watched_variables(11), sample.watched_variables(7)
    with pytest.raises(InvalidInput):
        run(registry.load().get("demo.decide"), {"hoogte": bad["hoogte"], "bijlagen": ["plan.pdf"]})
    plan = next(item.get("value") for item in MODEL.iter(f"{CAMUNDA}property") if item.get("name") == "RETRY_CONFIG")
    assert plan is not None
    assert outage["failures"] == len(parse(plan)) + 1, "the last retry fails too; one by hand works"


def test_cases_have_keys_of_their_own() -> None:
    assert len({sample.business_key(number) for number in range(1, 101)}) == 100
