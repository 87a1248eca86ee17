"""A whole case: register a zaak, assess, decide, notify, close. Workers and the poller die in the middle of it.

Each kill falls between a request and its answer: the ZGW APIs or the mail server have acted, and whoever asked is gone
before it hears of it. What is asserted is said by the services and by the engine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stage import zaak
from stage.engines import OPERATON, SANDBOX
from stage.maven import JavaMissing
from stage.neighbours import SECRET
from stage.ports import HOST
from tests.acceptance.chronicle import Chronicle
from tests.acceptance.town import Town
from tests.doubles.mailbox import HELD, Mailbox
from tests.doubles.zgw.catalogue import STATUSSEN
from tests.doubles.zgw.double import LIMITED, ZgwDouble

WORKERS = ("work-1", "work-2")
CASES = range(1, 6)

ZAAK, STATUS = "/zaken/api/v1/zaken", "/zaken/api/v1/statussen"
DOCUMENT, BESLUIT = "/documenten/api/v1/enkelvoudiginformatieobjecten", "/besluiten/api/v1/besluiten"

RECOVERY_SECONDS = 300.0
"""A dead process is noticed, and its service gets the time to finish what it began, before it is asked."""


class Office:
    """A town that works on zaken: the ZGW APIs, a mail server, and a person who decides."""

    def __init__(self, town: Town, zgw: ZgwDouble, mailbox: Mailbox) -> None:
        self.town = town
        self.zgw = zgw
        self.mailbox = mailbox
        self.chronicle = Chronicle(town.topology)
        self.cases: dict[int, str] = {}

    @classmethod
    @contextmanager
    def built(cls, logs: Path, *, product: str, zgw: ZgwDouble, mailbox: Mailbox) -> Iterator[Office]:
        """Start it all, configured by a file; what happened is printed at the end, for who reads a failure."""
        mail = {"EMAIL_HOST": HOST, "EMAIL_PORT": str(mailbox.port), "DEFAULT_FROM_EMAIL": "bptl@gemeente.example"}
        with Town.built(logs, product=product, environment=mail) as town:
            office = cls(town, zgw, mailbox)
            file, roots = logs / "zaak.json", {alias: zgw.root(alias) for alias in zaak.NAMES}
            file.write_text(json.dumps(zaak.configuration(town.topology.engine_name, roots=roots)))
            town.topology.bptl("configure", str(file), environment={SECRET: LIMITED.secret})
            town.engine.deploy(zaak.MODEL)
            try:
                yield office
            finally:
                print("\n".join(office.chronicle.lines()))

    def start(self, number: int) -> None:
        """Start a case."""
        self.cases[number] = self.town.start(zaak.PROCESS, business_key=key(number), **zaak.variables(number))
        self.chronicle.add(f"{key(number)} started at the engine")

    def decide(self, number: int) -> None:
        """Complete the user task of a case when it is there."""
        found: list[dict[str, Any]] = []

        def waits() -> bool:
            tasks = self.town.engine.user_tasks(key=zaak.PROCESS)
            found[:] = [task for task in tasks if task["processInstanceId"] == self.cases[number]]
            return bool(found)

        self.town.wait(f"{key(number)} waits for a person", waits, seconds=RECOVERY_SECONDS)
        answer = {"verlenen": {"value": number % 2 == 1, "type": "Boolean"}}
        self.town.engine.call("POST", f"/task/{found[0]['id']}/complete", body={"variables": answer})
        self.chronicle.add(f"{key(number)} decided by a person")

    @contextmanager
    def dies_before_the_answer(self, path: str, *names: str) -> Iterator[None]:
        """The next POST to ``path``, made by the block, is carried out; then these die without its answer."""
        gone = threading.Event()
        call = self.zgw.fault(path, kind="slow-after", method="POST", seconds=RECOVERY_SECONDS, until=gone)
        yield
        self._kill(f"POST {path}", lambda: call.waited == 1, *names)
        gone.set()

    @contextmanager
    def dies_before_the_mail_is_taken(self, *names: str) -> Iterator[None]:
        """The mail server keeps the next mail, and these die before it says so."""
        before = len(self.mailbox.received)
        self.mailbox.end(HELD)
        yield
        self._kill("DATA", lambda: len(self.mailbox.received) > before, *names)

    def _kill(self, what: str, happened: Callable[[], bool], *names: str) -> None:
        self.town.wait(f"{what} is carried out", happened)
        self.chronicle.add(f"{what} carried out and not answered")
        topology = self.town.topology
        killed = ", ".join(f"{name} (pid {topology.part(name).pid})" for name in names)
        self.chronicle.add(f"kill -9 {killed}")
        for name in names:
            topology.kill_part(name)
        for name in names:
            topology.start_part(name)

    def settle_as_happened(self, number: int) -> None:
        """Wait until a task of a case is uncertain, and say as a person that its effect happened."""
        uncertain = {"status": "uncertain", "business_key": key(number)}
        self.town.wait(
            f"{key(number)} waits for a person's answer",
            lambda: bool(self.town.tasks(**uncertain)),
            seconds=RECOVERY_SECONDS,
        )
        (task,) = self.town.tasks(**uncertain)
        assert task["topic"] == "zaak.mail"
        assert self.town.incidents(self.cases[number])
        shown = json.loads(self.town.topology.bptl("tasks", "show", str(task["id"]), "--json"))
        (effect,) = [effect["id"] for effect in shown["effects"] if not effect["end"]]
        reason = "the mail server's log shows it"
        self.town.topology.bptl("tasks", "settle", str(effect), "--happened", "--reason", reason)
        self.chronicle.add(f"{key(number)}: a person looked, and said that the mail went out")

    # what the services say

    def of_zaak(self, number: int) -> dict[str, Any]:
        """What there is of one case: numbers, the volgnummers of its statussen, and whether it is closed."""
        zaken = [one for one in self.zgw.all("zaken") if one["identificatie"] == identificatie(number)]
        below = {
            name: [one for one in self.zgw.all(name) if one["zaak"] in {zaak["url"] for zaak in zaken}]
            for name in ("statussen", "rollen", "resultaten", "zaakinformatieobjecten", "besluiten")
        }
        documents = [self.zgw.get(pair["informatieobject"]) for pair in below["zaakinformatieobjecten"]]
        return {
            "zaken": len(zaken),
            "closed": [one["einddatum"] is not None for one in zaken],
            "statussen": sorted(self.zgw.get(one["statustype"])["volgnummer"] for one in below["statussen"]),
            **{name: len(below[name]) for name in ("rollen", "resultaten", "besluiten")},
            "documents locked": [document["locked"] for document in documents],
            "mails": len(self.mailbox.to(f"aanvrager-{number}@post.example")),
        }


WHOLE = {
    "zaken": 1,
    "closed": [True],
    "statussen": list(range(1, len(STATUSSEN) + 1)),
    "rollen": 1,
    "resultaten": 1,
    "besluiten": 1,
    "documents locked": [False],
    "mails": 1,
}
"""What the services hold of a case that went well."""


def key(number: int) -> str:
    return f"case-{number}"


def identificatie(number: int) -> str:
    return f"VERGUNNING-{number:05d}"


@pytest.mark.timeout(900)  # dead processes are noticed, and services asked, at the pace of production
@pytest.mark.parametrize("product", [pytest.param(SANDBOX, marks=pytest.mark.slow), OPERATON])
def test_a_whole_case_makes_one_zaak_and_one_mail_whoever_dies_in_it(
    product: str, zgw: ZgwDouble, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    logs = tmp_path_factory.mktemp(f"whole-case-{product}")
    try:
        with Office.built(logs, product=product, zgw=zgw, mailbox=mailbox) as office:
            _live_through(office)
    except JavaMissing as error:
        pytest.skip(str(error))


def _live_through(office: Office) -> None:
    with office.dies_before_the_answer(ZAAK, *WORKERS):
        office.start(1)
    with office.dies_before_the_answer(STATUS, *WORKERS, "poll-1"):
        office.start(2)
    for number in (3, 4, 5):
        office.start(number)
    with office.dies_before_the_answer(DOCUMENT, *WORKERS):
        office.decide(3)
    with office.dies_before_the_answer(BESLUIT, *WORKERS):
        office.decide(4)
    with office.dies_before_the_mail_is_taken(*WORKERS):
        office.decide(5)
    for number in (1, 2):
        office.decide(number)
    office.settle_as_happened(5)
    town, cases = office.town, office.cases
    town.wait("all cases ended", lambda: town.ended(*cases.values()), seconds=RECOVERY_SECONDS)

    found = {number: office.of_zaak(number) for number in CASES}
    for number, there in found.items():
        office.chronicle.add(f"at the services, {key(number)}: {there}")
    assert found == dict.fromkeys(CASES, WHOLE)
    assert office.zgw.counts()["made"]["enkelvoudiginformatieobjecten"] == len(CASES), "also none without a zaak"
    assert set(office.mailbox.counts().values()) == {1}
    assert not any(town.incidents(case) for case in cases.values())
    assert not town.counts().get("lost", 0)
    # The windows were struck indeed: a later attempt asked each API what had become of its request.
    asked = {effect for effect, known_by in office.chronicle.effects() if known_by == "reconciled"}
    assert {"create-zaak", "create-status", "create-informatieobject", "create-besluit"} <= asked
