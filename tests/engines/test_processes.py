"""Definitions and instances: reading, starting, messages and signals."""

from __future__ import annotations

import uuid

import pytest

from bptl.engines.base import EngineRefused, InvalidRequest, NotAuthorized, NotFound, Resource
from bptl.engines.variables import decode_all, encode_all
from tests.engines.scene import BATCH, MODELS, PROCESS_INSTANCE, Scene


def test_an_instance_is_started_by_key_with_business_key_and_variables(scene: Scene) -> None:
    instance = scene.start(business_key="case-1", x=1)
    [definition] = [found for found in scene.admin.definitions(key="one", latest=True) if not found.tenant_id]
    assert (instance.definition_id, instance.business_key) == (definition.id, "case-1")
    assert decode_all(scene.worker.variables(instance.id, ["x"])) == {"x": 1}


def test_an_instance_is_started_by_definition_id(scene: Scene) -> None:
    [definition] = scene.admin.definitions(key="two", latest=True)
    instance = scene.admin.start(definition_id=definition.id, variables=encode_all({"topic": scene.topic}))
    assert scene.fetch_one().process_instance_id == instance.id


def test_a_tenant_s_own_definition_is_started(scene: Scene) -> None:
    assert scene.start(tenant_id="north").tenant_id == "north"


def test_an_unknown_definition_is_not_found(scene: Scene) -> None:
    for call in (
        lambda: scene.admin.start(key="no-such-process"),
        lambda: scene.admin.start(key="one", tenant_id="no-such-tenant"),
        lambda: scene.admin.start(definition_id="no-such-definition"),
        lambda: scene.admin.definition_xml("no-such-definition"),
    ):
        with pytest.raises(NotFound):
            call()


def test_start_wants_one_of_key_and_definition_id(scene: Scene) -> None:
    with pytest.raises(ValueError, match="either"):
        scene.admin.start()
    with pytest.raises(ValueError, match="either"):
        scene.admin.start(key="one", definition_id="one:1")


def test_an_expression_that_fails_at_the_start_is_the_engine_s_refusal(scene: Scene) -> None:
    with pytest.raises(EngineRefused):
        scene.admin.start(key="one")


def test_definitions_are_read_with_their_xml(scene: Scene) -> None:
    tenants = {found.tenant_id for found in scene.admin.definitions(key="one")}
    assert tenants == {"", "north", "south", "east"}
    [definition] = scene.admin.definitions(key="caught", version=1)
    assert (definition.key, definition.version, definition.suspended) == ("caught", 1, False)
    assert definition.deployment_id
    assert scene.admin.definition_xml(definition.id) == (MODELS / "caught.bpmn").read_text(encoding="utf-8")
    assert scene.admin.definitions(key="no-such-process") == []
    assert scene.admin.definitions(ids=[definition.id, "no-such-definition"]) == [definition]


def test_an_unchanged_model_is_not_deployed_again(scene: Scene) -> None:
    files = {"two.bpmn": (MODELS / "two.bpmn").read_bytes()}
    deployment = scene.admin.deploy("two", files)
    assert scene.admin.deploy("two", files) == deployment
    assert len(scene.admin.definitions(key="two")) == 1


def test_a_broken_model_is_an_invalid_request(scene: Scene) -> None:
    with pytest.raises(InvalidRequest):
        scene.admin.deploy("broken", {"broken.bpmn": b"<definitions><process/></definitions>"})


def test_running_instances_are_listed_in_pages(scene: Scene) -> None:
    started = {scene.start(business_key=scene.topic).id for _ in range(3)}
    first = scene.worker.instances(business_key=scene.topic, maximum=2)
    rest = scene.worker.instances(business_key=scene.topic, first=2, maximum=2)
    assert {instance.id for instance in (*first, *rest)} == started
    assert len(first) == 2
    assert scene.worker.instances(definition_key="two", business_key=scene.topic) == []


def test_instances_are_found_by_their_ids_with_the_key_of_their_process(scene: Scene) -> None:
    wanted, _other = scene.start(business_key=scene.topic), scene.start(business_key=scene.topic)
    [found] = scene.worker.instances(ids=[wanted.id, "no-such-instance"])
    assert (found.id, found.definition_key, found.business_key) == (wanted.id, "one", scene.topic)


