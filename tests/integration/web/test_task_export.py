"""The list of tasks as a file: the same filters, all its pages, bounded, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from bptl.web import task_export
from tests.integration.web.conftest import MakeTask


def rows(client: Client, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(client, address))))


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="bptl-tasks-')
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert isinstance(content, str)
    return content


def told(client: Client, address: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(client, address))
    return found


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_export, "AT_ONCE", 2)
    monkeypatch.setattr(task_export, "MOST", 4)


def test_a_file_holds_what_the_filters_leave_newest_first(operator: Client, make_task: MakeTask) -> None:
    older, other, newer = (make_task(business_key=key) for key in ("VTH-1", "VTH-2", "VTH-1"))
    found = rows(operator, "/tasks/export.csv?business_key=VTH-1")
    assert [row["id"] for row in found] == [str(newer.pk), str(older.pk)]
    assert (found[0]["engine"], found[0]["topic"], found[0]["status"]) == ("main", "permit", "delivered")
    assert other.pk in [row["id"] for row in told(operator, "/tasks/export.json")["tasks"]]


def test_no_variable_and_no_result_leaves_by_a_file(operator: Client, make_task: MakeTask) -> None:
    secret = {"bsn": {"type": "String", "value": "111222333", "valueInfo": {}}}
    make_task(variables=secret, result={"variables": secret})
    for kind in ("csv", "json"):
        assert "111222333" not in text(operator, f"/tasks/export.{kind}")


@pytest.mark.usefixtures("small_pages")
def test_all_pages_are_in_the_file_and_a_long_list_says_where_to_go_on(operator: Client, make_task: MakeTask) -> None:
    numbers = [make_task().pk for _ in range(5)][::-1]
    first = told(operator, "/tasks/export.json")
    rest = told(operator, f"/tasks/export.json?before={first['before']}")
    assert [row["id"] for row in first["tasks"]] == numbers[:4]
    assert [row["id"] for row in rest["tasks"]] == numbers[4:]
    assert rest["before"] is None
    *all_rows, last = rows(operator, "/tasks/export.csv")
    assert [row["id"] for row in all_rows] == [str(number) for number in numbers[:4]]
    assert last["id"] == f"There may be more: go on with before={numbers[3]} in the address."


@pytest.mark.parametrize("text_", ['=HYPERLINK("http://x")', "+1", "-1", "@x"])
def test_a_text_that_begins_like_a_formula_is_no_formula_in_a_spreadsheet(
    operator: Client, make_task: MakeTask, text_: str
) -> None:
    make_task(business_key=text_)
    assert rows(operator, "/tasks/export.csv")[0]["business_key"] == f"'{text_}"
    assert told(operator, "/tasks/export.json")["tasks"][0]["business_key"] == text_


def test_the_list_offers_its_own_filters_as_a_file_to_operators(operator: Client, reader: Client) -> None:
    page = operator.get("/tasks/?topic=permit&outcome=failed").content.decode()
    assert 'href="/tasks/export.csv?outcome=failed&amp;topic=permit"' in page
    assert "export.csv" not in reader.get("/tasks/").content.decode()
    assert reader.get("/tasks/export.csv").status_code == 403


def test_a_filter_that_does_not_exist_leads_back_to_the_list_that_says_so(operator: Client, db: None) -> None:
    answer = operator.get("/tasks/export.csv?status=wrong")
    assert (answer.status_code, answer["Location"]) == (302, "/tasks/?status=wrong")
