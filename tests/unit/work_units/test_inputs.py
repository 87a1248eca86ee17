"""Process variables become inputs, or every fault is told at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import AliasChoices, Field, HttpUrl, model_validator

from bptl.engines.variables import File, Xml
from bptl.work_units.contract import Inputs, InvalidInput, Work, unit_of, work_unit


class Eigenschap(Inputs):
    naam: str
    waarde: int


class Everything(Inputs):
    zaak: str = Field(validation_alias=AliasChoices("zaakUrl", "zaak"))
    aantal: int
    akkoord: bool = False
    eigenschap: Eigenschap | None = None
    regels: list[Eigenschap] = Field(default_factory=list)
    version: Literal["latest"] | Annotated[int, Field(ge=1)] = Field("latest", alias="theVersion")
    document: HttpUrl | None = None
    einddatum: datetime | None = None
    toelichting: str = ""
    bedrag: float = 0.0
    bijlage: File | None = None
    bericht: Xml | None = None


@work_unit("test.everything")
def everything(work: Work, inputs: Everything) -> None:
    """Take one of each."""


class EitherOr(Inputs):
    resultaattype: str = ""
    omschrijving: str = ""

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        if not self.resultaattype and not self.omschrijving:
            raise ValueError("give resultaattype or omschrijving")
        return self


@work_unit("test.either_or")
def either_or(work: Work, inputs: EitherOr) -> None:
    """Take one of two."""


def read(**values: Any) -> Everything:
    inputs = unit_of(everything).read({"zaakUrl": "https://zaken/1", "aantal": 1, **values})
    assert isinstance(inputs, Everything)
    return inputs


def reasons(values: dict[str, Any], *, function: Any = everything) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        unit_of(function).read(values)
    return dict(caught.value.faults)


def test_every_bad_field_is_named_at_once_with_its_path_and_a_reason_that_a_modeller_understands() -> None:
    found = reasons(
        {
            "aantal": "x",
            "akkoord": "perhaps",
            "eigenschap": {"waarde": "veel"},
            "regels": [{"naam": "a", "waarde": 1}, {"naam": "b"}],
            "theVersion": "newest",
            "document": "nergens",
            "einddatum": "morgen",
            "toelichting": ["a"],
            "bedrag": {},
            "bijlage": b"x",
            "bericht": "<a/>",
        }
    )
    assert found == {
        "zaakUrl": "is missing",
        "aantal": "must be a whole number, not 'x'",
        "akkoord": "must be true or false, not 'perhaps'",
        "eigenschap.naam": "is missing",
        "eigenschap.waarde": "must be a whole number, not 'veel'",
        "regels[1].waarde": "is missing",
        "theVersion": "must be 'latest' or a whole number, not 'newest'",
        "document": "must be a web address such as https://example.com/, not 'nergens'",
        "einddatum": "must be a date and time such as 2026-01-31T12:00:00+01:00, not 'morgen'",
        "toelichting": "must be text, not a list",
        "bedrag": "must be a number, not an object",
        "bijlage": "must be a file, not bytes",
        "bericht": "must be an XML document, not '<a/>'",
    }


def test_the_message_of_invalid_input_names_the_unit_and_every_fault() -> None:
    with pytest.raises(InvalidInput, match=r"input of test\.everything: zaakUrl: is missing; aantal: is missing"):
        unit_of(everything).read({})


def test_a_fault_that_concerns_several_variables_is_told_in_the_units_own_words() -> None:
    assert reasons({}, function=either_or) == {"(together)": "give resultaattype or omschrijving"}


def test_a_long_bad_value_is_cut_in_the_reason() -> None:
    reason = reasons({"zaakUrl": "u", "aantal": "9" * 50 + "x"})["aantal"]
    assert reason.endswith("…")
    assert len(reason) < 80


def test_the_cause_of_invalid_input_shows_no_values_in_a_traceback() -> None:
    with pytest.raises(InvalidInput) as caught:
        unit_of(everything).read({"zaakUrl": "u", "aantal": "999990019x"})
    assert "999990019" not in str(caught.value.__cause__)


def test_limits_are_told_as_limits() -> None:
    assert reasons({"zaakUrl": "u", "aantal": 1, "theVersion": 0})["theVersion"] == (
        "must be 'latest' or at least 1, not 0"
    )


@pytest.mark.parametrize("value", ["5", 5, 5.0], ids=repr)
def test_a_whole_number_may_come_as_text_or_double(value: Any) -> None:
    assert read(aantal=value).aantal == 5


@pytest.mark.parametrize("value", [5.5, "5.5", "", None, True, [5]], ids=repr)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    assert "aantal" in reasons({"zaakUrl": "u", "aantal": value})


@pytest.mark.parametrize(
    ("value", "meant"),
    [("False", False), ("false", False), ("true", True), ("True", True), (1, True), (0, False)],
    ids=repr,
)
def test_true_and_false_may_come_as_text(value: Any, meant: bool) -> None:
    assert read(akkoord=value).akkoord is meant


def test_a_number_may_stand_where_text_is_wanted() -> None:
    assert read(toelichting=12).toelichting == "12"


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00.000+0000", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"])
def test_a_date_may_come_as_text_in_the_engines_notation_or_in_iso_notation(text: str) -> None:
    assert read(einddatum=text).einddatum == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("empty", ["", None])
def test_null_and_empty_text_count_as_absent_where_they_are_no_value(empty: Any) -> None:
    inputs = read(document=empty, theVersion=empty, akkoord=empty, eigenschap=empty)
    assert (inputs.document, inputs.version, inputs.akkoord, inputs.eigenschap) == (None, "latest", False, None)


def test_a_required_variable_that_is_null_is_told_to_be_empty() -> None:
    assert reasons({"zaakUrl": None, "aantal": ""}) == {"zaakUrl": "is empty", "aantal": "is empty"}


def test_a_variable_is_found_under_each_of_its_names_and_the_first_one_wins() -> None:
    unit = unit_of(everything)
    assert unit.read({"zaak": "old", "aantal": 1}) == unit.read({"zaakUrl": "old", "aantal": 1})
    assert read(zaak="old").zaak == "https://zaken/1"


def test_the_python_name_of_an_aliased_field_is_no_variable_name() -> None:
    assert read(version=3).version == "latest"
    assert read(theVersion="3").version == 3


def test_exactly_the_declared_variables_are_fetched_with_all_their_names() -> None:
    names = unit_of(everything).variable_names
    assert names[:3] == ("zaakUrl", "zaak", "aantal")
    assert "theVersion" in names
    assert "version" not in names


def test_other_variables_are_ignored() -> None:
    assert not hasattr(read(something="else"), "something")


def test_files_and_xml_reach_the_unit_as_they_are() -> None:
    file = File("plan.pdf", "application/pdf", load=lambda: b"%PDF")
    inputs = read(bijlage=file, bericht=Xml("<a/>"))
    assert inputs.bijlage is not None
    assert inputs.bijlage.read() == b"%PDF"
    assert inputs.bericht == Xml("<a/>")
