"""Queues, polls and beat as an operator relies on them: real processes, three engines, everything by its defaults."""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection

from stage.engine_rest import EngineRest
from stage.engines import SANDBOX
from stage.postgres import connect
from stage.processes import Part
from stage.sandbox import Sandbox
from stage.topology import ENGINE_USER
from tests.acceptance.town import MODELS, Town

HAND_OVER = 15.0
"""Seconds within which another long-polling worker must have taken over."""

QUICK, SLOW = "snel", "traag"
"""The topics, mapped once: a changed mapping makes a poller begin anew, which is no matter of these tests."""

POLLERS, WORKERS = ("poll-1", "poll-2"), ("work-1", "work-2", "work-3")

# The stage polls in short turns; these tests want what holds where nothing is set.
DEFAULTS = {"BPTL_LONG_POLL_SECONDS": "20", "BPTL_GRACE_SECONDS": "45"}


class Fleet(Town):
    """Two pollers, two beats and three workers of one place, before three sandboxes."""

    engines: dict[str, EngineRest]

    def add_engine(self, name: str, stack: ExitStack) -> None:
        """Start one more engine and let BPTL work for it, as an operator does."""
        engine = Sandbox(authentication=True, log=self.topology.logs / f"{name}.log")
        stack.callback(engine.stop)
        engine.start()
        password = secrets.token_urlsafe(16)
        engine.rest.create_user(ENGINE_USER, password=password)
        for model in MODELS.glob("*.bpmn"):
            engine.rest.deploy(model)
        self.topology.bptl(
            *("engines", "set", name, "--url", engine.url, "--product", "camunda7", "--active"),
            *("--username", ENGINE_USER, "--password-env", "ENGINE_PASSWORD"),
            environment={"ENGINE_PASSWORD": password},
        )
        self.engines[name] = engine.rest

    def map_everywhere(self, topic: str, unit: str) -> None:
        """Let ``unit`` do a topic of every engine."""
        for name in self.engines:
            self.topology.bptl("mappings", "add", "--engine", name, "--topic", topic, "--unit", unit)

    def case_at(self, engine: str, topic: str, *, key: str, **variables: Any) -> tuple[str, str]:
        """Start a case of one step at an engine; answers the engine's name and the instance."""
        given = {"topic": topic, **variables}
        return engine, str(self.engines[engine].start("one-step", business_key=key, variables=given)["id"])

    def all_ended(self, *cases: tuple[str, str]) -> bool:
        """Whether all of them have ended, say their engines."""
        asked = (self.engines[engine].call("GET", f"/history/process-instance/{case}") for engine, case in cases)
        return all(found["state"] == "COMPLETED" for found in asked)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of BPTL's database."""
        with connect(self.topology.postgres.environment()) as connection:
            return connection.execute(query, parameters).fetchall()

    def leaders(self) -> dict[str, str]:
        """Which poller leads the polling of each engine now, by name."""
        by_pid = {self.topology.part(name).pid: name for name in self.topology.part_names if name in POLLERS}
        return {engine: by_pid.get(pid, "nobody") for engine, pid in self.rows(_LEADERS)}

    def led_by_one_of(self, *pollers: str) -> bool:
        """Whether each engine is led, by one of these."""
        leaders = self.leaders()
        return set(leaders) == set(self.engines) and set(leaders.values()) <= set(pollers)


