"""Servers for the tests that ask for them; nothing is started for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from bptl.lib import redaction
from tests.doubles.mailbox import Mailbox
from tests.doubles.zgw.double import ZgwDouble
from tests.plugin import SERVERS
from tests.servers import Servers

# How long an example takes says something about the machine.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")


@pytest.fixture(autouse=True)
def only_secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes known as a secret is hidden in no other: it may be a text that means something there."""
    monkeypatch.setattr(redaction, "_remembered", dict(redaction._remembered))
    monkeypatch.setattr(redaction, "_known", redaction._known)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """PostgreSQL and Valkey of this session, not started yet."""
    return pytestconfig.stash[SERVERS]


@pytest.fixture(scope="session")
def database(servers: Servers) -> dict[str, str]:
    """A running PostgreSQL: its DB_* variables. Django's own tables need the marker django_db."""
    servers.need_database()
    return servers.database_environment()


@pytest.fixture(scope="session")
def broker(servers: Servers) -> str:
    """A running broker: its address."""
    servers.need_broker()
    return servers.broker_environment()["CELERY_BROKER_URL"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database: dict[str, str]) -> None:
    """Called by pytest-django before it creates its database: the moment at which the server must run."""


@pytest.fixture
def fresh_environment(servers: Servers) -> Iterator[dict[str, str]]:
    """A whole environment for real processes, with a database and a broker of its own, empty."""
    with servers.fresh() as environment:
        yield environment


@pytest.fixture
def migrated_environment(servers: Servers) -> Iterator[dict[str, str]]:
    """As ``fresh_environment``, and the database has its tables."""
    with servers.migrated() as environment:
        yield environment


@pytest.fixture
def zgw() -> Iterator[ZgwDouble]:
    """The ZGW APIs, the Objects and the Objecttypes API; what does not fit their descriptions fails the test."""
    with ZgwDouble() as double:
        yield double
    assert not double.violations, "\n".join(double.violations)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server that keeps what it is given."""
    with Mailbox() as server:
        yield server
