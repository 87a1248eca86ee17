"""What monitoring hears of the whole fleet: what is true in the rows, with a token of its own scope."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from bptl.accounts import people, tokens
from bptl.accounts.audit import By
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.accounts.scopes import Scope
from bptl.api import fleet, metrics
from bptl.connections import breakers
from bptl.connections.models import Engine, Mapping, MappingService, Opening
from bptl.connections.service_models import Service
from bptl.tasks import standing
from bptl.tasks.models import Fetch, Process, ProcessKind
from bptl.tasks.upkeep import processes
from bptl.telling.models import Incident, Kind
from tests.integration.web.conftest import MakeTask

pytestmark = pytest.mark.django_db

BY = By("test")
Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered, and nobody listens at a port of monitoring."""
    monkeypatch.setattr(fleet, "FRESH", -1.0)
    monkeypatch.setattr(metrics, "_ports", set())


@pytest.fixture
def viewer() -> User:
    user = User.objects.create_user("monitoring")
    people.set_role(user, Role.VIEWER, by=BY)
    return user


def read(client: Client) -> Numbers:
    """As who reaches the port of monitoring."""
    metrics.serve_at(9808)
    answer = client.get("/metrics", SERVER_PORT="9808", headers={"host": "10.1.2.3:9808"})
    assert answer.status_code == 200, answer.content
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_tasks_are_told_by_status_engine_and_topic_with_the_age_of_the_oldest(
    client: Client, make_task: MakeTask, main_engine: Engine
) -> None:
    first = make_task("queued")
    make_task("queued")
    make_task("delivered", "completed")
    type(first).objects.filter(pk=first.pk).update(changed_at=Now() - timedelta(minutes=10))
    found = read(client)
    labels = (("engine", main_engine.name), ("status", "queued"), ("topic", first.topic))
    assert found["bptl_tasks", labels] == 2
    assert 590 <= found["bptl_task_oldest_seconds", labels] < 660
    assert [labels for name, labels in found if name == "bptl_tasks"] == [labels], "what is over is not told"


