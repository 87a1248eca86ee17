"""A whole BPTL between two witnesses: the engine, which says what ended, and the recorder, which counts effects.

Both are asked directly; BPTL itself reaches the engine through a proxy. Its own tables are read to find out where to
strike, never to count.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stage.engines import OPERATON, SANDBOX, make
from stage.postgres import connect
from stage.processes import Stage
from stage.topology import ENGINE_USER, Topology
from tests.doubles.recorder import Recorder
from tests.faults.proxy import Proxy

UNITS = Path(__file__).parent / "units"
MODEL = Path(__file__).parents[1] / "acceptance" / "models" / "one-step.bpmn"

FETCH, COMPLETE, FAILURE = r"/fetchAndLock$", r"/complete$", r"/failure$"
WORKERS, POLLERS = ("work-1", "work-2"), ("poll-1", "poll-2")

REGISTER, SEND = "register", "send"
"""Topics: an effect that can be asked for, and one that cannot."""

BRIEF, BRIEF_SEND, BRIEF_LIMITED = "brief", "brief-send", "brief-limited"
"""The same with the shortest lock that there is, and one with a longest run of 4 s."""

POISONOUS, LOOPS = "poisonous", "loops"
"""A unit that eats memory, and one that never ends, with a longest run of 2 s."""
QUARANTINE_AFTER = 2


AWAIT, BRIEF_AWAIT = "await", "brief-await"
"""Topics of a unit that asks the recorder for an answer and waits: with a lock of a minute, and with the shortest."""

LOCK_SECONDS = 20
"""Longer than a process may be silent: what a dead one held is given back by the sweep."""
AWAIT_LOCK_SECONDS = 60
BRIEF_LOCK_SECONDS = 10
"""Shorter: the lock runs out while its process still counts as living."""
PAST_THE_LOCK = LOCK_SECONDS + 5.0

_QUARANTINED = ("--quarantine-after", str(QUARANTINE_AFTER))

_MAPPINGS = (
    (REGISTER, "test.register", LOCK_SECONDS, ()),
    (SEND, "test.send", LOCK_SECONDS, ()),
    (BRIEF, "test.register", BRIEF_LOCK_SECONDS, ()),
    (BRIEF_SEND, "test.send", BRIEF_LOCK_SECONDS, ()),
    (AWAIT, "test.await", AWAIT_LOCK_SECONDS, ()),
    (BRIEF_AWAIT, "test.await", BRIEF_LOCK_SECONDS, ()),
    (BRIEF_LIMITED, "test.register", BRIEF_LOCK_SECONDS, ("--longest-run", "4")),
    (POISONOUS, "test.eat_memory", LOCK_SECONDS, _QUARANTINED),
    (LOOPS, "test.loop_for_ever", LOCK_SECONDS, (*_QUARANTINED, "--longest-run", "2")),
)


def brings(*keys: str) -> Callable[[Any], bool]:
    """Whether the answer of a fetch brings a task of one of these cases."""
    return lambda body: isinstance(body, list) and any(task.get("businessKey") in keys for task in body)


class ProxiedTopology(Topology):
    """A topology whose BPTL reaches its engine through a proxy; the engine's data survive its restart."""

    def __init__(
        self, logs: Path, *, product: str = SANDBOX, workers: int = 2, pollers: int = 2, defaults: bool = False
    ) -> None:
        self.password = secrets.token_urlsafe(16)
        super().__init__(
            logs,
            product=product,
            workers=workers,
            pollers=pollers,
            engine_password=self.password,
            environment={"BPTL_LONG_POLL_SECONDS": None if defaults else "2", "PYTHONPATH": str(UNITS)},
        )
        if product == OPERATON:
            self.engine = make(product, directory=logs / "engine", log=logs / "engine.log")
        self.proxy = Proxy(self.engine.url)

    def configure_engine(self) -> None:
        """Tell BPTL of the engine at the proxy's address."""
        self.proxy.start()
        self._started.callback(self.proxy.stop)
        spoken = "operaton" if self.engine_name == OPERATON else "camunda7"
        self.bptl(
            *("engines", "set", self.engine_name, "--url", self.proxy.url, "--product", spoken, "--active"),
            *("--username", ENGINE_USER, "--password-env", "ENGINE_PASSWORD"),
            environment={"ENGINE_PASSWORD": self.password},
        )


