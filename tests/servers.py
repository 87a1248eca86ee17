"""PostgreSQL and Valkey of a test session: the real ones that the environment names, else embedded ones."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stage.environment import fresh_secrets
from stage.postgres import Postgres, create_database, drop_database
from stage.valkey import Valkey


class Servers:
    """Knows the addresses before anything runs, because Django's settings are loaded before the first test."""

    def __init__(self) -> None:
        self._postgres = None if "DB_HOST" in os.environ else Postgres(durable=False)
        self._valkey = None if "CELERY_BROKER_URL" in os.environ else Valkey()
        self._started: set[Postgres | Valkey] = set()
        self._migrated = ""

    def publish(self) -> None:
        """Put addresses and fresh secrets into the environment of this process; what is set there already stays."""
        found = {**fresh_secrets(), **self.database_environment(), **self.broker_environment()}
        for name, value in found.items():
            os.environ.setdefault(name, value)

    def database_environment(self) -> dict[str, str]:
        """The DB_* variables, whether or not the server runs yet."""
        if self._postgres:
            return self._postgres.environment()
        return {name: os.environ[name] for name in os.environ if name.startswith("DB_")}

    def broker_environment(self) -> dict[str, str]:
        """The CELERY_* addresses, whether or not the server runs yet."""
        url = self._valkey.url if self._valkey else os.environ["CELERY_BROKER_URL"]
        return {"CELERY_BROKER_URL": url}

    def need_database(self) -> None:
        """Start the embedded PostgreSQL, if that is the one in use and it does not run yet."""
        self._need(self._postgres)

    def need_broker(self) -> None:
        """Start the embedded Valkey, if that is the one in use and it does not run yet."""
        self._need(self._valkey)

    @contextmanager
    def migrated(self) -> Iterator[dict[str, str]]:
        """As ``fresh``, and the database has its tables: a copy of one that was migrated once in this session."""
        self.need_database()
        if not self._migrated:
            name = f"bptl_{secrets.token_hex(4)}"
            database = {**self.database_environment(), "DB_NAME": name}
            create_database(self.database_environment(), name)
            self._migrated = name
            migrate = [sys.executable, "-m", "bptl", "manage", "migrate", "--no-input"]
            environment = {**os.environ, **fresh_secrets(), **self.broker_environment(), **database}
            subprocess.run(migrate, env=environment, check=True, capture_output=True)
        with self.fresh(like=self._migrated) as environment:
            yield environment

    @contextmanager
    def fresh(self, *, like: str = "template1") -> Iterator[dict[str, str]]:
        """A whole environment for real processes: a database and, when embedded, a broker that nobody used before.

        The database is empty, or a copy of the database ``like``.
        """
        self.need_database()
        name = f"bptl_{secrets.token_hex(4)}"
        database = self.database_environment()
        create_database(database, name, like=like)
        broker = Valkey() if self._valkey else None
        addresses = {"CELERY_BROKER_URL": broker.url} if broker else {}
        try:
            if broker:
                broker.start()
            yield {**os.environ, **fresh_secrets(), **database, "DB_NAME": name, **addresses}
        finally:
            if broker:
                broker.stop()
            drop_database(database, name)

    def stop(self) -> None:
        """Stop what was started here and remove what it kept."""
        if self._migrated:
            drop_database(self.database_environment(), self._migrated)
        for server in (self._valkey, self._postgres):
            if server:
                server.stop()

    def _need(self, server: Postgres | Valkey | None) -> None:
        if server and server not in self._started:
            server.start()
            self._started.add(server)
