"""The recap as plain processes: the entry scripts of the image, embedded PostgreSQL and Valkey, Debian's nginx."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stage.ports import HOST, free_port
from stage.postgres import connect
from stage.probes import answers
from stage.processes import Part, Stage
from stage.topology import Topology
from tests.acceptance.recap import ACTING_SECONDS, UNITS, Recap
from tests.doubles.recorder import Recorder

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SCRIPT_OF_KIND = {"web": "start.sh", "beat": "celery_beat.sh", "flower": "celery_flower.sh"}
QUEUE_OF_KIND = {"poll": "long-polling", "work": "celery"}
READY_SECONDS = 120.0


class Scripts(Topology):
    """A topology whose processes are what the containers of the image start, as on a fresh installation."""

    def __init__(self, logs: Path, *, flower_login: str) -> None:
        self.flower_port = free_port()
        super().__init__(
            logs,
            workers=3,
            pollers=2,
            engine_password=secrets.token_urlsafe(16),
            environment={
                "BPTL_TRUSTED_PROXIES": HOST,
                "FLOWER_ADDRESS": HOST,
                "FLOWER_BASIC_AUTH": flower_login,
                "FLOWER_PORT": str(self.flower_port),
                "FLOWER_URL_PREFIX": "flower",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "PYTHONPATH": str(UNITS),
            },
        )
        self._processes["flower"] = self._process("flower")

    def start(self, *, unit_of_topic: Mapping[str, str] | None = None) -> None:
        """Start everything at once: the scripts wait for what they need, and the web process makes the tables."""
        self.start_servers()
        for name in self.part_names:
            self.start_part(name)
        self.part("web").wait_until(lambda: answers(f"{self.web_url}ready"), seconds=READY_SECONDS)
        self.engine.wait_until_ready()
        self._make_engine_user()
        self.configure_engine()
        if unit_of_topic:
            self.map_topics(unit_of_topic)

    def _process(self, name: str) -> Part:
        kind = name.partition("-")[0]
        # Outside a container it listens where the test may listen.
        arguments = ["--bind", f"{HOST}:{self.web_port}"] if kind == "web" else []
        queue = {"CELERY_WORKER_QUEUE": QUEUE_OF_KIND[kind]} if kind in QUEUE_OF_KIND else {}
        script = DEPLOY / SCRIPT_OF_KIND.get(kind, "celery_worker.sh")
        command = ["sh", str(script), *arguments]
        return Part(name, command, log=self.logs / f"{name}.log", environment={**self.environment, **queue})


class Nginx:
    """Debian's nginx with the configuration of deploy/nginx, whose names and paths are those of containers."""

    def __init__(self, *, web_port: int, flower_port: int, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}/"
        # Not below the test's own folder: nginx gives up root's rights and must reach it.
        self._home = Path(tempfile.mkdtemp(prefix="bptl-nginx-"))
        self._home.chmod(0o755)
        self._here = {
            "/etc/bptl/": f"{self._home}/",
            "/tmp/": f"{self._home}/",
            "listen 8080;": f"listen {HOST}:{self.port};",
            " web:8000;": f" {HOST}:{web_port};",
            " flower:5555;": f" {HOST}:{flower_port};",
        }
        self._part = Part("nginx", ["sh", str(self._home / "start.sh")], log=log)

    @property
    def part(self) -> Part:
        """Its process."""
        return self._part

    def start(self) -> None:
        """Start, and wait until the pages are reached through it; raises PartFailed."""
        theirs = re.compile("|".join(re.escape(text) for text in self._here))
        found: set[str] = set()
        for source, name in (("bptl.conf", "bptl.conf"), ("http.conf", "nginx.conf"), ("start.sh", "start.sh")):
            text = (DEPLOY / "nginx" / source).read_text()
            found.update(theirs.findall(text))
            (self._home / name).write_text(theirs.sub(lambda match: self._here[match[0]], text))
        assert found == set(self._here), f"deploy/nginx no longer says {sorted(set(self._here) - found)}"
        self._part.start()
        self._part.wait_until(lambda: answers(f"{self.url}login/"), seconds=30)

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._part.stop(grace=10)
        shutil.rmtree(self._home, ignore_errors=True)


class Processes(Recap):
    """The running processes."""

    def __init__(self, topology: Scripts, *, nginx: Nginx, recorder: Recorder, flower_login: str) -> None:
        self._topology = topology
        self._nginx = nginx
        self._recorder = recorder
        self.engine = topology.engine.rest
        self.pages = nginx.url
        self.recorder = recorder.url
        self.password = secrets.token_urlsafe(16)
        self.flower_login = flower_login

    @classmethod
    @contextmanager
    def built(cls, logs: Path) -> Iterator[Processes]:
        """Start it all, and stop it all at the end."""
        flower_login = f"beheer:{secrets.token_urlsafe(16)}"
        with Recorder() as recorder, Stage() as stage:
            recorder.acting_seconds = ACTING_SECONDS
            topology = stage.add(Scripts(logs, flower_login=flower_login))
            topology.start()
            nginx = Nginx(web_port=topology.web_port, flower_port=topology.flower_port, log=logs / "nginx.log")
            stage.add(nginx).start()
            yield cls(topology, nginx=nginx, recorder=recorder, flower_login=flower_login)

    def effects(self) -> Mapping[str, int]:
        """What the recording service counts."""
        return self._recorder.counts()

    def bptl(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run one command."""
        return self._topology.bptl(*arguments, environment=environment)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of BPTL's database."""
        with connect(self._topology.postgres.environment()) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def kill(self, *, host: str, pid: int) -> str:
        """End a process of this machine."""
        (name,) = (
            name
            for name in self._topology.part_names
            if self._topology.part(name).running and self._topology.part(name).pid == pid
        )
        self._topology.kill_part(name)
        return name

    def check(self) -> None:
        """Raise when something that should run has ended."""
        self._topology.check()
