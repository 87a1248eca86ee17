"""What people do to mappings, and what the audit log keeps of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone, translation

from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry
from bptl.connections import mappings
from bptl.connections.models import Engine, Mapping
from bptl.tasks import mapping_changes
from bptl.tasks.intake import calls

pytestmark = pytest.mark.django_db

JANSEN = By("jansen", "192.0.2.7")


@pytest.fixture
def engine() -> Engine:
    return Engine.objects.create(name="main", address="http://127.0.0.1:1/engine-rest/", authentication="none")


@pytest.fixture
def mapping(engine: Engine) -> Mapping:
    made = Mapping(engine=engine, topic="permit", unit="demo.quick")
    mapping_changes.save(made, {}, by=JANSEN, reason="new process")
    return made


def kept() -> list[tuple[str, str, str, dict[str, str]]]:
    return list(AuditEntry.objects.order_by("id").values_list("actor", "action", "reason", "detail"))


def fetched(engine: Engine) -> list[str]:
    return [mapping.topic for mapping in mappings.active_mappings(engine)]


def over(mapping: Mapping) -> None:
    """The end of its pause passes."""
    Mapping.objects.filter(pk=mapping.pk).update(resume_at=timezone.now() - timedelta(seconds=1))


def test_a_change_is_kept_with_what_each_value_was_and_became(mapping: Mapping) -> None:
    mapping.unit, mapping.retry_plan = "demo.slow", "R3/PT5M"
    mapping_changes.save(mapping, {}, by=JANSEN, reason="too hasty")
    mapping_changes.save(mapping, {}, by=JANSEN, reason="nothing changed")
    assert kept() == [
        ("jansen", "mapping.added", "new process", {}),
        ("jansen", "mapping.changed", "too hasty", {"unit": "demo.quick → demo.slow", "retry_plan": " → R3/PT5M"}),
    ]


def test_what_cannot_be_saved_leaves_no_trace(mapping: Mapping) -> None:
    mapping.retry_plan = "often"
    with pytest.raises(ValidationError):
        mapping_changes.save(mapping, {}, by=JANSEN)
    assert len(kept()) == 1
    mapping.refresh_from_db()
    assert mapping.retry_plan == ""


def test_one_that_was_removed_meanwhile_does_not_come_back(mapping: Mapping) -> None:
    mapping_changes.remove(mapping.pk, by=JANSEN, reason="obsolete")
    with pytest.raises(Mapping.DoesNotExist):
        mapping_changes.save(mapping, {}, by=JANSEN)
    assert not Mapping.objects.exists()
    assert kept()[-1][:3] == ("jansen", "mapping.removed", "obsolete")


def test_a_pause_says_why_and_by_whom_and_ends_when_somebody_resumes(mapping: Mapping, engine: Engine) -> None:
    paused = mapping_changes.pause(mapping.pk, by=JANSEN, reason="zaken API is down")
    assert (paused.paused, paused.paused_by, paused.pause_reason) == (True, "jansen", "zaken API is down")
    assert fetched(engine) == []
    resumed = mapping_changes.resume(mapping.pk, by=JANSEN, reason="it is up")
    assert (resumed.paused, resumed.paused_at, resumed.pause_reason) == (False, None, "")
    assert fetched(engine) == ["permit"]
    mapping_changes.resume(mapping.pk, by=JANSEN)
    assert [entry[1] for entry in kept()] == ["mapping.added", "mapping.paused", "mapping.resumed"]


def test_a_pause_with_an_end_is_over_at_once_when_that_passes(mapping: Mapping, engine: Engine) -> None:
    until = timezone.now() + timedelta(hours=1)
    mapping_changes.pause(mapping.pk, by=JANSEN, reason="maintenance", until=until)
    assert mapping_changes.resume_due() == 0
    assert fetched(engine) == []
    over(mapping)
    assert fetched(engine) == ["permit"], "fetched before anybody tidies the row"
    assert mapping_changes.resume_due() == 1
    mapping.refresh_from_db()
    assert (mapping.active, mapping.resume_at, mapping.pause_reason) == (True, None, "")
    actor, action, _, detail = kept()[-1]
    assert (actor, action, detail["because"]) == ("BPTL", "mapping.resumed", "maintenance")


def test_the_end_of_a_pause_is_one_change_to_the_poller_not_two(mapping: Mapping, engine: Engine) -> None:
    mapping_changes.pause(mapping.pk, by=JANSEN, reason="maintenance", until=timezone.now() + timedelta(hours=1))
    over(mapping)
    [before] = mappings.filter_groups(engine)
    mapping_changes.resume_due()
    [after] = mappings.filter_groups(engine)
    assert before.key == after.key


def test_calls_are_taken_again_when_a_pause_is_over() -> None:
    mapping = Mapping(topic="leges", unit="demo.quick")
    mapping_changes.save(mapping, {}, by=JANSEN)
    mapping_changes.pause(mapping.pk, by=JANSEN, reason="tariffs", until=timezone.now() + timedelta(hours=1))
    with pytest.raises(calls.NoSuchTopic, match="not active"):
        calls.mapping_of("leges")
    over(mapping)
    assert calls.mapping_of("leges") == mapping


def test_a_pause_cannot_end_in_the_past(mapping: Mapping) -> None:
    with translation.override("en"), pytest.raises(ValidationError, match="later one"):
        mapping_changes.pause(mapping.pk, by=JANSEN, reason="oops", until=timezone.now() - timedelta(seconds=1))
    mapping.refresh_from_db()
    assert mapping.active


def test_a_second_pause_replaces_the_first(mapping: Mapping) -> None:
    mapping_changes.pause(mapping.pk, by=JANSEN, reason="one", until=timezone.now() + timedelta(hours=1))
    paused = mapping_changes.pause(mapping.pk, by=By("piet"), reason="two")
    assert (paused.paused_by, paused.pause_reason, paused.resume_at) == ("piet", "two", None)


def test_an_active_mapping_has_no_pause_whoever_saves_it(mapping: Mapping) -> None:
    paused = mapping_changes.pause(mapping.pk, by=JANSEN, reason="by hand")
    paused.active = True  # as a configuration file does
    mappings.save(paused, {})
    assert Mapping.objects.get().pause_reason == ""
    with pytest.raises(IntegrityError, match="mapping_active_has_no_pause"), transaction.atomic():
        Mapping.objects.update(pause_reason="left behind")
    with pytest.raises(IntegrityError, match="mapping_resumes_from_a_pause"), transaction.atomic():
        Mapping.objects.update(active=False, resume_at=timezone.now())
