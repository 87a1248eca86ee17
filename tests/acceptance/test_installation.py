"""The compose file as an operator installs it: real containers, https, a sub-path, two webs at once, a stop."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from stage.containers import ROOT, Compose, Podman
from stage.images import Images, ToolMissing, compose_variables
from stage.ports import HOST, free_port
from tests.acceptance.counter import basic
from tests.acceptance.recap import within
from tests.doubles.tls import certify

SERVICES = ("postgres", "redis", "web", "worker", "flower", "nginx")
USER, PASSWORD = "beheerder", "een-lang-wachtwoord"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Installation:
    """The containers, and a visitor who trusts their certificate."""

    def __init__(self, folder: Path) -> None:
        self.podman = Podman()
        self.secrets = folder / "secrets"
        subprocess.run(["sh", str(ROOT / "deploy" / "make-secrets.sh"), str(self.secrets)], check=True)
        tls = folder / "tls"
        tls.mkdir()
        certify(tls / "tls.crt", tls / "tls.key")
        self._trust = ssl.create_default_context(cafile=tls / "tls.crt")
        port = free_port()
        self.url = f"https://{HOST}:{port}"
        self.compose = Compose(
            self.podman,
            project=f"install{secrets.token_hex(3)}",
            environment={
                **compose_variables(Images(self.podman)),
                "SECRETS": str(self.secrets),
                "TLS_FOLDER": str(tls),
                "NGINX_CONF": "./deploy/nginx/https.conf",
                "NGINX_PORT": "8443",
                "HTTP_ADDRESS": f"{HOST}:{port}",
                "IS_HTTPS": "True",
                "SUBPATH": "/bptl",
                "FRONT_SUBNET": f"10.132.{secrets.choice(range(8, 256))}.0/24",
            },
        )

    def furnish(self) -> None:
        """Start it, with a user and a topic of the REST API."""
        self.compose.up(*SERVICES, scale=("web", 2))
        within("the pages are served", lambda: self.ask("/bptl/login/")[0] == 200, seconds=240)
        web = self.compose.name("web")
        made = ["bptl", "manage", "createsuperuser", "--no-input", "--username", USER, "--email", "b@example.com"]
        self.podman("exec", f"--env=DJANGO_SUPERUSER_PASSWORD={PASSWORD}", web, *made)
        self.podman(
            "exec", web, "bptl", "mappings", "add", "--engine", "rest", "--topic", "traag", "--unit", "demo.slow"
        )

    def ask(self, path: str, *, login: str = "", body: bytes | None = None) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text of an answer; status 0 when there is none."""
        headers = {"Content-Type": "application/json", **({"Authorization": login} if login else {})}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self._trust, timeout=70) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, dict(refused.headers), refused.read().decode()
        except OSError:
            return 0, {}, ""

    def wrote(self, container: str, words: str) -> bool:
        """Whether the log of a container holds these words."""
        return words in self.podman.logs(container)

    def secret(self, name: str) -> str:
        """One of the secrets."""
        return (self.secrets / name).read_text()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    try:
        installation = Installation(folder)
    except ToolMissing as error:
        pytest.skip(f"NOTHING IS INSTALLED IN CONTAINERS: {error}")
    with ExitStack() as after:
        after.callback(installation.compose.down)
        installation.furnish()
        yield installation


def test_two_webs_that_start_together_migrate_once(installed: Installation) -> None:
    webs = [installed.compose.name("web", number) for number in (1, 2)]
    for web in webs:
        within(f"{web} serves", partial(installed.wrote, web, "Listening at"), seconds=60)
    assert sum(installed.podman.logs(web).count("migrations.applied") for web in webs) == 1


def test_pages_are_reached_over_https_below_their_path_and_probes_are_not(installed: Installation) -> None:
    status, headers, text = installed.ask("/bptl/login/")
    assert (status, "/bptl/static/" in text) == (200, True)
    assert "max-age" in headers["Strict-Transport-Security"]
    assert "Secure" in headers["Set-Cookie"]
    assert [installed.ask(path)[0] for path in ("/live", "/bptl/live", "/bptl/ready")] == [404] * 3


def test_flower_is_reached_below_its_path_with_its_password_only(installed: Installation) -> None:
    user, _, password = installed.secret("flower_basic_auth").partition(":")
    assert installed.ask("/flower/")[0] == 401
    status, _, text = installed.ask("/flower/workers", login=basic(user, password))
    assert (status, "/flower/static/" in text) == (200, True)


def test_a_worker_that_is_stopped_ends_its_unit_and_then_itself(installed: Installation) -> None:
    worker, login = installed.compose.name("worker"), basic(USER, PASSWORD)
    script = "from bptl.tasks.models import Task; print(*Task.objects.values_list('status', flat=True))"
    shell = ["exec", installed.compose.name("web"), "bptl", "manage", "shell", "--no-imports", "-c", script]
    with ThreadPoolExecutor(1) as beside:
        body = json.dumps({"topic": "traag", "vars": {"seconds": 20}}).encode()
        call = beside.submit(installed.ask, "/bptl/api/v1/work-unit", login=login, body=body)
        within("the unit runs", lambda: "running" in installed.podman(*shell), seconds=18)
        installed.podman("stop", "-t", "70", worker)
        status, _, text = call.result()
    assert (status, json.loads(text)["resultVars"]) == (201, {"gewacht": 20.0})
    assert installed.podman.exit_code(worker) == 0


def test_no_container_logs_a_secret(installed: Installation) -> None:
    logs = "".join(installed.podman.logs(name) for name in installed.compose.containers())
    assert "process.stopped" in logs
    hidden = [path.read_text() for path in installed.secrets.iterdir()]
    assert [len(secret) for secret in [*hidden, PASSWORD] if secret in logs] == []
