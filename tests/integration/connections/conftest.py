"""An engine on record that nobody calls, a service that answers, and an application with rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import translation

from bptl.connections import directory
from bptl.connections.models import Engine, Mapping, MappingService
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.work_units import registry
from tests.doubles.outside import Outside
from tests.integration.connections import units


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="main", address="http://127.0.0.1:1/engine-rest/", authentication="none")


@pytest.fixture
def mapped(engine: Engine) -> Callable[..., Mapping]:
    """Make a mapping of ``engine``."""

    def make(topic: str, unit: str = "demo.quick", **fields: Any) -> Mapping:
        return Mapping.objects.create(engine=engine, topic=topic, unit=unit, **fields)

    return make


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What one test saved is believed by no other; texts are those of the command line."""
    directory.forget()
    with translation.override("en"):
        yield
    directory.forget()


@pytest.fixture
def units_that_reach() -> None:
    """The units of this folder are registered."""
    for unit in units.ALL:
        registry.load().add(unit)


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as running:
        running.answer("zaken/1", {"omschrijving": "dakkapel"})
        yield running


@pytest.fixture
def zaken(db: None, outside: Outside) -> Service:
    """The Zaken API with credentials of its own."""
    service = Service(name="zaken", kind="zrc", address=outside.root, authentication="zgw", client_id="bptl")
    service.secret = "geheim-van-de-dienst"
    service.full_clean()
    service.save()
    return service


@pytest.fixture
def application(db: None, units_that_reach: None) -> Application:
    made = Application(app_id="https://ac.example.nl/applicaties/1", label="Vergunningen", units=["test.*"])
    made.full_clean()
    made.save()
    return made


@pytest.fixture
def grant(application: Application, zaken: Service) -> ServiceGrant:
    """The application's own credentials for the Zaken API."""
    made = ServiceGrant(application=application, service=zaken, client_id="vergunningen")
    made.secret = "geheim-van-vergunningen"
    made.full_clean()
    made.save()
    return made


@pytest.fixture
def mapping(mapped: Callable[..., Mapping], zaken: Service, units_that_reach: None) -> Mapping:
    """A mapping whose unit reads a zaak."""
    made = mapped("lees", "test.read_zaak")
    MappingService.objects.create(mapping=made, alias="zrc", service=zaken)
    return made
