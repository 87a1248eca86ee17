"""``bptl doctor`` before everything that can be missing."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from django.db import connection

from bptl.accounts.models import User
from bptl.cli.main import bptl
from bptl.connections import breakers
from bptl.connections.models import Engine, Mapping
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import ProcessKind
from bptl.tasks.upkeep import processes
from bptl.work_units import registry
from bptl.workers.app import app
from tests.integration.scene import Scene


class GuardedEngine(ThreadingHTTPServer):
    """Answers what the doctor asks, to user ``bptl`` with password ``geheim`` and to nobody else."""

    def __init__(self) -> None:
        self.rights: set[tuple[str, str]] = {("READ", "8"), ("UPDATE", "8")}
        self.topics: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/engine-rest/"


class _Handler(BaseHTTPRequestHandler):
    server: GuardedEngine

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        login = "Basic " + base64.b64encode(b"bptl:geheim").decode()
        if self.headers.get("Authorization") != login:
            self._answer(401, None)
        elif path.endswith("/version"):
            self._answer(200, {"version": "1.0.3"})
        elif path.endswith("/authorization/check"):
            right = (query["permissionName"][0], query["resourceType"][0])
            self._answer(200, {"authorized": right in self.server.rights})
        elif path.endswith("/topic-names"):
            self._answer(200, self.server.topics)
        else:
            self._answer(404, {"type": "RestException", "message": f"no such thing: {path}"})

    def _answer(self, status: int, body: Any) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def guarded() -> Iterator[GuardedEngine]:
    with GuardedEngine() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(guarded: GuardedEngine, db: None) -> Engine:
    made = Engine(name="main", address=guarded.url, authentication="basic", username="bptl")
    made.secret = "geheim"
    made.save()
    Mapping.objects.create(engine=made, topic="invoice", unit="demo.quick")
    return made


@pytest.fixture
def fleet(db: None) -> None:
    processes.register(ProcessKind.BEAT)
    processes.register(ProcessKind.POLL)
    processes.register(ProcessKind.WORK, places=4)


def bad(*arguments: str) -> list[str]:
    """The findings that need action; checks the exit code against them."""
    answer = CliRunner().invoke(bptl, ["doctor", "--json", *arguments])
    told = json.loads(answer.output)
    found = [f"{row['about']}: {row['text']}" for row in told["findings"] if row["mark"] == "bad"]
    assert (answer.exit_code, told["bad"]) == (1 if found else 0, len(found))
    return found


def all_findings() -> str:
    return CliRunner().invoke(bptl, ["doctor"]).output


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_where_everything_is_there_nothing_needs_action() -> None:
    User.objects.create_superuser("admin")
    assert bad() == []
    text = all_findings()
    assert "the engine's authorization check says so" in text
    assert "mapping" in text
    assert text.endswith("need action: 0, worth a look: 1\n"), "nothing has been fetched yet"


@pytest.mark.usefixtures("broker", "engine")
def test_each_kind_of_process_that_is_not_alive_is_named_with_its_command() -> None:
    found = bad()
    assert [line.rpartition("start: ")[2] for line in found] == ["bptl beat", "bptl poll", "bptl work"]


@pytest.mark.usefixtures("fleet", "engine")
def test_a_broker_that_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.conf, "broker_url", "redis://:zeer-geheim@127.0.0.1:1/0")
    monkeypatch.setattr(app.conf, "broker_write_url", "redis://:zeer-geheim@127.0.0.1:1/0")
    (line,) = bad()
    assert "127.0.0.1:1" in line
    assert "CELERY_BROKER_URL" in line
    assert "zeer-geheim" not in all_findings()


@pytest.mark.usefixtures("broker", "fleet")
def test_an_engine_that_is_away_is_named_with_its_address(engine: Engine) -> None:
    engine.address = "http://127.0.0.1:1/engine-rest/"
    engine.save()
    (line,) = bad()
    assert line.startswith("engine main: http://127.0.0.1:1/engine-rest/ gives no usable answer")


@pytest.mark.usefixtures("broker", "fleet")
def test_a_wrong_password_is_named_with_the_command_that_corrects_it(engine: Engine) -> None:
    engine.secret = "fout"
    engine.save()
    (line,) = bad()
    assert "refuses our login" in line
    assert "bptl engines set main" in line


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_a_missing_right_is_found_although_a_fetch_would_only_be_empty(guarded: GuardedEngine) -> None:
    guarded.rights.discard(("UPDATE", "8"))
    (line,) = bad()
    assert "grant it READ, UPDATE and UPDATE_VARIABLE on Process Instance" in line


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_topics_that_wait_without_a_mapping_are_worth_a_look(guarded: GuardedEngine) -> None:
    guarded.topics = ["invoice", "forgotten"]
    assert bad() == []
    (line,) = [line for line in all_findings().splitlines() if "no active mapping" in line]
    assert line.startswith("doubt")
    assert "forgotten" in line
    assert "invoice" not in line


@pytest.mark.usefixtures("broker", "fleet")
def test_a_broken_mapping_is_named_with_its_problem(engine: Engine) -> None:
    Mapping.objects.create(engine=engine, topic="old", unit="gone.unit")
    (line,) = bad()
    assert "topic old" in line
    assert "there is no work unit 'gone.unit'" in line


@pytest.mark.usefixtures("broker", "fleet")
def test_rights_beyond_fetching_are_named_with_their_mapping(engine: Engine) -> None:
    Mapping.objects.create(engine=engine, topic="call", unit="process.call_activity")
    text = all_findings()
    (line,) = [line for line in text.splitlines() if "beyond fetching" in line]
    assert line.startswith("doubt")
    assert "process.call_activity" in line
    assert "CREATE_INSTANCE on process definition" in line


@pytest.mark.usefixtures("broker", "fleet")
def test_rights_beyond_fetching_that_are_there_need_no_look(engine: Engine, guarded: GuardedEngine) -> None:
    Mapping.objects.create(engine=engine, topic="call", unit="process.call_activity")
    guarded.rights |= {("CREATE", "8"), ("CREATE_INSTANCE", "6"), ("READ", "6"), ("READ_HISTORY", "6")}
    lines = all_findings().splitlines()
    (line,) = [line for line in lines if "beyond fetching" in line]
    assert line.startswith("ok")
    assert any("reading models is on" in line for line in lines)


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_what_is_off_for_want_of_a_right_is_said_with_its_name_and_is_no_fault() -> None:
    off = [line for line in all_findings().splitlines() if " is off: " in line]
    assert [line.startswith("ok") for line in off] == [True] * 5
    assert "our user lacks READ on Process Definition; tasks have no diagram" in off[0]
    assert "CREATE on Process Instance, CREATE_INSTANCE on Process Definition" in off[1]
    assert "CREATE on Deployment" in off[3]
    assert "CREATE on Batch" in off[4]


@pytest.mark.usefixtures("broker", "fleet")
def test_an_engine_without_mapping_does_nothing_and_that_is_said(engine: Engine) -> None:
    engine.mappings.all().delete()
    (line,) = bad()
    assert "bptl mappings add --engine main" in line


def test_what_is_known_to_be_down_is_named_with_the_command_that_closes_it(engine: Engine) -> None:
    breakers.open_automatically(engine, reason="no usable answer")
    told = all_findings()
    assert "no usable answer. Nothing is fetched that needs it until it answers again" in told
    assert "bptl breakers close --engine main" in told


@pytest.mark.usefixtures("broker", "fleet")
def test_an_inactive_engine_is_not_asked(engine: Engine) -> None:
    engine.address, engine.active = "http://127.0.0.1:1/", False
    engine.save()
    assert bad() == []


@pytest.mark.usefixtures("broker", "fleet", "db")
def test_a_fresh_installation_is_told_to_add_an_engine() -> None:
    assert bad() == ["engines: there is none; add one with: bptl engines add --help"]


@pytest.mark.usefixtures("broker")
def test_queued_tasks_that_no_worker_has_a_place_for_need_action(scene: Scene) -> None:
    scene.task(Status.QUEUED)
    assert any("1 are queued and no worker has a place" in line for line in bad())


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_missing_migrations_are_told_and_nothing_is_guessed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'tasks'")
    (line,) = bad()
    assert "bptl manage migrate" in line
    assert "engine main" not in all_findings()


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_units_of_a_package_that_cannot_be_loaded_need_action(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.load(), "faults", [registry.Fault("other-package", "ImportError: no module")])
    (line,) = bad()
    assert "other-package" in line


@pytest.mark.usefixtures("broker", "fleet")
def test_mappings_of_the_rest_api_are_checked_and_need_no_engine() -> None:
    Mapping.objects.create(topic="leges", unit="demo.quick")
    Mapping.objects.create(topic="stuk", unit="zgw.no_such_unit")

    (found,) = bad()

    assert found.startswith("REST API: mapping")
    assert "zgw.no_such_unit" in found
    assert "(topic leges) is done by demo.quick" in all_findings()


@pytest.mark.usefixtures("broker", "fleet", "engine")
def test_an_installation_that_nobody_can_administer_is_told_how_somebody_gets_in() -> None:
    assert bad() == []
    assert "doubt  people: nobody can administer BPTL; run: bptl people invite" in all_findings()


@pytest.mark.usefixtures("broker", "fleet")
def test_a_unit_that_waits_needs_the_address_of_this_installation(settings: Any) -> None:
    Mapping.objects.create(topic="advies", unit="demo.wait_for_answer")
    settings.BPTL_PAGES_URL = ""

    (found,) = bad()
    assert "cannot wait for an answer: set BPTL_PAGES_URL" in found

    settings.BPTL_PAGES_URL = "https://bptl.example.com/"
    assert bad() == []
