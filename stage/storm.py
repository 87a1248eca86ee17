"""``./run storm``: cases wait while the service that they need is down, then slow, then well; other work goes on.

Three topics need the Zaken API, and their cases wait at a real engine before it goes down. Beside them a topic that
needs nothing has cases all the time. What is counted is said by the engine (cases, incidents, how long a case took) and
by the APIs (what was made); BPTL is asked for one thing only: how many attempts cost a retry. The last line is for
machines; the exit code is 0 only when nothing was lost, doubled or burned, and all was done in time.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bptl.clients.gate import OpenGate
from bptl.clients.zaken import ZakenClient
from stage import prometheus, storm_graphs, zaak
from stage.engines import OPERATON, SANDBOX
from stage.load import Load
from stage.neighbours import SECRET
from stage.ports import free_port
from stage.postgres import connect
from stage.processes import Stage
from stage.storm_account import IN_TIME, Account, Storm
from stage.topology import Topology
from tests.doubles.zgw.catalogue import IDENTIFICATIE, RSIN
from tests.doubles.zgw.double import LIMITED, ZgwDouble

MODEL = Path(__file__).parents[1] / "tests" / "acceptance" / "models" / "one-step.bpmn"
OTHER = "other"
"""Key of the process, and topic of its task, that needs no service."""

OTHERS_PER_SECOND = 10.0
SLOW_SECONDS = 20.0
"""How long a slow API thinks before it acts: longer than its clients wait (10 s)."""

UNITS: Mapping[str, str] = {
    "storm.zaak": "zgw.create_zaak",
    "storm.rol": "zgw.create_rol",
    "storm.status": "zgw.create_status",
}
MADE = {"storm.zaak": "zaken", "storm.rol": "rollen", "storm.status": "statussen"}
"""Topic → unit, and the collection in which each of its cases makes one thing."""

CALM_SECONDS = 20.0
"""How long other cases are looked at before the storm, and after it."""

POLL_SECONDS = 7.0
"""A little longer than a long poll of this topology."""


class Services:
    """The ZGW APIs at one address, which can be taken away and come back with what they knew."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = free_port()
        self._double: ZgwDouble | None = None

    @property
    def double(self) -> ZgwDouble:
        """The APIs, while they are there."""
        if self._double is None:
            raise RuntimeError("the services are down")
        return self._double

    def begin(self) -> None:
        """They are there, and well."""
        self._double = ZgwDouble(port=self._port, validate=False, data=self._data)
        self._double.__enter__()

    def end(self) -> None:
        """Nobody listens at their address."""
        if self._double is not None:
            self._double.__exit__(None, None, None)
            self._double = None

    def slow(self) -> None:
        """Every call waits longer than its client does, and is carried out then."""
        self.double.fault("*", kind="slow", times=10**9, seconds=SLOW_SECONDS)

    def well(self) -> None:
        """All is as it was; who still waits, waits on."""
        self.double.clear_faults()


