"""What must never be of a breaker is refused by the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from bptl.connections import breakers
from bptl.connections.models import Breaker, Engine, Opening
from bptl.connections.service_models import Service

LATER = timezone.now() + timedelta(hours=1)


@pytest.fixture
def zaken(db: None) -> Service:
    return Service.objects.create(name="zaken", kind="zrc", address="https://zaken.nl/", authentication="no_auth")


def test_a_breaker_is_of_one_service_or_one_engine(zaken: Service, engine: Engine) -> None:
    for wrong in ({}, {"service": zaken, "engine": engine}):
        with transaction.atomic(), pytest.raises(IntegrityError, match="breaker_of_one"):
            Breaker.objects.create(**wrong)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"reason": ""}, "opening_has_a_reason"),
        ({"opened_by": "jansen"}, "opening_by_hand_has_an_end"),
        ({"until": LATER}, "opening_by_hand_has_an_end"),
        ({"next_probe_at": None}, "opening_is_probed_until_closed"),
        ({"closed_at": LATER, "closed_reason": "well"}, "opening_is_probed_until_closed"),
        ({"closed_at": LATER, "next_probe_at": None}, "opening_is_probed_until_closed"),
        ({"closed_reason": "well"}, "opening_is_probed_until_closed"),
    ],
)
def test_an_opening_that_cannot_be_is_refused(zaken: Service, fields: dict[str, Any], rule: str) -> None:
    values = {"breaker": breakers.of(zaken), "reason": "seen", "next_probe_at": LATER, **fields}
    with transaction.atomic(), pytest.raises(IntegrityError, match=rule):
        Opening.objects.create(**values)


def test_a_breaker_is_open_once_at_a_time(zaken: Service) -> None:
    breakers.open_automatically(zaken, reason="seen")
    with transaction.atomic(), pytest.raises(IntegrityError, match="opening_one_at_a_time"):
        Opening.objects.create(breaker=breakers.of(zaken), reason="seen", next_probe_at=LATER)
    assert breakers.open_automatically(zaken, reason="seen by another").reason == "seen"


def test_openings_are_kept_for_a_time(zaken: Service) -> None:
    for days in (200, 10):
        breakers.open_automatically(zaken, reason=f"{days} days ago")
        breakers.close(zaken, reason="well")
        Opening.objects.filter(reason=f"{days} days ago").update(closed_at=Now() - timedelta(days=days))
    breakers.open_automatically(zaken, reason="now")
    assert breakers.remove_older(timedelta(days=180)) == 1
    assert [opening.reason for opening in breakers.history(zaken)] == ["now", "10 days ago"]


def test_a_long_reason_is_kept_as_one_line_that_fits(zaken: Service) -> None:
    reason = breakers.open_automatically(zaken, reason="HTTP 503\nand more " * 200).reason
    assert "\n" not in reason
    assert len(reason) == 700