def test_of_very_many_tasks_the_first_seen_ones_are_counted(
    client: Client, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [make_task("queued") for _ in range(3)]
    for age, task in enumerate(tasks):
        type(task).objects.filter(pk=task.pk).update(changed_at=Now() - timedelta(hours=3 - age))
    monkeypatch.setattr(standing, "_STANDING", standing._STANDING.replace(f"LIMIT {standing.MANY}", "LIMIT 2"))
    (found,) = standing.standing()
    assert found.amount == 2
    assert found.oldest > 2.5 * 3600


def test_engines_are_told_by_their_last_answer_and_for_how_long_they_fail(client: Client, main_engine: Engine) -> None:
    process = Process.objects.get(id=processes.register(ProcessKind.POLL))

    def poll(worker_id: str, end: str, seconds: int) -> None:
        fields = {"topics": ["t"], "max_tasks": 1, "wait_ms": 1, "lock_ms": 1, "process": process}
        at = Now() - timedelta(seconds=seconds)
        Fetch.objects.create(
            worker_id=worker_id, engine=main_engine, started_at=at, closed_at=at, closed_as=end, **fields
        )

    poll("a", "answered", 300)
    labels = (("engine", main_engine.name),)
    found = read(client)
    assert 290 <= found["bptl_engine_answer_age_seconds", labels] < 360
    assert found["bptl_engine_failing_seconds", labels] == 0
    poll("b", "never_sent", 120)
    poll("c", "never_sent", 60)
    assert 110 <= read(client)["bptl_engine_failing_seconds", labels] < 180


def test_processes_and_incidents_are_told_by_kind_also_when_there_is_none(client: Client) -> None:
    processes.register(ProcessKind.WORK, places=4)
    silent = processes.register(ProcessKind.WORK, places=4)
    Process.objects.filter(id=silent).update(heartbeat_at=Now() - timedelta(minutes=1))
    Incident.objects.create(kind=Kind.FAILED, key="a", count=7, tell_at=Now())
    Incident.objects.create(kind=Kind.FAILED, key="b", count=2, tell_at=Now())
    Incident.objects.create(kind=Kind.FAILED, key="c", count=2, ended_at=Now())
    found = read(client)
    assert [found["bptl_fleet_processes", (("kind", kind),)] for kind in ("work", "poll", "beat")] == [1, 0, 0]
    assert found["bptl_incidents_open", (("kind", "failed"),)] == 2
    assert found["bptl_incident_occurrences", (("kind", "failed"),)] == 9
    assert found["bptl_incidents_open", (("kind", "engine"),)] == 0


def test_limits_are_told_by_mapping_and_by_service_with_what_runs_of_what_may(
    client: Client, make_task: MakeTask, main_engine: Engine
) -> None:
    assert not [name for name, _labels in read(client) if name.startswith("bptl_limit")]
    kind = {"kind": "zrc", "authentication": "no_auth"}
    service = Service.objects.create(name="zaken", address="https://zaken.example.nl/", most_at_once=5, **kind)
    Service.objects.create(name="slow", address="https://slow.example.nl/", most_a_minute=60, **kind)
    fields = {"engine": main_engine, "topic": "letter", "unit": "demo.quick"}
    mapping = Mapping.objects.create(most_at_once=3, **fields)
    Mapping.objects.create(most_at_once=2, business_key="other", **fields)
    MappingService.objects.create(mapping=mapping, alias="zrc", service=service)
    for _ in range(2):
        make_task("running", "", mapping=mapping)
    make_task("queued", "", mapping=mapping)
    told = {(name, labels): value for (name, labels), value in read(client).items() if name.startswith("bptl_limit")}
    topic = (("engine", main_engine.name), ("service", ""), ("topic", "letter"))
    zaken = (("engine", ""), ("service", "zaken"), ("topic", ""))
    assert told == {
        ("bptl_limit_running", topic): 2,
        ("bptl_limit_most", topic): 5,
        ("bptl_limit_running", zaken): 2,
        ("bptl_limit_most", zaken): 5,
    }


def test_open_breakers_are_told_with_who_opened_them_and_closed_ones_are_not(
    client: Client, main_engine: Engine
) -> None:
    labels = (("by", "bptl"), ("engine", main_engine.name), ("service", ""))
    assert not [name for name, _labels in read(client) if name == "bptl_breaker_open_seconds"]
    breakers.open_automatically(main_engine, reason="it does not answer")
    Opening.objects.update(opened_at=Now() - timedelta(minutes=20))
    assert 1190 <= read(client)["bptl_breaker_open_seconds", labels] < 1300
    breakers.close(main_engine, reason="it answers")
    assert not [name for name, _labels in read(client) if name == "bptl_breaker_open_seconds"]


def test_what_was_read_serves_the_next_who_asks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FRESH", 3600.0)
    monkeypatch.setattr(fleet, "_read_at", float("-inf"))
    reads: list[int] = []

    def source() -> Iterator[fleet.Reading]:
        reads.append(1)
        yield fleet.PROCESSES, ("work",), 1

    monkeypatch.setattr(fleet, "SOURCES", [source])
    assert read(client) == read(client)
    assert len(reads) == 1
    monkeypatch.setattr(fleet, "_read_at", float("-inf"))


def test_without_database_that_is_told_and_nothing_else_of_the_fleet(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Iterator[fleet.Reading]:
        yield fleet.PROCESSES, ("work",), 1
        raise OperationalError("the connection was closed")

    monkeypatch.setattr(fleet, "SOURCES", [away])
    found = read(client)
    assert found["bptl_database_up", ()] == 0
    assert not [name for name, _labels in found if name == "bptl_fleet_processes"]
    assert ("bptl_broker_up", ()) in found


def test_at_the_address_of_the_pages_a_token_with_its_scope_is_needed(client: Client, viewer: User) -> None:
    nobody = User.objects.create_user("nobody")

    def asked(page: str, user: User, *scopes: Scope) -> int:
        key = tokens.create(user, name=f"{page} {user} {scopes}", scopes=scopes, by=BY).key
        accept = "text/plain" if page == "/metrics" else "application/json"
        return client.get(page, headers={"authorization": f"Token {key}", "accept": accept}).status_code

    metrics.serve_at(9808)
    for page in ("/metrics", "/api/v1/health"):
        assert client.get(page).status_code == 401
        assert client.get(page, headers={"host": "localhost:9808", "x-forwarded-port": "9808"}).status_code in {
            400,
            401,
        }
        assert asked(page, viewer, Scope.READ_TASKS, Scope.CALL) == 403
        assert asked(page, nobody, Scope.MONITOR) == 403
        assert asked(page, viewer, Scope.MONITOR) == 200


def test_at_the_port_of_monitoring_there_is_nothing_else(client: Client, viewer: User) -> None:
    metrics.serve_at(9808)
    client.force_login(viewer)
    for page in ("/", "/tasks/", "/api/v1/health", "/admin/", "/metrics/"):
        assert client.get(page, SERVER_PORT="9808").status_code == 404, page
        assert client.get(page).status_code != 404 or page == "/metrics/", page


def test_a_part_in_trouble_is_named_with_why(client: Client, viewer: User, main_engine: Engine) -> None:
    client.force_login(viewer)
    processes.register(ProcessKind.WORK, places=4)
    body = client.get("/api/v1/health").json()
    states = {(part["kind"], part["name"].partition(" ")[0]): part for part in body["parts"]}
    assert body["state"] == "trouble"
    assert states["process", "work"]["state"] == "well"
    assert states["process", "poll"]["state"] == "trouble"
    assert states["process", "poll"]["detail"] == "no process of this kind lives"
    assert states["engine", main_engine.name]["state"] == "unknown"


def test_what_is_known_to_be_down_is_in_trouble_and_maintenance_is_not(
    client: Client, viewer: User, main_engine: Engine
) -> None:
    client.force_login(viewer)
    service = Service.objects.create(name="zaken", kind="zrc", address="https://zaken.example.nl/")
    breakers.open_automatically(main_engine, reason="5 polls in a row failed")
    breakers.open_by_hand(service, by="jansen", reason="new version", until=timezone.now() + timedelta(hours=1))
    found = {part["name"]: (part["state"], part["detail"]) for part in client.get("/api/v1/health").json()["parts"]}
    assert found[main_engine.name] == ("trouble", "5 polls in a row failed")
    assert found["zaken"] == ("unknown", "new version")


def test_without_database_health_is_503_and_says_which_part(
    client: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bptl.tasks import queries

    def away() -> None:
        raise OperationalError("the connection was closed")

    client.force_login(viewer)
    monkeypatch.setattr(queries, "fleet", away)
    answer = client.get("/api/v1/health")
    assert answer.status_code == 503
    assert [(part["name"], part["state"]) for part in answer.json()["parts"]] == [("PostgreSQL", "trouble")]
