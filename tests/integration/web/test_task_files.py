"""Files of a task's variables and bodies of its calls: asked for when somebody wants them, and by whom."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest
from django.test import Client

from bptl.connections.models import Engine
from bptl.tasks.models import Task
from tests.doubles.outside import Outside
from tests.integration.web.conftest import MakeTask
from tests.integration.web.test_task_page import called, page_of

PDF = b"%PDF-1.7 \x00\xff the plan"


def file(content: bytes | None = None) -> dict[str, object]:
    value = None if content is None else base64.b64encode(content).decode()
    return {"type": "File", "value": value, "valueInfo": {"filename": 'plan "é".pdf', "mimeType": "application/pdf"}}


@pytest.fixture
def engine(main_engine: Engine) -> Iterator[Outside]:
    """An engine of which only files are asked."""
    with Outside("/engine-rest/") as running:
        main_engine.address = running.root
        main_engine.save()
        yield running


def link(page: str) -> str:
    found = re.search(r'href="(/tasks/\d+/file/[^"]*)"', page)
    assert found, "no link to a file"
    return found[1].replace("&amp;", "&")


def test_a_file_that_came_is_fetched_from_its_engine_when_somebody_wants_it(
    operator: Client, make_task: MakeTask, engine: Outside
) -> None:
    engine.answer("process-instance/p-1/variables/het%20plan%2F1/data", PDF)
    task = make_task(variables={"het plan/1": file()}, process_instance_id="p-1")
    page = page_of(operator, task)
    assert engine.asked == []
    answer = operator.get(link(page))
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''plan%20%22%C3%A9%22.pdf"


def test_a_file_that_its_engine_no_longer_has_is_a_page_that_says_so(
    operator: Client, make_task: MakeTask, engine: Outside
) -> None:
    engine.answers["/engine-rest/process-instance/p-1/variables/plan/data"] = None
    engine.answer("process-instance/p-1", {"type": "InvalidRequestException", "message": "gone"}, status=404)
    engine.answer(
        "process-instance/p-1/variables/plan/data", {"type": "InvalidRequestException", "message": "gone"}, status=404
    )
    task = make_task(variables={"plan": file()}, process_instance_id="p-1")
    answer = operator.get(f"/tasks/{task.pk}/file/in/?name=plan")
    assert answer.status_code == 404
    page = answer.content.decode()
    assert "The file is gone" in page
    assert "history of the engine" in page
    assert f'href="/tasks/{task.pk}/"' in page


def test_an_engine_that_is_down_is_named_on_the_page_of_the_file(operator: Client, make_task: MakeTask) -> None:
    task = make_task(variables={"plan": file()}, process_instance_id="p-1")
    answer = operator.get(f"/tasks/{task.pk}/file/in/?name=plan")
    assert answer.status_code == 502
    assert "The engine does not give the file now" in answer.content.decode()


def test_a_file_that_was_answered_and_bytes_come_from_the_row(operator: Client, make_task: MakeTask) -> None:
    raw = {"type": "Bytes", "value": base64.b64encode(PDF).decode(), "valueInfo": {}}
    task = make_task(variables={"raw": raw}, result={"variables": {"plan": file(PDF)}})
    assert operator.get(f"/tasks/{task.pk}/file/out/?name=plan").content == PDF
    answer = operator.get(f"/tasks/{task.pk}/file/in/?name=raw")
    assert (answer.content, answer["Content-Disposition"]) == (PDF, 'attachment; filename="raw"')
    assert base64.b64encode(PDF).decode() not in page_of(operator, task)


@pytest.mark.parametrize("address", ["in/?name=text", "in/?name=none", "in/", "out/?name=plan", "aside/?name=plan"])
def test_what_is_no_file_is_not_found(operator: Client, make_task: MakeTask, address: str) -> None:
    text = {"type": "String", "value": "x", "valueInfo": {}}
    task = make_task(variables={"text": text, "plan": file()})
    assert operator.get(f"/tasks/{task.pk}/file/{address}").status_code == 404


def test_files_are_for_who_may_read_values(reader: Client, make_task: MakeTask) -> None:
    task = make_task(variables={"plan": file(PDF)})
    assert "/file/in/" not in page_of(reader, task)
    assert reader.get(f"/tasks/{task.pk}/file/in/?name=plan").status_code == 403


def sent(task: Task) -> str:
    call = called(task, "https://zaken.example.nl/zaken?bsn=1", request_body='{"in": "brief"}', answer_body="<b>Jan")
    return f"/tasks/{task.pk}/calls/{call.pk}/"


def test_bodies_of_a_call_are_not_on_the_page_but_one_question_away(operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    address = sent(task)
    page = page_of(operator, task)
    assert "brief" not in page
    assert f'hx-get="{address}" hx-trigger="toggle once"' in page
    assert f'href="{address}"' in page, "it works without scripts too"
    part = operator.get(address, headers={"HX-Request": "true"}).content.decode()
    whole = operator.get(address).content.decode()
    for shown in (part, whole):
        assert "&quot;brief&quot;" in shown
        assert "&lt;b&gt;Jan" in shown
    assert "<html" not in part
    assert "https://zaken.example.nl/zaken?bsn=1" in whole


def test_a_call_without_bodies_offers_none(operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    called(task, "https://zaken.example.nl/zaken/1")
    assert "Sent and answered" not in page_of(operator, task)


def test_bodies_are_of_the_task_that_the_address_names_and_for_who_may_read_them(
    operator: Client, reader: Client, make_task: MakeTask
) -> None:
    task, other = make_task(), make_task()
    address = sent(task)
    assert operator.get(address.replace(f"/{task.pk}/", f"/{other.pk}/", 1)).status_code == 404
    assert reader.get(address).status_code == 403
    assert "Sent and answered" not in page_of(reader, task)
