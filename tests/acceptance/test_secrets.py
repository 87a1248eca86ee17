"""Secrets in every place where one can come in; then all that BPTL says, keeps and sends is searched for them.

Real processes work, fail and are refused by servers that repeat what they were sent. What a process variable holds, a
BSN or a token in an address, is kept by design in a few places, which are named here, and nowhere else.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import psycopg
import pytest
from psycopg import sql

from stage.engines import SANDBOX
from stage.ports import HOST
from tests.acceptance.town import Town
from tests.acceptance.visits import Visits
from tests.doubles.certificates import Authority
from tests.doubles.mailbox import Mailbox
from tests.doubles.otlp import Collector
from tests.doubles.outside import Answer, Asked, Outside
from tests.doubles.sentry import Sentry
from tests.doubles.webhook import Receiver

UNITS = Path(__file__).parents[1] / "faults" / "units"

OURS = (
    *("mail-password", "webhook-secret", "collector-key", "sentry-key", "admin-password", "provider-secret"),
    *(
        "engine-password",
        "second-engine-password",
        "typed-password",
        "api-key",
        "zgw-secret",
        "oauth-secret",
        "oauth-token",
        "application-secret",
    ),
)
"""Secrets that BPTL is given; beside them the ones of the stage, the token of a machine, and each one that it sent."""

BSN, HEADER_TOKEN, URL_TOKEN = "111222333", "bsn-houder-ABC123def456", "adres-token-XYZ789"
CARRIED = {"a BSN": BSN, "a header in a variable": HEADER_TOKEN, "a token in an address": URL_TOKEN}
"""What process variables carry."""

KEPT_BY_DESIGN = {("tasks_task", "variables"), ("tasks_task", "business_key")}
"""Columns that hold what came with a task: variables as they came, until retention takes them, and the business key."""

SHOWN_BY_DESIGN = re.compile(r"/tasks/\d+/")
"""The page of a task shows its variables, to who may see them; no other page does."""

_LINK = re.compile(r'(?:href|hx-get)="([^"#]+)"')
_ENDS_LOGIN = re.compile(r"/logout|/language|/login")
MOST_PAGES = 250


class Scene:
    """The town, the servers around it, and every secret by a name for people."""

    def __init__(self, town: Town, words: dict[str, str], echoes: list[Outside], told: Sentry) -> None:
        self.town = town
        self.words = words
        self.told = told
        self._echoes = echoes

    def secrets(self) -> dict[str, str]:
        """All of them, with what was sent to services: tokens that BPTL made, logins in base64."""
        found = dict(self.words)
        for asked in (one for echo in self._echoes for one in echo.asked):
            sent = asked.headers.get("Authorization", "").partition(" ")[2]
            if sent:
                found[f"a login sent to {asked.path} ({len(found)})"] = sent
        return found

    def in_text(self, text: str, *, carried: bool = True) -> list[str]:
        """Names of the secrets that a text shows."""
        wanted = self.secrets() | (CARRIED if carried else {})
        plain = text.replace('\\"', '"')
        return [name for name, word in wanted.items() if any(form in plain for form in {word, quote(word, safe="")})]


def _echo(status: int) -> Any:
    """A server that refuses, and repeats everything that it was sent."""

    def answer(asked: Asked) -> Answer:
        headers = dict(asked.headers)
        # Bare, too: there only who knows a secret can see that it is one.
        bare = [headers.get(name, "").rpartition(" ")[2] for name in ("Authorization", "X-Api-Key")]
        detail = f"nobody knows {' or '.join(bare)}; {asked.method} {asked.path} came with {headers}"
        return Answer(status, {"code": "denied", "detail": detail, "request": {"headers": headers}})

    return answer


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    words = {name: f"geheim-{name}-{secrets.token_hex(6)}" for name in OURS}
    logs = tmp_path_factory.mktemp("secrets")
    authority = Authority()
    (logs / "authority.pem").write_text(authority.certificate)
    with ExitStack() as stack:
        plain = stack.enter_context(Outside("/dienst/"))
        secure = stack.enter_context(Outside("/dienst/", pair=authority.issue()))
        for echo in (plain, secure):
            for status in (401, 500):
                echo.answers[f"/dienst/antwoord/{status}"] = _echo(status)
            echo.answers["/dienst/antwoord/200"] = Answer(200, {"omschrijving": "dakkapel"})
        given = {"access_token": words["oauth-token"], "token_type": "Bearer", "expires_in": 600}
        secure.answers["/token"] = Answer(200, given)
        collector = stack.enter_context(Collector(refuses=True))
        sentry = stack.enter_context(Sentry(words["sentry-key"]))
        receiver = stack.enter_context(Receiver(words["webhook-secret"]))
        receiver.status = 500
        mailbox = stack.enter_context(Mailbox(login=("bptl", "another-password")))
        environment = {
            "PYTHONPATH": str(UNITS),
            "BPTL_LOG_FORMAT": "json",
            "LOG_LEVEL": "DEBUG",
            "CELERY_LOGLEVEL": "DEBUG",
            "EMAIL_HOST": HOST,
            "EMAIL_PORT": str(mailbox.port),
            "EMAIL_HOST_USER": "bptl",
            "EMAIL_HOST_PASSWORD": words["mail-password"],
            "BPTL_INCIDENT_MAIL": "beheer@example.nl",
            "BPTL_INCIDENT_WEBHOOK": receiver.url,
            "BPTL_INCIDENT_WEBHOOK_SECRET": words["webhook-secret"],
            "BPTL_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "BPTL_ADMIN_USERNAME": "visser",
            "BPTL_ADMIN_PASSWORD": words["admin-password"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={words['collector-key']}",
            "SENTRY_DSN": sentry.dsn,
            "BPTL_OIDC_ISSUER": "https://127.0.0.1:1/realms/gemeente",
            "BPTL_OIDC_CLIENT_ID": "bptl",
            "BPTL_OIDC_CLIENT_SECRET": words["provider-secret"],
        }
        options: dict[str, Any] = {"product": SANDBOX, "workers": 1, "environment": environment}
        town = stack.enter_context(Town.built(logs, engine_password=words["engine-password"], **options))
        for name in ("SECRET_KEY", "BPTL_ENCRYPTION_KEYS", "DB_PASSWORD"):
            words[name] = town.topology.environment[name]
        scene = Scene(town, words, [plain, secure], sentry)
        _configure(scene, plain, secure, logs / "authority.pem")
        _work(scene)
        yield scene


def _configure(scene: Scene, plain: Outside, secure: Outside, authority: Path) -> None:
    bptl, words = scene.town.topology.bptl, scene.words
    root, token = secure.root, f"https://{HOST}:{secure.port}/token"
    secret = ("--secret-env", "GEHEIM")
    for name, url, options, word in (
        ("sleutel", plain.root, ("--login", "api_key", "--header", "X-Api-Key"), "api-key"),
        ("zgw", plain.root + "zgw/", ("--login", "zgw", "--client-id", "bptl"), "zgw-secret"),
        (
            "oauth",
            root,
            (
                *("--login", "oauth2_client_credentials", "--client-id", "bptl"),
                *("--token-url", token, "--authorities", str(authority)),
            ),
            "oauth-secret",
        ),
        ("toepassing", plain.root + "app/", ("--login", "zgw"), ""),
    ):
        for status in (200, 401, 500):
            path = f"{urlsplit(url).path}antwoord/{status}"
            plain.answers.setdefault(path, _echo(status) if status != 200 else Answer(200, {}))
        given = (*options, *secret) if word else (*options, "--no-secret")
        bptl(
            *("services", "add", name, "--kind", "orc", "--url", url, *given),
            environment={"GEHEIM": words.get(word, "")},
        )
    bptl("applications", "add", "vergunningen", "--label", "Vergunningen", "--unit", "*")
    for name in ("sleutel", "zgw", "oauth"):
        bptl("applications", "grant", "vergunningen", name, "--as-service")
    bptl(
        *("applications", "grant", "vergunningen", "toepassing", "--client-id", "app", *secret),
        environment={"GEHEIM": words["application-secret"]},
    )
    for name in ("sleutel", "zgw", "oauth", "toepassing"):
        scene.town.map(f"vraag.{name}", "http.request", "--service", f"service={name}")
    scene.town.map("alles.zeggen", "test.tell")
    # An engine, or a proxy before it, that repeats what it was sent.
    plain.answers["/engine-rest/external-task/fetchAndLock"] = _echo(500)
    bptl(
        *("engines", "set", "tweede", "--url", f"http://{HOST}:{plain.port}/engine-rest", "--active"),
        *("--username", "bptl", "--password-env", "GEHEIM"),
        environment={"GEHEIM": words["second-engine-password"]},
    )
    bptl("mappings", "add", "--engine", "tweede", "--topic", "alles.zeggen", "--unit", "test.tell")
    made = bptl("tokens", "create", "flowable", "--user", "visser", "--scope", "work-unit:call")
    words["machine-token"] = max(made.split(), key=len)
    words["machine-token-mistyped"] = words["machine-token"][:-1]


def _work(scene: Scene) -> None:
    """Successes, refusals and failures of each kind, until all have ended or are incidents."""
    town = scene.town
    said = {
        "burger": BSN,
        "kop": f"Authorization: Bearer {HEADER_TOKEN}",
        "adres": f"https://iemand:{URL_TOKEN}@register.nl/burger/{BSN}?token={URL_TOKEN}",
    }
    common = {"bptlAppId": "vergunningen", "method": "GET", "retries": 0}
    cases: dict[str, list[str]] = {"ended": [], "incident": [], "refused": []}
    cases["ended"].append(town.one_step("alles.zeggen", business_key="zaak-1", gaat=True, **said))
    cases["incident"].append(town.one_step("alles.zeggen", business_key="zaak-2", **said))
    for name in ("sleutel", "zgw", "oauth", "toepassing"):
        for status in (200, 401, 500):
            instance = town.one_step(
                f"vraag.{name}",
                business_key=f"{name}-{status}",
                path=f"antwoord/{status}",
                query={"value": json.dumps({"token": URL_TOKEN, "bsn": BSN}), "type": "Json"},
                **common,
            )
            cases["ended" if status == 200 else "refused"].append(instance)
    for name in ("machine-token", "machine-token-mistyped"):
        _call(town, f"Token {scene.words[name]}")
    with pytest.raises(AssertionError, match="the login was taken"):
        Visits(town.topology.web_url).log_in("visser", scene.words["typed-password"])
    login = base64.b64encode(f"visser:{scene.words['admin-password']}".encode()).decode()
    _call(town, f"Basic {login}")
    town.wait("what goes well ended", lambda: town.ended(*cases["ended"]), seconds=60)
    town.wait("what fails is an incident", lambda: all(map(town.incidents, cases["incident"])), seconds=60)
    failing = "SELECT count(*) FROM tasks_servicecall WHERE status >= 400"
    town.wait("all were refused", lambda: rows(town, failing)[0][0] >= len(cases["refused"]), seconds=60)
    polled = (town.topology.logs / "poll-1.log").read_text
    town.wait("the second engine refused", lambda: "engine.poll_failed" in polled(), seconds=60)
    told = "SELECT count(*) FROM telling_message WHERE error <> ''"
    town.wait("nobody could be told", lambda: rows(town, told)[0][0] >= 2, seconds=90)


def _call(town: Town, authorization: str) -> None:
    """A call of the REST API with a wrong topic."""
    body = json.dumps({"topic": "bestaat.niet", "vars": {"bsn": BSN}}).encode()
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{town.topology.web_url}api/v1/work-unit", data=body, headers=headers)
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        error.close()


def rows(town: Town, statement: Any) -> list[tuple[Any, ...]]:
    environment = town.topology.postgres.environment()
    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    where = psycopg.conninfo.make_conninfo(**{name: environment[f"DB_{key}"] for name, key in names.items()})
    with psycopg.connect(where, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def test_the_scene_is_what_it_should_be(scene: Scene) -> None:
    """The secrets were really used, and what is looked for would be found."""
    sent = {name: word for name, word in scene.secrets().items() if name.startswith("a login sent")}
    assert len(sent) >= 4
    assert scene.in_text(f"x {scene.words['api-key']} {BSN}") == ["api-key", "a BSN"]
    assert scene.told.events


def test_no_process_logs_a_secret(scene: Scene) -> None:
    found: list[str] = []
    for log in sorted(scene.town.topology.logs.glob("*.log")):
        for number, line in enumerate(log.read_text(errors="replace").splitlines(), start=1):
            found += [f"{log.name}:{number} shows {name}: {line[:600]}" for name in scene.in_text(line)]
    assert not found, "\n".join(found[:20])


def test_no_column_holds_a_secret_in_clear(scene: Scene) -> None:
    columns = rows(
        scene.town,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'ARRAY', 'bytea')",
    )
    found: list[str] = []
    for table, column in columns:
        statement = sql.SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
            sql.Identifier(column), sql.Identifier(table)
        )
        for (text,) in rows(scene.town, statement):
            names = scene.in_text(text, carried=(table, column) not in KEPT_BY_DESIGN)
            found += [f"{table}.{column} holds {name}: {text[:600]}" for name in names]
    assert len(columns) > 100
    assert not found, "\n".join(found[:20])


def test_no_page_shows_a_secret_to_an_administrator(scene: Scene) -> None:
    visits = Visits(scene.town.topology.web_url)
    visits.log_in("visser", scene.words["admin-password"])
    found: list[str] = []
    shown: set[str] = set()
    waiting, seen = ["/"], {"/"}
    shapes: dict[str, int] = {}
    while waiting and len(seen) < MOST_PAGES:
        page = waiting.pop(0)
        try:
            text = visits.text(page)
        except (urllib.error.HTTPError, UnicodeDecodeError):
            continue
        by_design = SHOWN_BY_DESIGN.fullmatch(urlsplit(page).path) is not None
        found += [f"{page} shows {name}" for name in scene.in_text(text, carried=not by_design)]
        if by_design:
            shown |= set(scene.in_text(text))
        for link in _LINK.findall(text):
            address = urljoin(page, link.replace("&amp;", "&"))
            shape = re.sub(r"\d+|[0-9a-f-]{36}", "#", address)
            if address in seen or not address.startswith("/") or _ENDS_LOGIN.search(address) or "static/" in address:
                continue
            # Of many alike a few are enough.
            shapes[shape] = shapes.get(shape, 0) + 1
            if shapes[shape] <= 15:
                seen.add(address)
                waiting.append(address)
    for name in ("/tasks/", "/services/", "/engines/", "/audit/", "/incidents/", "/settings/"):
        assert any(address.startswith(name) for address in seen), f"{name} was not visited: {sorted(seen)}"
    assert shown >= {"a BSN"}, "what is looked for was on no page at all"
    assert not found, "\n".join(found[:20])


def test_no_secret_reaches_the_engine(scene: Scene) -> None:
    engine = scene.town.engine
    found: list[str] = []
    tasks = engine.call("GET", "/external-task")
    assert tasks
    for task in tasks:
        details = ""
        try:
            details = engine.call("GET", f"/external-task/{task['id']}")["errorMessage"] or ""
            request = urllib.request.Request(
                f"{engine.url}/external-task/{task['id']}/errorDetails",
                headers={"Authorization": engine._authorization},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                details += answer.read().decode()
        except urllib.error.HTTPError as error:
            error.close()
        found += [f"{task['topicName']}: {name}: {details[:800]}" for name in scene.in_text(details)]
    said = json.dumps(engine.call("GET", "/incident"))
    found += [f"an incident: {name}" for name in scene.in_text(said)]
    variables = json.dumps(engine.call("GET", "/history/variable-instance", query={"deserializeValues": "false"}))
    found += [f"a variable: {name}" for name in scene.in_text(variables, carried=False)]
    assert not found, "\n".join(found[:20])


def test_neither_sentry_nor_the_collector_nor_a_webhook_is_told_a_secret(scene: Scene) -> None:
    said = "\n".join(scene.told.bodies)
    assert not [name for name in scene.in_text(said) if name != "sentry-key"]
