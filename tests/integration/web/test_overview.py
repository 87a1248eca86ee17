"""The overview: what failed and why, the last day, and whether everything lives; each number leads to its list."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client, override_settings
from django.utils import timezone

from bptl.connections.models import Engine
from bptl.connections.service_models import Service
from bptl.tasks import queue_lengths
from bptl.tasks.error_groups import group_of
from bptl.tasks.models import Fetch, Minute, Process, ServiceCall, Task
from tests.integration.web.conftest import MakeTask


def text(client: Client) -> str:
    """The page without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", client.get("/").content.decode()).split())


def failed(make_task: MakeTask, message: str) -> Task:
    """A task that lies failed."""
    result = {"message": message, "details": "", "retries": 0, "wait_ms": 0, "unit": "mail.send"}
    return make_task("delivered", "failed", result=result, error_group=group_of("mail.send", message).key)


def test_many_failures_are_one_line_that_leads_to_them(reader: Client, make_task: MakeTask) -> None:
    for number in range(12):
        failed(make_task, f"no mailbox {number}")
    page = reader.get("/").content.decode()
    key = group_of("mail.send", "no mailbox 1").key
    assert page.count("no mailbox …") == 1
    assert re.search(rf'href="/tasks/\?error={key}">12<', page)
    assert 'href="/units/mail.send/"' in page


def test_without_failures_it_says_so(reader: Client) -> None:
    assert "No task that failed in the last day still lies failed." in text(reader)


def test_the_last_day_is_drawn_and_told_in_a_table(reader: Client) -> None:
    start = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=2)
    Minute.objects.create(start=start, completed=1234, failed=5, thrown=6, latencies={"54": 100}, final=True)
    page = reader.get("/").content.decode()
    charts = re.findall(r'<svg class="bptl-chart__plot".*?</svg>', page, flags=re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        assert 'role="img"' in chart
        assert "<title" in chart
        assert "<desc" in chart
    assert [series for series in ("completed", "thrown", "failed") if f'bptl-chart--{series}" d="M' in charts[0]] == [
        "completed",
        "thrown",
        "failed",
    ]
    row = " ".join(re.sub(r"<[^>]+>", " ", page[page.index("Runs that ended and times") :]).split())
    assert "1234 6 5 2.0 s 2.0 s" in row


def test_nothing_in_the_charts_is_written_with_a_comma_in_dutch(reader: Client) -> None:
    start = timezone.now() - timedelta(hours=2)
    Minute.objects.create(start=start, completed=7, failed=1, thrown=0, latencies={"54": 7, "60": 1}, final=True)
    page = reader.get("/", headers={"accept-language": "nl"}).content.decode()
    for path in re.findall(r' d="([^"]+)"', page):
        assert "," not in path
    assert re.findall(r'style="[^"]*,[^"]*"', page) == []


def test_before_anything_is_counted_it_says_who_counts(reader: Client) -> None:
    assert "Nothing was counted yet: a worker does so every minute" in text(reader)


def test_the_oldest_task_of_a_status_is_a_link(reader: Client, make_task: MakeTask) -> None:
    first = make_task("queued")
    make_task("queued")
    page = reader.get("/").content.decode()
    assert f'href="/tasks/{first.pk}/">permit {first.pk}</a>' in page


def test_how_polling_goes_is_said_of_each_engine(reader: Client, main_engine: Engine, worker: Process) -> None:
    assert "not polled" in text(reader)

    def fetch(closed_as: str, seconds: int) -> None:
        at = Now() - timedelta(seconds=seconds)
        numbers = {"max_tasks": 1, "wait_ms": 0, "lock_ms": 1, "topics": ["permit"]}
        row = Fetch.objects.create(
            worker_id=f"bptl-{seconds}",
            engine=main_engine,
            process=worker,
            closed_at=Now(),
            closed_as=closed_as,
            **numbers,
        )
        Fetch.objects.filter(pk=row.pk).update(started_at=at, closed_at=at)

    fetch("answered", 90)
    assert "answers" in text(reader)
    fetch("never_sent", 60)
    assert "polls fail 1 min" in text(reader)
    fetch("answered", 5)
    assert "polls fail" not in text(reader)


def test_a_service_whose_last_call_failed_is_said_to_fail_with_its_words(reader: Client, make_task: MakeTask) -> None:
    Service.objects.create(name="zaken", kind="zrc", address="https://zaken.example/")
    task = make_task("running")

    def call(status: int | None, error: str = "") -> None:
        ServiceCall.objects.create(
            task=task, lease_id=task.last_lease_id, service="zaken", method="GET", url="https://zaken.example/",
            began_at=Now(), milliseconds=3, status=status, error=error,
        )  # fmt: skip

    assert "no call lately" in text(reader)
    call(404)
    assert "fails" not in text(reader)
    call(None, "connection refused")
    assert "fails connection refused" in text(reader)
    call(503)
    assert "fails HTTP 503" in text(reader)
    call(200)
    assert "fails" not in text(reader)


def test_taken_places_are_counted_and_lead_to_the_running_tasks(
    reader: Client, make_task: MakeTask, worker: Process
) -> None:
    make_task("running")
    make_task("running")
    make_task("queued")
    page = text(reader)
    assert "2 run now" in page
    assert "2 of 16" in page


@pytest.fixture
def _nothing_is_remembered() -> None:
    queue_lengths._lengths._answered.clear()


@pytest.mark.usefixtures("_nothing_is_remembered")
def test_a_broker_that_is_away_is_words_and_no_error(reader: Client, main_engine: Engine) -> None:
    with override_settings(CELERY_BROKER_URL="redis://:geheim@127.0.0.1:1/0"):
        assert isinstance(queue_lengths.lengths(within=30), Exception)
        page = text(reader)
    assert "The broker does not answer" in page
    assert "geheim" not in page
    queue_lengths._lengths._answered.clear()


@pytest.mark.usefixtures("broker", "_nothing_is_remembered")
def test_what_waits_in_the_queues_is_shown(reader: Client) -> None:
    lengths = queue_lengths.lengths(within=30)
    assert isinstance(lengths, dict)
    assert set(lengths) == {"celery", "long-polling"}
    assert f"long-polling {lengths['long-polling']} message" in text(reader)
