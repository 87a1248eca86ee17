"""What ended is counted by the minute, twice, and drawn by the quarter and the hour."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from bptl.tasks import trends
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Lease, Minute
from bptl.tasks.upkeep import minutes
from tests.integration.scene import Scene, lease_of

MINUTE = timedelta(minutes=1)


def ended(
    scene: Scene, *, ago: timedelta, outcome: Outcome = Outcome.COMPLETED, took: timedelta | None = timedelta(seconds=2)
) -> Lease:
    """A lease whose outcome was stored so long ago; ``took`` from fetch to delivery, None: not delivered."""
    status = Status.DELIVERED if took else Status.PERFORMED
    lease = lease_of(scene.task(status, outcome, live=not took))
    at = timezone.now() - ago
    Lease.objects.filter(id=lease.id).update(
        performed_at=at,
        outcome=outcome,
        recorded_at=at - timedelta(seconds=1),
        ended_at=at - timedelta(seconds=1) + took if took else None,
        ended_as="delivered" if took else "",
    )
    return lease


def total() -> trends.Span:
    """The last day in one."""
    found = trends.Span(timezone.now())
    for span in trends.last_day(timezone.now()):
        found.add(span)
    return found


def count_all() -> None:
    """Every run that a day needs."""
    while minutes.count():
        pass


def test_what_ended_is_counted_by_outcome_with_its_latency(scene: Scene) -> None:
    ended(scene, ago=3 * MINUTE)
    ended(scene, ago=3 * MINUTE, outcome=Outcome.FAILED)
    ended(scene, ago=30 * MINUTE, outcome=Outcome.THROWN, took=timedelta(minutes=4))
    count_all()
    day = total()
    assert (day.completed, day.failed, day.thrown, day.total) == (1, 1, 1, 3)
    assert day.median is not None
    assert day.p95 is not None
    assert abs(day.median.total_seconds() - 2) < 0.2
    assert abs(day.p95.total_seconds() - 240) < 20


def test_a_late_delivery_is_found_by_the_second_count(scene: Scene) -> None:
    lease = ended(scene, ago=4 * MINUTE, took=None)
    count_all()
    assert (total().completed, total().median) == (1, None)
    # Time goes on: the first count is seven minutes old, and the engine has taken the report meanwhile.
    Lease.objects.filter(id=lease.id).update(
        performed_at=F("performed_at") - 4 * MINUTE, ended_at=F("performed_at") - 3 * MINUTE, ended_as="delivered"
    )
    Minute.objects.filter(final=False).delete()
    Minute.objects.update(final=False)
    count_all()
    assert (total().completed, total().median is None) == (1, False)


def test_the_first_count_stands_for_some_minutes_and_the_second_for_ever(scene: Scene) -> None:
    count_all()
    states = dict(Minute.objects.values_list("start", "final"))
    newest = max(states)
    assert not states[newest]
    assert states[newest - 10 * MINUTE]
    Minute.objects.update(completed=9)
    assert minutes.count() == 0
    assert total().completed == 9 * total().counted


def test_the_newest_minutes_are_counted_first_and_a_day_is_made_up_for(scene: Scene) -> None:
    ended(scene, ago=23 * 60 * MINUTE)
    assert minutes.count() == minutes.AT_ONCE
    assert total().completed == 0
    newest = Minute.objects.order_by("-start").first()
    assert newest is not None
    assert timezone.now() - newest.start < 3 * MINUTE
    count_all()
    assert total().completed == 1
    assert Minute.objects.count() in {1440, 1441}


def test_old_minutes_are_forgotten(scene: Scene) -> None:
    old = Minute.objects.create(
        start=timezone.now() - timedelta(days=3), completed=1, failed=0, thrown=0, latencies={}, final=True
    )
    minutes.count()
    assert not Minute.objects.filter(start=old.start).exists()


@pytest.mark.django_db
def test_a_day_has_96_quarters_and_each_hour_of_the_clock_once() -> None:
    now = datetime.fromisoformat("2026-11-26T17:52:10+00:00")
    Minute.objects.create(start=now - MINUTE, completed=4, failed=0, thrown=0, latencies={"40": 4}, final=False)
    spans = trends.last_day(now)
    assert len(spans) == 96
    assert spans[-1].start.isoformat() == "2026-11-26T17:45:00+00:00"
    hours = trends.by_hour(spans)
    assert [hours[0].start.hour, hours[-1].start.hour, len(hours)] == [18, 17, 24]
    assert (hours[-1].completed, hours[-1].median) == (4, spans[-1].median)
