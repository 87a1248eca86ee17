"""Every case of the contract runs against every product: Operaton always, the others with --all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stage.maven import JavaMissing
from stage.operaton import PRODUCTS, Engine
from stage.processes import PartFailed
from tests.engines.scene import READER, STRANGER, WORKER, House, Scene

GATE = "operaton"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "product" in metafunc.fixturenames:
        products = PRODUCTS if metafunc.config.getoption("all") else (GATE,)
        metafunc.parametrize("product", products, scope="session")


def started(product: str, *, authentication: bool, properties: dict[str, str] | None = None) -> Engine:
    """A running engine; skips the case where this machine has no Java, or cannot build a product beyond the gate's."""
    engine = Engine(product, authentication=authentication, properties=properties)
    try:
        engine.start()
    except JavaMissing as error:
        pytest.skip(str(error))
    except PartFailed as error:
        if product == GATE:
            raise
        pytest.skip(f"{product} cannot be built or started here: {error}")
    return engine


@pytest.fixture(scope="session")
def house(product: str) -> Iterator[House]:
    """The engine with authentication and authorization, furnished."""
    engine = started(product, authentication=True)
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
