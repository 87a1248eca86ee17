"""Every case of the contract runs against every product: Operaton always, the others with --all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from stage.postgres import create_database, drop_database
from tests.engines.products import ON_POSTGRESQL, chosen, started
from tests.engines.scene import READER, STRANGER, WORKER, House, Scene


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "product" in metafunc.fixturenames:
        products = chosen(everything=metafunc.config.getoption("all"))
        metafunc.parametrize("product", products, scope="session")


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
