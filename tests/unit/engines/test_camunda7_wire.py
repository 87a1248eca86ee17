"""What travels to and from a Camunda 7 REST API, field by field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptl.engines.base import FetchRequest, TaskQuery, TopicRequest
from bptl.engines.camunda7 import wire
from bptl.engines.camunda7.credentials import Basic, Bearer
from bptl.engines.variables import Variable


def test_a_plain_fetch_names_everything_whose_default_differs_and_nothing_else() -> None:
    topic = TopicRequest(topic="t", lock_duration=timedelta(minutes=5))
    assert wire.fetch_body(FetchRequest(worker_id="w", max_tasks=3, topics=[topic])) == {
        "workerId": "w",
        "maxTasks": 3,
        "usePriority": True,
        "topics": [
            {
                "topicName": "t",
                "lockDuration": 300_000,
                "localVariables": False,
                "deserializeValues": False,
                "includeExtensionProperties": True,
            }
        ],
    }


def test_every_filter_has_its_field() -> None:
    topic = TopicRequest(
        topic="t",
        lock_duration=timedelta(milliseconds=1500),
        variables=[],
        local_variables=True,
        business_key="k",
        process_definition_ids=["i"],
        process_definition_keys=["a", "b"],
        process_definition_version_tag="v",
        tenant_ids=["n"],
        without_tenant=True,
        process_variables={"x": 1},
        include_extension_properties=False,
    )
    request = FetchRequest(
        worker_id="w",
        max_tasks=1,
        topics=[topic],
        wait=timedelta(seconds=20),
        use_priority=False,
        oldest_first=True,
    )
    assert wire.fetch_body(request) == {
        "workerId": "w",
        "maxTasks": 1,
        "usePriority": False,
        "asyncResponseTimeout": 20_000,
        "sorting": [{"sortBy": "createTime", "sortOrder": "asc"}],
        "topics": [
            {
                "topicName": "t",
                "lockDuration": 1500,
                "variables": [],
                "localVariables": True,
                "businessKey": "k",
                "processDefinitionIdIn": ["i"],
                "processDefinitionKeyIn": ["a", "b"],
                "processDefinitionVersionTag": "v",
                "tenantIdIn": ["n"],
                "withoutTenantId": True,
                "processVariables": {"x": 1},
                "deserializeValues": False,
                "includeExtensionProperties": False,
            }
        ],
    }


def test_a_query_sends_only_what_it_filters() -> None:
    assert wire.query_body(TaskQuery()) == {}
    assert wire.query_body(TaskQuery(worker_id="w", locked=True, with_retries_left=False, suspended=False)) == {
        "workerId": "w",
        "locked": True,
        "noRetriesLeft": True,
        "active": True,
    }
    assert wire.query_body(
        TaskQuery(
            topic="t",
            locked=False,
            with_retries_left=True,
            suspended=True,
            process_instance_id="i",
            process_definition_id="d",
            activity_id="a",
            tenant_ids=["n"],
        )
    ) == {
        "topicName": "t",
        "notLocked": True,
        "withRetriesLeft": True,
        "suspended": True,
        "processInstanceId": "i",
        "processDefinitionId": "d",
        "activityId": "a",
        "tenantIdIn": ["n"],
    }


def test_a_task_of_an_older_engine_is_read_without_what_it_lacks() -> None:
    task = wire.external_task({"id": "1", "topicName": "t", "retries": None, "variables": None, "unknown": 1})
    assert (task.id, task.topic, task.created_at, task.retries) == ("1", "t", None, None)
    assert task.variables == {}
    assert task.extension_properties == {}


def test_a_task_is_read_whole() -> None:
    task = wire.external_task(
        {
            "id": "1",
            "topicName": "t",
            "workerId": "w",
            "lockExpirationTime": "2024-02-29T12:00:00.000+0000",
            "createTime": "a format of its own",
            "activityId": "a",
            "priority": 7,
            "retries": 0,
            "errorMessage": "m",
            "errorDetails": "d",
            "tenantId": None,
            "variables": {"x": {"type": "Integer", "value": 1, "valueInfo": {}}},
            "extensionProperties": {"p": "q"},
        }
    )
    assert task.lock_expires_at == datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert task.created_at is None
    assert (task.retries, task.priority, task.tenant_id) == (0, 7, "")
    assert task.variables == {"x": Variable("Integer", 1)}
    assert task.extension_properties == {"p": "q"}


@given(st.text())
def test_a_message_never_exceeds_what_the_engine_keeps_and_can_always_be_sent(text: str) -> None:
    message = wire.short_message(text * 40)
    assert len(message.encode("utf-16-le")) // 2 <= 666
    assert "\0" not in message


@pytest.mark.parametrize("length", [665, 666, 667])
def test_only_a_message_that_was_cut_ends_with_an_ellipsis(length: int) -> None:
    message = wire.short_message("x" * length)
    assert message == ("x" * length if length <= 666 else "x" * 665 + "…")


def test_credentials_give_their_header_and_hide_their_secret() -> None:
    basic, bearer = Basic("jo", "pässword"), Bearer("token-1")
    assert basic.header() == "Basic am86cMOkc3N3b3Jk"
    assert bearer.header() == "Bearer token-1"
    assert "pässword" not in repr(basic)
    assert "token-1" not in repr(bearer)
