"""Translation of process variables: what holds for every value."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, SecretStr

from bptl.engines.variables import (
    File,
    Transient,
    UnreadableVariable,
    UnsendableValue,
    Variable,
    Xml,
    decode,
    decode_all,
    encode,
    encode_all,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON_VALUES = st.recursive(JSON_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=12)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS)


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Kind(Enum):
    GOOD = "good"


class Zaak(BaseModel):
    url: str
    start: date = Field(alias="startdatum")


@given(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary()
    | st.lists(JSON_VALUES)
    | st.dictionaries(TEXT, JSON_VALUES)
    | TEXT.map(Xml)
)
def test_a_value_comes_back_as_it_went_with_its_python_type(value: object) -> None:
    sent = encode(value)
    row = json.loads(json.dumps(sent.to_json(), allow_nan=False))
    read = decode(Variable.from_json(row))
    assert read == value
    assert type(read) is type(value)


@given(MOMENTS)
def test_a_moment_comes_back_to_the_millisecond(moment: datetime) -> None:
    text = encode(moment).value
    assert len(text) == len("2013-01-23T13:42:42.000+0100")
    assert text[-5] in "+-"
    assert decode(Variable("Date", text)) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_an_offset_with_seconds_is_sent_in_utc() -> None:
    old_amsterdam = datetime(1930, 1, 1, 12, tzinfo=timezone(timedelta(minutes=19, seconds=32)))
    assert encode(old_amsterdam).value == "1930-01-01T11:40:28.000+0000"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1990, max_size=2010).map(lambda text: text * 2))
def test_a_string_keeps_its_text_whichever_side_of_the_limit_it_is(text: str) -> None:
    sent = encode(text)
    fits = len(text.encode("utf-16-le")) // 2 <= 4000
    assert sent.type == ("String" if fits else "Object")
    assert decode(sent) == text


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        (True, "Boolean", True),
        (2**31 - 1, "Integer", 2**31 - 1),
        (2**31, "Long", 2**31),
        (-(2**31) - 1, "Long", -(2**31) - 1),
        (date(2024, 2, 29), "String", "2024-02-29"),
        (time(12, 30), "String", "12:30:00"),
        (Decimal("12.50"), "String", "12.50"),
        (UUID(int=1), "String", "00000000-0000-0000-0000-000000000001"),
        (AnyUrl("https://zaken.example/1"), "String", "https://zaken.example/1"),
        (Colour.RED, "String", "red"),
        (Size.BIG, "Integer", 3),
        (Kind.GOOD, "String", "good"),
        (bytearray(b"\xfb\xff"), "Bytes", "+/8="),
        (("a", Size.BIG, Decimal("1.0"), date(2024, 1, 1)), "Json", '["a", 3, "1.0", "2024-01-01"]'),
        (
            {"zaak": Zaak(url="x", startdatum=date(2024, 1, 1))},
            "Json",
            '{"zaak": {"url": "x", "startdatum": "2024-01-01"}}',
        ),
        (Variable("Short", 1), "Short", 1),
    ],
)
def test_each_python_type_has_its_process_variable_type(value: object, kind: str, sent: object) -> None:
    variable = encode(value)
    assert (variable.type, variable.value) == (kind, sent)
    assert type(variable.value) is type(sent)


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (2**63, "send it as a str"),
        (math.nan, "None"),
        (-math.inf, "None"),
        (Decimal("NaN"), "None"),
        (datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None), "time zone"),
        ("\ud800", "surrogate"),
        (["\ud800"], "surrogate"),
        ([math.nan], "JSON"),
        ({1: 2}, "keys"),
        ([Transient("secret")], "inside"),
        ({"a": [File("a.txt")]}, "inside"),
        ([b"bytes"], "inside"),
        (SecretStr("secret"), "no process-variable type"),
        ([SecretStr("secret")], "inside"),
        (object(), "no process-variable type"),
        (File(""), "file name"),
        (Transient(2**63), "send it as a str"),
    ],
    ids=repr,
)
def test_what_cannot_be_sent_is_refused_with_its_name_and_the_way_out(value: object, fix: str) -> None:
    with pytest.raises(UnsendableValue, match=fix) as refused:
        encode_all({"fine": 1, "result": value})
    assert refused.value.name.startswith("result")
    assert refused.value.type
    assert "secret" not in str(refused.value).replace("SecretStr", "")


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnsendableValue):
        encode(endless)


def test_a_transient_value_keeps_its_type_and_other_information() -> None:
    sent = encode(Transient(File("a.txt", "text/plain", load=lambda: b"x")))
    assert sent.type == "File"
    assert sent.info == {"filename": "a.txt", "mimeType": "text/plain", "transient": True}


def test_a_file_is_sent_as_plain_base64() -> None:
    content = bytes(range(256)) * 20
    sent = encode(File("a.bin", encoding="UTF-8", load=lambda: content))
    assert base64.b64decode(sent.value, validate=True) == content
    assert sent.info == {"filename": "a.bin", "mimeType": "application/octet-stream", "encoding": "UTF-8"}


def test_a_fetched_file_is_loaded_only_when_it_is_read() -> None:
    loaded = []

    def load(name: str) -> bytes:
        loaded.append(name)
        return b"content of " + name.encode()

    info = {"filename": "a.txt", "mimeType": "text/plain", "encoding": None}
    values = decode_all({"one": Variable("File", None, info), "two": Variable("File")}, load_file=load)
    one, two = values["one"], values["two"]
    assert isinstance(one, File)
    assert isinstance(two, File)
    assert (one.name, one.mime_type, two.name) == ("a.txt", "text/plain", "two")
    assert loaded == []
    assert one.read() == b"content of one"
    assert loaded == ["one"]


def test_a_file_without_anything_to_load_it_says_so_when_read() -> None:
    file = decode(Variable("File"), name="letter")
    assert isinstance(file, File)
    with pytest.raises(UnreadableVariable, match="letter"):
        file.read()


def test_our_own_file_is_read_from_what_was_encoded() -> None:
    file = decode(encode(File("a.txt", load=lambda: b"x")))
    assert isinstance(file, File)
    assert file.read() == b"x"


@pytest.mark.parametrize("kind", ["Boolean", "Short", "Integer", "Long", "Double", "String", "Date", "Json", "Xml"])
def test_every_type_may_be_null(kind: str) -> None:
    assert decode(Variable(kind, None)) is None


@pytest.mark.parametrize("kind", ["Integer", "integer", "Long", "short"])
def test_type_names_are_read_with_either_first_letter(kind: str) -> None:
    assert decode(Variable(kind, "5")) == 5


@pytest.mark.parametrize(
    "variable",
    [
        Variable("Json", "{broken"),
        Variable("Integer", "many"),
        Variable("Boolean", "yes"),
        Variable("Date", "yesterday"),
        Variable("Date", "2024-01-01T00:00:00.000"),
        Variable("Date", 5),
        Variable("Bytes", "no base64!"),
        Variable("Mystery", 1),
        Variable("Object", "{broken", {"serializationDataFormat": "application/json"}),
        Variable("Object", "rO0AB", {"serializationDataFormat": "application/x-java-serialized-object"}),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_refused_with_its_name_and_type(variable: Variable) -> None:
    with pytest.raises(UnreadableVariable) as refused:
        decode_all({"fine": Variable("Null"), "broken": variable})
    assert (refused.value.name, refused.value.type) == ("broken", variable.type)
    assert refused.value.reason


def test_objects_are_read_by_their_format() -> None:
    as_json = {"serializationDataFormat": "application/json", "objectTypeName": "java.util.LinkedHashMap"}
    assert decode(Variable("Object", '{"a": 1}', as_json)) == {"a": 1}
    assert decode(Variable("Object", "<a/>", {"serializationDataFormat": "application/xml"})) == Xml("<a/>")
    assert decode(Variable("Object", {"a": 1}, as_json)) == {"a": 1}


def test_utc_is_sent_as_plus_zero() -> None:
    assert encode(datetime(2024, 1, 2, 3, 4, 5, 6789, tzinfo=UTC)).value == "2024-01-02T03:04:05.006+0000"
