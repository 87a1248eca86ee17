"""Limits on the pages: set with a form, shown with what of them is used, and named where tasks wait for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bptl.accounts.roles import Role
from bptl.connections import engines
from bptl.connections.models import Engine, Mapping, MappingService
from bptl.connections.service_models import Service
from bptl.tasks import radar
from tests.doubles.engine import FakeEngine
from tests.integration.web.conftest import MakeTask, somebody


def text(client: Client, address: str) -> str:
    """A page without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", client.get(address).content.decode()).split())


@pytest.fixture
def administrator(db: None) -> Client:
    return somebody(Role.ADMINISTRATOR)


@pytest.fixture
def mapping(main_engine: Engine) -> Mapping:
    return Mapping.objects.create(engine=main_engine, topic="topic", unit="demo.quick", most_at_once=3)


@pytest.fixture
def service(mapping: Mapping) -> Service:
    found = Service.objects.create(
        name="zaken", kind="zrc", address="https://zaken.example.nl/", authentication="no_auth", most_at_once=5
    )
    MappingService.objects.create(mapping=mapping, alias="zrc", service=found)
    return found


@pytest.fixture
def row(there: FakeEngine, main_engine: Engine) -> Iterator[Engine]:
    main_engine.address = there.url
    main_engine.save()
    yield main_engine
    engines.client(main_engine).close()


def running(make_task: MakeTask, mapping: Mapping, amount: int) -> None:
    for _ in range(amount):
        make_task("running", "", mapping=mapping, topic=mapping.topic)


def verdict(*, of: str) -> radar.Verdict:
    (group,) = radar.look(within=30)
    return next(row.verdict for row in group.rows if row.topic == of)


def test_the_page_of_a_mapping_shows_what_runs_of_what_may(
    reader: Client, mapping: Mapping, service: Service, make_task: MakeTask
) -> None:
    running(make_task, mapping, 2)
    page = text(reader, f"/mappings/{mapping.pk}/")
    assert "at most 3 at once, now running 2 of 3" in page
    assert "Service zaken: at most 5 at once, now running 2 of 5" in page
    assert "after 3 crashes" in page


def test_the_page_of_a_service_shows_its_limits(
    reader: Client, mapping: Mapping, service: Service, make_task: MakeTask
) -> None:
    Service.objects.update(most_a_minute=60)
    running(make_task, mapping, 1)
    page = text(reader, f"/services/{service.pk}/")
    assert "at most 5 at once, now running 1 of 5" in page
    assert "at most 60 begin in a minute" in page


def test_without_limits_nothing_is_said_of_them(reader: Client, main_engine: Engine) -> None:
    free = Mapping.objects.create(engine=main_engine, topic="free", unit="demo.quick")
    assert "at once" not in text(reader, f"/mappings/{free.pk}/")


@pytest.mark.parametrize(("typed", "fault"), [("0", True), ("-1", True), ("2", False), ("", False)])
def test_a_limit_of_a_mapping_is_typed_in_its_form(
    administrator: Client, mapping: Mapping, typed: str, fault: bool
) -> None:
    page = administrator.get(f"/mappings/{mapping.pk}/change/")
    said = {name: value for name, value in page.context["form"].initial.items() if value is not None}
    said |= {"engine": "main", "error_codes": "", "definition_keys": "", "tenant_ids": "", "intent": "save"}
    said |= {"most_at_once": typed, "quarantine_after": "5", "reason": "the register is small"}
    answer = administrator.post(f"/mappings/{mapping.pk}/change/", said)
    mapping.refresh_from_db()
    if fault:
        assert answer.status_code == 200
        assert "most_at_once" in answer.context["form"].errors
        assert mapping.most_at_once == 3
    else:
        assert answer.status_code == 302, answer.context["form"].errors
        assert (mapping.most_at_once, mapping.quarantine_after) == (int(typed) if typed else None, 5)


def test_a_change_of_a_limit_says_what_it_does_before_it_is_saved(
    administrator: Client, mapping: Mapping, make_task: MakeTask
) -> None:
    running(make_task, mapping, 3)
    page = administrator.get(f"/mappings/{mapping.pk}/change/")
    said = {name: value for name, value in page.context["form"].initial.items() if value is not None}
    said |= {"engine": "main", "error_codes": "", "definition_keys": "", "tenant_ids": "", "most_at_once": "1"}
    checked = administrator.post(f"/mappings/{mapping.pk}/change/", said).content.decode()
    assert "No more begin before fewer than 1 run; what runs now is finished." in checked


def test_a_topic_that_waits_for_its_limit_is_said_to_be_full(
    reader: Client, row: Engine, there: FakeEngine, mapping: Mapping, make_task: MakeTask
) -> None:
    running(make_task, mapping, 3)
    there.add("topic")
    assert verdict(of="topic") is radar.Verdict.FULL
    assert "full: 3 of 3" in text(reader, "/topics/")
    assert "full: 3 of 3" in text(reader, "/")


def test_a_topic_with_a_mapping_that_has_room_is_not_full(
    row: Engine, there: FakeEngine, mapping: Mapping, make_task: MakeTask
) -> None:
    running(make_task, mapping, 3)
    Mapping.objects.create(engine=row, topic="topic", unit="demo.quick", business_key="other")
    there.add("topic")
    assert verdict(of="topic") is radar.Verdict.WELL


def test_the_list_says_which_mapping_is_full_and_asks_no_more_for_more_mappings(
    reader: Client, mapping: Mapping, make_task: MakeTask
) -> None:
    running(make_task, mapping, 2)
    assert "full: " not in text(reader, "/mappings/")
    running(make_task, mapping, 1)
    assert "topic full: 3 of 3 As many run as its limit" in text(reader, "/mappings/")
    assert "full: 3 of 3" in text(reader, f"/mappings/{mapping.pk}/")
    with CaptureQueriesContext(connection) as few:
        reader.get("/mappings/")
    for number in range(5):
        Mapping.objects.create(engine=mapping.engine, topic=f"more{number}", unit="demo.quick", most_at_once=1)
    with CaptureQueriesContext(connection) as many:
        reader.get("/mappings/")
    assert len(many) == len(few)


def test_a_paused_mapping_is_paused_however_full_it_is(reader: Client, mapping: Mapping, make_task: MakeTask) -> None:
    running(make_task, mapping, 3)
    Mapping.objects.update(active=False)
    listed = text(reader, "/mappings/")
    assert "full: " not in listed
    assert "topic paused" in listed
