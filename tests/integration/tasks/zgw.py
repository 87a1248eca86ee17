"""What tests of ZGW units through the heart share: a mapping whose application reaches the double, and attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import F

from bptl.connections import directory
from bptl.connections.models import Mapping as TopicMapping
from bptl.connections.models import MappingService
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.tasks.endings import Ending
from bptl.tasks.execution import service_calls
from bptl.tasks.execution.outcomes import Doubt, HandedBack
from bptl.tasks.execution.run import assign, run
from bptl.tasks.execution.waiting import Awaiting
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.models import Effect
from tests.doubles.zgw.double import LIMITED, ZgwDouble
from tests.integration.ledger import Run, next_run
from tests.integration.scene import Scene

APPLICATION = "vergunningen"


@contextmanager
def connected_to(scene: Scene, zgw: ZgwDouble, topic: str, unit: str, services: Sequence[str]) -> Iterator[Scene]:
    """A mapping of ``topic`` to ``unit`` whose application (APPLICATION) reaches the double."""
    directory.forget()
    mapping = scene.map(topic, unit)
    application = Application.objects.create(app_id=APPLICATION, label="Vergunningen", units=["zgw.*"])
    for alias in services:
        service = Service.objects.create(name=alias, kind=alias, address=zgw.root(alias), authentication="zgw")
        grant = ServiceGrant(application=application, service=service, client_id=LIMITED.client_id)
        grant.secret = LIMITED.secret
        grant.save()
        MappingService.objects.create(mapping=mapping, alias=alias, service=service)
    yield scene
    # Its thread has a connection of its own: the test's database could not be dropped.
    assert service_calls.stop()
    directory.forget()


def attempt(lease: Run) -> Ending | Doubt | Awaiting | None:
    """The unit runs under a lease, as in a worker; here nothing is down."""
    mappings = TopicMapping.objects.select_related("engine").in_bulk()
    ended = run(assign(lease.claim, mappings), lease.cancellation)
    assert not isinstance(ended, HandedBack)
    return ended


def the_next(scene: Scene, lease: Run) -> Run:
    """The process of ``lease`` was killed before it stored anything; what it sent has settled."""
    times = ("intended_at", "gives_up_at", "settles_at")
    Effect.objects.update(**{name: F(name) - timedelta(minutes=2) for name in times})
    return next_run(scene, lease)


class Ends(Cancellation):
    """Ends the lease as soon as the service has seen a call."""

    def __init__(self, zgw: ZgwDouble, method: str, path: str) -> None:
        super().__init__()
        self._zgw, self._method, self._path = zgw, method, path

    def check(self) -> None:
        """Raise LeaseEnded from then on."""
        if self._zgw.calls(self._method, self._path):
            self.cancel("its lock ran out")
        super().check()
