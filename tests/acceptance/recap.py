"""The play of the recap: many cases, two kills, and the account of what became of them.

Cases and completions are counted from the engine, effects by the recording service. BPTL's own tables are read to find
out where to strike and how long a hand-over took, never to count.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stage.engine_rest import EngineRest

MODEL = Path(__file__).parent / "models" / "recap.bpmn"
UNITS = Path(__file__).parents[1] / "faults" / "units"
PROCESS = "recap"
UNIT_OF_TOPIC = {
    "recap.voorbereiden": "demo.slow",
    "recap.registreren": "test.register",
    "recap.afronden": "demo.slow",
}
TASKS_A_CASE = len(UNIT_OF_TOPIC)

ENGINE = "operaton"
USER = "jansen"

DURATIONS = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Seconds that each of the three tasks of a case takes, by turns."""

ACTING_SECONDS = 0.8
"""How long the recording service takes to act: a kill hits calls that are under way."""

HAND_OVER_SECONDS = 60.0
SETTLING_SECONDS = 300.0


class Recap(ABC):
    """Everything that the recap counts up, running: however it was started.

    ``engine`` is the engine as its administrator, ``pages`` and ``flower`` are addresses at nginx, ``recorder`` is the
    recording service's address as units reach it, ``password`` that of somebody who may log in, ``flower_login`` is
    user:password.
    """

    engine: EngineRest
    pages: str
    recorder: str
    password: str
    flower_login: str

    @property
    def flower(self) -> str:
        """Flower's address at nginx."""
        return f"{self.pages}flower/"

    @abstractmethod
    def effects(self) -> Mapping[str, int]:
        """What the recording service counts: key → how often."""

    @abstractmethod
    def bptl(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run one ``bptl`` command and answer what it printed."""

    @abstractmethod
    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of BPTL's database."""

    @abstractmethod
    def kill(self, *, host: str, pid: int) -> str:
        """End a process with signal 9, which sees itself as ``pid`` on ``host``; answers its name."""

    @abstractmethod
    def check(self) -> None:
        """Raise when something that should run has ended."""

    def wait(self, what: str, condition: Callable[[], Any], *, seconds: float) -> Any:
        """Wait until ``condition`` answers something true, and answer that."""
        return within(what, condition, seconds=seconds, meanwhile=self.check)


def within(
    what: str, condition: Callable[[], Any], *, seconds: float, meanwhile: Callable[[], None] = lambda: None
) -> Any:
    """Ask until the answer is true, and answer that; AssertionError says what was not true in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        meanwhile()
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not true: {what}"
        time.sleep(0.2)
    return found


@dataclass(frozen=True, slots=True)
class Account:
    """What the witnesses say in the end. ``lost`` counts cases that did not end or had no effect."""

    cases: int
    ended: int
    tasks: int
    completed: int
    effects: int
    kills: int
    interrupted: int
    lost: int
    effect_of_key: Mapping[str, int]

    def __str__(self) -> str:
        return (
            f"recap: cases={self.cases} ended={self.ended} tasks={self.tasks} completed_at_engine={self.completed} "
            f"effects={self.effects} kills={self.kills} interrupted={self.interrupted} lost={self.lost}"
        )


class Play:
    """Starts ``cases`` cases, strikes twice in the middle of them, and waits for the end; ``say`` tells how it goes."""

    def __init__(self, recap: Recap, *, cases: int, say: Callable[[str], None]) -> None:
        self._recap = recap
        self._cases = cases
        self._say = say
        self._kills = 0
        self._interrupted = 0

    def run(self) -> Account:
        """The whole play."""
        recap = self._recap
        login = {"USERNAME": USER, "PASSWORD": recap.password, "EMAIL": "jansen@example.org"}
        environment = {f"DJANGO_SUPERUSER_{name}": value for name, value in login.items()}
        recap.bptl("manage", "createsuperuser", "--no-input", environment=environment)
        for topic, unit in UNIT_OF_TOPIC.items():
            recap.bptl("mappings", "add", "--engine", ENGINE, "--topic", topic, "--unit", unit)
        recap.engine.deploy(MODEL)
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as starters:
            for _ in starters.map(self._start, range(1, self._cases + 1)):
                pass
        self._say(f"{self._cases} cases started in {time.monotonic() - begun:.1f} s")
        self._until_completed(self._cases * TASKS_A_CASE // 5)
        self._kill_the_poller_that_leads()
        killed, process = self._kill_a_worker_that_runs_units()
        self._until_settled()
        self._say(f"all ended {time.monotonic() - begun:.1f} s after the first was started")
        self._tell_of_the_worker(killed, process)
        return self._account()

    def _start(self, number: int) -> None:
        seconds = DURATIONS[number % len(DURATIONS)]
        beside = (seconds - ACTING_SECONDS) / 2
        variables = {"seconds": seconds, "recorder": self._recap.recorder, "key": key(number)}
        variables |= {"before": beside, "after": beside}
        self._recap.engine.start(PROCESS, business_key=key(number), variables=variables)

    def _until_completed(self, number: int) -> None:
        self._recap.wait(f"{number} tasks are completed", lambda: self._log("successLog") >= number, seconds=120)
        self._say(f"{self._log('successLog')} tasks are completed at the engine")

    def _kill_the_poller_that_leads(self) -> None:
        rows = self._recap.rows
        ((process, host, pid),) = self._recap.wait("somebody leads", lambda: rows(_LEADER), seconds=HAND_OVER_SECONDS)
        killed, name = self._kill(host, pid)
        fetched = self._after(_NEXT_FETCH, "another one fetches", killed, process)
        recorded = self._after(_NEXT_RECORDED, "it has got tasks", killed, process)
        self._say(f"{name} killed: the other one fetched after {fetched:.1f} s, recorded tasks after {recorded:.1f} s")

    def _kill_a_worker_that_runs_units(self) -> tuple[datetime, Any]:
        rows = self._recap.rows
        ((connections, most),) = rows(_CONNECTIONS)
        self._say(f"BPTL has {connections} connections to PostgreSQL, which allows {most}")
        ((process, host, pid, running),) = self._recap.wait("units run", lambda: rows(_BUSIEST), seconds=60)
        killed, name = self._kill(host, pid)
        self._say(f"{name} killed: it ran {running} units")
        return killed, process

    def _kill(self, host: str, pid: int) -> tuple[datetime, str]:
        ((killed,),) = self._recap.rows("SELECT clock_timestamp()")
        name = self._recap.kill(host=host, pid=pid)
        self._kills += 1
        return killed, name

    def _after(self, query: str, what: str, killed: datetime, process: Any) -> float:
        def asked() -> datetime | None:
            ((at,),) = self._recap.rows(query, process, killed)
            return at if isinstance(at, datetime) else None

        found: datetime = self._recap.wait(what, asked, seconds=HAND_OVER_SECONDS)
        return (found - killed).total_seconds()

    def _until_settled(self) -> None:
        deadline = time.monotonic() + SETTLING_SECONDS
        # Not by wait(): when the time is up, the account says what is missing.
        while self._recap.engine.running(key=PROCESS) and time.monotonic() < deadline:
            self._recap.check()
            time.sleep(0.5)

    def _tell_of_the_worker(self, killed: datetime, process: Any) -> None:
        ((others,),) = self._recap.rows(_NEXT_PERFORMED, process, killed)
        ((self._interrupted, returned, claimed, performed, reconciled),) = self._recap.rows(_INTERRUPTED, process)
        told = [
            f"{what} after {(at - killed).total_seconds():.1f} s"
            for what, at in (
                ("next unit completed by another worker", others),
                ("first interrupted unit given back", returned),
                ("first run again", claimed),
                ("last completed", performed),
            )
            if at is not None
        ]
        self._say(f"{self._interrupted} units interrupted, {reconciled} effects reconciled; {', '.join(told)}")

    def _account(self) -> Account:
        effects = self._recap.effects()
        ended = self._recap.engine.ended(key=PROCESS)
        happened = sum(key(number) in effects for number in range(1, self._cases + 1))
        return Account(
            cases=self._cases,
            ended=ended,
            tasks=self._log("creationLog"),
            completed=self._log("successLog"),
            effects=sum(effects.values()),
            kills=self._kills,
            interrupted=self._interrupted,
            lost=self._cases - min(ended, happened),
            effect_of_key=effects,
        )

    def _log(self, kind: str) -> int:
        """How many external tasks were created (creationLog) or completed (successLog), says the engine's history."""
        query = {kind: "true", "processDefinitionKey": PROCESS}
        return int(self._recap.engine.call("GET", "/history/external-task-log/count", query=query)["count"])


def key(number: int) -> str:
    """The business key of a case, under which its effect is counted too."""
    return f"recap-{number}"


_LEADER = """
SELECT p.id, p.host, p.pid FROM tasks_pollleadership AS l JOIN tasks_process AS p ON p.id = l.process_id
WHERE l.expires_at > now() LIMIT 1
"""
# Best of all one whose units are in the middle of an effect: it takes ACTING_SECONDS until its end is known.
_BUSIEST = """
SELECT p.id, p.host, p.pid, count(*)
FROM tasks_task AS task JOIN tasks_lease AS lease ON lease.id = task.lease_id
JOIN tasks_process AS p ON p.id = lease.holder_id
LEFT JOIN tasks_effect AS effect ON effect.lease_id = lease.id AND effect."end" = ''
WHERE task.status = 'running' GROUP BY p.id ORDER BY count(effect.id) DESC, count(*) DESC LIMIT 1
"""
_CONNECTIONS = """
SELECT count(*), current_setting('max_connections') FROM pg_stat_activity WHERE application_name = 'bptl'
"""
_NEXT_FETCH = "SELECT min(started_at) FROM tasks_fetch WHERE process_id <> %s AND started_at > %s"
_NEXT_RECORDED = """
SELECT min(lease.recorded_at) FROM tasks_lease AS lease JOIN tasks_fetch AS request ON request.id = lease.fetch_number
WHERE request.process_id <> %s AND request.started_at > %s
"""
_NEXT_PERFORMED = "SELECT min(performed_at) FROM tasks_lease WHERE holder_id <> %s AND performed_at > %s"
# What was claimed by the dead process and never got an outcome under that lease.
_INTERRUPTED = """
WITH interrupted AS (
    SELECT id, task_id, ended_at FROM tasks_lease
    WHERE holder_id = %s AND claimed_at IS NOT NULL AND performed_at IS NULL
)
SELECT
    (SELECT count(*) FROM interrupted),
    (SELECT min(ended_at) FROM interrupted),
    (SELECT min(later.claimed_at) FROM tasks_lease AS later JOIN interrupted AS i USING (task_id)
     WHERE later.recorded_at > i.ended_at),
    (SELECT max(later.performed_at) FROM tasks_lease AS later JOIN interrupted AS i USING (task_id)
     WHERE later.recorded_at > i.ended_at),
    (SELECT count(*) FROM tasks_effect AS effect JOIN interrupted AS i ON i.id = effect.lease_id
     WHERE effect.known_by = 'reconciled')
"""
