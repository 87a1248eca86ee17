"""What a modeller pastes is a service task that an engine takes, with every input that the unit requires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import AliasChoices, Field

from bptl.sandbox.parse import processes
from bptl.work_units.contract import Inputs, Work, unit_of, work_unit
from bptl.work_units.snippet import snippet

NAMESPACES = (
    'xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"'
)


class Zaak(Inputs):
    zaak: str = Field(validation_alias=AliasChoices("zaakUrl", "zaak"))
    toelichting: str = ""


class Nothing(Inputs):
    pass


@work_unit("acme.close_zaak", needs={"zrc": "Zaken API"})
def close_zaak(work: Work, inputs: Zaak) -> None:
    """Close a zaak & "archive" it."""


@work_unit("acme.note")
def note(work: Work, inputs: Zaak) -> None:
    """Note something."""


@work_unit("acme.ring")
def ring(work: Work, inputs: Nothing) -> None:
    """Ring the bell."""


def model(task: str) -> bytes:
    flow = '<bpmn:sequenceFlow id="{0}" sourceRef="{1}" targetRef="{2}" />'
    name = task.partition('id="')[2].partition('"')[0]
    return (
        f'<bpmn:definitions {NAMESPACES} targetNamespace="t"><bpmn:process id="p" isExecutable="true">'
        f'<bpmn:startEvent id="s" />{flow.format("a", "s", name)}{task}{flow.format("b", name, "e")}'
        '<bpmn:endEvent id="e" /></bpmn:process></bpmn:definitions>'
    ).encode()


@pytest.mark.parametrize("unit", [close_zaak, note, ring])
def test_an_engine_takes_it(unit: Callable[..., Any]) -> None:
    assert [process.id for process in processes(model(snippet(unit_of(unit))), resource="snippet.bpmn")] == ["p"]


def test_it_gives_what_is_required_and_names_what_is_optional() -> None:
    text = snippet(unit_of(close_zaak))
    assert '<camunda:inputParameter name="zaakUrl">${zaakUrl}</camunda:inputParameter>' in text
    assert '<camunda:inputParameter name="bptlAppId">${bptlAppId}</camunda:inputParameter>' in text
    assert "<!-- optional: toelichting -->" in text


def test_an_application_is_asked_for_only_where_services_need_one() -> None:
    assert "bptlAppId" not in snippet(unit_of(note))


def test_its_topic_is_the_name_of_the_unit_or_the_one_that_is_mapped_to_it() -> None:
    assert 'camunda:topic="acme.ring"' in snippet(unit_of(ring))
    assert 'camunda:topic="bel"' in snippet(unit_of(ring), topic="bel")
