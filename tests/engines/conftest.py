"""Every case of the contract runs against every product: sandbox and Operaton always, the others with --all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from stage.postgres import create_database, drop_database
from stage.sandbox import PRODUCT as SANDBOX
from tests.engines.not_in_sandbox import NOT_IN_SANDBOX
from tests.engines.products import ON_POSTGRESQL, chosen, started
from tests.engines.scene import READER, STRANGER, WORKER, House, Scene

LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "product" in metafunc.fixturenames:
        products = chosen(everything=metafunc.config.getoption("all"))
        metafunc.parametrize("product", products, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, aloud, what the sandbox does not do by design."""
    left_out = [item for item in items if _is_not_in_sandbox(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = [item.nodeid.rpartition("::")[2].partition("[")[0] for item in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which cases the sandbox was spared and why."""
    left_out = config.stash.get(LEFT_OUT, [])
    if left_out:
        terminalreporter.section(f"{len(left_out)} cases not in the sandbox, by design")
        for name in left_out:
            terminalreporter.write_line(f"{name}: {NOT_IN_SANDBOX[name]}")


def _is_not_in_sandbox(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    return item.callspec.params.get("product") == SANDBOX and item.originalname in NOT_IN_SANDBOX


@pytest.fixture(scope="session")
def datasource(product: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the engine keeps its data, as its properties; empty for the memory of its own process."""
    if product != ON_POSTGRESQL:
        yield {}
        return
    address: dict[str, str] = request.getfixturevalue("database")
    name = f"engine_{secrets.token_hex(4)}"
    create_database(address, name)
    yield {
        "spring.datasource.url": f"jdbc:postgresql://{address['DB_HOST']}:{address['DB_PORT']}/{name}",
        "spring.datasource.username": address["DB_USER"],
        "spring.datasource.password": address["DB_PASSWORD"],
    }
    drop_database(address, name)


@pytest.fixture(scope="session")
def house(product: str, datasource: dict[str, str]) -> Iterator[House]:
    """The engine with authentication and authorization, furnished."""
    engine = started(product, authentication=True, properties=datasource)
    house = House(engine)
    try:
        house.furnish()
        yield house
    finally:
        house.close()
        engine.stop()


@pytest.fixture
def scene(house: House) -> Iterator[Scene]:
    """The stage of one case."""
    scene = Scene(
        house=house,
        worker=house.client(WORKER[0]),
        reader=house.client(READER[0]),
        stranger=house.client(STRANGER[0]),
    )
    try:
        yield scene
    finally:
        scene.close()
