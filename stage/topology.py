"""A whole BPTL on one machine: PostgreSQL, Valkey, an engine, and every process of BPTL, each with its own log.

What the demo and the acceptance tests are made of:

    with Stage() as stage:
        topology = stage.add(Topology(Path(".demo/logs"), engine_password="geheim"))
        topology.start(unit_of_topic={"invoice.send": "demo.quick"})
        topology.bptl("doctor")
        topology.kill_part("work-1")
        topology.start_part("work-1")
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from stage.engine_rest import EngineRest
from stage.engines import OPERATON, StageEngine, make
from stage.environment import fresh_secrets
from stage.ports import HOST, free_port, is_free
from stage.postgres import Postgres
from stage.probes import answers
from stage.processes import Part, PartFailed
from stage.valkey import Valkey

ENGINE_USER = "bptl"
RIGHTS = ("READ", "UPDATE", "UPDATE_VARIABLE")
"""What the engine's user for BPTL may do with process instances, and nothing else."""

_PROCESS_DEFINITION, _PROCESS_INSTANCE = 6, 8

# Whatever else the caller's environment holds could be a setting of BPTL and make two starts differ.
_KEPT_NAMES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "SSL_CERT_FILE")


class CommandFailed(Exception):
    """A ``bptl`` command ended with an error; the message shows what it printed."""

    def __init__(self, arguments: tuple[str, ...], *, exit_code: int, output: str) -> None:
        self.arguments = arguments
        self.exit_code = exit_code
        self.output = output
        super().__init__(f"bptl {' '.join(arguments)} ended with exit code {exit_code}\n{output.rstrip()}")


