"""Which mappings are fetched for, and in which requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from bptl.connections import mappings
from bptl.connections.models import Engine, Mapping, MappingService
from bptl.connections.service_models import Service
from bptl.engines.base import FetchRequest
from bptl.work_units import registry

Mapped = Callable[..., Mapping]


def topics(engine: Engine) -> list[list[str]]:
    return [[mapping.topic for mapping in group.mappings] for group in mappings.filter_groups(engine)]


def test_all_topics_go_into_one_fetch(engine: Engine, mapped: Mapped) -> None:
    mapped("a")
    mapped("b")
    assert topics(engine) == [["a", "b"]]


def test_one_topic_with_two_filters_needs_two_fetches(engine: Engine, mapped: Mapped) -> None:
    mapped("a", business_key="one")
    mapped("b")
    mapped("a", business_key="two")
    assert topics(engine) == [["a", "b"], ["a"]]


def test_mappings_of_different_order_are_not_fetched_together(engine: Engine, mapped: Mapped) -> None:
    mapped("a")
    mapped("b", oldest_first=True)
    mapped("c", use_engine_priority=False)
    mapped("d")
    assert topics(engine) == [["a", "d"], ["b"], ["c"]]
    assert [group.oldest_first for group in mappings.filter_groups(engine)] == [False, True, False]


def test_mappings_are_fetched_together_when_they_are_under_the_same_limits(
    engine: Engine, mapped: Mapped, units_that_reach: None
) -> None:
    spared = Service.objects.create(
        name="zaken", kind="zrc", address="https://zaken.example.nl/", authentication="no_auth", most_a_minute=60
    )
    free = Service.objects.create(
        name="other", kind="orc", address="https://other.example.nl/", authentication="no_auth"
    )
    for topic, fields, services in (
        ("a", {}, (spared, free)),
        ("b", {}, (free, spared)),
        ("c", {}, (free, free)),
        ("d", {"most_at_once": 1}, (free, free)),
        ("e", {"most_at_once": 1}, (free, free)),
    ):
        mapping = mapped(topic, unit="test.read_two", **fields)
        for alias, service in zip("ab", services, strict=True):
            MappingService.objects.create(mapping=mapping, alias=alias, service=service)
    assert topics(engine) == [["a", "b"], ["c"], ["d"], ["e"]]
    limits = [group.limits for group in mappings.filter_groups(engine)]
    assert limits[:2] == [{f"service {spared.pk}"}, set()]


def test_the_key_of_a_group_changes_when_it_becomes_limited(engine: Engine, mapped: Mapped) -> None:
    mapping = mapped("a")
    (before,) = mappings.filter_groups(engine)
    Mapping.objects.filter(pk=mapping.pk).update(most_at_once=1)
    (after,) = mappings.filter_groups(engine)
    assert after.key != before.key


def test_every_group_is_a_request_that_the_engine_reads_as_we_mean_it(engine: Engine, mapped: Mapped) -> None:
    for key in ("one", "two", "three"):
        mapped("a", business_key=key)
        mapped("b", business_key=key)
    for group in mappings.filter_groups(engine):
        requests = []
        for mapping in group.mappings:
            unit = mappings.unit(mapping)
            assert unit is not None
            requests.append(mappings.topic_request(mapping, unit))
        FetchRequest(worker_id="bptl-test", max_tasks=1, topics=requests)


def test_a_broken_mapping_is_named_and_left_out_and_breaks_nothing(engine: Engine, mapped: Mapped) -> None:
    mapped("a")
    broken = mapped("b", unit="demo.quik")
    assert topics(engine) == [["a"]]
    assert mappings.unit(broken) is None
    (problem,) = mappings.problems(broken)
    assert "demo.quik" in problem
    assert "demo.quick" in problem


def test_a_plan_that_was_broken_past_the_forms_is_a_problem_and_is_still_fetched(
    engine: Engine, mapped: Mapped
) -> None:
    mapping = mapped("a", retry_plan="often")
    assert "often" in mappings.problems(mapping)[0]
    assert topics(engine) == [["a"]]


def test_paused_mappings_and_inactive_engines_are_not_fetched_for(engine: Engine, mapped: Mapped) -> None:
    mapped("a", active=False)
    mapped("b")
    assert topics(engine) == [["b"]]
    engine.active = False
    assert topics(engine) == []


def test_the_key_of_a_group_is_the_same_until_a_row_changes(engine: Engine, mapped: Mapped) -> None:
    mapping = mapped("a")
    (before,) = mappings.filter_groups(engine)
    (again,) = mappings.filter_groups(Engine.objects.get())
    assert before.key == again.key
    Mapping.objects.filter(pk=mapping.pk).update(updated_at=timezone.now() + timedelta(seconds=1))
    (after,) = mappings.filter_groups(engine)
    assert after.key != before.key


def test_only_the_declared_variables_and_the_address_of_a_callback_are_asked_for(mapped: Mapped) -> None:
    unit = registry.load().get("demo.quick")
    request = mappings.topic_request(mapped("a", lock_seconds=60, definition_keys=["p"], version_tag="v1"), unit)
    assert list(request.variables or ()) == [*unit.variable_names, "callbackUrl"]
    assert request.lock_duration == timedelta(seconds=60)
    assert request.process_definition_keys == ("p",)
    assert request.process_definition_version_tag == "v1"
    assert request.business_key is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, ("ours",)), ({"tenant_ids": ["special"]}, ("special",)), ({"without_tenant": True}, ())],
)
def test_the_tenants_of_the_engine_hold_where_a_mapping_says_nothing(
    engine: Engine, mapped: Mapped, fields: dict[str, object], expected: tuple[str, ...]
) -> None:
    engine.tenant_ids = ["ours"]
    engine.save()
    request = mappings.topic_request(mapped("a", **fields), registry.load().get("demo.quick"))
    assert request.tenant_ids == expected
    assert request.without_tenant is bool(fields.get("without_tenant"))
