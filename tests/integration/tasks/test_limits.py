"""Never more at once, nor in a minute, than a limit says, whoever claims; and nobody else waits for that."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from bptl.connections.models import Mapping, MappingService
from bptl.connections.service_models import Service
from bptl.tasks import limits
from bptl.tasks.execution.claim import Claim, Limited, claim
from bptl.tasks.execution.outcomes import Ended, store
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import ServicePace, Task
from tests.integration.scene import Scene, completed, fresh


def service(name: str = "zaken", **fields: int) -> Service:
    return Service.objects.create(
        name=name, kind="zrc", address=f"https://{name}.example.nl/", authentication="no_auth", **fields
    )


def use(mapping: Mapping, *services: Service) -> Mapping:
    for one in services:
        MappingService.objects.create(mapping=mapping, alias=one.name, service=one)
    return mapping


def queue(scene: Scene, mapping: Mapping, amount: int = 1, *, priority: int = 0) -> list[Task]:
    return [scene.task(Status.QUEUED, mapping=mapping, topic=mapping.topic, priority=priority) for _ in range(amount)]


def end(process: uuid.UUID, *claims: Claim) -> None:
    """Their outcomes are stored."""
    assert len(store(process, [Ended(one.task_id, one.lease_id, completed()) for one in claims])) == len(claims)


def running(*mappings: Mapping) -> int:
    return Task.objects.filter(mapping__in=mappings, status=Status.RUNNING).count()


def test_a_mapping_runs_no_more_at_once_than_it_may(scene: Scene) -> None:
    limited = scene.map("limited", most_at_once=2)
    queue(scene, limited, 5)
    one, two = scene.process(), scene.process()
    assert [len(claim(worker, places=4)) for worker in (one, two, one)] == [2, 0, 0]
    assert running(limited) == 2


def test_room_comes_back_when_a_task_has_its_outcome(scene: Scene) -> None:
    limited = scene.map("limited", most_at_once=1)
    first, second = queue(scene, limited, 2)
    worker = scene.process()
    (claimed,) = claim(worker, places=4)
    assert (claimed.task_id, claimed.limited) == (first.id, True)
    end(worker, claimed)
    assert [one.task_id for one in claim(worker, places=4)] == [second.id]


def test_a_full_mapping_holds_no_place_of_another(scene: Scene) -> None:
    limited, other = scene.map("limited", most_at_once=1), scene.map("other")
    queue(scene, limited, 6, priority=9)
    queue(scene, other, 6)
    worker = scene.process(places=4)
    claims = [one for _ in range(2) for one in claim(worker, places=2)]
    assert [one.topic for one in claims].count("limited") == 1
    assert running(other) == 3


def test_a_limited_task_comes_to_its_turn_while_all_places_are_taken(scene: Scene) -> None:
    limited, other = scene.map("limited", most_at_once=2), scene.map("other")
    (wanted,) = queue(scene, limited)
    queue(scene, other, 6)
    (claimed,) = claim(scene.process(places=1), places=1)
    assert claimed.task_id == wanted.id


def test_an_older_task_is_not_overtaken_because_it_has_no_limit(scene: Scene) -> None:
    limited, other = scene.map("limited", most_at_once=9), scene.map("other")
    (oldest,) = queue(scene, other)
    queue(scene, limited, 3)
    worker = scene.process(places=1)
    (claimed,) = claim(worker, places=1)
    assert claimed.task_id == oldest.id


def test_a_service_counts_the_tasks_of_every_mapping_that_uses_it(scene: Scene) -> None:
    zaken = service(most_at_once=3)
    first, second = use(scene.map("first"), zaken), use(scene.map("second"), zaken)
    queue(scene, first, 3)
    queue(scene, second, 3)
    assert len(claim(scene.process(places=9), places=9)) == 3
    assert running(first, second) == 3


def test_a_service_that_a_mapping_uses_twice_counts_its_task_once(scene: Scene) -> None:
    zaken = service(most_at_once=2)
    mapping = use(scene.map("twice"), zaken)
    MappingService.objects.create(mapping=mapping, alias="other", service=zaken)
    queue(scene, mapping, 3)
    assert len(claim(scene.process(), places=4)) == 2


def test_every_limit_of_a_task_must_have_room(scene: Scene) -> None:
    zaken, mail = service(most_at_once=3), service("mail", most_at_once=1)
    both = use(scene.map("both", most_at_once=2), zaken, mail)
    only = use(scene.map("only"), zaken)
    queue(scene, both, 3)
    queue(scene, only, 3)
    claim(scene.process(places=9), places=9)
    assert (running(both), running(only)) == (1, 2)


def test_no_more_begin_in_a_minute_than_the_rate_says(scene: Scene) -> None:
    mapping = use(scene.map("paced"), service(most_a_minute=6))
    queue(scene, mapping, 3)
    worker, known = scene.process(), Limited([mapping.pk])
    (claimed,) = claim(worker, places=4, limited=known)
    end(worker, claimed)
    assert claim(worker, places=4, limited=known) == []
    assert known.next_in == pytest.approx(10, abs=2)
    ServicePace.objects.update(used_until=F("used_until") - timedelta(seconds=10))
    assert len(claim(worker, places=4, limited=known)) == 1


def test_what_was_begun_counts_against_a_rate_that_is_set_lower(scene: Scene) -> None:
    zaken = service(most_a_minute=60)
    queue(scene, use(scene.map("paced"), zaken), 9)
    worker = scene.process(places=9)
    assert len(claim(worker, places=9)) == 3
    Service.objects.update(most_a_minute=1)
    assert claim(worker, places=9) == []


def test_a_limit_that_is_changed_holds_from_the_next_claim_on(scene: Scene) -> None:
    mapping = scene.map("changing")
    queue(scene, mapping, 9)
    worker = scene.process(places=9)
    assert len(claim(worker, places=2)) == 2
    for limit, more in ((1, 0), (3, 1), (None, 4)):
        Mapping.objects.filter(id=mapping.id).update(most_at_once=limit)
        assert len(claim(worker, places=4)) == more


def test_a_call_of_the_rest_api_and_a_task_without_mapping_are_claimed_as_ever(scene: Scene) -> None:
    scene.map("limited", most_at_once=1)
    orphan = scene.task(Status.QUEUED, mapping=None)
    assert [one.task_id for one in claim(scene.process(), places=4)] == [orphan.id]


def test_a_claim_is_one_statement_while_nothing_is_limited(scene: Scene) -> None:
    queue(scene, scene.map("free"), 3)
    worker, known = scene.process(), Limited()
    with CaptureQueriesContext(connection) as captured:
        for _ in range(3):
            claim(worker, places=2, limited=known)
    assert len(captured) == 3


def test_limits_cost_a_claim_one_look_while_no_task_waits_for_them(scene: Scene) -> None:
    known = Limited([scene.map("limited", most_at_once=1).pk])
    queue(scene, scene.map("free"), 3)
    worker = scene.process()
    with CaptureQueriesContext(connection) as captured:
        claim(worker, places=2, limited=known)
    assert len(captured) == 2


@pytest.mark.parametrize("most", [1, 3])
def test_workers_that_claim_at_once_never_pass_a_limit(committed_scene: Scene, most: int) -> None:
    scene = committed_scene
    zaken = service(most_at_once=most)
    first, second = use(scene.map("first"), zaken), use(scene.map("second"), zaken)
    amount, workers = 12, 4
    queue(scene, first, amount)
    queue(scene, second, amount)
    together = threading.Barrier(workers)
    seen: list[int] = []

    def work(process: uuid.UUID) -> int:
        done = 0
        try:
            together.wait(20)
            while Task.objects.filter(status__in=[Status.QUEUED, Status.RUNNING]).exists():
                claims = claim(process, places=4)
                seen.append(running(first, second))
                end(process, *claims)
                done += len(claims)
            return done
        finally:
            connection.close()

    processes = [scene.process() for _ in range(workers)]
    with ThreadPoolExecutor(workers) as threads:
        done = sum(threads.map(work, processes))
    assert done == 2 * amount
    assert max(seen) == most


def test_workers_that_claim_at_once_never_pass_a_rate(committed_scene: Scene) -> None:
    scene = committed_scene
    queue(scene, use(scene.map("paced"), service(most_a_minute=2)), 8)
    workers = 4
    together = threading.Barrier(workers)

    def work(process: uuid.UUID) -> int:
        try:
            together.wait(20)
            return sum(len(claim(process, places=4)) for _ in range(5))
        finally:
            connection.close()

    processes = [scene.process() for _ in range(workers)]
    with ThreadPoolExecutor(workers) as threads:
        assert sum(threads.map(work, processes)) == 1


def test_a_worker_that_fell_silent_in_the_middle_of_a_limited_claim_hinders_no_other_task(
    committed_scene: Scene,
) -> None:
    scene = committed_scene
    limited = scene.map("limited", most_at_once=1)
    queue(scene, limited)
    (free,) = queue(scene, scene.map("free"))
    worker, known = scene.process(), Limited([limited.pk])

    with ThreadPoolExecutor(1) as threads, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('bptl_limited_claim'))")

        def other() -> list[int]:
            try:
                return [one.task_id for one in claim(worker, places=4, limited=known)]
            finally:
                connection.close()

        try:
            assert threads.submit(other).result(timeout=20) == [free.id]
            assert known.next_in is not None, "it tries again soon"
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('bptl_limited_claim'))")
    assert len(claim(worker, places=4, limited=known)) == 1


def test_a_limit_knows_what_runs_and_what_waits(scene: Scene) -> None:
    zaken = service(most_at_once=3, most_a_minute=60)
    mapping = use(scene.map("limited", most_at_once=2), zaken)
    queue(scene, mapping, 3)
    claim(scene.process(), places=1)
    own, shared = sorted(limits.read(), key=lambda limit: limit.service)
    assert (own.owner_id, own.most_at_once, own.running, own.queued) == (mapping.id, 2, 1, 2)
    assert (shared.service, shared.most_a_minute, shared.running) == ("zaken", 60, 1)
    assert shared.mapping_ids == {mapping.id}
    assert fresh(queue(scene, mapping)[0]).status == Status.QUEUED
