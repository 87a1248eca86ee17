"""What the acceptance tests see: the engine as its administrator, BPTL through its command line and its processes."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stage import sample
from stage.processes import Stage
from stage.topology import Topology

MODELS = Path(__file__).parent / "models"


class Town:
    """A running topology with the sample's mappings, the sample's model and one model of a single step."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.engine = topology.engine.rest

    @classmethod
    @contextmanager
    def built(cls, logs: Path, **options: Any) -> Iterator[Town]:
        """Start it all, and stop it all at the end; ``options`` are those of Topology."""
        with Stage() as stage:
            topology = stage.add(Topology(logs, **{"engine_password": secrets.token_urlsafe(16), **options}))
            topology.start()
            topology.map_topics(sample.UNIT_OF_TOPIC)
            town = cls(topology)
            town.engine.deploy(sample.MODEL)
            for model in sorted(MODELS.glob("*.bpmn")):
                town.engine.deploy(model)
            yield town

    def map(self, topic: str, unit: str, *options: str) -> None:
        """Map one topic as an administrator does on the command line."""
        self.topology.bptl(
            "mappings", "add", "--engine", self.topology.engine_name, "--topic", topic, "--unit", unit, *options
        )

    def start(self, process: str, *, business_key: str, **variables: Any) -> str:
        """Start a case; answers its instance id."""
        return str(self.engine.start(process, business_key=business_key, variables=variables)["id"])

    def one_step(self, topic: str, *, business_key: str, **variables: Any) -> str:
        """Start a case of a single external task of this topic; answers its instance id."""
        return self.start("one-step", business_key=business_key, topic=topic, **variables)

    def state(self, instance_id: str) -> str:
        """ACTIVE or COMPLETED, says the engine's history."""
        return str(self.engine.call("GET", f"/history/process-instance/{instance_id}")["state"])

    def ended(self, *instance_ids: str) -> bool:
        """Whether all these cases have ended in the engine."""
        return all(self.state(instance_id) == "COMPLETED" for instance_id in instance_ids)

    def variables(self, instance_id: str) -> dict[str, Any]:
        """A case's variables by the engine's history, also after its end."""
        query = {"processInstanceId": instance_id, "deserializeValues": "false"}
        return {row["name"]: row["value"] for row in self.engine.call("GET", "/history/variable-instance", query=query)}

    def incidents(self, instance_id: str) -> list[dict[str, Any]]:
        """Open incidents of a case at the engine."""
        found: list[dict[str, Any]] = self.engine.call("GET", "/incident", query={"processInstanceId": instance_id})
        return found

    def tasks(self, **filters: str) -> list[dict[str, Any]]:
        """BPTL's own rows, through ``bptl tasks list --json``."""
        options = [part for name, value in filters.items() for part in (f"--{name.replace('_', '-')}", value)]
        rows: list[dict[str, Any]] = json.loads(self.topology.bptl("tasks", "list", "--json", *options))
        return rows

    def counts(self) -> Mapping[str, Any]:
        """BPTL's own counts."""
        counted: Mapping[str, Any] = json.loads(self.topology.bptl("tasks", "count", "--json"))
        return counted

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until a condition holds; a failure names it and shows where the logs are."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.topology.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds:.0f} s still not true: {what}; logs: {self.topology.logs}")
            time.sleep(0.1)
