"""fetchAndLock: which tasks come, in which order, with what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bptl.engines.base import EngineUnavailable, FetchRequest, TaskQuery, TopicRequest
from bptl.engines.variables import Variable, decode_all, encode_all
from tests.engines.scene import FOREIGN_TENANT, LOCK, Scene, new_worker_id

NONE = timedelta()


def test_a_fetched_task_says_where_it_comes_from_and_who_holds_it(scene: Scene) -> None:
    instance = scene.start(business_key="case-7", priority=3)
    worker_id = new_worker_id()
    task = scene.fetch_one(worker_id=worker_id)
    assert (task.topic, task.worker_id, task.business_key, task.priority) == (scene.topic, worker_id, "case-7", 3)
    assert (task.process_instance_id, task.process_definition_id) == (instance.id, instance.definition_id)
    assert (task.process_definition_key, task.process_definition_version_tag) == ("one", "blue")
    assert (task.activity_id, task.tenant_id, task.retries, task.suspended) == ("work", "", None, False)
    assert task.lock_expires_at is not None
    assert task.created_at is not None
    assert task.lock_expires_at > task.created_at
    assert task.extension_properties == {"RETRY_CONFIG": "R3/PT5M"}
    assert task.activity_instance_id
    assert task.execution_id


def test_a_locked_task_is_not_fetched_again(scene: Scene) -> None:
    scene.start()
    scene.fetch_one()
    assert scene.fetch() == []


def test_extension_properties_come_only_when_asked(scene: Scene) -> None:
    scene.start()
    assert scene.fetch_one(include_extension_properties=False).extension_properties == {}


def test_at_most_max_tasks_are_fetched(scene: Scene) -> None:
    for _ in range(3):
        scene.start()
    assert len(scene.fetch(maximum=2)) == 2
    assert len(scene.fetch(maximum=2)) == 1


def test_our_client_refuses_two_filters_on_one_topic_in_one_fetch(scene: Scene) -> None:
    topic = TopicRequest(topic=scene.topic, lock_duration=LOCK)
    with pytest.raises(ValueError, match="unique"):
        FetchRequest(worker_id=new_worker_id(), max_tasks=1, topics=[topic, topic])


def test_on_the_wire_the_last_entry_of_a_doubled_topic_wins(scene: Scene) -> None:
    scene.start(business_key="first")
    scene.start(business_key="last")
    topic = {"topicName": scene.topic, "lockDuration": 60_000}
    body = {
        "workerId": new_worker_id(),
        "maxTasks": 10,
        "topics": [{**topic, "businessKey": "first"}, {**topic, "businessKey": "last"}],
    }
    found = scene.wire.good("POST", "external-task/fetchAndLock", body)
    assert [task["businessKey"] for task in found] == ["last"]


def test_several_topics_are_fetched_at_once(scene: Scene) -> None:
    scene.start()
    other = f"{scene.topic}-other"
    scene.admin.start(key="one", variables=_typed(topic=other, priority=0))
    topics = [TopicRequest(topic=name, lock_duration=LOCK) for name in (scene.topic, other)]
    found = scene.worker.fetch(FetchRequest(worker_id=new_worker_id(), max_tasks=10, topics=topics))
    assert {task.topic for task in found} == {scene.topic, other}


def test_several_process_variables_are_combined_with_or(scene: Scene) -> None:
    scene.start(business_key="a", colour="red", size=1)
    scene.start(business_key="b", colour="blue", size=2)
    scene.start(business_key="c", colour="green", size=3)
    found = scene.fetch(process_variables={"colour": "red", "size": 2})
    assert {task.business_key for task in found} == {"a", "b"}


def test_the_business_key_filters(scene: Scene) -> None:
    scene.start(business_key="mine")
    scene.start(business_key="theirs")
    assert [task.business_key for task in scene.fetch(business_key="mine")] == ["mine"]


def test_definition_keys_and_ids_filter(scene: Scene) -> None:
    one = scene.start("one")
    two = scene.start("two")
    assert [task.process_definition_key for task in scene.fetch(process_definition_keys=["two", "none"])] == ["two"]
    assert scene.fetch(process_definition_ids=[two.definition_id]) == []
    assert scene.fetch_one(process_definition_ids=[one.definition_id]).process_instance_id == one.id


def test_the_version_tag_filters(scene: Scene) -> None:
    scene.start("two")
    scene.start("one")
    assert scene.fetch(process_definition_version_tag="red") == []
    assert scene.fetch_one(process_definition_version_tag="blue").process_definition_key == "one"


def test_tenants_filter(scene: Scene) -> None:
    for tenant in ("north", "south", None):
        scene.start(tenant_id=tenant)
    assert scene.fetch_one(tenant_ids=["south"]).tenant_id == "south"
    assert scene.fetch_one(without_tenant=True).tenant_id == ""
    assert scene.fetch_one().tenant_id == "north"


def test_a_worker_sees_no_tasks_of_tenants_that_it_does_not_belong_to(scene: Scene) -> None:
    instance = scene.start(tenant_id=FOREIGN_TENANT)
    assert scene.fetch() == []
    assert scene.worker.list(TaskQuery(process_instance_id=instance.id)) == []
    assert scene.admin.count(TaskQuery(process_instance_id=instance.id)) == 1


def test_only_the_wanted_variables_come(scene: Scene) -> None:
    for _ in range(3):
        scene.start(colour="red", size=1)
    assert set(scene.fetch(maximum=1, variables=["colour", "absent"])[0].variables) == {"colour"}
    assert scene.fetch(maximum=1, variables=[])[0].variables == {}
    assert set(scene.fetch(maximum=1)[0].variables) == {"topic", "priority", "colour", "size"}


def test_local_variables_are_those_of_the_task_alone(scene: Scene) -> None:
    scene.start("mapped")
    task = scene.fetch_one(local_variables=True)
    assert decode_all(task.variables) == {"inner": "only here"}


def test_the_higher_priority_comes_first(scene: Scene) -> None:
    for priority in (1, 50, 7):
        scene.start(priority=priority)
    assert [task.priority for task in scene.fetch()] == [50, 7, 1]


def test_the_oldest_comes_first_when_wanted(scene: Scene) -> None:
    for number in range(4):
        scene.start(business_key=str(number))
        scene.advance(timedelta(seconds=1))
    found = scene.fetch(use_priority=False, oldest_first=True)
    assert [task.business_key for task in found] == ["0", "1", "2", "3"]


def test_a_suspended_instance_is_not_fetched(scene: Scene) -> None:
    instance = scene.start()
    scene.wire.good("PUT", f"process-instance/{instance.id}/suspended", {"suspended": True})
    assert scene.fetch() == []


def test_tasks_are_found_by_their_worker_id(scene: Scene) -> None:
    for _ in range(3):
        scene.start()
    worker_id = new_worker_id()
    held = {task.id for task in scene.fetch(worker_id=worker_id, maximum=2)}
    assert {task.id for task in scene.worker.list(TaskQuery(worker_id=worker_id))} == held
    assert scene.worker.count(TaskQuery(worker_id=worker_id)) == 2
    assert scene.worker.list(TaskQuery(worker_id=new_worker_id())) == []


def test_lists_filter_and_page(scene: Scene) -> None:
    instances = [scene.start() for _ in range(3)]
    [locked] = scene.fetch(maximum=1)
    mine = TaskQuery(topic=scene.topic)
    ids = [task.id for task in scene.worker.list(mine)]
    assert len(ids) == scene.worker.count(mine) == 3
    pages = [*scene.worker.list(mine, first=0, maximum=2), *scene.worker.list(mine, first=2, maximum=2)]
    assert [task.id for task in pages] == ids
    assert [task.id for task in scene.worker.list(TaskQuery(topic=scene.topic, locked=True))] == [locked.id]
    assert scene.worker.count(TaskQuery(topic=scene.topic, locked=False)) == 2
    assert scene.worker.count(TaskQuery(process_instance_id=instances[0].id, activity_id="work")) == 1
    assert scene.worker.count(TaskQuery(process_definition_id=instances[0].definition_id, topic=scene.topic)) == 3
    assert scene.worker.count(TaskQuery(topic=scene.topic, with_retries_left=False)) == 0
    assert scene.worker.count(TaskQuery(topic=scene.topic, tenant_ids=["north"])) == 0
    scene.wire.good("PUT", f"process-instance/{instances[0].id}/suspended", {"suspended": True})
    assert scene.worker.count(TaskQuery(topic=scene.topic, suspended=True)) == 1
    assert scene.worker.count(TaskQuery(topic=scene.topic, suspended=False)) == 2


def test_topic_names_are_those_of_existing_tasks(scene: Scene) -> None:
    assert scene.topic not in scene.worker.topic_names()
    scene.start()
    assert scene.topic in scene.worker.topic_names()
    assert scene.topic in scene.worker.topic_names(unlocked=True)
    assert scene.topic not in scene.worker.topic_names(locked=True)
    scene.fetch_one()
    assert scene.topic in scene.worker.topic_names(locked=True)
    assert scene.topic in scene.worker.topic_names(with_retries_left=True)


def test_waiting_topics_are_those_that_a_fetch_could_have_now(scene: Scene) -> None:
    def waiting() -> list[tuple[int, bool]]:
        found = scene.worker.waiting_topics(within=timedelta(seconds=30))
        return [(one.tasks, one.oldest is not None) for one in found if one.topic == scene.topic]

    assert waiting() == []
    scene.start()
    scene.start()
    assert waiting() == [(2, True)]
    task, other = scene.fetch()
    assert waiting() == []
    scene.worker.fail(task.id, worker_id=str(task.worker_id), message="", details="", retries=0, retry_timeout=NONE)
    scene.worker.unlock(other.id)
    assert waiting() == [(1, True)]
    assert scene.topic in scene.worker.topic_names(unlocked=True)


def test_topics_that_are_not_all_answered_in_time_are_none(scene: Scene) -> None:
    with pytest.raises(EngineUnavailable):
        scene.worker.waiting_topics(within=NONE)


def _typed(**values: object) -> dict[str, Variable]:
    return encode_all(values)
