"""The load engine as a part of the stage: a Node process that speaks the Camunda 7 REST API and keeps the times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bptl.lib.http import HttpClient
from stage import assets
from stage.engine_rest import EngineRest
from stage.ports import HOST, free_port
from stage.probes import answers
from stage.processes import Part

MAIN = Path(__file__).parent / "engine" / "main.mjs"
NAME = "load-engine"


@dataclass(frozen=True, slots=True)
class State:
    """Counts of one topic since the last ``forget``; ``cpu_ms`` and ``requests`` are the process's since its start.

    ``locked``, ``parked`` (polls that wait) and ``streams`` (that still create tasks) are as of now. What should be
    zero: ``fetched_again`` (a task was given out a second time), ``ended_again`` (reported after its end), ``foreign``
    (reported for somebody else's lock).
    """

    created: int
    fetches: int
    completed: int
    thrown: int
    failures: int
    fetched_again: int
    ended_again: int
    foreign: int
    locked: int
    parked: int
    streams: int
    requests: int
    cpu_ms: float

    @property
    def done(self) -> bool:
        """Whether nothing is created any more and nothing is left."""
        return self.streams == 0 and self.created == self.completed + self.thrown


@dataclass(frozen=True, slots=True)
class Times:
    """One task: milliseconds on the engine's clock; None for what has not happened."""

    created: float
    fetched: float | None
    completed: float | None


class LoadEngine:
    """One load engine; the same handles as the other engines of the stage, and control of its load."""

    def __init__(self, *, log: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}/engine-rest"
        self.service_url = f"http://{HOST}:{self.port}/service/"
        self.rest = EngineRest(self.url, user="bench", password="")
        self._control = HttpClient(f"http://{HOST}:{self.port}/control/")
        self._log = log
        self._part: Part | None = None

    @property
    def part(self) -> Part:
        """The process; RuntimeError before the first start."""
        if self._part is None:
            raise RuntimeError("the load engine was never started")
        return self._part

    def start(self) -> None:
        """Start and wait until it answers; raises PartFailed, and AssetsFailed where no Node can be had."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start without waiting."""
        node, _ = assets.tools()
        self._part = Part(NAME, [str(node), str(MAIN), "--port", str(self.port)], log=self._log)
        self._part.start()

    def wait_until_ready(self) -> None:
        """Wait until the REST API answers; raises PartFailed."""
        self.part.wait_until(lambda: answers(f"{self.url}/version"), seconds=20)

    def restart(self) -> None:
        """Stop and start again at the same address; it forgets everything."""
        self.part.stop(grace=5)
        self.start()

    def stop(self) -> None:
        """Stop it."""
        self._control.close()
        if self._part is not None:
            self._part.stop(grace=5)

    # control

    def forget(self) -> None:
        """Forget all tasks; parked polls stay."""
        self._tell("forget", {})

    def delay(self, *, fetch_ms: float = 0, complete_ms: float = 0) -> None:
        """From now on answer fetches and completions so many milliseconds later."""
        self._tell("delays", {"fetch": fetch_ms, "complete": complete_ms})

    def backlog(self, topic: str, count: int, *, variables: Mapping[str, Any] | None = None) -> None:
        """Create ``count`` tasks at once; ``variables`` as VariableValueDto, the same for all."""
        self._tell("backlog", {"topic": topic, "count": count, "variables": variables or {}})

    def stream(
        self,
        topic: str,
        *,
        rate: float,
        count: int,
        even: bool = False,
        seed: int = 1,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin to create ``count`` tasks, ``rate`` a second: evenly, or at random moments that ``seed`` repeats."""
        load = {"topic": topic, "rate": rate, "count": count, "even": even, "seed": seed, "variables": variables or {}}
        self._tell("stream", load)

    def state(self, topic: str) -> State:
        """Counts of a topic."""
        said = self._ask(f"state/{quote(topic, safe='')}")
        return State(
            created=said["created"],
            fetches=said["fetches"],
            completed=said["completed"],
            thrown=said["thrown"],
            failures=said["failures"],
            fetched_again=said["fetchedAgain"],
            ended_again=said["endedAgain"],
            foreign=said["foreign"],
            locked=said["locked"],
            parked=said["parked"],
            streams=said["streams"],
            requests=said["requests"],
            cpu_ms=said["cpuMs"],
        )

    def times(self, topic: str) -> list[Times]:
        """The times of all tasks of a topic, in the order of creation."""
        return [Times(*row) for row in self._ask(f"times/{quote(topic, safe='')}")]

    def _tell(self, path: str, body: Mapping[str, Any]) -> None:
        answer = self._control.request("POST", path, json_body=body)
        if answer.status != 204:
            raise RuntimeError(f"the load engine answered {answer.status} to control/{path}")

    def _ask(self, path: str) -> Any:
        return json.loads(self._control.request("GET", path).body)
