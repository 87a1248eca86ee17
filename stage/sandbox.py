"""The small engine of ``bptl sandbox`` as a part of the stage; the same handles as the real engines have."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from stage.engine_rest import EngineRest
from stage.operaton import ADMINISTRATOR
from stage.ports import HOST, free_port
from stage.probes import answers
from stage.processes import Part

PRODUCT = "sandbox"


class Sandbox:
    """One sandbox process.

    ``authentication=True`` wants HTTP Basic of demo/demo (permissions do not exist); ``data`` is the file that survives
    a restart, by default one that ``stop`` removes. ``rest`` administers it.
    """

    def __init__(
        self,
        *,
        authentication: bool = False,
        properties: Mapping[str, str] | None = None,
        port: int | None = None,
        log: Path | None = None,
        data: Path | None = None,
    ) -> None:
        if properties:
            raise ValueError(f"the sandbox has no properties: {', '.join(properties)}")
        self.product = PRODUCT
        self.authentication = authentication
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}/engine-rest"
        self.rest = EngineRest(self.url, user=ADMINISTRATOR[0], password=ADMINISTRATOR[1])
        self._data = data
        self._log = log
        self._home: Path | None = None
        self._part: Part | None = None

    @property
    def part(self) -> Part:
        """The engine's process, for faults (kill, pause); RuntimeError before the first start."""
        if self._part is None:
            raise RuntimeError("the sandbox was never started")
        return self._part

    def start(self, *, seconds: float = 30.0) -> None:
        """Start and wait until the REST API answers; raises PartFailed."""
        self.launch()
        self.wait_until_ready(seconds=seconds)

    def launch(self) -> None:
        """Start without waiting; raises PartFailed."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="bptl-sandbox-"))
        command = [sys.executable, "-m", "bptl", "sandbox", "--host", HOST, "--port", str(self.port)]
        command += ["--data", str(self._data or self._home / "sandbox.sqlite")]
        if self.authentication:
            command += ["--user", ADMINISTRATOR[0], "--password", ADMINISTRATOR[1]]
        self._part = Part(PRODUCT, command, log=self._log or self._home / "sandbox.log", directory=self._home)
        self._part.start()

    def wait_until_ready(self, *, seconds: float = 30.0) -> None:
        """Wait until the REST API answers; raises PartFailed."""
        self.part.wait_until(lambda: answers(f"{self.url}/engine"), seconds=seconds)

    def restart(self) -> None:
        """Stop and start again at the same address with the same data."""
        self.part.stop(grace=20)
        self.start()

    def stop(self) -> None:
        """Stop the engine and remove its directory."""
        if self._part is not None:
            self._part.stop(grace=20)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None