_LEADERS = """
SELECT DISTINCT engine.name, process.pid
FROM tasks_pollleadership AS leads
JOIN connections_engine AS engine ON engine.id = leads.engine_id
JOIN tasks_process AS process ON process.id = leads.process_id
WHERE leads.expires_at > now()
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    logs: Path = tmp_path_factory.mktemp("fleet")
    options: dict[str, Any] = {"product": SANDBOX, "workers": 3, "pollers": 2, "more": ["beat-2"]}
    environment = {**DEFAULTS, "CELERY_WORKER_CONCURRENCY": "1"}
    with ExitStack() as engines, Fleet.built(logs, environment=environment, **options) as fleet:
        assert isinstance(fleet, Fleet)
        fleet.engines = {fleet.topology.engine_name: fleet.engine}
        fleet.add_engine("second", engines)
        fleet.add_engine("third", engines)
        fleet.map_everywhere(QUICK, "demo.quick")
        fleet.map_everywhere(SLOW, "demo.slow")
        yield fleet


@pytest.fixture
def fleet(started: Fleet) -> Iterator[Fleet]:
    """The fleet, complete; what a test ended is started again."""
    yield started
    for name in started.topology.part_names:
        if not started.topology.part(name).running:
            started.topology.start_part(name)


def test_two_beats_and_two_pollers_do_every_task_once(fleet: Fleet) -> None:
    cases = [
        fleet.case_at(engine, QUICK, key=f"once-{engine}-{number}", aanvrager="E", bouwkosten=1)
        for engine in fleet.engines
        for number in range(5)
    ]

    fleet.wait("all cases ended", lambda: fleet.all_ended(*cases), seconds=120)

    done = fleet.rows("SELECT status, attempts FROM tasks_task WHERE business_key LIKE 'once-%%'")
    assert done == [("delivered", 1)] * len(cases)
    assert fleet.rows("SELECT name FROM django_celery_beat_periodictask WHERE task LIKE 'bptl.%%' ORDER BY name") == [
        ("poll",),
        ("retention",),
        ("sweep",),
        ("telling",),
    ]
    assert "2 beats alive" in fleet.topology.bptl("doctor")


def test_each_job_is_done_by_the_processes_of_its_queue(fleet: Fleet) -> None:
    # The address is given with each message: Celery itself would take the one of this process's environment.
    client = Celery(set_as_current=False)
    refused = {"poll": ("bptl.retain", "bptl.sweep", "bptl.tell", "bptl.work"), "work": ("bptl.poll",)}
    queues = {"poll": "long-polling", "work": "celery"}
    for kind, jobs in refused.items():
        for job in jobs:
            with Connection(fleet.topology.valkey.url) as broker:
                client.send_task(job, queue=queues[kind], ignore_result=True, connection=broker)

    def told(kind: str, job: str) -> bool:
        logs = [fleet.topology.part(name).log.read_text() for name in (*POLLERS, *WORKERS) if name.startswith(kind)]
        return any(re.search(rf"{job}\[.*WrongQueue", log) for log in logs)

    for kind, jobs in refused.items():
        for job in jobs:
            fleet.wait(f"{kind} refuses {job}", partial(told, kind, job))
    assert fleet.led_by_one_of(*POLLERS), "polling goes on"


def test_another_poller_takes_over_when_the_one_that_leads_three_engines_is_killed(fleet: Fleet) -> None:
    fleet.topology.stop_part("poll-2")
    fleet.wait("one poller is enough for three engines", lambda: fleet.led_by_one_of("poll-1"))
    cases = [fleet.case_at(name, QUICK, key=f"alone-{name}", aanvrager="O", bouwkosten=1) for name in fleet.engines]
    fleet.wait("it served all three", lambda: fleet.all_ended(*cases), seconds=30)
    fleet.topology.start_part("poll-2")
    fleet.wait("the second stands by", lambda: "2 long-polling workers alive" in fleet.topology.bptl("doctor"))

    fleet.topology.kill_part("poll-1")
    killed = time.monotonic()
    fleet.wait("the second leads all three", lambda: fleet.led_by_one_of("poll-2"), seconds=HAND_OVER)
    print(f"hand-over after kill -9: {time.monotonic() - killed:.1f} s")

    cases = [fleet.case_at(name, QUICK, key=f"after-{name}", aanvrager="O", bouwkosten=1) for name in fleet.engines]
    fleet.wait("it serves all three", lambda: fleet.all_ended(*cases), seconds=90)
    print(f"cases started then had ended after: {time.monotonic() - killed:.1f} s")


@pytest.mark.slow
def test_a_poller_that_is_told_to_stop_hands_over_at_once_and_ends_after_the_request_under_way(fleet: Fleet) -> None:
    fleet.wait("somebody leads", lambda: fleet.led_by_one_of(*POLLERS))
    leader = fleet.leaders()["second"]
    other = next(name for name in POLLERS if name != leader)
    with ThreadPoolExecutor(1) as beside:
        # One request of 20 s and what is around it, whatever LONG_POLLING_TIMEOUT_MINUTES says; then it is killed.
        ended = beside.submit(fleet.topology.stop_part, leader, grace=40)
        fleet.wait("the other leads", lambda: fleet.led_by_one_of(other), seconds=HAND_OVER)
        ended.result()
    assert fleet.topology.part(leader).exit_code == 0


def test_work_is_done_while_polls_are_parked(fleet: Fleet) -> None:
    fleet.wait("somebody leads", lambda: fleet.led_by_one_of(*POLLERS))
    case = fleet.case_at("third", QUICK, key="beside", aanvrager="N", bouwkosten=1)
    fleet.wait("the case ended", lambda: fleet.all_ended(case))
    assert fleet.rows(_PARKED_MEANWHILE, "beside"), "another engine's poll waited from before until after"


@pytest.mark.slow
def test_more_workers_do_more_at_once(fleet: Fleet) -> None:
    engine = fleet.topology.engine_name
    for name in WORKERS[1:]:
        fleet.topology.stop_part(name)
    cases = [fleet.case_at(engine, SLOW, key="one-worker", seconds=2) for _ in range(3)]
    fleet.wait("one worker has done all", lambda: fleet.all_ended(*cases))
    for name in WORKERS[1:]:
        fleet.topology.start_part(name)
    fleet.wait("three workers live", lambda: "3 workers alive, 3 places in all" in fleet.topology.bptl("doctor"))
    cases = [fleet.case_at(engine, SLOW, key="three-workers", seconds=4) for _ in range(9)]
    fleet.wait("three workers have done all", lambda: fleet.all_ended(*cases), seconds=120)

    assert _most_at_once(fleet, "one-worker") == 1
    assert _most_at_once(fleet, "three-workers") == 3


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["beat", "poll", "work"])
def test_a_process_needs_no_place_to_write(fleet: Fleet, tmp_path: Path, verb: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {**fleet.topology.environment, "HOME": str(empty), "TMPDIR": str(empty)}
    command = [sys.executable, "-m", "bptl", verb]
    part = Part(verb, command, log=tmp_path / "log", environment=environment, directory=empty)
    part.start()
    try:
        part.wait_until(lambda: fleet.rows(_REGISTERED, part.pid) == [(1,)], seconds=60)
        fleet.wait("it has done its rounds", lambda: fleet.rows(_STEADY, part.pid) == [(1,)])
        assert not list(empty.iterdir())
    finally:
        part.stop(grace=60)
    assert part.exit_code == 0
    assert not list(empty.iterdir())


@pytest.mark.slow
def test_beat_starts_the_poll_again_when_it_has_ended_and_nobody_touches_a_page(tmp_path: Path) -> None:
    environment = {**DEFAULTS, "LONG_POLLING_TIMEOUT_MINUTES": "1"}
    with Fleet.built(tmp_path, product=SANDBOX, workers=1, environment=environment) as fleet:
        assert isinstance(fleet, Fleet)
        fleet.engines = {fleet.topology.engine_name: fleet.engine}
        fleet.map_everywhere(QUICK, "demo.quick")
        fleet.wait("it polls", lambda: fleet.led_by_one_of("poll-1"))
        fleet.topology.kill_part("beat")
        fleet.wait("without beat the poll ends with its job", lambda: not fleet.leaders(), seconds=120)
        case = fleet.case_at(fleet.topology.engine_name, QUICK, key="again", aanvrager="B", bouwkosten=1)

        fleet.topology.start_part("beat")

        fleet.wait("the case ended", lambda: fleet.all_ended(case))


_PARKED_MEANWHILE = """
SELECT poll.id
FROM tasks_task AS task
JOIN tasks_lease AS lease ON lease.task_id = task.id
JOIN tasks_fetch AS poll ON poll.engine_id <> task.engine_id
WHERE task.business_key = %s AND poll.started_at < lease.recorded_at
  AND (poll.closed_at IS NULL OR poll.closed_at > lease.performed_at)
"""
_RUNS = """
SELECT lease.holder_id, lease.claimed_at, lease.performed_at
FROM tasks_lease AS lease JOIN tasks_task AS task ON task.id = lease.task_id
WHERE task.business_key = %s
"""
_REGISTERED = "SELECT count(*) FROM tasks_process WHERE pid = %s AND stopped_at IS NULL"
_STEADY = f"{_REGISTERED} AND heartbeat_at > started_at + interval '10 seconds'"


def _most_at_once(fleet: Fleet, key: str) -> int:
    """How many processes ran units of these cases at the same time, at most; all have ended."""
    runs = fleet.rows(_RUNS, key)
    return max(len({holder for holder, begun, ended in runs if begun <= moment < ended}) for _, moment, _ in runs)
