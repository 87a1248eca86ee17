"""What may be declared as a unit, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import Field, HttpUrl

from bptl.clients.access import Kind
from bptl.engines.variables import File, Xml
from bptl.work_units.contract import (
    BusinessError,
    Inputs,
    InvalidInput,
    InvalidOutput,
    Need,
    OpenOutputs,
    Outputs,
    Work,
    unit_of,
    work_unit,
)
from bptl.work_units.description import outputs_of
from bptl.work_units.testing import FakeWork, run


class Wish(Inputs):
    give: str = "good"


class Part(Outputs):
    omschrijving: str = Field(alias="Omschrijving")


class Answer(Outputs):
    zaak: HttpUrl = Field(alias="zaakUrl")
    parts: list[Part] = Field(default_factory=list)
    at: datetime | None = None
    file: File | None = None
    xml: Xml | None = None
    raw: bytes | None = None
    remark: str | None = None


FULL = Answer(
    zaak=HttpUrl("https://zaken/1"),
    parts=[Part(omschrijving="dak")],
    at=datetime(2026, 1, 31, tzinfo=UTC),
    file=File("a.txt"),
    xml=Xml("<a/>"),
    raw=b"\x00\xff",
    remark=None,
)


@work_unit("test.answer", throws={"REFUSED": "no"})
def answer(work: Work, inputs: Wish) -> Answer:
    """Answer what is wished.

    More about it.
    """
    if inputs.give == "full":
        return FULL
    if inputs.give == "wrong type":
        return {"zaakUrl": "https://zaken/1"}  # type: ignore[return-value]
    if inputs.give == "wrong value":
        return Answer(zaak="nowhere")  # type: ignore[arg-type]
    if inputs.give == "spoilt later":
        spoilt = Answer(zaak=HttpUrl("https://zaken/1"))
        spoilt.parts = 3  # type: ignore[assignment]
        return spoilt
    if inputs.give == "foreign fault":
        Part.model_validate({})
    if inputs.give == "error":
        raise BusinessError("REFUSED", "sorry", variables={"why": "rain"})
    return Answer(zaak=HttpUrl("https://zaken/1"))


@work_unit("test.maybe")
def maybe(work: Work, inputs: Wish) -> Answer | None:
    """Answer something, or skip."""
    return None


@work_unit("test.silent")
def silent(work: Work, inputs: Wish) -> None:
    """Answer nothing."""
    return {"a": 1} if inputs.give == "wrong type" else None  # type: ignore[return-value]


def test_an_answer_becomes_variables_by_alias_and_keeps_the_types_that_engines_know() -> None:
    assert run(answer, {"give": "full"}).variables == {
        "zaakUrl": "https://zaken/1",
        "parts": [{"Omschrijving": "dak"}],
        "at": datetime(2026, 1, 31, tzinfo=UTC),
        "file": File("a.txt"),
        "xml": Xml("<a/>"),
        "raw": b"\x00\xff",
        "remark": None,
    }


def test_an_optional_output_that_was_left_alone_sets_no_variable() -> None:
    assert run(answer, {}).variables == {"zaakUrl": "https://zaken/1", "parts": []}


@pytest.mark.parametrize("unit", [maybe, silent])
def test_no_answer_sets_no_variables(unit: Callable[..., Any]) -> None:
    assert run(unit, {}).variables == {}


@pytest.mark.parametrize(
    ("unit", "wish", "path", "reason"),
    [
        (answer, "wrong type", "answer", "must be Answer, not dict"),
        (silent, "wrong type", "answer", "must be None, not dict"),
        (answer, "spoilt later", "parts", "must be a list, not 3"),
    ],
)
def test_an_answer_that_was_not_declared_is_a_fault_of_the_unit(
    unit: Callable[..., Any], wish: str, path: str, reason: str
) -> None:
    with pytest.raises(InvalidOutput) as caught:
        run(unit, {"give": wish})
    assert caught.value.faults == ((path, reason),)


def test_outputs_that_cannot_be_made_are_invalid_output_and_no_unexpected_error() -> None:
    with pytest.raises(InvalidOutput, match=r"output of test\.answer: zaak: must be a web address"):
        run(answer, {"give": "wrong value"})


def test_a_validation_error_of_something_else_stays_unexpected() -> None:
    with pytest.raises(ValueError, match="Part"):
        run(answer, {"give": "foreign fault"})


def test_nothing_is_done_when_the_input_is_bad() -> None:
    work = FakeWork()
    with pytest.raises(InvalidInput):
        run(answer, {"give": []}, work=work)
    assert not work.events


def test_a_business_error_carries_code_message_and_variables() -> None:
    with pytest.raises(BusinessError) as caught:
        run(answer, {"give": "error"})
    assert (caught.value.code, caught.value.message, caught.value.variables) == ("REFUSED", "sorry", {"why": "rain"})


def test_a_declared_function_can_still_be_called_as_it_is() -> None:
    assert answer(FakeWork(), Wish()) == Answer(zaak=HttpUrl("https://zaken/1"))


def test_the_summary_is_the_first_line_of_the_documentation() -> None:
    assert unit_of(answer).summary == "Answer what is wished."


def undocumented(work: Work, inputs: Wish) -> None: ...


def too_few(inputs: Wish) -> None:
    """Take too little."""


def unannotated(work, inputs) -> None:  # type: ignore[no-untyped-def]
    """Say nothing about the inputs."""


def answers_a_dict(work: Work, inputs: Wish) -> dict[str, str]:
    """Answer something undeclared."""
    return {}


def answers_one_of_two(work: Work, inputs: Wish) -> Answer | Part:
    """Answer one of two."""
    return Part(omschrijving="")


async def waits(work: Work, inputs: Wish) -> None:
    """Wait in the wrong way."""


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (undocumented, "docstring"),
        (too_few, "exactly"),
        (unannotated, "subclass of Inputs"),
        (answers_a_dict, "subclass of Outputs"),
        (answers_one_of_two, "subclass of Outputs"),
        (waits, "plain function"),
    ],
)
def test_a_function_that_is_no_unit_is_refused_with_the_reason(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(TypeError, match=f"test.refused: .*{why}"):
        work_unit("test.refused")(function)


def test_inputs_hidden_inside_a_function_are_refused_with_a_hint() -> None:
    class Hidden(Inputs):
        pass

    def hidden(work: Work, inputs: Hidden) -> None:
        """Hide."""

    with pytest.raises(TypeError, match="module level"):
        work_unit("test.hidden")(hidden)


@pytest.mark.parametrize("name", ["quick", "Demo.quick", "demo.", "demo quick", "demo.Quick"])
def test_a_unit_is_named_theme_dot_verb(name: str) -> None:
    with pytest.raises(TypeError, match="theme"):
        work_unit(name)


def test_an_undecorated_function_is_no_unit() -> None:
    with pytest.raises(TypeError, match="decorate it"):
        unit_of(too_few)


class Found(OpenOutputs):
    status: int


@work_unit("test.find")
def find(work: Work, inputs: Inputs) -> Found:
    """Answer what the model asked for."""
    return Found.model_validate({"status": 200, "naam": "Jan", "copy": None, "_los": [1]})


def test_open_outputs_set_variables_that_no_declaration_names() -> None:
    assert run(find, {}).variables == {"status": 200, "naam": "Jan", "copy": None, "_los": [1]}


def test_the_catalogue_says_that_a_model_names_outputs() -> None:
    assert [variable.name for variable in outputs_of(unit_of(find))] == ["status", "…"]


def test_an_application_is_asked_for_where_its_rights_are_always_needed() -> None:
    documents = Need(Kind.DOCUMENTEN, "attachments", optional=True)
    unit = unit_of(find)
    assert not replace(unit, needs={"drc": documents}).needs_application
    assert replace(unit, needs={"drc": documents, "zrc": Need(Kind.ZAKEN, "Zaken API")}).needs_application
