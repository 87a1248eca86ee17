"""The recap in containers: docker-compose.yml itself, with Podman, on images that are built here."""

from __future__ import annotations

import json
import secrets
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from stage.containers import ROOT, Compose, Podman
from stage.engine_rest import EngineRest
from stage.images import Images, compose_variables
from stage.operaton import ADMINISTRATOR
from stage.ports import HOST, free_port
from stage.postgres import connect
from stage.probes import answers
from stage.topology import ENGINE_USER, add_engine_user
from tests.acceptance.recap import ACTING_SECONDS, ENGINE, Recap, within

ADDITIONS = Path(__file__).with_name("recap.compose.yml")
WORKER_PLACES = 32
"""Three workers of these have 96 places: 1,500 tasks of 2 s each take half a minute and not a quarter of an hour."""

READY_SECONDS = 240.0


class Containers(Recap):
    """The running containers."""

    def __init__(self, folder: Path) -> None:
        self._podman = Podman()
        self._secrets = folder / "secrets"
        ports = {name: free_port() for name in ("nginx", "engine", "recorder")}
        front = f"10.131.{secrets.choice(range(8, 256))}.0/24"
        self._compose = Compose(
            self._podman,
            project=f"recap{secrets.token_hex(3)}",
            environment={
                **compose_variables(Images(self._podman), engine=True),
                "SECRETS": str(self._secrets),
                "HTTP_ADDRESS": f"{HOST}:{ports['nginx']}",
                "OPERATON_ADDRESS": f"{HOST}:{ports['engine']}",
                "RECORDER_ADDRESS": f"{HOST}:{ports['recorder']}",
                "ACTING_SECONDS": str(ACTING_SECONDS),
                "FRONT_SUBNET": front,
                "BPTL_TRUSTED_PROXIES": front,
                "CELERY_WORKER_CONCURRENCY": str(WORKER_PLACES),
            },
            profiles=["operaton"],
            files=[ADDITIONS],
        )
        self._counts = f"http://{HOST}:{ports['recorder']}/effects"
        self._expected: set[str] = set()
        user, password = ADMINISTRATOR
        self.engine = EngineRest(f"http://{HOST}:{ports['engine']}/engine-rest", user=user, password=password)
        self.pages = f"http://{HOST}:{ports['nginx']}/"
        self.recorder = "http://recorder:8080"
        self.password = secrets.token_urlsafe(16)

    @classmethod
    @contextmanager
    def built(cls, folder: Path) -> Iterator[Containers]:
        """Build what is missing, start it all, and remove every container, network and volume at the end."""
        recap = cls(folder)
        with ExitStack() as after:
            after.callback(recap._compose.down)
            after.callback(recap._write_logs, folder)
            recap._start()
            yield recap

    def effects(self) -> Mapping[str, int]:
        """What the recording service counts."""
        with urllib.request.urlopen(self._counts, timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def bptl(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run one command in the web's container."""
        handed = [f"--env={name}" for name in environment or {}]
        command = ["podman", "exec", *handed, self._compose.name("web"), "bptl", *arguments]
        return self._podman.tool(*command, environment=environment)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of BPTL's database."""
        with connect(self._database) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    @cached_property
    def _database(self) -> dict[str, str]:
        networks = self._podman.inspect(self._compose.name("postgres"))["NetworkSettings"]["Networks"]
        return {
            # No port is published: the network reaches nothing, but this machine has an address in it.
            "DB_HOST": networks[f"{self._compose.project}_data"]["IPAddress"],
            "DB_USER": "bptl",
            "DB_NAME": "bptl",
            "DB_PASSWORD": self._secret("db_password"),
        }

    def kill(self, *, host: str, pid: int) -> str:
        """End a container: the process in it is its first."""
        assert pid == 1, f"the entry script has become the process, which is number 1 and not {pid}"
        (name,) = (name for name in self._expected if self._podman.inspect(name)["Config"]["Hostname"] == host)
        self._podman("kill", "--signal=KILL", name)
        self._expected.discard(name)
        return name

    def check(self) -> None:
        """Raise when something that should run has ended."""
        listed = self._podman("ps", "--filter", f"name=^{self._compose.project}_", "--format", "{{.Names}}")
        ended = self._expected - set(listed.split())
        assert not ended, "\n".join(f"{name} has ended\n{self._podman.logs(name)[-2000:]}" for name in sorted(ended))

    def _start(self) -> None:
        made = ["sh", str(ROOT / "deploy" / "make-secrets.sh"), str(self._secrets)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        self.flower_login = self._secret("flower_basic_auth")
        self._compose.up()
        self._expected = set(self._compose.containers())
        within("the pages are served by nginx", lambda: answers(f"{self.pages}login/"), seconds=READY_SECONDS)
        within("the engine answers", lambda: answers(f"{self.engine.url}/engine"), seconds=READY_SECONDS)
        password = secrets.token_urlsafe(16)
        add_engine_user(self.engine, password=password)
        self.bptl(
            *("engines", "set", ENGINE, "--url", "http://operaton:8080/engine-rest", "--product", ENGINE, "--active"),
            *("--username", ENGINE_USER, "--password-env", "ENGINE_PASSWORD"),
            environment={"ENGINE_PASSWORD": password},
        )

    def _secret(self, name: str) -> str:
        return (self._secrets / name).read_text()

    def _write_logs(self, folder: Path) -> None:
        for name in self._compose.containers():
            (folder / f"{name}.log").write_text(self._podman.logs(name))
