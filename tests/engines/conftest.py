"""Every case of the contract runs against every product: Operaton always, the others with --all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.products import chosen, started
from tests.engines.scene import READER, STRANGER, WORKER, House, Scene


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "product" in metafunc.fixturenames:
        products = chosen(everything=metafunc.config.getoption("all"))
        metafunc.parametrize("product", products, scope="session")


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
