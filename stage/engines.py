"""The engines that a topology can have: the sandbox, which needs nothing but Python, and Operaton, which needs Java."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from stage.engine_rest import EngineRest
from stage.operaton import Engine
from stage.processes import Part
from stage.sandbox import PRODUCT, Sandbox

SANDBOX, OPERATON = PRODUCT, "operaton"
PRODUCTS = (SANDBOX, OPERATON)

# The engine of the tests looks for timers that are due every second, not once a minute when it has been idle.
_TIMERS = {"operaton.bpm.job-execution.max-wait": "1000", "operaton.bpm.job-execution.wait-time-in-millis": "1000"}


class StageEngine(Protocol):
    """One engine process on 127.0.0.1; ``rest`` administers it at ``url``, ``part`` is its process."""

    url: str
    rest: EngineRest

    @property
    def part(self) -> Part:
        """The process, for faults; RuntimeError before the first start."""

    def launch(self) -> None:
        """Start without waiting; raises PartFailed, and JavaMissing where Java is needed."""

    def wait_until_ready(self) -> None:
        """Wait until the REST API answers; raises PartFailed."""

    def restart(self) -> None:
        """Stop and start again at the same address."""

    def stop(self) -> None:
        """Stop it, and remove what was not to be kept."""


def make(product: str, *, directory: Path | None, log: Path) -> StageEngine:
    """An engine that asks for logins; it keeps its data below ``directory``, or nowhere."""
    if product == SANDBOX:
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        return Sandbox(authentication=True, data=directory and directory.resolve() / "sandbox.sqlite", log=log)
    # DB_CLOSE_ON_EXIT: the engine closes the file itself, in order, when it is told to stop.
    kept = directory and f"jdbc:h2:file:{(directory / 'engine').resolve()}/engine;DB_CLOSE_ON_EXIT=FALSE"
    properties = {**_TIMERS, **({"spring.datasource.url": kept} if kept else {})}
    return Engine(OPERATON, authentication=True, properties=properties, log=log)
