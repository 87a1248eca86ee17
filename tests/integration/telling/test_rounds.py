"""What people are told: grouped, once, ever more rarely, and never of what concerns nobody."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django.fixtures import Settings

from bptl.accounts.audit import By
from bptl.accounts.models import AuditEntry
from bptl.connections.models import Engine, Mapping
from bptl.tasks import sessions, sql
from bptl.tasks.models import Event, Fetch, Process, Task
from bptl.telling import acts, digests, outbox, rounds
from bptl.telling.models import Incident, Look, Message, Sighting
from tests.doubles.mailbox import Mailbox
from tests.doubles.webhook import Receiver
from tests.integration.telling.conftest import FALLBACK, OWNER, SECRET, Fail, go_on

pytestmark = pytest.mark.django_db
BY = By("jansen")


def later(**of: float) -> None:
    """So much time goes by for every open incident."""
    past = timedelta(**of)
    Incident.objects.filter(ended_at=None).update(
        tell_at=F("tell_at") - past, began_at=F("began_at") - past, last_at=F("last_at") - past
    )
    Sighting.objects.update(seen_at=F("seen_at") - past)


def send() -> int:
    return outbox.send(seconds=20)


def subjects(box: Mailbox, recipient: str) -> list[str]:
    return [str(mail.message["Subject"]) for mail in box.to(recipient)]


def test_four_hundred_failures_are_one_mail_and_one_digest(fail: Fail, post: Mailbox) -> None:
    fail(400)
    rounds.run()
    assert subjects(post, OWNER) == ["BPTL: tasks of permit failed, no retries are left"]
    rounds.run()
    assert len(post.received) == 1, "the same failures are told once"

    Look.objects.update(digested_until=timezone.now() - timedelta(hours=2))
    later(minutes=timezone.now().minute + 1)
    rounds.run()
    rounds.run()
    mails = post.to(OWNER)
    assert len(mails) == len(post.received) == 2
    digest = mails[1].text
    assert str(mails[1].message["Subject"]).startswith("BPTL: 1 incident since")
    assert "400 tasks" in digest
    assert f"https://bptl.example.nl/incidents/{Incident.objects.get().pk}/" in digest


def test_a_mail_says_what_how_many_since_when_and_where_to_look_and_nothing_of_anybody(
    fail: Fail, post: Mailbox
) -> None:
    fail(3, message="no zaak 2024-17 for 'Jan de Vries' (jan@example.nl), password=hunter2, BSN 123456782")
    rounds.run()
    incident = Incident.objects.get()
    (mail,) = post.to(OWNER)
    assert "3 tasks since" in mail.text
    assert f"https://bptl.example.nl/incidents/{incident.pk}/" in mail.text
    assert "no zaak" in mail.text
    for hidden in ("123456782", "Vries", "jan@example", "hunter2", "2024", "Traceback"):
        assert hidden not in mail.content.decode() + incident.cause
    assert f'<a href="https://bptl.example.nl/incidents/{incident.pk}/"' in mail.html


def test_a_failure_that_is_tried_again_is_told_to_nobody(fail: Fail, post: Mailbox) -> None:
    fail(5, retries=2)
    rounds.run()
    assert post.received == []
    assert not Incident.objects.exists()


def test_each_cause_is_an_incident_of_its_own(fail: Fail, post: Mailbox) -> None:
    fail(2, message="zaak 12 is closed")
    fail(2, message="no such document")
    fail(2, message="zaak 13 is closed")
    rounds.run()
    assert sorted(Incident.objects.values_list("count", flat=True)) == [2, 4]
    assert len(post.to(OWNER)) == 2


def test_what_goes_on_is_told_ever_more_rarely_and_only_when_it_grew(fail: Fail, post: Mailbox) -> None:
    fail(1)
    rounds.run()
    later(minutes=14)
    fail(11)
    rounds.run()
    assert len(post.to(OWNER)) == 1, "not yet"
    later(minutes=2)
    rounds.run()
    assert "goes on" in subjects(post, OWNER)[-1]
    assert "12 tasks since" in post.to(OWNER)[-1].text
    incident = Incident.objects.get()
    assert incident.tell_at is not None
    assert incident.told_at is not None
    assert incident.tell_at - incident.told_at == timedelta(hours=1)
    later(minutes=61)
    rounds.run()
    assert len(post.to(OWNER)) == 2, "nothing new happened"


def test_it_is_over_when_no_task_is_left_and_nothing_new_came(fail: Fail, post: Mailbox) -> None:
    tasks = fail(3)
    rounds.run()
    later(minutes=11)
    go_on(tasks[0])
    rounds.run()
    assert Incident.objects.get().ended_at is None, "two still wait for somebody"
    go_on(tasks[1])
    go_on(tasks[2])
    rounds.run()
    assert Incident.objects.get().ended_at is not None
    assert "over" in subjects(post, OWNER)[-1]
    fail(1)
    rounds.run()
    assert Incident.objects.count() == 2, "what fails after that is a new incident"
    assert len(post.to(OWNER)) == 3


def test_who_retries_and_fails_again_within_minutes_is_in_the_same_incident(fail: Fail, post: Mailbox) -> None:
    (task,) = fail(1)
    rounds.run()
    go_on(task)
    fail(1)
    rounds.run()
    assert Incident.objects.get().count == 2
    assert len(post.to(OWNER)) == 1


def test_the_end_is_told_only_when_the_installation_wants_it(fail: Fail, post: Mailbox, settings: Settings) -> None:
    settings.BPTL_INCIDENT_TELL_END = False
    (task,) = fail(1)
    rounds.run()
    later(minutes=11)
    go_on(task)
    rounds.run()
    assert Incident.objects.get().ended_at is not None
    assert len(post.received) == 1


def test_an_uncertain_task_that_waits_for_a_person_is_told_once_whatever_leases_it_gets(
    fail: Fail, post: Mailbox
) -> None:
    (task,) = fail(1, status="uncertain", outcome="", result=None, error_group="", parked=True)
    task.effects.create(key="create-zaak", lease_id=task.last_lease_id, gives_up_at=Now(), settles_at=Now())
    rounds.run()
    assert subjects(post, OWNER) == ["BPTL: nobody knows whether an effect of permit happened"]
    later(minutes=11)
    rounds.run()
    assert (Incident.objects.get().count, Incident.objects.get().ended_at) == (1, None)


def test_who_gives_up_a_task_is_not_told_of_it(fail: Fail, post: Mailbox) -> None:
    (task,) = fail(1)
    Event.objects.create(task=task, name="task.given_up", actor="jansen")
    rounds.run()
    assert post.received == []


def test_a_result_that_the_engine_refuses_is_told(fail: Fail, post: Mailbox) -> None:
    fail(2, status="performed", outcome="completed", result={"variables": {}}, error_group="", parked=True)
    rounds.run()
    assert subjects(post, OWNER) == ["BPTL: the engine refuses results of permit"]


def test_without_an_owner_the_installation_is_told(fail: Fail, mapping: Mapping, post: Mailbox) -> None:
    Mapping.objects.update(owner_mail=[])
    fail(2)
    rounds.run()
    assert len(post.to(FALLBACK)) == 1
    assert post.to(OWNER) == []


def test_what_failed_before_there_was_telling_is_old_news(fail: Fail, post: Mailbox) -> None:
    fail(1, changed_at=timezone.now() - timedelta(days=3))
    rounds.run()
    assert post.received == []


def test_more_failures_than_one_look_takes_in_are_all_counted(
    fail: Fail, post: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bptl.telling import watch

    monkeypatch.setattr(watch, "MOST", 40)
    fail(100)
    for _ in range(3):
        rounds.look()
    assert Incident.objects.get().count == 100


def test_a_webhook_is_signed_and_told_the_same(fail: Fail, mapping: Mapping, receiver: Receiver) -> None:
    acts.set_owner(mapping, name="Team", mail=[], webhook=receiver.url, secret=SECRET, by=BY, reason="nieuw")
    fail(4)
    rounds.run()
    (call,) = receiver.calls
    assert call.signed
    assert call.path == "/hooks/bptl"
    assert call.delivery == str(Message.objects.get().pk)
    assert {name: call.payload[name] for name in ("event", "kind", "topic", "engine", "count", "unit")} == {
        "event": "incident.began",
        "kind": "failed",
        "topic": "permit",
        "engine": "main",
        "count": 4,
        "unit": "demo.quick",
    }
    assert "123456782" not in str(call.payload)


@pytest.mark.parametrize("status", [500, 403, 302])
def test_a_webhook_that_does_not_take_it_is_tried_again_with_growing_waits(
    status: int, fail: Fail, mapping: Mapping, receiver: Receiver
) -> None:
    acts.set_owner(mapping, name="", mail=[], webhook=receiver.url, secret=SECRET, by=BY, reason="nieuw")
    receiver.status, receiver.location = status, receiver.url + "/elsewhere"
    fail(1)
    rounds.run()
    assert [call.path for call in receiver.calls] == ["/hooks/bptl"], "a redirect is not followed"
    message = Message.objects.get()
    assert str(status) in message.error
    assert message.next_try_at is not None
    waits = []
    for _ in range(3):
        Message.objects.update(next_try_at=Now())
        send()
        message.refresh_from_db()
        waits.append(message.next_try_at - timezone.now())
    assert waits == sorted(waits)
    receiver.status = 200
    Message.objects.update(next_try_at=Now())
    send()
    assert Message.objects.get().sent_at is not None
    assert len({call.delivery for call in receiver.calls}) == 1, "a receiver can tell that it is the same message"


def test_no_webhook_reaches_into_a_private_network(
    fail: Fail, mapping: Mapping, receiver: Receiver, settings: Settings
) -> None:
    settings.BPTL_WEBHOOK_NETWORKS = ["10.1.0.0/16"]
    acts.set_owner(mapping, name="", mail=[], webhook=receiver.url, secret=SECRET, by=BY, reason="nieuw")
    fail(1)
    rounds.run()
    assert receiver.calls == []
    assert "127.0.0.1, which is not a public address" in Message.objects.get().error


def test_a_mail_server_that_is_down_delays_and_loses_nothing(fail: Fail, post: Mailbox, settings: Settings) -> None:
    settings.EMAIL_PORT = 1
    fail(1, message="one")
    fail(1, message="another")
    rounds.run()
    assert sorted(Message.objects.values_list("tries", flat=True)) == [0, 1], "the second one would only wait as well"
    settings.EMAIL_PORT = post.port
    Message.objects.update(next_try_at=Now())
    send()
    assert len(post.to(OWNER)) == 2


def test_what_nobody_takes_for_a_day_is_given_up_and_stays_to_be_seen(fail: Fail, settings: Settings) -> None:
    settings.EMAIL_PORT = 1
    fail(1)
    rounds.run()
    Message.objects.update(next_try_at=Now(), planned_at=Now() - timedelta(hours=25))
    send()
    message = Message.objects.get()
    assert (message.next_try_at, message.sent_at) == (None, None)
    assert message.given_up_at is not None


def test_a_muted_incident_is_silent_until_then_also_when_it_begins_anew(fail: Fail, post: Mailbox) -> None:
    (task,) = fail(1)
    rounds.run()
    acts.mute(Incident.objects.get().pk, until=timezone.now() + timedelta(hours=3), by=BY, reason="release vanavond")
    later(minutes=16)
    fail(5)
    rounds.run()
    Task.objects.exclude(pk=task.pk).delete()
    go_on(task)
    later(minutes=16)
    rounds.run()
    fail(1)
    rounds.run()
    assert Incident.objects.count() == 2
    assert len(post.to(OWNER)) == 1
    Incident.objects.filter(ended_at=None).update(muted_until=Now() - timedelta(minutes=1))
    later(minutes=181)
    rounds.run()
    assert len(post.to(OWNER)) == 2
    assert AuditEntry.objects.get(action="incident.muted").reason == "release vanavond"


def test_a_broken_mapping_is_told_when_it_stays_broken_and_when_it_is_mended(mapping: Mapping, post: Mailbox) -> None:
    Mapping.objects.update(unit="no.such_unit")
    rounds.run()
    assert post.received == [], "a restart with a package less for a moment is no incident"
    later(minutes=2)
    rounds.run()
    assert subjects(post, OWNER) == ["BPTL: the mapping of permit is broken, nothing is fetched for it"]
    assert "no.such_unit" in post.received[0].text
    Mapping.objects.update(unit="demo.quick")
    rounds.run()
    assert len(post.to(OWNER)) == 2
    assert Incident.objects.get().ended_at is not None


def polls(engine: Engine, end: str, number: int, *, since: float) -> None:
    """So many polls of an engine in the last ``since`` seconds, that ended so."""
    poller = Process.objects.get(kind="poll")
    for index in range(number):
        at = Now() - timedelta(seconds=since * (index + 1) / number)
        Fetch.objects.create(
            worker_id=f"bptl-{end}-{index}",
            engine=engine,
            process=poller,
            topics=["permit"],
            max_tasks=1,
            wait_ms=1,
            lock_ms=1,
            started_at=at,
            closed_at=at,
            closed_as=end,
        )


def test_an_engine_that_is_not_reached_is_told_to_the_installation_and_over_when_it_answers(
    engine: Engine, fleet: None, post: Mailbox
) -> None:
    polls(engine, "never_sent", 18, since=175)
    rounds.run()
    assert subjects(post, FALLBACK) == ["BPTL: engine main is not reached"]
    Fetch.objects.all().delete()
    rounds.run()
    assert Incident.objects.get().ended_at is None, "nobody asks it: nothing is known"
    polls(engine, "answered", 1, since=5)
    rounds.run()
    assert subjects(post, FALLBACK)[-1] == "BPTL: over: engine main is not reached"


def test_an_engine_that_missed_a_few_polls_is_no_incident(engine: Engine, fleet: None, post: Mailbox) -> None:
    polls(engine, "answered", 1, since=100)
    polls(engine, "never_sent", 9, since=90)
    rounds.run()
    assert not Incident.objects.exists()


def test_a_fleet_without_workers_is_told_and_a_restart_is_not(engine: Engine, fleet: None, post: Mailbox) -> None:
    Process.objects.filter(kind="work").update(stopped_at=Now())
    rounds.run()
    Process.objects.filter(kind="work").update(stopped_at=None)
    rounds.run()
    assert not Incident.objects.exists(), "it leaves no trace"
    Process.objects.filter(kind="work").update(stopped_at=Now())
    rounds.run()
    later(minutes=2)
    rounds.run()
    assert subjects(post, FALLBACK) == ["BPTL: no worker lives, nothing is done"]


def test_a_digest_goes_to_everybody_who_has_something_to_hear_and_to_nobody_else(
    fail: Fail, mapping: Mapping, post: Mailbox
) -> None:
    other = Mapping.objects.create(engine=mapping.engine, topic="quiet", unit="demo.quick", owner_mail=["x@example.nl"])
    fail(2)
    fail(1, message="something else")
    rounds.run()
    look = Look.objects.get()
    look.digested_until = timezone.now() - timedelta(minutes=1)
    ended = timezone.localtime().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    assert digests.write(look, ended + timedelta(minutes=1)) == 1
    send()
    digest = post.to(OWNER)[-1]
    assert str(digest.message["Subject"]).startswith("BPTL: 2 incidents since")
    assert post.to(other.owner_mail[0]) == []
    assert digests.write(look, ended + timedelta(minutes=2)) == 0


def test_a_daily_digest_goes_out_at_its_hour(settings: Settings) -> None:
    settings.BPTL_INCIDENT_DIGEST, settings.BPTL_INCIDENT_DIGEST_HOUR = "daily", 7
    at = timezone.localtime().replace(hour=6, minute=59)
    before, after = digests.last_period(at), digests.last_period(at + timedelta(minutes=1))
    assert before is not None
    assert after is not None
    assert before[1] == after[0]
    assert timezone.localtime(after[1]).hour == 7
    settings.BPTL_INCIDENT_DIGEST = "off"
    assert digests.last_period(at) is None


def test_messages_speak_the_language_of_the_installation(fail: Fail, post: Mailbox, settings: Settings) -> None:
    settings.BPTL_INCIDENT_LANGUAGE = "nl"
    fail(2)
    rounds.run()
    assert subjects(post, OWNER) == ["BPTL: taken van permit zijn mislukt, zonder verdere pogingen"]


def test_old_incidents_are_forgotten_with_what_was_told_of_them(fail: Fail) -> None:
    (task,) = fail(1)
    rounds.run()
    later(minutes=11)
    go_on(task)
    rounds.run()
    Incident.objects.update(ended_at=Now() - timedelta(days=200))
    rounds.run()
    assert (Incident.objects.count(), Sighting.objects.count(), Message.objects.count()) == (0, 0, 0)


def test_a_test_is_sent_at_once_and_says_what_went_wrong(mapping: Mapping, post: Mailbox, settings: Settings) -> None:
    (message,) = acts.test(mapping, by=BY)
    assert message.sent_at is not None
    assert "jansen" in post.to(OWNER)[0].text
    settings.EMAIL_PORT = 1
    (message,) = acts.test(None, by=BY)
    assert message.given_up_at is not None
    assert message.error


_READ = """
SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::int AS rows
FROM pg_stat_xact_user_tables WHERE relname = 'tasks_task'
"""


def test_a_look_that_finds_nothing_reads_no_task_however_many_there_are(fail: Fail) -> None:
    yesterday = {"changed_at": timezone.now() - timedelta(days=1)}
    fail(300, status="delivered", outcome="completed", result={"variables": {}}, error_group="", **yesterday)
    fail(300, **yesterday)
    fail(300, retries=2, **yesterday)
    sql.query(
        "ANALYZE tasks_task"
    )  # as autovacuum does at times: the plan must not depend on what other tests have left
    sessions.walk_indexes(connection)
    (before,) = sql.query(_READ)
    rounds.look()
    (after,) = sql.query(_READ)
    assert after.rows - before.rows < 10


@pytest.mark.django_db(transaction=True)
def test_two_rounds_at_once_tell_nothing_twice(fail: Fail, post: Mailbox) -> None:
    Look.objects.create(id=1)
    fail(40)
    together = threading.Barrier(4)

    def process() -> None:
        try:
            together.wait()
            rounds.look()
            outbox.send(seconds=10)
            rounds.look()
            outbox.send(seconds=10)
        finally:
            connection.close()

    threads = [threading.Thread(target=process) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Incident.objects.get().count == 40
    assert len(post.to(OWNER)) == len(post.received) == 1
