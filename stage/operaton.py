"""A real engine (Operaton, Camunda 7 or CIB seven) with its data in memory, built from Maven Central."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from stage.engine_rest import EngineRest
from stage.maven import engine_jar, java
from stage.ports import HOST, free_port
from stage.probes import answers
from stage.processes import Part

PRODUCTS = ("operaton", "camunda", "cibseven")

# Made by the engine itself at its first start (application.yaml of the Maven project).
ADMINISTRATOR = ("demo", "demo")

# Measured on two cores: 7 s of processor time until it answers instead of 13 s.
_QUICK = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Engine:
    """One engine process.

    ``authentication=True`` switches HTTP Basic and permissions on; ``properties`` are further Spring Boot properties
    (``spring.datasource.url`` puts the data elsewhere than into memory). ``rest`` administers it as demo/demo.
    """

    def __init__(
        self,
        product: str = "operaton",
        *,
        authentication: bool = False,
        properties: Mapping[str, str] | None = None,
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        if product not in PRODUCTS:
            raise ValueError(f"product must be one of {', '.join(PRODUCTS)}, not {product!r}")
        self.product = product
        self.authentication = authentication
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}/engine-rest"
        self.rest = EngineRest(self.url, user=ADMINISTRATOR[0], password=ADMINISTRATOR[1])
        self._properties = dict(properties or {})
        self._log = log
        self._home: Path | None = None
        self._part: Part | None = None

    @property
    def part(self) -> Part:
        """The engine's process, for faults (kill, pause); RuntimeError before the first start."""
        if self._part is None:
            raise RuntimeError(f"{self.product} was never started")
        return self._part

    def start(self, *, seconds: float = 180.0) -> None:
        """Build if needed, start, wait until the REST API answers; raises PartFailed and JavaMissing."""
        self.launch()
        self.wait_until_ready(seconds=seconds)

    def launch(self) -> None:
        """Build if needed and start, without waiting; raises PartFailed and JavaMissing."""
        jar = engine_jar(self.product)
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="bptl-engine-"))
        properties = {
            "server.port": str(self.port),
            "server.address": HOST,
            "test.auth": str(self.authentication).lower(),
            **self._properties,
        }
        command = [java(), *_QUICK, "-jar", str(jar), *(f"--{name}={value}" for name, value in properties.items())]
        log = self._log or self._home / f"{self.product}.log"
        self._part = Part(self.product, command, log=log, directory=self._home)
        self._part.start()

    def wait_until_ready(self, *, seconds: float = 180.0) -> None:
        """Wait until the REST API answers; raises PartFailed."""
        self.part.wait_until(lambda: answers(f"{self.url}/engine"), seconds=seconds)

    def restart(self) -> None:
        """Stop and start again at the same address; with data in memory the engine is empty afterwards."""
        self.part.stop(grace=20)
        self.start()

    def stop(self) -> None:
        """Stop the engine and remove its directory."""
        if self._part is not None:
            self._part.stop(grace=20)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None
