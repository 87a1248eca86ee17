"""What a modeler writes from an element template runs as the template promises, on every engine."""

from __future__ import annotations

from bptl.engines.variables import File, decode
from tests.engines.scene import Scene

ALL = ["aantal", "bijlage", "adres"]


def test_inputs_that_a_process_lacks_are_null_and_those_that_it_has_arrive_as_they_are(scene: Scene) -> None:
    scene.start("templated", adres={"straat": "Dam"}, bijlage=File("a.txt", "text/plain", load=lambda: b"abc"))
    task = scene.fetch_one(variables=ALL)
    assert decode(task.variables["aantal"]) is None
    assert decode(task.variables["adres"]) == {"straat": "Dam"}
    assert task.variables["bijlage"].type == "File"
    assert task.extension_properties == {"RETRY_CONFIG": ""}


def test_outputs_reach_the_process_and_a_missing_one_is_null(scene: Scene) -> None:
    task, worker_id = scene.started_task("templated")
    scene.complete(task, worker_id, besluit=["verlenen"])
    following = scene.fetch_one(variables=["besluit", "toelichting"])
    assert decode(following.variables["besluit"]) == ["verlenen"]
    assert decode(following.variables["toelichting"]) is None


def test_a_bpmn_error_is_caught_although_its_outputs_are_missing(scene: Scene) -> None:
    task, worker_id = scene.started_task("templated")
    scene.worker.throw(task.id, worker_id=worker_id, code="GEEN_PLEK", message="vol")
    [caught] = scene.fetch()
    assert caught.activity_id == "caught"
