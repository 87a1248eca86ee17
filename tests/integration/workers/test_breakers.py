"""A service that is down: its tasks are handed back and not fetched, and go on within seconds after it is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from bptl.clients.access import DataClass
from bptl.clients.gate import Call
from bptl.connections import breaker_probes, breakers, directory
from bptl.connections.models import Breaker, Mapping, MappingService, Opening
from bptl.connections.service_models import Application, Service, ServiceGrant
from bptl.tasks import leases
from bptl.tasks.endings import Ending
from bptl.tasks.execution import outages, outcomes, service_calls
from bptl.tasks.execution.run import assign, run
from bptl.tasks.execution.work import Cancellation
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status
from bptl.tasks.listening import FETCH_CHANNEL
from bptl.tasks.models import Event, Lease, ServiceCall, Task
from bptl.tasks.upkeep.sweep import sweep
from bptl.work_units import registry
from bptl.workers import floor as floors
from bptl.workers import line as lines
from bptl.workers.ear import Ear
from stage.ports import free_port
from tests.doubles.engine import ExternalTask, FakeEngine
from tests.doubles.outside import Answer, Asked, Outside
from tests.integration.connections import units as reaching
from tests.integration.scene import Scene, lease_of
from tests.integration.waiting import PATIENCE, in_thread, until
from tests.integration.workers import units
from tests.integration.workers.test_floor import OpenFloor, becomes, fetched_again, queue
from tests.integration.workers.test_poller import OpenPoller, polling, queued

WELL = {"omschrijving": "dakkapel"}


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as running:
        running.answer("zaken/1", WELL)
        running.answer("zaken", {"results": []})
        yield running


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    directory.forget()
    breakers.forget()
    yield
    assert service_calls.stop(timeout=PATIENCE)
    breakers.forget()


@pytest.fixture
def zaken(scene: Scene, outside: Outside) -> Service:
    """A service, and the mapping of topic ``zaak`` whose unit reads a zaak of it."""
    return bind(scene, "zaak", Service.objects.create(name="zaken", kind="zrc", address=outside.root))


def bind(scene: Scene, topic: str, service: Service) -> Service:
    registry.load().add(reaching.read_anything)
    Service.objects.filter(pk=service.pk).update(authentication="no_auth")
    service.refresh_from_db()
    MappingService.objects.create(mapping=scene.map(topic, "test.read_anything"), alias="service", service=service)
    return service


def fail(outside: Outside, *, status: int = 503) -> None:
    for path in ("zaken/1", "zaken"):
        outside.answer(path, {"detail": "no time"}, status=status)


def mend(outside: Outside) -> None:
    outside.answer("zaken/1", WELL)
    outside.answer("zaken", {"results": []})


def handed_back(external: ExternalTask) -> Task:
    task = becomes(external, Status.RETURNED)
    assert lease_of(task).ended_as == LeaseEnd.GIVEN_BACK
    return task


def spent_nothing(there: FakeEngine) -> bool:
    return not there.failures and not Task.objects.exclude(outcome="").exists()


def probe_now() -> int:
    Opening.objects.filter(closed_at=None).update(next_probe_at=Now())
    return breaker_probes.run()


def test_the_very_first_task_of_a_service_that_refuses_connections_is_handed_back(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    address = f"http://127.0.0.1:{free_port()}/zaken/api/v1/"
    service = bind(scene, "zaak", Service.objects.create(name="zaken", kind="zrc", address=address))
    (external,) = queue(scene, there, "zaak")
    open_floor()
    task = handed_back(external)
    assert spent_nothing(there)
    opening = breakers.opening(service)
    assert opening is not None
    assert "refused" in opening.reason
    assert opening.opened_by == ""
    told = Event.objects.get(task_id=task.id, name="lease.ended").detail["reason"]
    assert told.startswith("zaken is down since ")
    # Locked a while longer, so that whoever fetches it still does not spin, and looked for when that is over.
    ended_at = lease_of(task).ended_at
    assert ended_at is not None
    assert task.retry_at is not None
    assert task.retry_at - ended_at == timedelta(seconds=10.5)
    # The engine is told a moment after the lease has ended.
    until(lambda: (external.locked_until or 0) <= there.now() + 10)
    assert external.locked_until is not None
    assert external.locked_until >= ended_at.timestamp() + 10


def test_answers_of_500_and_more_open_it_when_the_probe_gets_one_too(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    fail(outside)
    tasks = queue(scene, there, "zaak", amount=6)
    open_floor()
    for external in tasks:
        handed_back(external)
    assert spent_nothing(there)
    assert "503" in Opening.objects.get().reason


def test_a_glitch_of_one_call_costs_its_task_a_retry_as_ever(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    outside.answer("zaken/1", {"detail": "a fault of this zaak"}, status=500)
    (external,) = queue(scene, there, "zaak")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.FAILED)
    assert [failure.retries for failure in there.failures] == [3]
    assert not Opening.objects.exists()


def test_a_service_that_answers_too_slowly_is_opened_by_what_its_calls_met(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    Service.objects.update(slow_after_seconds=0.1)

    def slowly(_: Asked) -> Answer:
        time.sleep(0.15)
        return Answer(200, WELL)

    outside.answers[outside.path + "zaken/1"] = slowly
    tasks = queue(scene, there, "zaak", amount=5)
    open_floor()
    for external in tasks:
        becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    opening = until(lambda: breakers.opening(zaken))
    assert opening.reason == "of the last 5 calls 5 took longer than 0.1 s"


def test_one_task_that_a_service_cannot_digest_keeps_no_other_from_it(
    scene: Scene, zaken: Service, outside: Outside
) -> None:
    task = scene.task(Status.QUEUED)
    calls(zaken, [task] * 9, status=500)
    outages.judge([call_of(zaken)])
    assert not Opening.objects.exists()
    calls(zaken, [scene.task(Status.QUEUED)], status=500)
    outages.judge([call_of(zaken)])
    assert Opening.objects.get().reason.startswith("of the last 10 calls 10 were answered that it fails")


def test_what_calls_met_before_it_closed_opens_it_no_more(scene: Scene, zaken: Service) -> None:
    calls(zaken, [scene.task(Status.QUEUED) for _ in range(5)], status=500)
    outages.judge([call_of(zaken)])
    breakers.close(zaken, reason="mended")
    calls(zaken, [scene.task(Status.QUEUED)], status=500)
    outages.judge([call_of(zaken)])
    assert breakers.opening(zaken) is None


def test_good_calls_ask_nothing(scene: Scene, zaken: Service, django_assert_num_queries: Callable[..., object]) -> None:
    breakers.lately()
    good = replace(call_of(zaken), status=200, error="")
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        outages.judge([good] * 100)
        outages.admit("zaken", "GET", zaken.address)


def calls(service: Service, tasks: list[Task], *, status: int) -> None:
    """Calls as the workers have recorded them, a moment ago."""
    for task in tasks:
        ServiceCall.objects.create(
            task=task, lease_id=task.last_lease_id, service=service.name, method="GET", url=service.address,
            began_at=timezone.now(), milliseconds=3, status=status,
        )  # fmt: skip


def call_of(service: Service) -> Call:
    return Call(service.name, DataClass.ORDINARY, "GET", service.address, timezone.now(), 0.003, status=500)


def test_a_task_whose_service_is_known_to_be_down_does_not_begin(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    tasks = queue(scene, there, "zaak", amount=5)
    breakers.open_automatically(zaken, reason="nothing answers")
    open_floor()
    for external in tasks:
        handed_back(external)
    assert outside.asked == []
    assert spent_nothing(there)


def by_an_address_in_data(scene: Scene, zaken: Service) -> Service:
    """A service that no mapping binds, and topic ``elders`` whose tasks name an address of it."""
    elsewhere = Service.objects.create(
        name="elders", kind="zrc", address="http://127.0.0.1:1/zaken/", authentication="no_auth"
    )
    application = Application.objects.create(app_id="app", label="App", units=["test.*"])
    for service in (zaken, elsewhere):
        ServiceGrant.objects.create(application=application, service=service, as_service=True)
    registry.load().add(reaching.read_zaak)
    mapping = scene.map("elders", "test.read_zaak")
    MappingService.objects.create(mapping=mapping, alias="zrc", service=zaken)
    return elsewhere


def variables_of(service: Service) -> dict[str, dict[str, object]]:
    values = {"bptlAppId": "app", "url": service.address + "zaken/1"}
    return {name: {"type": "String", "value": value, "valueInfo": {}} for name, value in values.items()}


def test_a_service_found_by_an_address_in_data_is_not_called_while_it_is_down(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    elsewhere = by_an_address_in_data(scene, zaken)
    breakers.open_automatically(elsewhere, reason="nothing answers")
    (external,) = queue(scene, there, "elders", variables=variables_of(elsewhere))
    open_floor()
    task = handed_back(external)
    assert "elders is down" in Event.objects.get(task_id=task.id, name="lease.ended").detail["reason"]
    assert not ServiceCall.objects.exists()
    assert spent_nothing(there)


def test_a_topic_that_is_fetched_all_the_same_does_not_spin(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, open_poller: OpenPoller, zaken: Service, outside: Outside
) -> None:
    elsewhere = by_an_address_in_data(scene, zaken)
    breakers.open_automatically(elsewhere, reason="nothing answers")
    for _ in range(5):
        there.add("elders", variables=variables_of(elsewhere))
    polls, _ = open_poller()
    open_floor()
    with polling(polls, there):
        until(lambda: Task.objects.filter(status=Status.RETURNED).count() == 5)
        time.sleep(1.5)
    assert Lease.objects.count() == 5
    assert spent_nothing(there)


def test_a_caller_of_the_rest_api_hears_of_an_outage_at_once(scene: Scene, zaken: Service) -> None:
    breakers.open_automatically(zaken, reason="nothing answers")
    scene.process()
    claimed = replace(scene.claimed(scene.process(), topic="zaak"), engine_id=None)
    mapping = Mapping.objects.get(topic="zaak")
    ending = run(assign(claimed, {mapping.pk: mapping}), Cancellation())
    assert isinstance(ending, Ending)
    assert "zaken is down since" in ending.result["message"]


def test_a_task_that_meets_an_outage_after_its_first_effect_is_handed_back_and_repeats_nothing(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    MappingService.objects.create(mapping=scene.map("pay", "test.pay_and_tell"), alias="service", service=zaken)
    fail(outside)
    (external,) = queue(scene, there, "pay")
    open_floor()
    handed_back(external)
    assert spent_nothing(there)
    mend(outside)
    breakers.close(zaken, reason="mended")
    fetched_again(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert (units.STARTED[external.id], units.PAID.total()) == (2, 1)


def test_an_effect_whose_answer_an_outage_cut_off_is_asked_about_after_it(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    MappingService.objects.create(mapping=scene.map("make", "test.create_once"), alias="service", service=zaken)
    fail(outside)
    outside.cut("make")
    (external,) = queue(scene, there, "make")
    open_floor()
    handed_back(external)
    mend(outside)
    outside.answer("made", {"url": "zaken/7"})
    breakers.close(zaken, reason="mended")
    fetched_again(scene, external)
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)
    assert there.completed[external.id] == {"receipt": "zaken/7"}
    assert [asked.method for asked in outside.asked].count("POST") == 1
    assert there.failures == []


def test_an_engine_that_is_down_for_work_units_hands_their_tasks_back(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    scene.map("setting", "test.set_variables")
    (external,) = queue(scene, there, "setting")
    for call in ("setVariables", "version"):
        there.answer(call, 503, "no time", times=100)
    open_floor()
    handed_back(external)
    assert spent_nothing(there)
    opening = breakers.opening(scene.row)
    assert opening is not None
    there.reset_faults("version")
    assert probe_now() == 1
    assert breakers.opening(scene.row) is not None
    assert probe_now() == 1
    assert breakers.opening(scene.row) is None


# Engines that are away


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that fails polls again at once."""
    monkeypatch.setattr(lines, "backoff", lambda failures: 0.01)