class Town:
    """The running topology with its mappings, and the services."""

    def __init__(self, topology: Topology, services: Services) -> None:
        self.topology = topology
        self.services = services
        self.engine = topology.engine.rest

    @classmethod
    @contextmanager
    def built(cls, logs: Path, *, product: str, environment: Mapping[str, str] | None = None) -> Iterator[Self]:
        """Start it all, configured by a file; stop it all at the end."""
        logs.mkdir(parents=True, exist_ok=True)
        services = Services(logs / "zgw.json")
        services.begin()
        try:
            with Stage() as stage:
                password = secrets.token_urlsafe(16)
                topology = stage.add(Topology(logs, product=product, engine_password=password, environment=environment))
                topology.start()
                town = cls(topology, services)
                town._configure(logs / "storm.json")
                yield town
        finally:
            services.end()

    def _configure(self, file: Path) -> None:
        name = self.topology.engine_name
        configuration = zaak.configuration(
            name, roots={alias: self.services.double.root(alias) for alias in zaak.NAMES}
        )
        needs = {alias: zaak.NAMES[alias] for alias in ("zrc", "ztc")}
        configuration["mappings"] = {
            "items": [
                {"engine": name, "topic": topic, "unit": unit, "services": needs} for topic, unit in UNITS.items()
            ]
        }
        file.write_text(json.dumps(configuration))
        self.topology.bptl("configure", str(file), environment={SECRET: LIMITED.secret})
        self.topology.map_topics({OTHER: "demo.quick"})
        self.engine.deploy(MODEL)
        other = file.with_name("other.bpmn")
        other.write_text(MODEL.read_text().replace('id="one-step"', f'id="{OTHER}"'))
        self.engine.deploy(other)

    def wait_at_the_engine(self, cases: int) -> Counter[str]:
        """Start the cases; the zaken that some of them work on are made before. Answers what there is then."""
        topics = list(UNITS)
        zaken = ZakenClient(self.services.double.access("zrc"), OpenGate())
        catalogue = self.services.double.catalogue
        zaaktype, statustype = catalogue.zaaktype, catalogue.statustype(2)
        body = {"zaaktype": zaaktype, "bronorganisatie": RSIN, "verantwoordelijkeOrganisatie": RSIN}
        for number in range(cases):
            topic = topics[number % len(topics)]
            given: dict[str, Any] = {"topic": topic, "bptlAppId": zaak.APPLICATION}
            if topic == "storm.zaak":
                given |= zaak.ORGANISATION | {"zaaktypeIdentificatie": IDENTIFICATIE}
            else:
                made = zaken.create_zaak({**body, "startdatum": f"{datetime.now(UTC):%Y-%m-%d}"})
                given["zaakUrl"] = made["url"]
            if topic == "storm.rol":
                party = {"geslachtsnaam": f"Storm {number}"}
                rol = {
                    "betrokkeneType": "natuurlijk_persoon",
                    "roltoelichting": "Aanvrager",
                    "betrokkeneIdentificatie": party,
                }
                given |= {"omschrijving": "Initiator", "betrokkene": {"value": json.dumps(rol), "type": "Json"}}
            if topic == "storm.status":
                given["statustype"] = statustype
            self.engine.start("one-step", business_key=f"{topic}-{number}", variables=given)
        return Counter(self.services.double.counts()["made"])

    def others(self) -> list[tuple[float, float]]:
        """When each case without a service began (epoch seconds) and how long it took (ms), says the engine."""
        rows = self.engine.call(
            "GET", "/history/process-instance", query={"processDefinitionKey": OTHER, "finished": "true"}, timeout=60.0
        )
        return [
            (datetime.strptime(row["startTime"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp(), float(row["durationInMillis"]))
            for row in rows
        ]

    def query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Rows of BPTL's database."""
        with connect(self.topology.postgres.environment()) as connection:
            return connection.execute(statement).fetchall()


def blow(town: Town, storm: Storm, *, say: Callable[[str], None], look: Callable[[], object] = lambda: None) -> Account:
    """One storm from beginning to end; ``look`` is called about once a second."""
    mappings = [
        str(number) for number, topic in town.query("SELECT id, topic FROM connections_mapping") if topic in UNITS
    ]
    for mapping in mappings:
        town.topology.bptl("mappings", "pause", mapping, "--reason", "the storm is being prepared")
    _pass(POLL_SECONDS, look)  # a poll that was under way would still fetch the first ones
    say(f"{storm.cases} cases wait at the engine")
    before = town.wait_at_the_engine(storm.cases)
    load = Load(lambda number: _other(town, number), per_second=OTHERS_PER_SECOND)
    load.start()
    marks = {"calm": time.time()}
    try:
        _pass(CALM_SECONDS, look)
        say(f"the service is down for {storm.down:g} s")
        town.services.end()
        marks["down"] = time.time()
        for mapping in mappings:
            town.topology.bptl("mappings", "resume", mapping, "--reason", "the storm begins")
        _pass(storm.down, look)
        say(f"the service is slow for {storm.slow:g} s")
        town.services.begin()
        town.services.slow()
        marks["slow"] = time.time()
        _pass(storm.slow, look)
        say("the service is well")
        town.services.well()
        marks["well"] = time.time()
        after = _done(town, storm.cases, since=marks["well"], look=look)
        if after is None:
            say("not all are done")
        else:
            say(f"all are done after {after:.0f} s")
            marks["done"] = marks["well"] + after
        _pass(CALM_SECONDS, look)
    finally:
        load.stop()
    _pass(5.0, look)
    made: Counter[str] = Counter(town.services.double.counts()["made"])
    return _account(town, storm, after=after, marks=marks, made=made - before)


def _other(town: Town, number: int) -> None:
    town.engine.start(OTHER, business_key=f"{OTHER}-{number}", variables={"topic": OTHER})


def _pass(seconds: float, look: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        look()
        time.sleep(min(1.0, left))


def _done(town: Town, cases: int, *, since: float, look: Callable[[], object]) -> float | None:
    while time.time() < since + 3 * IN_TIME:
        if town.engine.ended(key="one-step") >= cases:
            return time.time() - since
        look()
        time.sleep(0.5)
    return None


def _account(
    town: Town, storm: Storm, *, after: float | None, marks: Mapping[str, float], made: Mapping[str, int]
) -> Account:
    ended = town.engine.ended(key="one-step")
    burned = town.query("SELECT count(*) FROM tasks_lease WHERE outcome = 'failed'")[0][0]
    wanted = Counter(MADE[list(UNITS)[number % len(UNITS)]] for number in range(storm.cases))
    return Account(
        ended=ended,
        incidents=len(town.engine.incidents()),
        burned=burned,
        lost=sum(max(0, amount - made.get(what, 0)) for what, amount in wanted.items()),
        doubled=sum(max(0, made.get(what, 0) - amount) for what, amount in wanted.items() if what != "statussen"),
        after=after,
        marks=marks,
        others=by_phase(town.others(), marks),
    )


def by_phase(cases: Sequence[tuple[float, float]], marks: Mapping[str, float]) -> dict[str, list[float]]:
    """The durations of cases (begin, duration) by the phase in which each began; none of before the first mark."""
    found: dict[str, list[float]] = {phase: [] for phase in marks}
    for began, took in cases:
        phases = [phase for phase, mark in marks.items() if mark <= began]
        if phases:
            found[phases[-1]].append(took)
    return found


def main(arguments: Sequence[str]) -> int:
    """Read the options, build the town, let it blow."""
    parser = argparse.ArgumentParser(prog="./run storm", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="cases that wait (default 2000)")
    parser.add_argument("--down", type=float, default=180.0, help="seconds without the service (default 180)")
    parser.add_argument("--slow", type=float, default=120.0, help="seconds of a slow service (default 120)")
    parser.add_argument("--engine", choices=(OPERATON, SANDBOX), default=OPERATON, help="default: operaton")
    parser.add_argument("--logs", type=Path, help="folder of the logs (default: a temporary one that stays)")
    parser.add_argument("--graphs", type=Path, help="folder for pictures of it; needs Prometheus on this machine")
    options = parser.parse_args(arguments)
    if options.graphs:
        try:
            prometheus.program("prometheus")
        except prometheus.Missing as error:
            parser.error(f"--graphs: {error}")
    logs = options.logs or Path(tempfile.mkdtemp(prefix="bptl-storm-"))
    _say(f"logs in {logs}")
    storm = Storm(options.cases, options.down, options.slow)
    settings = prometheus.SETTINGS if options.graphs else None
    with Town.built(logs, product=options.engine, environment=settings) as town:
        account = _drawn(town, storm, logs, options.graphs) if options.graphs else blow(town, storm, say=_say)
    for fault in account.faults:
        print(f"fault: {fault}")
    print(account.line(storm), flush=True)
    return 1 if account.faults else 0


def _drawn(town: Town, storm: Storm, logs: Path, folder: Path) -> Account:
    """Blow, and leave pictures of it in a folder."""

    def waiting() -> int:
        return storm.cases - town.engine.ended(key="one-step")

    with storm_graphs.watched(town.topology, logs / "prometheus", waiting=waiting) as sky:
        account = blow(town, storm, say=_say, look=sky.look)
        others = town.others()
        moments = {phase: mark for phase, mark in account.marks.items() if phase != "calm"}
        end = max((began for began, _ in others), default=time.time())
        span = storm_graphs.Span(account.marks["calm"], end, moments)
        for file in sky.draw(folder, span, others=others):
            _say(f"drawn: {file}")
    return account


_begun = time.monotonic()


def _say(text: str) -> None:
    print(f"{time.monotonic() - _begun:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