class World:
    """The running topology, the proxy before its engine, and the recorder."""

    def __init__(self, topology: ProxiedTopology, recorder: Recorder) -> None:
        self.topology = topology
        self.proxy = topology.proxy
        self.recorder = recorder
        self.engine = topology.engine.rest

    @classmethod
    @contextmanager
    def built(
        cls, logs: Path, *, product: str = SANDBOX, workers: int = 2, pollers: int = 2, defaults: bool = False
    ) -> Iterator[World]:
        """Start it all, and stop it all at the end. ``defaults``: locks and polls as long as in production."""
        with Recorder() as recorder, Stage() as stage:
            proxied = ProxiedTopology(logs, product=product, workers=workers, pollers=pollers, defaults=defaults)
            topology = stage.add(proxied)
            topology.start()
            for topic, unit, lock, options in _MAPPINGS:
                topology.bptl(
                    *("mappings", "add", "--engine", topology.engine_name, "--topic", topic, "--unit", unit),
                    *(() if defaults else ("--lock", str(lock))),
                    *options,
                )
            world = cls(topology, recorder)
            world.engine.deploy(MODEL)
            yield world

    # cases

    def start(self, key: str, *, topic: str = REGISTER, **variables: Any) -> str:
        """Start a case of one task whose effect is counted under ``key``; answers its instance id."""
        given = {"topic": topic, "recorder": self.recorder.url, "key": key, **variables}
        return str(self.engine.start("one-step", business_key=key, variables=given)["id"])

    def held(self, key: str, point: str, *, topic: str = REGISTER, **variables: Any) -> str:
        """Start a case, and wait until its unit stands at a point; ``recorder.release`` lets it go on."""
        self.recorder.hold(key, point)
        case = self.start(key, topic=topic, points=True, **variables)
        self.wait(f"{key} stands {point} its effect", lambda: bool(self.recorder.attempts_at(key, point)))
        return case

    def waiting(self, key: str, *, topic: str = AWAIT) -> str:
        """Start a case, and wait until its task waits for an answer; answers its instance id."""
        case = self.start(key, topic=topic)
        self.wait(f"{key} waits", lambda: self.task(key)["status"] == "waiting")
        return case

    def ended(self, case: str) -> bool:
        """Whether a case has ended, says the engine."""
        return bool(self.engine.call("GET", f"/history/process-instance/{case}")["state"] == "COMPLETED")

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until a condition holds; a failure names it and shows where the logs are."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds:.0f} s still not true: {what}; logs: {self.topology.logs}")
            time.sleep(0.1)

    def all_went_well(self, cases: Mapping[str, str], *, seconds: float = 60.0) -> None:
        """Wait until every case (key → instance id) has ended; assert that each effect happened exactly once."""
        self.wait(
            f"all ended of {sorted(cases)}", lambda: all(self.ended(case) for case in cases.values()), seconds=seconds
        )
        assert {key: self.recorder.count(key) for key in cases} == dict.fromkeys(cases, 1)

    def incidents(self, case: str) -> list[dict[str, Any]]:
        """Open incidents of a case at the engine."""
        return [found for found in self.engine.incidents() if found["processInstanceId"] == case]

    # where to strike

    def part_at(self, key: str, point: str) -> str:
        """The name of the worker whose unit stands, or stood last, at a point."""
        return self._part_of(self.recorder.pid_at(key, point))

    def leader(self) -> str:
        """The name of the poller that leads."""
        pid: list[int] = []

        def found() -> bool:
            pid[:] = [row[0] for row in self.rows(_LEADER) if row[0] in self._pids()]
            return bool(pid)

        self.wait("a living poller leads", found)
        return self._part_of(pid[0])

    def task(self, key: str) -> dict[str, Any]:
        """BPTL's row of the one task of a case, where there is one."""
        found = self.rows("SELECT id, status, outcome, attempts FROM tasks_task WHERE business_key = %s", key)
        return dict(zip(("id", "status", "outcome", "attempts"), found[0], strict=True)) if found else {"status": ""}

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of BPTL's database."""
        with connect(self.topology.postgres.environment()) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def report_of(self, key: str, report: str) -> str:
        """The path of a report (COMPLETE, FAILURE) of the one task of a case: another's may be late under way."""
        ((external_id,),) = self.rows("SELECT external_id FROM tasks_task WHERE business_key = %s", key)
        return f"/{external_id}{report}"

    # striking

    def kill(self, *names: str) -> None:
        """End processes as a crash would."""
        for name in names:
            self.topology.kill_part(name)

    def begin(self, *names: str) -> None:
        """Start processes again."""
        for name in names:
            self.topology.start_part(name)

    def pause(self, name: str) -> None:
        """Stop a process in the middle of whatever it does."""
        self.topology.part(name).pause()

    def resume(self, name: str) -> None:
        """Let it go on."""
        self.topology.part(name).resume()

    def repair(self) -> None:
        """Let everything run again."""
        for server in (self.topology.postgres, self.topology.valkey):
            server.part.resume()
            if not server.part.running:
                server.start()
        self.topology.engine.part.resume()
        for name in self.topology.part_names:
            if self.topology.part(name).running:
                self.resume(name)
            else:
                self.begin(name)

    def _part_of(self, pid: int | None) -> str:
        return self._pids()[pid or 0]

    def _pids(self) -> dict[int, str]:
        parts = {name: self.topology.part(name) for name in self.topology.part_names}
        return {part.pid: name for name, part in parts.items() if part.running}


_LEADER = """
SELECT p.pid FROM tasks_pollleadership l JOIN tasks_process p ON p.id = l.process_id WHERE l.expires_at > now()
"""
