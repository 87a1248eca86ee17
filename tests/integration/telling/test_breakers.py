"""A service that is down is told once, to everybody whose mappings use it, and once when it is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from bptl.connections import breakers
from bptl.connections.models import Engine, Mapping, MappingService, Opening
from bptl.connections.service_models import Service
from bptl.telling import rounds
from bptl.telling.models import Incident
from bptl.work_units import registry
from tests.doubles.mailbox import Mailbox
from tests.integration.connections import units
from tests.integration.telling.conftest import FALLBACK, OWNER

pytestmark = pytest.mark.django_db


@pytest.fixture
def zaken(engine: Engine, fleet: None) -> Service:
    """Three mappings use it: two of one owner, and one without an owner."""
    registry.load().add(units.read_anything)
    service = Service.objects.create(
        name="zaken", kind="zrc", address="https://zaken.example.nl/", authentication="no_auth"
    )
    for topic, owner in (("a", [OWNER]), ("b", [OWNER]), ("c", [])):
        mapping = Mapping.objects.create(engine=engine, topic=topic, unit="test.read_anything", owner_mail=owner)
        MappingService.objects.create(mapping=mapping, alias="service", service=service)
    return service


def subjects(post: Mailbox) -> list[tuple[str, str]]:
    told = [(str(mail.message["To"]), str(mail.message["Subject"])) for mail in post.received]
    return sorted(one for one in told if "service" in one[1])


def test_each_address_is_told_once_that_it_began_and_once_that_it_is_over(zaken: Service, post: Mailbox) -> None:
    breakers.open_automatically(zaken, reason="nothing listens at 'zaken.example.nl'")
    rounds.run()
    rounds.run()
    began = "BPTL: service zaken is down, nothing is fetched that needs it"
    assert subjects(post) == [(FALLBACK, began), (OWNER, began)]
    breakers.close(zaken, reason="2 probes in a row were good")
    rounds.run()
    rounds.run()
    over = "BPTL: over: service zaken is down, nothing is fetched that needs it"
    assert subjects(post) == sorted([(FALLBACK, began), (OWNER, began), (FALLBACK, over), (OWNER, over)])


def test_a_maintenance_window_is_told_to_nobody_until_it_is_over_and_the_service_still_down(
    zaken: Service, post: Mailbox
) -> None:
    breakers.open_by_hand(zaken, by="jansen", reason="release", until=timezone.now() + timedelta(hours=1))
    rounds.run()
    assert subjects(post) == []
    Opening.objects.update(until=Now() - timedelta(seconds=1))
    rounds.run()
    assert len(subjects(post)) == 2


def test_an_engine_that_is_known_to_be_down_is_the_incident_of_that_engine(engine: Engine, fleet: None) -> None:
    breakers.open_automatically(engine, reason="no usable answer")
    rounds.look()
    incident = Incident.objects.get(kind="engine")
    assert (incident.engine, incident.cause) == (engine, "no usable answer")
