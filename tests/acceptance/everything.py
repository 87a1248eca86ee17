"""A town in which every page has something to show: people of each role, tasks in each trouble, rows of each kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from bptl.accounts.roles import Role
from stage import sample
from stage.engines import SANDBOX
from tests.acceptance.browser import PASSWORD
from tests.acceptance.town import Town
from tests.doubles.mailbox import Mailbox
from tests.doubles.recorder import Recorder

UNITS = Path(__file__).parents[1] / "faults" / "units"
NAMES: Mapping[Role, str] = {Role.ADMINISTRATOR: "visser", Role.OPERATOR: "jansen", Role.VIEWER: "bakker"}
"""Who has which role; all with the same password."""


class Everything:
    """The town, and where its rows are."""

    def __init__(self, town: Town, *, welcome: str, mailbox: Mailbox) -> None:
        self.town = town
        self.mailbox = mailbox
        self.welcome = welcome
        """The path of a link by which somebody chooses a password."""
        postgres = town.topology.postgres.environment()
        names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
        where = psycopg.conninfo.make_conninfo(**{name: postgres[f"DB_{key}"] for name, key in names.items()})
        self._rows = psycopg.connect(where, autocommit=True)

    def one(self, statement: LiteralString | sql.Composed, *params: object) -> Any:
        """The first column of the first row; None when there is no row."""
        found = self._rows.execute(statement, params).fetchone()
        return found[0] if found else None

    def first(self, table: str) -> Any:
        """The smallest id of a table; None when it is empty."""
        return self.one(sql.SQL("SELECT min(id) FROM {}").format(sql.Identifier(table)))

    def close(self) -> None:
        """Leave the database."""
        self._rows.close()


@contextmanager
def built(logs: Path, **more: str) -> Iterator[Everything]:
    """Start it: one worker before the sandbox, a mail server, a service; all is there when this answers.

    ``more`` are further settings of BPTL.
    """
    with Recorder() as recorder, Mailbox() as mailbox:
        environment = {
            "PYTHONPATH": str(UNITS),
            # One unit runs until the end.
            "BPTL_GRACE_SECONDS": "1",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(mailbox.port),
            "BPTL_INCIDENT_MAIL": "beheer@example.nl",
            "BPTL_INCIDENT_LANGUAGE": "en",
            **more,
        }
        with Town.built(logs, product=SANDBOX, workers=1, diagrams=True, environment=environment) as town:
            everything = Everything(town, welcome=_people(town), mailbox=mailbox)
            try:
                _rows(town, recorder)
                _tasks(everything, recorder)
                yield everything
            finally:
                everything.close()


def _people(town: Town) -> str:
    # The administrator first: the last one could not be made anything else.
    for role, name in NAMES.items():
        login = {"USERNAME": name, "PASSWORD": PASSWORD, "EMAIL": f"{name}@example.nl"}
        said = {f"DJANGO_SUPERUSER_{key}": value for key, value in login.items()}
        town.topology.bptl("manage", "createsuperuser", "--no-input", environment=said)
        if role is not Role.ADMINISTRATOR:
            town.topology.bptl("people", "set-role", name, role)
    link = town.topology.bptl("people", "invite", "smit", "--role", "viewer").splitlines()[0]
    return "/" + re.sub(r"^https?://[^/]+", "", link).lstrip("/")


def _rows(town: Town, recorder: Recorder) -> None:
    bptl = town.topology.bptl
    bptl(
        "services",
        "add",
        "register",
        "--kind",
        "orc",
        "--url",
        f"{recorder.url}/",
        "--login",
        "no_auth",
        "--most-at-once",
        "8",
    )
    bptl("applications", "add", "vergunningen", "--label", "Vergunningen", "--unit", "*")
    bptl("applications", "grant", "vergunningen", "register", "--as-service")
    bptl("tokens", "create", "flowable", "--user", NAMES[Role.OPERATOR], "--scope", "work-unit:call")
    town.map("melding.sturen", "test.send")
    town.map("aanvraag.beoordelen", "demo.decide")
    town.map("archief.wachten", "demo.slow")
    town.map("advies.vragen", "demo.wait_for_answer")
    town.map("register.vragen", "http.request", "--service", "service=register")


def _tasks(everything: Everything, recorder: Recorder) -> None:
    town = everything.town
    cases = [
        town.start(sample.PROCESS, business_key=f"zaak-{number}", **sample.variables(number)) for number in range(1, 7)
    ]
    wrong = [
        town.one_step("aanvraag.beoordelen", business_key=f"aanvraag-{number}", hoogte="hoog", bijlagen="geen lijst")
        for number in range(1, 13)
    ]
    recorder.misbehave("brief-1", "cut")
    letter = town.one_step("melding.sturen", business_key="brief-1", recorder=recorder.url, key="brief-1")
    asked = town.one_step(
        "register.vragen",
        business_key="vraag-1",
        bptlAppId="vergunningen",
        method="GET",
        path="effects",
        callbackUrl="https://nergens.example.nl/klaar?token=geheim",
    )
    # Longer than any visit of it.
    town.one_step("archief.wachten", business_key="archief-1", seconds=590.0)
    town.one_step("advies.vragen", business_key="advies-1")
    town.wait("a task waits for somebody outside", lambda: bool(town.tasks(status="waiting")))
    town.wait("the cases ended", lambda: town.ended(*cases, asked), seconds=120)
    town.wait("there are incidents", lambda: all(town.incidents(case) for case in [*wrong, letter]))
    refused = "SELECT count(*) FROM tasks_callback WHERE state = 'refused'"
    town.wait("a callback is refused", lambda: int(everything.one(refused)) == 1)
    told = "SELECT count(*) FROM telling_message WHERE sent_at IS NOT NULL"
    town.wait("they are told", lambda: int(everything.one(told)) >= 2, seconds=60)
    assert json.loads(town.topology.bptl("incidents", "list", "--json"))
