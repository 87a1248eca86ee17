"""Every type of process variable, there and back."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from bptl.engines.base import EngineRefused, InvalidRequest, NotFound
from bptl.engines.variables import File, Transient, UnreadableVariable, Variable, Xml, decode, encode
from tests.engines.scene import Scene

MOMENT = datetime(2024, 2, 29, 23, 59, 58, 987_000, tzinfo=timezone(timedelta(hours=1)))

VALUES = {
    "true": (True, "Boolean"),
    "integer": (-(2**31), "Integer"),
    "long": (2**31, "Long"),
    "longest": (-(2**63), "Long"),
    "double": (0.1, "Double"),
    "string": ("één 'žluťoučký' 🎉 \\ \" \n", "String"),
    "empty-string": ("", "String"),
    "string-4000": ("é" * 4000, "String"),
    "string-4001": ("é" * 4001, "Object"),
    "string-of-pairs": ("😀" * 2001, "Object"),
    "date": (MOMENT, "Date"),
    "null": (None, "Null"),
    "bytes": (bytes(range(256)), "Bytes"),
    "xml": (Xml("<zaak>één</zaak>"), "Xml"),
    "json-object": ({"a": [1, 2.5, None, True, {"b": "één"}]}, "Json"),
    "json-list": ([], "Json"),
    "json-beyond-64-bits": ([2**70], "Json"),
}


@pytest.mark.parametrize(("value", "kind"), VALUES.values(), ids=VALUES.keys())
def test_a_value_that_one_task_reports_the_next_task_reads(scene: Scene, value: object, kind: str) -> None:
    following = scene.handed_over(x=encode(value))
    assert following.variables["x"].type == kind
    assert decode(following.variables["x"]) == value


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (date(2024, 2, 29), "2024-02-29"),
        (Decimal("1E+3"), "1000"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ((1, "a"), [1, "a"]),
    ],
)
def test_what_has_no_type_of_its_own_arrives_as_text_or_json(scene: Scene, value: object, read: object) -> None:
    assert decode(scene.handed_over(x=encode(value)).variables["x"]) == read


@pytest.mark.parametrize(
    ("variable", "read"),
    [
        (Variable("Short", 7), 7),
        (Variable("short", "7"), 7),
        (Variable("Json", None), None),
        (Variable("Json", "null"), None),
        (Variable("Json", '"text"'), "text"),
        (Variable("String", None), None),
        (Variable("Date", None), None),
        (
            Variable(
                "Object",
                '["a",1]',
                {"objectTypeName": "java.util.ArrayList", "serializationDataFormat": "application/json"},
            ),
            ["a", 1],
        ),
        (
            Variable(
                "Object", None, {"objectTypeName": "java.lang.Object", "serializationDataFormat": "application/json"}
            ),
            None,
        ),
    ],
)
def test_what_others_may_have_stored_is_read(scene: Scene, variable: Variable, read: object) -> None:
    assert decode(scene.handed_over(x=variable).variables["x"]) == read


def test_a_date_keeps_its_milliseconds_and_its_moment_whatever_the_offset(scene: Scene) -> None:
    fine = datetime(2024, 7, 1, 12, 0, 0, 123_999, tzinfo=timezone(-timedelta(hours=3, minutes=30)))
    assert decode(scene.handed_over(x=encode(fine)).variables["x"]) == fine.replace(microsecond=123_000)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("2024-02-29T12:00:00.000+0100", 200),
        ("2024-02-29T12:00:00.000Z", 400),
        ("2024-02-29T12:00:00.000+01:00", 400),
        ("2024-02-29T12:00:00+0100", 400),
        ("2024-02-29", 400),
    ],
)
def test_the_wire_takes_only_dates_with_milliseconds_and_an_offset_without_colon(
    scene: Scene, text: str, status: int
) -> None:
    body = {"variables": {"topic": _typed(scene.topic), "priority": {"type": "Integer", "value": 0}}}
    body["variables"]["x"] = {"type": "Date", "value": text}
    assert scene.wire.send("POST", "process-definition/key/one/start", body).status == status


def test_a_long_string_still_is_a_string_for_the_model(scene: Scene) -> None:
    task, worker_id = scene.started_task("text")
    scene.complete(task, worker_id, text="abc" + "é" * 4000)
    assert scene.waits_at(task.process_instance_id) == ["string"]


def test_a_long_string_sent_as_string_is_refused_for_good(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    with pytest.raises(InvalidRequest) as refused:
        scene.worker.complete(task.id, worker_id=worker_id, variables={"x": Variable("String", "é" * 4001)})
    assert refused.value.code == 10002


@pytest.mark.parametrize(
    "variable",
    [
        Variable("Integer", 2**31),
        Variable("Integer", "many"),
        Variable("Date", "yesterday"),
        Variable("Object", {"not": "text"}, {"serializationDataFormat": "application/json"}),
        Variable("Mystery", "?"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_an_invalid_request(scene: Scene, variable: Variable) -> None:
    with pytest.raises(InvalidRequest):
        scene.admin.start(key="one", variables={"topic": encode(scene.topic), "priority": encode(0), "x": variable})


def test_a_file_travels_in_base64_and_is_loaded_when_wanted(scene: Scene) -> None:
    content = bytes(range(256)) * 40
    sent = File("één brief.pdf", "application/pdf", "UTF-8", load=lambda: content)
    following = scene.handed_over(x=encode(sent))
    assert following.variables["x"].value is None
    received = decode(
        following.variables["x"],
        load_file=lambda: scene.worker.file(
            "x", process_instance_id=following.process_instance_id, execution_id=following.execution_id
        ),
    )
    assert isinstance(received, File)
    assert (received.name, received.mime_type, received.encoding) == ("één brief.pdf", "application/pdf", "UTF-8")
    assert received.read() == content


def test_the_execution_s_own_file_comes_before_that_of_the_instance(scene: Scene) -> None:
    def file(content: bytes) -> dict[str, object]:
        return encode(File("a.txt", load=lambda: content)).to_json()

    task, _ = scene.started_task("two")
    scene.worker.set_variables(task.process_instance_id, {"x": encode(File("a.txt", load=lambda: b"instance"))})
    own = {"modifications": {"x": file(b"execution")}}
    # A scope of its own: the execution of a plain task is that of its instance.
    mapped = scene.start("mapped")
    [other] = scene.fetch(process_definition_keys=["mapped"])
    scene.wire.good("POST", f"execution/{other.execution_id}/localVariables", own)
    scene.worker.set_variables(mapped.id, {"x": encode(File("a.txt", load=lambda: b"instance"))})

    def read(instance_id: str, execution_id: str | None) -> bytes:
        return scene.worker.file("x", process_instance_id=instance_id, execution_id=execution_id)

    assert read(task.process_instance_id, task.execution_id) == b"instance"
    assert read(mapped.id, other.execution_id) == b"execution"
    assert read(mapped.id, None) == b"instance"


def test_a_missing_file_is_not_found(scene: Scene) -> None:
    task, _ = scene.started_task()
    with pytest.raises(NotFound):
        scene.worker.file("absent", process_instance_id=task.process_instance_id, execution_id=task.execution_id)


def test_a_file_with_line_breaks_in_its_base64_may_be_refused_so_we_send_none(scene: Scene) -> None:
    variable = encode(File("a.bin", load=lambda: bytes(10_000)))
    assert base64.b64decode(variable.value, validate=True) == bytes(10_000)
    assert "\n" not in variable.value


def test_a_transient_value_is_not_stored(scene: Scene) -> None:
    following = scene.handed_over(kept=encode(1), gone=encode(Transient(2)))
    assert set(following.variables) == {"kept"}


def test_what_java_serialised_is_refused_with_the_way_out(scene: Scene) -> None:
    task, _ = scene.started_task("java")
    names = task.variables["names"]
    assert names.info["serializationDataFormat"] == "application/x-java-serialized-object"
    with pytest.raises(UnreadableVariable, match="default-serialization-format") as refused:
        decode(names, name="names")
    assert (refused.value.name, refused.value.type) == ("names", "Object")


def test_a_variable_is_written_where_it_lives_else_into_the_instance(scene: Scene) -> None:
    task, worker_id = scene.started_task("two", known=1)
    scene.complete(task, worker_id, known=2, fresh=3)
    found = scene.worker.variables(task.process_instance_id, ["known", "fresh", "absent"])
    assert {name: decode(variable) for name, variable in found.items()} == {"known": 2, "fresh": 3}


def test_variables_are_set_and_read_at_an_instance(scene: Scene) -> None:
    instance = scene.start()
    scene.worker.set_variables(instance.id, {"x": encode({"a": 1}), "y": encode(MOMENT.astimezone(UTC))})
    found = scene.worker.variables(instance.id)
    assert decode(found["x"]) == {"a": 1}
    assert decode(found["y"]) == MOMENT
    assert decode(found["topic"]) == scene.topic


def test_variables_are_set_where_an_activity_sees_them(scene: Scene) -> None:
    scene.start("mapped")
    [task] = scene.fetch(process_definition_keys=["mapped"])
    changed = {"inner": encode("corrected"), "outer": encode(7)}
    scene.worker.set_variables(task.process_instance_id, changed, execution_id=task.execution_id)
    scene.worker.unlock(task.id)
    [again] = scene.fetch(process_definition_keys=["mapped"])
    assert {name: decode(again.variables[name]) for name in changed} == {"inner": "corrected", "outer": 7}
    assert scene.worker.variables(task.process_instance_id).keys().isdisjoint({"inner"})


def test_variables_of_an_activity_without_a_scope_are_those_of_its_instance(scene: Scene) -> None:
    task, _ = scene.started_task("two", known=1)
    scene.worker.set_variables(task.process_instance_id, {"known": encode(2)}, execution_id=task.execution_id)
    assert decode(scene.worker.variables(task.process_instance_id)["known"]) == 2


def test_variables_of_an_instance_that_has_ended_are_not_found(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    scene.complete(task, worker_id)
    for call in (
        lambda: scene.worker.variables(task.process_instance_id),
        lambda: scene.worker.set_variables(task.process_instance_id, {"x": encode(1)}),
        lambda: scene.worker.file("x", process_instance_id=task.process_instance_id),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_value_that_the_model_cannot_use_is_the_engine_s_refusal(scene: Scene) -> None:
    task, worker_id = scene.started_task("text")
    with pytest.raises(EngineRefused):
        scene.complete(task, worker_id, text=5)
    assert scene.worker.get(task.id).worker_id == worker_id


def _typed(value: str) -> dict[str, object]:
    return encode(value).to_json()
