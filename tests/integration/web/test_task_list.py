"""The list of tasks: what it shows, filters that combine and survive paging, and what it costs."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bptl.connections.models import Engine
from bptl.tasks import search, walks
from bptl.tasks.error_groups import group_of
from bptl.tasks.lifecycle import Status, outcomes_of
from bptl.web import task_list
from tests.integration.web.conftest import MakeTask


def listed(page: str) -> list[int]:
    """The numbers of the tasks on a page, in order."""
    return [int(number) for number in re.findall(r'<tr[^>]* id="task-(\d+)"', page)]


def shown(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def link(page: str, name: str) -> str:
    found = re.search(rf'id="{name}-top" href="([^"]*)"', page)
    assert found, f"no link {name}"
    return found[1].replace("&amp;", "&")


def test_every_status_and_outcome_is_named_in_words(reader: Client, make_task: MakeTask) -> None:
    for status in Status:
        for outcome in outcomes_of(status):
            make_task(status.value, outcome.value)

    page = shown(reader, "/tasks/")

    words = "queued running waiting performed delivered returned uncertain lost completed failed"
    for word in [*words.split(), "BPMN error"]:
        assert f">{word}</span>" in page


def test_filters_combine(reader: Client, make_task: MakeTask) -> None:
    wanted = make_task("delivered", "failed", topic="pay", business_key="A-1", process_instance_id="p-1")
    make_task("delivered", "failed", topic="pay", business_key="A-2", process_instance_id="p-1")
    make_task("delivered", "completed", topic="pay", business_key="A-1", process_instance_id="p-1")
    make_task("performed", "failed", topic="pay", business_key="A-1", process_instance_id="p-1")
    make_task("delivered", "failed", topic="ask", business_key="A-1", process_instance_id="p-1")
    make_task("delivered", "failed", topic="pay", business_key="A-1", process_instance_id="p-2")

    query = "status=delivered&outcome=failed&engine=main&topic=pay&process_instance=p-1&business_key=A-1"

    assert listed(shown(reader, f"/tasks/?{query}")) == [wanted.pk]


def test_tasks_of_another_engine_are_left_out(reader: Client, make_task: MakeTask) -> None:
    other = Engine.objects.create(name="other", address="http://127.0.0.1:1/engine-rest/", authentication="none")
    make_task()
    wanted = make_task(engine=other)
    assert listed(shown(reader, "/tasks/?engine=other")) == [wanted.pk]


def test_filters_survive_paging_in_both_directions(
    reader: Client, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_list, "PAGE_SIZE", 3)
    wanted = []
    for number in range(8):
        wanted.append(make_task("delivered", "failed", topic="pay").pk)
        make_task("delivered", "completed", topic="pay" if number % 2 else "ask")
    wanted.reverse()

    first = shown(reader, "/tasks/?outcome=failed&topic=pay")
    assert listed(first) == wanted[:3]
    second = shown(reader, link(first, "older"))
    assert listed(second) == wanted[3:6]
    third = shown(reader, link(second, "older"))
    assert listed(third) == wanted[6:]
    assert "older-top" not in third
    back = shown(reader, link(third, "newer"))
    assert listed(back) == wanted[3:6]
    for address in (link(first, "older"), link(third, "newer")):
        said = parse_qs(urlsplit(address).query)
        assert (said["outcome"], said["topic"]) == (["failed"], ["pay"])
    beginning = reader.get(link(back, "newer"), follow=True)
    assert listed(beginning.content.decode()) == wanted[:3]


def test_an_address_says_only_what_is_chosen(reader: Client) -> None:
    answer = reader.get("/tasks/?status=&outcome=failed&topic=&business_key=")
    assert answer.status_code == 302
    assert answer["Location"] == "/tasks/?outcome=failed"


@pytest.mark.parametrize(
    "address",
    ["/tasks/?status=gone", "/tasks/?before=x", "/tasks/?before=99999999999999999999999", "/tasks/?topic=%00"],
)
def test_an_address_that_asks_for_nonsense_is_answered_with_a_way_out(reader: Client, address: str) -> None:
    page = shown(reader, address)
    assert "Show all tasks" in page
    assert listed(page) == []


def test_a_hostile_name_is_shown_and_not_run(reader: Client, make_task: MakeTask) -> None:
    make_task(topic="<script>alert(1)</script>", business_key='"><img src=x onerror=alert(2)>')
    page = shown(reader, "/tasks/?topic=<script>alert(1)</script>")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_list_counts_nothing_and_asks_a_fixed_number_of_questions(reader: Client, make_task: MakeTask) -> None:
    for _ in range(20):
        make_task()
    with CaptureQueriesContext(
        connection,
    ) as few:
        shown(reader, "/tasks/?status=delivered")
    for _ in range(20):
        make_task()
    with CaptureQueriesContext(connection) as many:
        shown(reader, "/tasks/?status=delivered")
    assert len(many) == len(few)
    assert not [query["sql"] for query in many if "COUNT(" in query["sql"].upper() and "LIMIT" not in query["sql"]]
    assert not [query["sql"] for query in many if '"tasks_task"."variables"' in query["sql"]]


def test_a_refresh_answers_the_rows_only_and_both_kinds_are_kept_apart(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    answer = reader.get("/tasks/", headers={"HX-Request": "true"})
    assert listed(answer.content.decode()) == [task.pk]
    assert "<html" not in answer.content.decode()
    assert "HX-Request" in answer["Vary"]
    assert answer["Cache-Control"] == "no-store"


def test_an_empty_installation_is_told_what_it_needs(reader: Client) -> None:
    page = shown(reader, "/tasks/")
    assert "No task was fetched yet" in page
    assert "bptl engines set" in page


def test_filters_that_match_nothing_offer_all_tasks(reader: Client, make_task: MakeTask) -> None:
    make_task()
    page = shown(reader, "/tasks/?topic=nothing")
    assert "No task matches" in page
    assert "Show all tasks" in page


def test_a_search_that_ends_early_says_so_and_goes_on_by_its_link(
    reader: Client, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "FIRST_STEP", 2)
    monkeypatch.setattr(search, "SECONDS", 0)
    wanted = make_task("delivered", "failed", topic="rare", result=FAILURE)
    for _ in range(3):
        make_task("delivered", "failed", topic="other", result=FAILURE)
        make_task("delivered", "completed", topic="rare")
    page = reader.get("/tasks/?outcome=failed&topic=rare").content.decode()
    assert "search through 2 tasks" in page
    assert "None of them matches." in page
    for _ in range(4):
        if f'id="task-{wanted.pk}"' in page:
            return
        (older, *_) = re.findall(r'id="older-top" href="([^"]+)"', page)
        page = reader.get(older.replace("&amp;", "&")).content.decode()
    pytest.fail("the links do not lead to the task")


def test_new_filters_combine_and_stay_in_links_and_exports(operator: Client, make_task: MakeTask) -> None:
    app = {"bptlAppId": {"type": "String", "value": "vth", "valueInfo": {}}}
    wanted = make_task("delivered", "completed", variables=app)
    make_task("delivered", "completed")
    query = "unit=demo.quick&application=vth&text=bptlAppId&period=hour&until=2999-01-01T00:00"
    page = shown(operator, f"/tasks/?{query}")
    assert listed(page) == [wanted.pk]
    export = re.search(r'href="(/tasks/export.json[^"]*)"', page)
    assert export
    said = parse_qs(urlsplit(export[1].replace("&amp;", "&")).query)
    assert said == {
        "unit": ["demo.quick"],
        "application": ["vth"],
        "text": ["bptlAppId"],
        "period": ["hour"],
        "until": ["2999-01-01T00:00:00"],
    }
    told = b"".join(operator.get(export[1].replace("&amp;", "&")).streaming_content)  # type: ignore[attr-defined]
    assert [row["id"] for row in json.loads(told)["tasks"]] == [wanted.pk]
    assert re.search(r'id="id_until"[^>]*type="datetime-local"[^>]*value="2999-01-01T00:00"', page)


@pytest.mark.parametrize(("period", "hours"), [("hour", 1), ("day", 24), ("week", 168)])
def test_a_short_choice_of_time_moves_with_the_clock(
    reader: Client, make_task: MakeTask, period: str, hours: int
) -> None:
    make_task(recorded_at=timezone.now() - timedelta(hours=hours, minutes=5))
    within = make_task(recorded_at=timezone.now() - timedelta(hours=hours) + timedelta(minutes=5))
    assert listed(shown(reader, f"/tasks/?period={period}")) == [within.pk]


def test_today_begins_at_midnight_of_the_installation(reader: Client, make_task: MakeTask) -> None:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    make_task(recorded_at=midnight - timedelta(seconds=1))
    today = make_task(recorded_at=midnight)
    assert listed(shown(reader, "/tasks/?period=today")) == [today.pk]


@pytest.mark.parametrize(
    "query", ["period=year", "since=yesterday", "until=x", "error=zz", "since=2026-01-02T00:00&until=2026-01-01T00:00"]
)
def test_a_time_or_a_cause_that_makes_no_sense_is_said(reader: Client, make_task: MakeTask, query: str) -> None:
    make_task()
    page = shown(reader, f"/tasks/?{query}")
    assert "asks for something that does not exist" in page
    assert listed(page) == []


def test_who_may_not_read_values_cannot_search_in_them(reader: Client, make_task: MakeTask) -> None:
    make_task(variables={"bsn": {"type": "String", "value": "999990019", "valueInfo": {}}})
    refused = reader.get("/tasks/?text=999990019")
    assert refused.status_code == 403
    assert "operator" in refused.content.decode()
    assert 'name="text"' not in shown(reader, "/tasks/")


def test_failures_are_grouped_by_cause_and_lead_to_their_tasks(reader: Client, make_task: MakeTask) -> None:
    ours = group_of("demo.quick", "zaaktype 17 is <unknown>").key
    for number in range(3):
        result = {**FAILURE, "message": f"zaaktype {number} is <unknown>", "unit": "demo.quick"}
        make_task("delivered", "failed", result=result, error_group=ours, business_key="A-1")
    other = make_task("delivered", "failed", result=FAILURE, error_group=group_of("", "HTTP 500").key)
    make_task()
    page = shown(reader, "/tasks/?outcome=failed")
    causes = page[page.index('id="causes"') : page.index("The tasks</h2>")]
    assert causes.index("zaaktype … is &lt;unknown&gt;") < causes.index("HTTP 500")
    assert f'href="/tasks/?outcome=failed&amp;error={ours}"' in causes
    of_one = shown(reader, f"/tasks/?error={ours}&business_key=A-1")
    assert "3 tasks failed of one cause" in of_one
    assert '<p class="bptl-cause">zaaktype … is &lt;unknown&gt;</p>' in of_one
    assert 'href="/units/demo.quick/"' in of_one
    assert len(listed(of_one)) == 3
    assert other.pk not in listed(of_one)
    assert f'name="error" value="{ours}"' in of_one, "another filter keeps it"
    assert 'id="causes"' not in shown(reader, "/tasks/?status=delivered")


def test_a_search_that_was_stopped_says_what_to_do(
    reader: Client, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> search.TaskPage:
        raise walks.TooSlow

    monkeypatch.setattr(search, "page", stopped)
    page = shown(reader, "/tasks/?application=vth")
    assert "This search took too long and was stopped" in page
    assert "No task matches" not in page


FAILURE = {"message": "HTTP 500", "details": "", "retries": 0, "wait_ms": 0}
