"""Who does the tasks of a run: BPTL as it is deployed, or a yardstick that is started for the run."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import yaml
from celery import Celery
from kombu import Connection

from benchmarks import environment as yardsticks
from benchmarks.load_engine import NAME, LoadEngine
from benchmarks.meters import SETTINGS
from stage.ports import free_port
from stage.postgres import Postgres, connect
from stage.processes import Part
from stage.topology import Topology

UNITS = Path(__file__).parent / "units"
YARDSTICKS = Path(__file__).parent / "yardsticks"
YARDSTICK_DATABASE = "yardstick"

UNIT_OF_TOPIC = {
    "noop": "bench.noop",
    "wait": "bench.wait",
    "effect": "bench.effect",
    "payload": "bench.payload",
    "slow": "bench.slow",
}


class NotReady(Exception):
    """A worker does not poll, or did not do its work in time; the message says what was seen."""


class Worker(Protocol):
    """Somebody who does the tasks of a topic."""

    database: str
    """Whose statements count."""

    def pids(self) -> dict[str, int]:
        """The processes of the worker by name; their descendants belong to them."""


def deployed_settings() -> list[str]:
    """What docker-compose.yml starts PostgreSQL with, as ``name=value``; variables have their defaults."""
    words = yaml.safe_load((yardsticks.ROOT / "docker-compose.yml").read_text())["services"]["postgres"]["command"]
    return [_DEFAULT.sub(r"\1", word) for word in words if "=" in word]


_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


class Bptl(Topology):
    """BPTL as it is deployed: durable PostgreSQL with the settings of docker-compose.yml, JSON logs at INFO into files,
    task events on and Flower listening. ``directory`` keeps PostgreSQL's data."""

    def __init__(
        self,
        logs: Path,
        engine: LoadEngine,
        *,
        settings: Sequence[str] = SETTINGS,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            logs,
            product=NAME,
            engine=engine,
            postgres=Postgres(directory, settings=(*deployed_settings(), *settings)),
            engine_password=secrets.token_urlsafe(16),
            workers=2,
            pollers=1,
            more=("flower",),
            environment={
                # What the stage sets for laptops has its default again.
                **dict.fromkeys(("BPTL_LONG_POLL_SECONDS", "BPTL_LOG_FORMAT", "UWSGI_PROCESSES")),
                "FLOWER_BASIC_AUTH": f"bench:{secrets.token_urlsafe(16)}",
                "FLOWER_PORT": str(free_port()),
                "PYTHONPATH": str(UNITS),
                **(environment or {}),
            },
        )
        self.database = self.postgres.database

    def pids(self) -> dict[str, int]:
        """All processes that run."""
        return {name: self.part(name).pid for name in self.part_names if self.part(name).running}

    def places(self) -> int:
        """Places of living workers, as the poller counts them."""
        with connect(self.postgres.environment()) as connection:
            row = connection.execute(_PLACES).fetchone()
        return int(str(row[0])) if row else 0

    def send(self, job: str) -> None:
        """Send a job to the workers, as beat does."""
        with Connection(self.valkey.url) as broker:
            Celery(set_as_current=False).send_task(job, queue="celery", ignore_result=True, connection=broker)

    def use_workers(self, count: int) -> None:
        """Let so many of the two workers run, and wait until they are known to the poller."""
        for number in (1, 2):
            name = f"work-{number}"
            if number <= count and not self.part(name).running:
                self.start_part(name)
            elif number > count and self.part(name).running:
                self.stop_part(name)
        deadline = time.monotonic() + 30
        while self.places() != count * PLACES:
            if time.monotonic() > deadline:
                raise NotReady(f"{self.places()} places instead of {count * PLACES}; logs: {self.logs}")
            time.sleep(0.05)


PLACES = 16
"""Places of one worker: the default of CELERY_WORKER_CONCURRENCY."""

_PLACES = """
SELECT coalesce(sum(places), 0) FROM tasks_process
WHERE kind = 'work' AND stopped_at IS NULL AND NOT draining AND heartbeat_at > now() - interval '15 seconds'
"""


class Yardstick:
    """One process of a yardstick."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.database = YARDSTICK_DATABASE

    def pids(self) -> dict[str, int]:
        """Its process."""
        return {self.part.name: self.part.pid}


@contextmanager
def yardstick(kind: str, bptl: Bptl, engine: LoadEngine, *, topic: str) -> Iterator[Yardstick]:
    """Run a yardstick: ``raw``, ``raw durable``, ``client 1`` or ``client 10``."""
    command = [str(yardsticks.PYTHON)]
    if kind.startswith("raw"):
        command += [str(YARDSTICKS / "raw_loop.py")]
    else:
        command += [str(YARDSTICKS / "python_client.py"), "--fetch", kind.split()[1]]
    command += ["--url", engine.url, "--topic", topic]
    surroundings = {"PATH": os.environ.get("PATH", os.defpath)}
    bptl.postgres.create_database(YARDSTICK_DATABASE)
    if kind == "raw durable":
        command.append("--record")
        found = bptl.postgres.environment(database=YARDSTICK_DATABASE)
        names = {"HOST": "HOST", "PORT": "PORT", "USER": "USER", "PASSWORD": "PASSWORD", "DATABASE": "NAME"}
        surroundings |= {f"PG{name}": found[f"DB_{theirs}"] for name, theirs in names.items()}
    part = Part(kind, command, log=bptl.logs / f"{kind.replace(' ', '-')}.log", environment=surroundings)
    part.start()
    try:
        yield Yardstick(part)
    finally:
        part.kill()


def wait_until_polling(engine: LoadEngine, *, topic: str, seconds: float = 30.0) -> None:
    """Wait until a poll for a topic is parked; raises NotReady."""
    deadline = time.monotonic() + seconds
    while not engine.state(topic).parked:
        if time.monotonic() > deadline:
            raise NotReady(f"nobody polls for {topic} after {seconds:g} s")
        time.sleep(0.02)