def test_instances_are_deleted_with_their_tasks_and_for_a_reason_and_one_that_is_gone_is_no_error(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    doomed, kept = scene.start(), scene.start()
    scene.complete(task, worker_id)
    gone = task.process_instance_id
    assert scene.admin.delete_instances([gone, doomed.id], reason="Wrong month, says Jansen")
    scene.wait_until(lambda: scene.worker.instances(ids=[doomed.id]) == [])
    past = scene.wire.good("GET", f"history/process-instance/{doomed.id}")
    assert (past["state"], past["deleteReason"]) == ("EXTERNALLY_TERMINATED", "Wrong month, says Jansen")
    assert scene.state(gone) == "COMPLETED"
    assert scene.fetch_one().process_instance_id == kept.id


def test_an_instance_that_was_called_is_deleted_with_its_caller(scene: Scene) -> None:
    caller = scene.start("calling")
    called = scene.fetch_one().process_instance_id
    assert called != caller.id
    scene.admin.delete_instances([caller.id], reason="both")
    scene.wait_until(lambda: scene.worker.instances(ids=[caller.id, called]) == [])


def test_deleting_an_instance_that_was_called_cancels_the_call(scene: Scene) -> None:
    caller = scene.start("calling")
    called = scene.fetch_one().process_instance_id
    scene.admin.delete_instances([called], reason="the called one")
    scene.wait_until(lambda: scene.worker.instances(ids=[called]) == [])
    assert scene.worker.instances(ids=[caller.id]) == []
    assert scene.state(caller) == "EXTERNALLY_TERMINATED"


def test_who_may_not_create_the_batch_deletes_nothing(scene: Scene) -> None:
    instance = scene.start()
    with pytest.raises(NotAuthorized) as refused:
        scene.worker.delete_instances([instance.id], reason="not allowed")
    assert any("Batch" in missing for missing in refused.value.missing), refused.value.missing
    assert scene.state(instance) == "ACTIVE"


def test_to_delete_instances_takes_the_right_to_create_a_batch(scene: Scene) -> None:
    name = f"deleter{uuid.uuid4().hex}"
    scene.house.engine.rest.create_user(name, password=name)
    scene.house.engine.rest.grant(name, resource_type=PROCESS_INSTANCE, permissions=("READ",))
    scene.house.engine.rest.grant(name, resource_type=BATCH, permissions=("CREATE",))
    deleter, instance = scene.house.client(name), scene.start()
    assert deleter.may("CREATE", on=Resource.BATCH) is True
    deleter.delete_instances([instance.id], reason="allowed")
    scene.wait_until(lambda: deleter.instances(ids=[instance.id]) == [])


def test_instances_are_found_by_a_text_variable_of_their_own(scene: Scene) -> None:
    ours, other = scene.start(mark="one_1"), scene.start(mark="oneX1")
    topic = ("topic", scene.topic)
    assert {found.id for found in scene.worker.instances(variable=topic, roots=True)} == {ours.id, other.id}
    assert [found.id for found in scene.worker.instances(variable=("mark", "one_1"))] == [ours.id]
    assert scene.worker.instances(definition_key="two", variable=("mark", "one_1")) == []
    assert ours.id in {found.id for found in scene.worker.instances(definition_key="one", variable=("mark", None))}


def test_an_instance_that_has_ended_is_found_in_the_history_only(scene: Scene) -> None:
    task, worker_id = scene.started_task(mark=scene.topic)
    wanted = ("mark", scene.topic)
    assert [found.id for found in scene.admin.past_instances(variable=wanted)] == [task.process_instance_id]
    scene.complete(task, worker_id)
    assert scene.admin.instances(variable=wanted) == []
    (found,) = scene.admin.past_instances(definition_key="one", variable=wanted, roots=True)
    assert (found.id, found.definition_id) == (task.process_instance_id, task.process_definition_id)
    some = scene.admin.past_instances(definition_key="one", variable=("mark", None), maximum=1)
    assert len(some) == 1
    assert scene.admin.past_instances(definition_key="two", variable=wanted) == []


def test_a_message_reaches_the_execution_that_waits_for_it(scene: Scene) -> None:
    instance = scene.start("waiting")
    scene.admin.correlate("go", process_instance_id=instance.id, variables=encode_all({"answer": 42}))
    assert scene.waits_at(instance) == ["gone"]
    assert decode_all(scene.worker.variables(instance.id, ["answer"])) == {"answer": 42}


def test_a_message_finds_its_execution_by_business_key_or_by_variables(scene: Scene) -> None:
    by_key = scene.start("waiting", business_key=scene.topic)
    by_variable = scene.start("waiting", business_key="other", order=scene.topic)
    scene.admin.correlate("go", business_key=scene.topic)
    assert scene.waits_at(by_key) == ["gone"]
    scene.admin.correlate("go", correlation_keys=encode_all({"order": scene.topic}))
    assert scene.waits_at(by_variable) == ["gone"]


def test_a_message_that_nobody_or_more_than_one_waits_for_is_refused_unless_it_goes_everywhere(scene: Scene) -> None:
    with pytest.raises(EngineRefused):
        scene.admin.correlate("go", business_key=scene.topic)
    instances = [scene.start("waiting", business_key=scene.topic) for _ in range(2)]
    with pytest.raises(EngineRefused):
        scene.admin.correlate("go", business_key=scene.topic)
    scene.admin.correlate("go", business_key=scene.topic, everywhere=True)
    assert [scene.waits_at(instance) for instance in instances] == [["gone"], ["gone"]]


def test_a_signal_reaches_everybody_or_one_execution(scene: Scene) -> None:
    one, two, three = (scene.start("waiting") for _ in range(3))
    path = f"execution?signalEventSubscriptionName=alarm&processInstanceId={one.id}"
    [execution] = scene.wire.good("GET", path)
    scene.admin.signal("alarm", execution_id=execution["id"])
    assert (scene.waits_at(one), scene.waits_at(two)) == (["alarmed"], [])
    scene.admin.signal("alarm", variables=encode_all({"loud": True}))
    assert (scene.waits_at(two), scene.waits_at(three)) == (["alarmed"], ["alarmed"])
    assert decode_all(scene.worker.variables(three.id, ["loud"])) == {"loud": True}