class Topology:
    """Servers, engine and BPTL's processes; ``part`` reaches each process, ``engine.rest`` the engine as its admin.

    ``logs`` is the folder of the log files; ``directory`` keeps the data of PostgreSQL and the engine (default: fresh
    data that vanish). ``product`` is the engine (``stage.engines``) and its name in BPTL; ``engine``, ``postgres`` and
    ``valkey`` replace what would be made. With ``diagrams`` BPTL's user may also read definitions, which pages need to
    draw them. ``web_port`` is taken when it is free. ``more`` names further processes, a verb and a number
    (``beat-2``). ``environment`` adds to or replaces settings of BPTL; None leaves one to its default. ``say`` is told
    what is being started.
    """

    def __init__(
        self,
        logs: Path,
        *,
        directory: Path | None = None,
        product: str = OPERATON,
        engine: StageEngine | None = None,
        postgres: Postgres | None = None,
        diagrams: bool = False,
        web_port: int | None = None,
        workers: int = 2,
        pollers: int = 1,
        more: Sequence[str] = (),
        valkey: Valkey | None = None,
        secrets: Mapping[str, str] | None = None,
        engine_password: str,
        environment: Mapping[str, str | None] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.logs = logs
        self._say = say
        self._engine_password = engine_password
        kept = directory / "postgres" if directory else None
        self.postgres = postgres or Postgres(kept, durable=directory is not None)
        self.valkey = valkey or Valkey(log=logs / "valkey.log")
        self.engine_name = product
        self.engine = engine or make(product, directory=directory, log=logs / "engine.log")
        self._diagrams = diagrams
        self.web_port = free_port(wanted=web_port)
        settings = {
            **{name: os.environ[name] for name in _KEPT_NAMES if name in os.environ},
            **(secrets or fresh_secrets()),
            **self.postgres.environment(),
            "CELERY_BROKER_URL": self.valkey.url,
            "IS_HTTPS": "False",
            "UWSGI_PORT": str(self.web_port),
            "BPTL_PAGES_URL": self.web_url,
            "UWSGI_PROCESSES": "1",
            "BPTL_LONG_POLL_SECONDS": "5",
            "BPTL_LOG_FORMAT": "console",
            **(environment or {}),
        }
        self.environment = {name: value for name, value in settings.items() if value is not None}
        numbered = [f"work-{number}" for number in range(1, workers + 1)]
        numbered += [f"poll-{number}" for number in range(1, pollers + 1)]
        self._processes = {name: self._process(name) for name in ("web", "beat", *numbered, *more)}
        self._started = ExitStack()
        self._expected: set[str] = set()

    @property
    def web_url(self) -> str:
        """Where people find the pages."""
        return f"http://{HOST}:{self.web_port}/"

    @property
    def part_names(self) -> tuple[str, ...]:
        """The names of BPTL's processes: web, beat, work-1 …, poll-1 …"""
        return tuple(self._processes)

    def part(self, name: str) -> Part:
        """One process of BPTL, to pause or look at."""
        return self._processes[name]

    def start(self, *, unit_of_topic: Mapping[str, str] | None = None) -> None:
        """Start everything, configured as an operator does it; raises PartFailed, CommandFailed and JavaMissing."""
        self.start_servers()
        self._say("bptl manage migrate")
        self.bptl("manage", "migrate", "--no-input")
        self.configure_engine()
        if unit_of_topic:
            self.map_topics(unit_of_topic)
        self._say(f"waiting until the engine answers at {self.engine.url}")
        self.engine.wait_until_ready()
        self._make_engine_user()
        self._look_for_web_port_again()
        for name in self._processes:
            self.start_part(name)
        self._say(f"waiting until {self.web_url} answers")
        self.part("web").wait_until(lambda: answers(f"{self.web_url}ready"), seconds=60)

    def _look_for_web_port_again(self) -> None:
        """Seconds have passed since the port was chosen: a second demo may have taken it meanwhile."""
        if is_free(self.web_port):
            return
        self.web_port = free_port()
        self.environment["UWSGI_PORT"] = str(self.web_port)
        self.environment["BPTL_PAGES_URL"] = self.web_url
        self._processes["web"] = self._process("web")

    def start_servers(self) -> None:
        """Start the engine without waiting for it, PostgreSQL and Valkey."""
        # Also what never started has something to tidy away.
        for server in (self.engine, self.postgres, self.valkey):
            self._started.callback(server.stop)
        # The engine first: it takes longest, and the others start while it does.
        built = " (the first time Maven builds it, which takes minutes)" if self.engine_name == OPERATON else ""
        self._say(f"starting the engine {self.engine_name}{built}")
        self.engine.launch()
        self._say(f"starting PostgreSQL on port {self.postgres.port}")
        self.postgres.start()
        self._say(f"starting Valkey on port {self.valkey.port}")
        self.valkey.start()

    def configure_engine(self) -> None:
        """Tell BPTL of the engine, as an operator does."""
        self._say(f"bptl engines set {self.engine_name} --url {self.engine.url} --username {ENGINE_USER}")
        product = "operaton" if self.engine_name == OPERATON else "camunda7"  # The API that the sandbox speaks.
        self.bptl(
            *("engines", "set", self.engine_name, "--url", self.engine.url, "--product", product, "--active"),
            *("--username", ENGINE_USER, "--password-env", "ENGINE_PASSWORD"),
            environment={"ENGINE_PASSWORD": self._engine_password},
        )

    def map_topics(self, unit_of_topic: Mapping[str, str]) -> None:
        """Let each topic be done by a unit, unless it has a mapping already."""
        known = {line.split()[2] for line in self.bptl("mappings", "list").splitlines()[1:]}
        new = [
            {"engine": self.engine_name, "topic": topic, "unit": unit}
            for topic, unit in unit_of_topic.items()
            if topic not in known
        ]
        if new:
            self.logs.mkdir(parents=True, exist_ok=True)
            file = self.logs / "mappings.yaml"  # JSON is YAML.
            file.write_text(json.dumps({"mappings_config_enable": True, "mappings": {"items": new}}, indent=2))
            self._say(f"bptl configure {file}: {', '.join(mapping['topic'] for mapping in new)}")
            self.bptl("configure", str(file))

    def bptl(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run one ``bptl`` command to its end and return what it printed; raises CommandFailed."""
        done = subprocess.run(
            [sys.executable, "-m", "bptl", *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**self.environment, **(environment or {})},
        )
        if done.returncode != 0:
            raise CommandFailed(arguments, exit_code=done.returncode, output=done.stdout + done.stderr)
        return done.stdout

    def start_part(self, name: str, *, extra: Mapping[str, str] | None = None) -> None:
        """Start one process of BPTL, also after it was stopped or killed; ``extra`` variables count this time."""
        self._say(f"starting bptl {name}")
        self.part(name).start(extra=extra)
        self._expected.add(name)

    def stop_part(self, name: str, *, grace: float = 60.0) -> None:
        """Stop one process of BPTL in order; it may drain for ``grace`` seconds."""
        self._expected.discard(name)
        self.part(name).stop(grace=grace)

    def kill_part(self, name: str) -> None:
        """End one process of BPTL as a crash would."""
        self._expected.discard(name)
        self.part(name).kill()

    def check(self) -> None:
        """Raise PartFailed when something that should run has ended."""
        servers = (self.engine.part, self.postgres.part, self.valkey.part)
        for part in (*servers, *(self.part(name) for name in self._expected)):
            if not part.running:
                raise PartFailed(part.name, reason=f"ended with exit code {part.exit_code}", log=part.log)

    def stop(self) -> None:
        """Stop BPTL's processes, all at once, then the servers; what failed to stop hinders no other."""
        with ExitStack() as rest:
            rest.push(self._started.pop_all())
            rest.callback(self._say, "stopping the servers")
            for name, part in self._processes.items():
                if part.running:
                    rest.callback(self._stop_aloud, name)
            for part in self._processes.values():
                part.ask_to_stop()

    def _stop_aloud(self, name: str) -> None:
        self._say(f"stopping bptl {name}")
        self.stop_part(name)
        if code := self.part(name).exit_code:
            self._say(f"bptl {name} did not end in order: exit code {code}, log {self.part(name).log}")

    def _process(self, name: str) -> Part:
        verb = name.partition("-")[0]
        log = self.logs / f"{name}.log"
        return Part(name, [sys.executable, "-m", "bptl", verb], log=log, environment=self.environment)

    def _make_engine_user(self) -> None:
        add_engine_user(self.engine.rest, password=self._engine_password, diagrams=self._diagrams)


def add_engine_user(rest: EngineRest, *, password: str, diagrams: bool = False) -> None:
    """Create BPTL's user with its RIGHTS, and with that to read definitions for ``diagrams``; one that exists stays."""
    if rest.has_user(ENGINE_USER):
        return
    rest.create_user(ENGINE_USER, password=password)
    rest.grant(ENGINE_USER, resource_type=_PROCESS_INSTANCE, permissions=RIGHTS)
    if diagrams:
        rest.grant(ENGINE_USER, resource_type=_PROCESS_DEFINITION, permissions=["READ"])
