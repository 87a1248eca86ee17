"""Whether a BPMN error is caught, asked of a real engine over HTTP: the sandbox with models of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bptl.connections import definitions, engines
from bptl.connections.models import Engine as EngineRow
from bptl.engines.base import ExternalTask, FetchRequest, NotAuthorized, TopicRequest
from bptl.sandbox.server import Server
from bptl.tasks.execution.catchers import Caught, caught
from tests.integration.sandbox.laptop import Laptop, bpmn, external, flow
from tests.integration.scene import LOCK

ERROR = '<error id="incomplete" errorCode="INCOMPLETE"/>'
CHILD = bpmn('<startEvent id="s"/>' + external("work") + '<endEvent id="e"/>' + flow("s", "work", "e"), key="child")


def parent(boundary: str) -> bytes:
    """A process that calls ``child``."""
    call = '<callActivity id="call" calledElement="child"/>'
    body = '<startEvent id="s"/>' + call + '<endEvent id="e"/>' + flow("s", "call", "e") + boundary
    return bpmn(body, roots=ERROR, key="parent")


CATCH = (
    '<boundaryEvent id="caught" attachedToRef="call">'
    '<errorEventDefinition id="d" errorRef="incomplete"/></boundaryEvent>'
    '<endEvent id="after"/>' + flow("caught", "after")
)


@pytest.fixture
def laptop() -> Laptop:
    return Laptop()


@pytest.fixture
def row(laptop: Laptop, db: None) -> Iterator[EngineRow]:
    server = Server(("127.0.0.1", 0), laptop.engine)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/engine-rest/"
    yield EngineRow.objects.create(name="sandbox", address=address, authentication="none")
    server.shutdown()
    server.server_close()
    thread.join(5)


def the_task(row: EngineRow) -> ExternalTask:
    request = FetchRequest(worker_id="bptl-test", max_tasks=1, topics=[TopicRequest("work", LOCK)])
    (task,) = engines.client(row).fetch(request)
    return task


def ask(row: EngineRow, task: ExternalTask, code: str = "INCOMPLETE") -> Caught:
    return caught(
        row,
        engines.client(row),
        definition_id=task.process_definition_id,
        instance_id=task.process_instance_id,
        activity_id=task.activity_id,
        code=code,
    )


def test_an_error_that_nobody_catches_is_found_out(laptop: Laptop, row: EngineRow) -> None:
    laptop.deploy(CHILD, "child.bpmn")
    laptop.start("child")
    assert ask(row, the_task(row)) is Caught.NO


@pytest.mark.parametrize(("code", "known"), [("INCOMPLETE", Caught.YES), ("OTHER", Caught.NO)])
def test_the_process_that_called_may_catch_it(laptop: Laptop, row: EngineRow, code: str, known: Caught) -> None:
    laptop.deploy(CHILD, "child.bpmn")
    laptop.deploy(parent(CATCH), "parent.bpmn")
    laptop.start("parent")
    assert ask(row, the_task(row), code) is known


def test_a_caller_without_a_catcher_does_not_catch(laptop: Laptop, row: EngineRow) -> None:
    laptop.deploy(CHILD, "child.bpmn")
    laptop.deploy(parent(""), "parent.bpmn")
    laptop.start("parent")
    assert ask(row, the_task(row)) is Caught.NO


def test_a_model_that_we_may_not_read_leaves_it_open(
    laptop: Laptop, row: EngineRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop.deploy(CHILD, "child.bpmn")
    laptop.start("child")
    task = the_task(row)

    def refused(*_: object) -> str:
        raise NotAuthorized("no", missing=["READ on process definition"])

    monkeypatch.setattr(definitions, "xml", refused)
    assert ask(row, task) is Caught.NOT_CHECKED
