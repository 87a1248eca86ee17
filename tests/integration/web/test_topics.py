"""The topic radar: what waits where, who is to fetch it, and what the page says when an engine says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

from bptl.connections import engines
from bptl.connections.models import Engine, Mapping
from bptl.tasks import radar
from bptl.tasks.models import Task
from bptl.tasks.radar import MappingState, Verdict
from tests.doubles.engine import FakeEngine
from tests.integration.web.conftest import MakeTask

PATIENCE = 30.0


@pytest.fixture
def row(there: FakeEngine, main_engine: Engine) -> Iterator[Engine]:
    """Its row, and a client that is closed at the end."""
    main_engine.address = there.url
    main_engine.save()
    yield main_engine
    engines.client(main_engine).close()


def found() -> dict[str, radar.Row]:
    """The rows of the one engine by topic."""
    (group,) = radar.look(within=PATIENCE)
    assert group.heard is not None
    return {one.topic: one for one in group.rows}


def text(client: Client, address: str = "/topics/") -> str:
    """A page without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", client.get(address).content.decode()).split())


def test_each_topic_gets_its_finding(row: Engine, there: FakeEngine) -> None:
    for topic, unit, active in (
        ("well", "demo.quick", True),
        ("paused", "demo.quick", False),
        ("broken", "no.such", True),
        ("unused", "demo.quick", True),
        ("off", "demo.quick", False),
    ):
        Mapping.objects.create(engine=row, topic=topic, unit=unit, active=active)
    for topic in ("well", "paused", "paused", "broken", "stray"):
        there.add(topic)
    rows = found()
    assert {topic: one.verdict for topic, one in rows.items()} == {
        "stray": Verdict.UNMAPPED,
        "broken": Verdict.BROKEN,
        "paused": Verdict.PAUSED,
        "unused": Verdict.UNUSED,
        "well": Verdict.WELL,
        "off": Verdict.WELL,
    }
    assert (rows["paused"].waiting, rows["off"].waiting) == (2, 0)
    assert (rows["broken"].state, len(rows["broken"].problems)) == (MappingState.BROKEN, 1)
    assert list(rows)[:3] == ["stray", "broken", "paused"], "the worst come first"


def test_a_mapping_whose_pause_is_over_is_at_work_before_anybody_tidies_its_row(row: Engine, there: FakeEngine) -> None:
    paused = {"paused_at": Now() - timedelta(hours=1), "paused_by": "jansen", "pause_reason": "a new zaaktype"}
    over = {"active": False, "resume_at": Now() - timedelta(seconds=1), **paused}
    Mapping.objects.create(engine=row, topic="back", unit="demo.quick", **over)
    there.add("back")
    assert found()["back"].state is MappingState.ACTIVE


def test_what_we_hold_is_counted_by_status_and_links_to_its_list(
    reader: Client, row: Engine, make_task: MakeTask
) -> None:
    for status in ("queued", "running", "running", "delivered"):
        make_task(status)
    assert {status: amount.number for status, amount in found()["permit"].held.items()} == {"queued": 1, "running": 2}
    page = reader.get("/topics/").content.decode()
    assert 'href="/tasks/?engine=main&amp;topic=permit&amp;status=running">2 running</a>' in page
    listed = reader.get("/tasks/?engine=main&topic=permit&status=running").content.decode()
    assert listed.count('id="task-') - 1 == 2


def test_a_mapping_whose_tasks_are_done_is_well(row: Engine, make_task: MakeTask) -> None:
    make_task("delivered")
    assert found()["permit"].verdict is Verdict.WELL


def test_tasks_that_nobody_fetches_although_they_are_mapped_are_a_finding(row: Engine, there: FakeEngine) -> None:
    Mapping.objects.create(engine=row, topic="permit", unit="demo.quick")
    there.add("permit", created=there.now() - 3600)
    assert found()["permit"].verdict is Verdict.LATE


def test_one_good_mapping_of_a_topic_is_enough(row: Engine, there: FakeEngine) -> None:
    Mapping.objects.create(engine=row, topic="permit", unit="no.such")
    Mapping.objects.create(engine=row, topic="permit", unit="demo.quick", business_key="north")
    there.add("permit")
    assert found()["permit"].state is MappingState.ACTIVE


def test_an_engine_that_is_down_is_said_and_what_is_known_here_is_shown(reader: Client, main_engine: Engine) -> None:
    Mapping.objects.create(engine=main_engine, topic="permit", unit="demo.quick")
    page = text(reader)
    assert "gives no usable answer: nothing listens at 127.0.0.1 port 1" in page
    assert "permit" in page
    assert "not known" in page
    assert "Nothing waits there" not in page
    assert "mapping without a task" not in page


def test_a_refused_login_says_what_to_correct(reader: Client, row: Engine, there: FakeEngine) -> None:
    there.answer("topicNames", 401)
    assert "refuses our login (401): correct the credentials" in text(reader)


def test_a_refusal_names_the_right_that_is_missing(reader: Client, row: Engine, there: FakeEngine) -> None:
    there.answer("topicNames", 403, {"type": "AuthorizationException", "message": "no", "permissionName": "READ"})
    assert "refuses to tell (403). Our user lacks:" in text(reader)


def test_a_user_who_may_not_see_everything_is_told_which_right_is_missing(
    reader: Client, row: Engine, there: FakeEngine
) -> None:
    there.may = False
    assert "Give READ and UPDATE on Process Instance there" in text(reader)


def test_an_inactive_engine_is_not_asked(reader: Client, row: Engine, there: FakeEngine) -> None:
    Engine.objects.filter(pk=row.pk).update(active=False, updated_at=Now())
    assert "This engine is inactive" in text(reader)
    assert there.calls["topicNames"] == 0


def test_the_engine_is_asked_once_for_many_looks(reader: Client, row: Engine, there: FakeEngine) -> None:
    for _ in range(3):
        reader.get("/topics/")
        reader.get("/", headers={"HX-Request": "true"})
    assert there.calls["topicNames"] == 1


def test_without_engines_the_page_says_what_to_do_first(reader: Client) -> None:
    assert "Topics come from engines: an administrator adds one first." in text(reader)


def test_the_overview_names_the_worst_topics(reader: Client, row: Engine, there: FakeEngine) -> None:
    for number in range(7):
        there.add(f"stray-{number}")
    found()
    page = text(reader, "/")
    assert page.count("waiting without a mapping") == 5
    assert "2 more, and all topics" in page
    assert Task.objects.count() == 0
