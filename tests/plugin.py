"""pytest's surroundings: the environment before Django's settings load, the option --all, the limits of unit tests."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest

from tests.servers import Servers

SERVERS = pytest.StashKey[Servers]()

_NEEDS_A_SERVER = {
    *("broker", "database", "db", "django_db_setup", "fresh_environment", "mailbox", "migrated_environment"),
    *("transactional_db", "zgw"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", dest="all", help="run the slow tests too")


# A wrapper comes before pytest-django's own hook, which loads the settings.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    servers = early_config.stash[SERVERS] = Servers()
    early_config.add_cleanup(servers.stop)
    servers.publish()
    # Ended by SIGTERM (a runner that lost patience), the servers and processes of the tests must be stopped too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        forbidden = _NEEDS_A_SERVER.intersection(getattr(item, "fixturenames", ()))
        if item.nodeid.startswith("tests/unit/") and (forbidden or item.get_closest_marker("django_db")):
            raise pytest.UsageError(f"{item.nodeid} needs a server: it belongs into tests/integration")
    if not config.getoption("all"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)
