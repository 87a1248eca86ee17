"""Workers hear from PostgreSQL that there is work; messages of the broker are for those who cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from bptl.tasks import listening
from bptl.workers import waker
from bptl.workers.app import app
from bptl.workers.ear import Ear
from bptl.workers.waker import Waker
from tests.integration.waiting import until


@pytest.fixture
def told() -> Iterator[threading.Semaphore]:
    """Released once when listening begins, and at each word."""
    heard = threading.Semaphore(0)
    ear = Ear(heard.release)
    ear.start()
    assert heard.acquire(timeout=10), "it looks for work when it begins to listen"
    assert heard.acquire(timeout=10), "it hears its own word"
    yield heard
    ear.stop()


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(app, "send_task", lambda job, **_: sent.append(job))
    return sent


def test_who_makes_work_is_heard_when_it_is_committed(
    transactional_db: None, told: threading.Semaphore, messages: list[str]
) -> None:
    with transaction.atomic():
        Waker().send(1)
        assert not told.acquire(timeout=0.2)
    assert told.acquire(timeout=10)


def test_an_ear_whose_connection_was_cut_listens_again_and_looks_for_what_it_missed(
    transactional_db: None, told: threading.Semaphore, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "RETRY_SECONDS", 0.05)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN bptl_work%'")
        assert cursor.rowcount >= 1
    assert told.acquire(timeout=10), "it listens again"
    Waker().send(1)
    assert told.acquire(timeout=10)


def test_much_work_sends_few_messages(
    transactional_db: None, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waker, "GATHER", 0.3)
    sender = Waker()
    sender.start()
    for _ in range(50):
        sender.send(20)
    until(lambda: messages)
    sender.stop()
    assert messages == ["bptl.work"] * waker.MESSAGES


def test_a_little_work_sends_a_message_too_for_workers_that_hear_nothing(
    transactional_db: None, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waker, "GATHER", 0.01)
    monkeypatch.setattr(waker, "AT_MOST_EVERY", 0.05)
    sender = Waker()
    sender.start()
    sender.send(1)
    until(lambda: messages == ["bptl.work"])
    sender.send(2)
    until(lambda: messages == ["bptl.work"] * 3)
    sender.stop()


def test_a_database_that_is_away_keeps_nobody_from_sending_messages(
    transactional_db: None, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(waker, "GATHER", 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(psycopg.Cursor, "execute", away)
        sender = Waker()
        sender.start()
        sender.send(1)
    until(lambda: messages == ["bptl.work"])
    sender.stop()
