"""Callbacks of a worker: from a queued task with an address to the call that its receiver gets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from bptl.connections import directory
from bptl.connections.service_models import Service
from bptl.tasks import actions, callbacks
from bptl.tasks.delivery import callbacks as outbox
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Callback, ProcessKind, Task
from bptl.tasks.upkeep.sweep import sweep
from bptl.workers.floor import Floor
from tests.doubles.engine import ExternalTask
from tests.doubles.outlet import Outlet
from tests.integration.scene import Scene, fresh, lease_of
from tests.integration.tasks.test_callbacks import perform, text
from tests.integration.waiting import until

OpenFloor = Callable[..., Floor]


@pytest.fixture
def outlet(scene: Scene) -> Iterator[Outlet]:
    """A receiver on the address of a registered service."""
    with Outlet() as running:
        Service.objects.create(name="ontvanger", kind="orc", address=running.root, authentication="no_auth")
        directory.forget()
        yield running
        running.held.clear()
    directory.forget()


def fetched(scene: Scene, topic: str = "topic", *, amount: int = 1, **variables: str) -> list[ExternalTask]:
    """Tasks that a poller has fetched."""
    values = {name: text(value) for name, value in variables.items()}
    external = [scene.there.add(topic, variables=values) for _ in range(amount)]
    room = scene.process(places=amount + Task.objects.filter(status__in=["queued", "running"]).count())
    scene.fetch(scene.process(ProcessKind.POLL, places=0))
    scene.bury(room)
    return external


def ends(state: str) -> Callback:
    """The one callback when it has come there."""
    return until(Callback.objects.filter(state=state).first, what=f"the callback is {state}")


def look_again(floor: Floor) -> None:
    """The time of the next try comes, and the job that looks what is due."""
    Callback.objects.exclude(next_try_at=None).update(next_try_at=Now())
    assert outbox.due()
    floor.callbacks.wake()


def test_it_is_called_once_when_the_engine_has_taken_the_result(
    scene: Scene, outlet: Outlet, open_floor: OpenFloor
) -> None:
    (external,) = fetched(scene, callbackUrl=f"{outlet.root}klaar?token=x")
    told = threading.Event()
    scene.there.delay("complete", told)
    open_floor()
    until(Callback.objects.exists)
    assert not outbox.due(), "the engine has not taken the result yet"
    assert outlet.calls == []
    told.set()
    callback = ends("delivered")
    (call,) = outlet.calls
    assert (call.method, call.path, call.body) == ("POST", "/klaar?token=x", b"")
    assert call.key == f"{callback.task_id}/{callback.outcome_id}"
    assert "Authorization" not in call.headers
    assert external.id in scene.there.completed
    assert (callback.tries, callback.status) == (1, 204)


def test_the_unit_sees_nothing_of_the_address(scene: Scene, outlet: Outlet, open_floor: OpenFloor) -> None:
    scene.map("seeing", "test.what_is_there")
    (external,) = fetched(scene, "seeing", callbackUrl=outlet.root, naam="Saskia")
    open_floor()
    ends("delivered")
    assert scene.there.completed[external.id] == {"given": "naam"}


def test_a_unit_that_declares_the_address_gets_it(scene: Scene, outlet: Outlet, open_floor: OpenFloor) -> None:
    scene.map("seeing", "test.what_asks_for_it")
    (external,) = fetched(scene, "seeing", callbackUrl=outlet.root)
    open_floor()
    ends("delivered")
    assert scene.there.completed[external.id] == {"given": outlet.root}


def test_an_error_of_the_receiver_is_tried_again_and_the_task_stays_done(
    scene: Scene, outlet: Outlet, open_floor: OpenFloor
) -> None:
    outlet.statuses = [500, 200]
    (external,) = fetched(scene, callbackUrl=outlet.root)
    floor = open_floor()
    until(Callback.objects.filter(status=500).first)
    assert Task.objects.get().outcome == Outcome.COMPLETED
    assert scene.there.calls["complete"] == 1
    look_again(floor)
    callback = ends("delivered")
    assert (callback.tries, callback.error) == (2, "")
    assert len({call.key for call in outlet.calls}) == 1
    assert external.id in scene.there.completed
    assert scene.there.calls["complete"] == 1, "what follows a completion never sends that again"


def test_a_slow_receiver_keeps_no_other_waiting(scene: Scene, outlet: Outlet, open_floor: OpenFloor) -> None:
    with Outlet() as quick:
        Service.objects.create(name="snel", kind="orc", address=quick.root, authentication="no_auth")
        directory.forget()
        outlet.held.set()
        fetched(scene, amount=12, callbackUrl=outlet.root)
        floor = open_floor()
        until(lambda: len(outlet.calls) == 2)
        fetched(scene, amount=5, callbackUrl=quick.root)
        floor.wake()
        until(lambda: len(quick.calls) == 5)
        assert len(outlet.calls) == 2, "one receiver takes some of the threads, never all"
        outlet.held.clear()
        until(lambda: Callback.objects.filter(state="delivered").count() == 17)


def test_an_address_of_nobody_is_refused_in_sight_and_nothing_is_sent(
    scene: Scene, outlet: Outlet, open_floor: OpenFloor
) -> None:
    Service.objects.all().delete()
    directory.forget()
    fetched(scene, callbackUrl=outlet.root)
    open_floor()
    callback = ends("refused")
    assert "registered service" in callback.error
    assert outlet.calls == []
    assert Task.objects.get().status == Status.DELIVERED


def test_a_listed_name_that_leads_inside_is_refused_until_its_network_is_named(
    scene: Scene, outlet: Outlet, open_floor: OpenFloor, settings: Settings
) -> None:
    Service.objects.all().delete()
    directory.forget()
    settings.BPTL_CALLBACK_ADDRESSES = [outlet.root.replace("127.0.0.1", "localhost")]
    fetched(scene, callbackUrl=f"http://localhost:{outlet.port}/klaar")
    floor = open_floor()
    assert "not a public address" in ends("refused").error
    assert outlet.calls == []
    settings.BPTL_WEBHOOK_NETWORKS = ["127.0.0.0/8", "::1/128"]
    callbacks.again(Callback.objects.get().pk, actor="jansen", reason="the network was named")
    floor.callbacks.wake()
    ends("delivered")
    assert [call.path for call in outlet.calls] == ["/klaar"]


def test_what_was_stored_by_a_process_that_died_is_called_after_another_has_delivered_it(
    scene: Scene, outlet: Outlet, open_floor: OpenFloor
) -> None:
    dead = scene.process()
    claimed = perform(scene, dead, url=outlet.root)
    scene.silence(dead)
    sweeper = scene.process()
    sweep(sweeper, scene.clients)
    assert outlet.calls == []
    scene.there.advance(400)
    room = scene.process(places=4)
    scene.fetch(scene.process(ProcessKind.POLL, places=0))
    scene.bury(room)
    floor = open_floor()
    floor.wake()
    until(lambda: fresh(claimed).status == Status.DELIVERED)
    look_again(floor)
    ends("delivered")
    assert [call.key for call in outlet.calls] == [f"{claimed.task_id}/{claimed.lease_id}"]


def test_a_completion_by_hand_is_followed_by_the_call(scene: Scene, outlet: Outlet, open_floor: OpenFloor) -> None:
    external = scene.there.add()
    task = scene.task(Status.RETURNED, external=external, variables={"callbackUrl": text(outlet.root)})
    scene.there.lock(external, lease_of(task).worker_id)
    floor = open_floor()
    actions.complete_by_hand(task.id, {}, actor="jansen", reason="done by phone")
    floor.reporter.wake()
    until(lambda: fresh(task).status == Status.DELIVERED)
    look_again(floor)
    ends("delivered")
    assert len(outlet.calls) == 1


def test_a_worker_that_stops_notes_the_calls_that_are_under_way(
    scene: Scene, outlet: Outlet, open_floor: OpenFloor
) -> None:
    outlet.held.set()
    fetched(scene, callbackUrl=outlet.root)
    floor = open_floor()
    until(lambda: len(outlet.calls) == 1)
    outlet.held.clear()
    floor.drain(grace=5)
    assert Callback.objects.get().state == "delivered"