def is_left_alone(there: FakeEngine) -> bool:
    before = there.calls["fetchAndLock"]
    time.sleep(0.3)
    return there.calls["fetchAndLock"] == before


def test_an_engine_that_answers_no_poll_is_left_alone_until_it_is_there_again(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, no_pause: None
) -> None:
    scene.process(places=10)
    for call in ("fetchAndLock", "version"):
        there.answer(call, 503, "no time", times=1000)
    there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        opening = until(lambda: breakers.opening(scene.row))
        assert opening.reason.startswith("5 polls in a row failed (")
        assert "asked at once: the engine or its proxy asks for patience (503)" in opening.reason
        assert opening.opened_by == ""
        until(lambda: is_left_alone(there))
        there.reset_faults("fetchAndLock")
        there.reset_faults("version")
        assert probe_now() == 1
        assert not Task.objects.exists(), "one good answer is not enough"
        assert probe_now() == 1
        until(queued(1))
    assert breakers.opening(scene.row) is None


def test_an_engine_that_is_there_and_refuses_polls_is_asked_again_and_again(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, no_pause: None
) -> None:
    scene.process(places=10)
    there.answer("fetchAndLock", 503, "no time", times=9)
    there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        until(queued(1))
    assert not Opening.objects.exists()


def test_what_was_fetched_before_its_engine_went_away_is_done(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    (external,) = queue(scene, there, "topic")
    breakers.open_automatically(scene.row, reason="nothing answers")
    open_floor()
    becomes(external, Status.DELIVERED, Outcome.COMPLETED)


def test_what_was_fetched_before_the_maintenance_of_its_engine_is_handed_back(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor
) -> None:
    (external,) = queue(scene, there, "topic")
    breakers.open_by_hand(scene.row, by="jansen", reason="upgrade", until=timezone.now() + timedelta(hours=1))
    open_floor()
    handed_back(external)


def test_a_service_that_is_down_holds_a_task_back_though_its_engine_is_away_too(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, zaken: Service, outside: Outside
) -> None:
    (external,) = queue(scene, there, "zaak")
    for subject in (zaken, scene.row):
        breakers.open_automatically(subject, reason="nothing answers")
    open_floor()
    handed_back(external)
    assert outside.asked == []


def test_an_engine_that_goes_away_again_soon_is_probed_as_often_as_before(scene: Scene) -> None:
    for _ in range(3):
        opening = breakers.open_automatically(scene.row, reason="nothing answers")
        assert opening.reopened == 0
        breakers.close(scene.row, reason="two good probes")


# Fetching


def test_topics_are_not_fetched_while_their_service_is_down_and_others_are(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller, zaken: Service
) -> None:
    scene.process(places=10)
    breakers.open_automatically(zaken, reason="nothing answers")
    for topic in ("zaak", "topic"):
        there.add(topic)
    polls, _ = open_poller()
    with polling(polls, there):
        until(queued(1))
        there.add("topic")
        until(queued(2))
        assert set(Task.objects.values_list("topic", flat=True)) == {"topic"}
        breakers.close(zaken, reason="mended")
        until(queued(3))
    assert Task.objects.filter(topic="zaak").count() == 1


def test_nothing_is_fetched_from_an_engine_whose_breaker_is_open(
    scene: Scene, there: FakeEngine, open_poller: OpenPoller
) -> None:
    scene.process(places=10)
    until_then = timezone.now() + timedelta(hours=1)
    breakers.open_by_hand(scene.row, by="jansen", reason="upgrade", until=until_then)
    there.add()
    polls, _ = open_poller()
    with polling(polls, there):
        time.sleep(0.3)
        assert not Task.objects.exists()
        breakers.close(scene.row, by="jansen", reason="done")
        until(queued(1))


def test_a_poller_hears_at_once_that_a_breaker_opens_and_closes_and_not_of_probes(scene: Scene, zaken: Service) -> None:
    heard = threading.Semaphore(0)
    ear = Ear(heard.release, channel=FETCH_CHANNEL)
    ear.start()
    try:
        assert heard.acquire(timeout=20)
        while heard.acquire(timeout=0.3):
            """What it says itself when it begins to listen."""
        breakers.open_automatically(zaken, reason="nothing answers")
        assert heard.acquire(timeout=20)
        Opening.objects.update(next_probe_at=Now(), probes=F("probes") + 1)
        assert not heard.acquire(timeout=0.3)
        breakers.close(zaken, reason="mended")
        assert heard.acquire(timeout=20)
    finally:
        ear.stop(timeout=5)


def test_an_outage_from_first_call_to_last_task(
    scene: Scene, there: FakeEngine, open_floor: OpenFloor, open_poller: OpenPoller, zaken: Service, outside: Outside,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(floors, "HAND_BACK", timedelta(seconds=0.5))
    assert outcomes.HAND_BACK.total_seconds() >= 5, "what tests shorten is long enough in production"
    fail(outside)
    tasks = [there.add("zaak") for _ in range(30)]
    others = [there.add("topic") for _ in range(10)]
    polls, _ = open_poller()
    open_floor(places=4)
    with polling(polls, there):
        until(lambda: Opening.objects.filter(closed_at=None).exists())
        until(lambda: len(there.completed) == len(others))
        until(lambda: not Task.objects.filter(topic="zaak", status__in=[Status.QUEUED, Status.RUNNING]).exists())
        asked = len(outside.asked)
        time.sleep(1)
        assert len(outside.asked) == asked, "nobody calls what is known to be down"
        mend(outside)
        probe_now()
        assert breakers.opening(zaken) is not None, "one good probe is not enough"
        probe_now()
        until(lambda: len(there.completed) == len(tasks) + len(others))
    assert there.failures == []
    assert Opening.objects.get().closed_reason.startswith("2 probes in a row were good")


# Probes


def test_one_process_at_a_time_probes(scene: Scene, zaken: Service, outside: Outside) -> None:
    breakers.open_automatically(zaken, reason="nothing answers")
    Opening.objects.update(next_probe_at=Now())
    found: list[int] = []
    threads = [in_thread(lambda: found.append(breaker_probes.run())) for _ in range(6)]
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [0, 0, 0, 0, 0, 1]
    assert len(outside.asked) == 1


def test_many_runs_that_meet_an_outage_ask_once(scene: Scene, zaken: Service, outside: Outside) -> None:
    fail(outside)
    found: list[object] = []
    threads = [in_thread(lambda: found.append(breaker_probes.confirm(zaken, seen="503"))) for _ in range(8)]
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert None not in found
    assert len(outside.asked) == 1
    assert Breaker.objects.get().asking_until is None


def test_the_answer_to_an_earlier_question_counts_for_no_later_call(
    scene: Scene, zaken: Service, outside: Outside
) -> None:
    assert breaker_probes.confirm(zaken, seen="503") is None
    fail(outside)
    assert breaker_probes.confirm(zaken, seen="503") is not None


def test_a_login_that_is_refused_says_that_the_service_is_there(scene: Scene, zaken: Service, outside: Outside) -> None:
    outside.answer("zaken", {"code": "permission_denied"}, status=403)
    assert breaker_probes.probe(zaken).good
    outside.answer("zaken", {}, status=429)
    assert not breaker_probes.probe(zaken).good
    outside.cut("zaken")
    assert not breaker_probes.probe(zaken).good


def test_a_service_whose_login_only_applications_bring_is_probed_with_one_or_without(
    scene: Scene, zaken: Service, outside: Outside
) -> None:
    Service.objects.update(authentication="zgw")
    zaken.refresh_from_db()
    assert breaker_probes.probe(zaken).good
    assert "Authorization" not in outside.asked[-1].headers
    application = Application.objects.create(app_id="app", label="App", units=["test.*"])
    grant = ServiceGrant(application=application, service=zaken, client_id="app")
    grant.secret = "zeer-geheim-en-lang-genoeg-voor-hs256"
    grant.save()
    assert breaker_probes.probe(zaken).good
    assert outside.asked[-1].headers["Authorization"].startswith("Bearer ")


def test_a_bad_probe_begins_the_count_anew(scene: Scene, zaken: Service, outside: Outside) -> None:
    breakers.open_automatically(zaken, reason="nothing answers")
    probe_now()
    fail(outside)
    probe_now()
    mend(outside)
    probe_now()
    assert breakers.opening(zaken) is not None
    probe_now()
    assert breakers.opening(zaken) is None


def test_one_that_opens_again_soon_is_probed_more_rarely(scene: Scene, zaken: Service) -> None:
    waits = []
    for _ in range(6):
        opening = breakers.open_automatically(zaken, reason="nothing answers")
        opening.refresh_from_db()
        assert opening.next_probe_at is not None
        waits.append(round((opening.next_probe_at - opening.opened_at).total_seconds()))
        breakers.close(zaken, reason="two good probes")
    assert waits == [3, 6, 12, 24, 30, 30]


def test_the_sweep_says_when_there_is_something_to_probe(scene: Scene, zaken: Service) -> None:
    process = scene.process()
    assert not sweep(process, scene.clients).probes
    breakers.open_automatically(zaken, reason="nothing answers")
    Opening.objects.update(next_probe_at=Now())
    assert sweep(process, scene.clients).probes


# By hand


def test_a_maintenance_window_ends_by_its_time_and_is_probed_before_it_closes(
    scene: Scene, zaken: Service, outside: Outside
) -> None:
    fail(outside)
    breakers.open_by_hand(zaken, by="jansen", reason="new version", until=timezone.now() + timedelta(minutes=5))
    assert breaker_probes.run() == 0, "within the window nobody asks"
    Opening.objects.update(until=Now(), next_probe_at=Now())
    assert breaker_probes.run() == 1
    assert breakers.opening(zaken) is not None, "it is still down when the window is over"
    mend(outside)
    probe_now()
    probe_now()
    assert breakers.opening(zaken) is None


def test_opened_by_hand_it_takes_the_place_of_what_was_open_and_both_are_kept(scene: Scene, zaken: Service) -> None:
    breakers.open_automatically(zaken, reason="nothing answers")
    breakers.open_by_hand(zaken, by="jansen", reason="they mend it", until=timezone.now() + timedelta(hours=1))
    assert breakers.open_automatically(zaken, reason="still nothing").by_hand
    newest, oldest = breakers.history(zaken)
    assert (newest.opened_by, newest.closed_at) == ("jansen", None)
    assert (oldest.closed_by, oldest.closed_reason) == ("jansen", "they mend it")


def test_leases_that_are_given_back_otherwise_are_offered_at_once(scene: Scene) -> None:
    task = scene.task(Status.RUNNING)
    leases.end([task.last_lease_id], how=LeaseEnd.GIVEN_BACK, reason="the worker stops")
    task.refresh_from_db()
    assert task.retry_at is not None
    assert (task.retry_at - timezone.now()).total_seconds() < 1
