"""What a storm blows over: a whole BPTL whose topics need the ZGW APIs, and those APIs, which can go and come back."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bptl.clients.gate import OpenGate
from bptl.clients.zaken import ZakenClient
from stage import zaak
from stage.neighbours import SECRET
from stage.ports import free_port
from stage.postgres import connect
from stage.processes import Stage
from stage.topology import Topology
from tests.doubles.zgw.catalogue import IDENTIFICATIE, RSIN
from tests.doubles.zgw.double import LIMITED, ZgwDouble

MODEL = Path(__file__).parents[1] / "tests" / "acceptance" / "models" / "one-step.bpmn"
OTHER = "other"
"""Key of the process, and topic of its task, that needs no service."""

UNITS: Mapping[str, str] = {
    "storm.zaak": "zgw.create_zaak",
    "storm.rol": "zgw.create_rol",
    "storm.status": "zgw.create_status",
}
"""Topic → unit: what the cases of the storm need."""

NEEDS = {alias: zaak.NAMES[alias] for alias in ("zrc", "ztc")}
"""The services that these topics need: alias → name."""

MOST_AT_ONCE = 24
"""So many tasks that need the Zaken API run at once: a quarter of the 32 places is left to others."""

SLOW_SECONDS = 20.0
"""How long a slow API thinks before it acts: longer than its clients wait (10 s)."""


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
    def built(
        cls,
        logs: Path,
        *,
        product: str,
        most_at_once: int = MOST_AT_ONCE,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Self]:
        """Start it all, configured by a file; stop it all at the end; ``most_at_once`` of 0 is no limit."""
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
                if most_at_once:
                    for service in NEEDS.values():
                        topology.bptl("services", "set", service, "--most-at-once", str(most_at_once))
                yield town
        finally:
            services.end()

    def _configure(self, file: Path) -> None:
        name = self.topology.engine_name
        configuration = zaak.configuration(
            name, roots={alias: self.services.double.root(alias) for alias in zaak.NAMES}
        )
        configuration["mappings"] = {
            "items": [
                {"engine": name, "topic": topic, "unit": unit, "services": NEEDS} for topic, unit in UNITS.items()
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
