"""What each user may do: the worker has READ, UPDATE and UPDATE_VARIABLE on process instances, nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from bptl.engines.base import (
    EngineUnavailable,
    NotAuthenticated,
    NotAuthorized,
    NotFound,
    Resource,
    TaskQuery,
    WrongAddress,
)
from bptl.engines.camunda7.client import Camunda7
from bptl.engines.camunda7.credentials import Basic, Bearer
from bptl.engines.variables import encode_all
from stage.ports import HOST, free_port
from tests.engines.scene import (
    FOREIGN_TENANT,
    FORGETFUL,
    LOCK,
    PROCESS_DEFINITION,
    PROCESS_INSTANCE,
    STRANGER,
    WORKER,
    Scene,
    Wire,
)

NO_TIME = timedelta()


def test_wrong_and_missing_credentials_are_not_authenticated(scene: Scene) -> None:
    for credentials in (None, Basic("nobody", "wrong"), Bearer("token")):
        unknown = Camunda7(scene.house.engine.url, credentials=credentials)
        for call in (unknown.version, lambda unknown=unknown: unknown.fetch(scene.request())):
            with pytest.raises(NotAuthenticated):
                call()
        unknown.close()


def test_after_a_wrong_password_the_engine_refuses_even_the_right_one_for_a_while(scene: Scene) -> None:
    with pytest.raises(NotAuthenticated):
        scene.house.client(FORGETFUL[0], "wrong").version()
    right = scene.house.client(FORGETFUL[0])
    with pytest.raises(NotAuthenticated):
        right.version()
    scene.advance(timedelta(seconds=10))
    assert right.version()


def test_on_the_wire_a_refused_login_has_no_body(scene: Scene) -> None:
    wire = Wire(scene.house.engine.url, None)
    answer = wire.send("GET", "version")
    assert (answer.status, answer.body) == (401, b"")
    wire.close()


def test_a_fetch_without_rights_finds_nothing_and_says_nothing(scene: Scene) -> None:
    scene.start()
    assert scene.stranger.fetch(scene.request()) == []
    assert scene.reader.fetch(scene.request()) == []
    assert scene.stranger.list(TaskQuery(topic=scene.topic)) == []
    assert scene.reader.count(TaskQuery(topic=scene.topic)) == 1


def test_the_engine_tells_who_may_fetch(scene: Scene) -> None:
    assert scene.worker.may_fetch() is True
    assert scene.admin.may_fetch() is True
    assert scene.reader.may_fetch() is False
    assert scene.stranger.may_fetch() is False
    assert scene.reader.may_fetch(definition_key="one") is False


def test_the_engine_tells_what_else_we_may(scene: Scene) -> None:
    for user, has in ((scene.worker, False), (scene.admin, True)):
        assert user.may("READ", on=Resource.PROCESS_DEFINITION) is has
        assert user.may("CREATE_INSTANCE", on=Resource.PROCESS_DEFINITION) is has
        assert user.may("CREATE", on=Resource.PROCESS_INSTANCE) is has
        assert user.may("DELETE", on=Resource.PROCESS_INSTANCE) is has
        assert user.may("CREATE", on=Resource.DEPLOYMENT) is has
    for permission in WORKER[1]:
        assert scene.worker.may(permission, on=Resource.PROCESS_INSTANCE) is True


def test_a_refusal_names_the_permission_that_is_missing(scene: Scene) -> None:
    instance = scene.start()
    refusals: dict[str, Callable[[], object]] = {
        "READ on ProcessDefinition one": lambda: scene.worker.definition_xml(instance.definition_id),
        "CREATE on ProcessInstance": lambda: scene.worker.start(definition_id=instance.definition_id),
        "CREATE on Deployment": lambda: scene.worker.deploy("mine", {"mine.bpmn": b"<definitions/>"}),
    }
    for named, call in refusals.items():
        with pytest.raises(NotAuthorized) as refused:
            call()
        assert any(missing.startswith(named) for missing in refused.value.missing), (named, refused.value.missing)


def test_a_report_without_the_right_to_update_names_what_is_missing(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    with pytest.raises(NotAuthorized) as refused:
        scene.reader.complete(task.id, worker_id=worker_id, variables={})
    assert f"UPDATE on ProcessInstance {task.process_instance_id}" in refused.value.missing
    assert any(missing.startswith("UPDATE_INSTANCE on ProcessDefinition") for missing in refused.value.missing)
    assert scene.worker.get(task.id).worker_id == worker_id


def test_a_task_that_is_hidden_from_us_is_not_mistaken_for_one_that_is_gone(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    with pytest.raises(NotAuthorized):
        scene.stranger.get(task.id)
    foreign = scene.start(tenant_id=FOREIGN_TENANT)
    [hidden] = scene.admin.list(TaskQuery(process_instance_id=foreign.id))
    with pytest.raises(NotAuthorized):
        scene.worker.get(hidden.id)
    assert scene.worker.get(task.id).worker_id == worker_id
    with pytest.raises(NotFound):
        scene.stranger.get("no-such-task")


def test_on_the_wire_a_hidden_task_looks_like_one_that_is_gone(scene: Scene) -> None:
    task, _ = scene.started_task()
    wire = Wire(scene.house.engine.url, Basic(STRANGER[0], STRANGER[0]))
    assert wire.send("GET", f"external-task/{task.id}").status == 404
    wire.close()


def test_the_worker_s_rights_suffice_for_every_task_operation(scene: Scene) -> None:
    task, worker_id = scene.started_task("two", x=1)
    scene.worker.extend(task.id, worker_id=worker_id, duration=LOCK)
    scene.worker.fail(
        task.id, worker_id=worker_id, message="m", details="d", retries=1, retry_timeout=NO_TIME, variables={}
    )
    assert scene.worker.error_details(task.id) == "d"
    assert scene.worker.get(task.id).retries == 1
    assert scene.worker.count(TaskQuery(topic=scene.topic)) == 1
    assert scene.worker.topic_names()
    scene.worker.set_retries(task.id, 3)
    scene.worker.unlock(task.id)
    again = scene.fetch_one()
    scene.complete(again, y=2)
    assert set(scene.worker.variables(task.process_instance_id)) == {"topic", "priority", "x", "y"}
    scene.worker.set_variables(task.process_instance_id, encode_all({"z": 3}))
    assert [instance.id for instance in scene.worker.instances(definition_key="two")].count(task.process_instance_id)
    last = scene.fetch_one()
    assert last.worker_id
    scene.worker.throw(last.id, worker_id=last.worker_id, code="ANY", message="")


def test_the_worker_may_neither_read_definitions_nor_start_nor_deploy(scene: Scene) -> None:
    instance = scene.start()
    assert scene.worker.definitions() == []
    for call in (
        lambda: scene.worker.definition_xml(instance.definition_id),
        lambda: scene.worker.start(definition_id=instance.definition_id),
        lambda: scene.worker.deploy("mine", {"mine.bpmn": b"<definitions/>"}),
    ):
        with pytest.raises(NotAuthorized):
            call()
    with pytest.raises(NotFound):
        scene.worker.start(key="one", variables=encode_all({"topic": "t", "priority": 0}))


def test_to_start_by_key_takes_the_right_to_read_the_definition_too(scene: Scene) -> None:
    rest, name = scene.house.engine.rest, f"starter{uuid.uuid4().hex[:8]}"
    rest.create_user(name, password=name)
    rest.grant(name, resource_type=PROCESS_INSTANCE, permissions=["READ", "UPDATE", "UPDATE_VARIABLE", "CREATE"])
    rest.grant(name, resource_type=PROCESS_DEFINITION, permissions=["CREATE_INSTANCE"])
    starter = scene.house.client(name)
    variables = encode_all({"topic": scene.topic, "priority": 0})
    with pytest.raises(NotFound):
        starter.start(key="one", variables=variables)
    rest.grant(name, resource_type=PROCESS_DEFINITION, resource_id="one", permissions=["READ"])
    assert starter.start(key="one", variables=variables).id


def test_the_history_is_empty_and_no_error_without_the_right_to_read_it(scene: Scene) -> None:
    scene.start()
    wanted = ("topic", scene.topic)
    assert len(scene.worker.instances(variable=wanted)) == 1
    assert scene.worker.past_instances(variable=wanted) == []
    assert len(scene.admin.past_instances(variable=wanted)) == 1


def test_a_wrong_engine_name_or_path_is_not_a_missing_task(scene: Scene) -> None:
    credentials = Basic(WORKER[0], WORKER[0])
    url = scene.house.engine.url
    for base_url, name in (
        (url, "nope"),
        (f"{url}/nope", None),
        (url.removesuffix("/engine-rest"), None),
        (f"{url}-old", None),
    ):
        misled = Camunda7(base_url, credentials=credentials, engine_name=name)
        for call in (
            misled.version,
            lambda misled=misled: misled.get("some-task"),
            lambda misled=misled: misled.complete("some-task", worker_id="w", variables={}),
            lambda misled=misled: misled.fetch(scene.request()),
        ):
            with pytest.raises(WrongAddress):
                call()
        misled.close()


def test_an_engine_may_be_addressed_by_its_name(scene: Scene) -> None:
    task, worker_id = scene.started_task()
    named = Camunda7(scene.house.engine.url, credentials=Basic(WORKER[0], WORKER[0]), engine_name="default")
    assert named.version() == scene.worker.version()
    assert named.get(task.id).worker_id == worker_id
    named.close()


def test_an_engine_that_is_not_there_is_unavailable_and_was_sent_nothing() -> None:
    nobody = Camunda7(f"http://{HOST}:{free_port()}/engine-rest")
    with pytest.raises(EngineUnavailable) as silent:
        nobody.version()
    assert silent.value.sent is False
