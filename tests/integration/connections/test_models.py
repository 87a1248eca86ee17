"""What must never be stored is refused, by the forms with a sentence and by the database in any case."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from pytest_django import Settings

from bptl.connections.models import Engine, Mapping


def faults(row: Engine | Mapping) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    return caught.value.message_dict


def test_a_password_is_never_in_clear_in_the_table(engine: Engine) -> None:
    engine.authentication, engine.username, engine.secret = "basic", "worker", "zeer-geheim"
    engine.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(row)::text FROM connections_engine AS row")
        (stored,) = cursor.fetchone()
    assert "worker" in stored
    assert "zeer-geheim" not in stored
    assert Engine.objects.get().secret == "zeer-geheim"


def test_the_longest_run_is_the_mapping_s_else_celery_s_soft_time_limit_else_ten_minutes(
    engine: Engine, settings: Settings
) -> None:
    settings.CELERY_TASK_SOFT_TIME_LIMIT = None
    mapping = Mapping(engine=engine, topic="topic", unit="demo.quick")
    assert mapping.longest_run == timedelta(minutes=10)
    settings.CELERY_TASK_SOFT_TIME_LIMIT = 90
    assert mapping.longest_run == timedelta(seconds=90)
    mapping.longest_run_seconds = 30
    assert mapping.longest_run == timedelta(seconds=30)


def test_a_login_with_password_needs_a_name_even_past_the_forms(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="engine_basic_needs_username"):
        Engine.objects.update(authentication="basic", username="")


@pytest.mark.parametrize(
    "address", ["ftp://engine/", "engine-rest", "http://", "http://engine:port/", "http://[half/", "http://engine/?a=1"]
)
def test_an_address_that_cannot_be_called_is_refused(db: None, address: str) -> None:
    assert "address" in faults(Engine(name="odd", address=address, authentication="none"))


def test_an_address_with_a_password_in_it_is_refused(db: None) -> None:
    assert "address" in faults(Engine(name="odd", address="http://me:secret@engine/", authentication="none"))


def test_a_one_word_host_as_in_containers_is_fine_and_gets_its_slash(db: None) -> None:
    engine = Engine(name="compose", address="http://operaton:8080/engine-rest", authentication="none")
    engine.full_clean()
    assert engine.address == "http://operaton:8080/engine-rest/"


def test_a_login_without_a_secret_is_refused_and_no_login_keeps_none(db: None) -> None:
    engine = Engine(name="main", address="http://engine/", authentication="bearer")
    assert "secret" in faults(engine)
    engine.secret = "token"
    engine.full_clean()
    engine.authentication = "none"
    engine.full_clean()
    assert engine.encrypted_secret == ""


def test_the_same_topic_with_the_same_filters_is_refused(mapped: Callable[..., Mapping], engine: Engine) -> None:
    mapped("invoice", tenant_ids=["a", "b"])
    same = Mapping(engine=engine, topic="invoice", unit="demo.slow", tenant_ids=["b", "a", "a"])
    assert "__all__" in faults(same)
    with pytest.raises(IntegrityError, match="mapping_unique_filters"):
        same.save()


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"lock_seconds": 9}, "mapping_lock_at_least_10_s"),
        ({"longest_run_seconds": 0}, "mapping_run_at_least_1_s"),
        ({"most_at_once": 0}, "mapping_at_least_1_at_once"),
        ({"quarantine_after": 0}, "mapping_quarantine_after_1"),
        ({"without_tenant": True, "tenant_ids": ["a"]}, "mapping_tenants_or_without"),
    ],
)
def test_the_database_refuses_a_mapping_that_cannot_work(
    mapped: Callable[..., Mapping], fields: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        mapped("invoice", **fields)


def test_a_retry_plan_that_nobody_can_read_is_refused_with_the_reason(engine: Engine) -> None:
    told = faults(Mapping(engine=engine, topic="invoice", unit="demo.quick", retry_plan="3x"))
    assert "PT30S" in told["retry_plan"][0]
