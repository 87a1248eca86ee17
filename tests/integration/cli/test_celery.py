"""Celery inside a worker process: what ends it does not end the process, and what is to end the process does."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import redis
from kombu import Connection

from stage.postgres import connect
from tests.integration.waiting import until

FAILS_ONCE = """
import sys
from celery.worker.consumer import Consumer
from bptl.cli.main import main

start = Consumer.start

def start_that_fails_once(consumer):
    Consumer.start = start
    raise AttributeError("as the broker's client does when the broker is lost while a message is not acknowledged")

Consumer.start = start_that_fails_once
sys.argv = ["bptl", sys.argv[1]]
main()
"""


@pytest.mark.parametrize(("verb", "queue"), [("work", "celery"), ("poll", "long-polling")])
def test_a_worker_takes_messages_again_after_an_error_that_celery_does_not_expect(
    migrated_environment: dict[str, str], verb: str, queue: str
) -> None:
    broker = redis.Redis.from_url(migrated_environment["CELERY_BROKER_URL"])
    process = subprocess.Popen(
        [sys.executable, "-c", FAILS_ONCE, verb], env=migrated_environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        while "celery.gave_up" not in (line := process.stderr.readline()):
            assert line, "the process ended"
        process.stderr.close()
        with Connection(migrated_environment["CELERY_BROKER_URL"]) as connection:
            connection.SimpleQueue(queue).put({"a message": "that Celery takes and does not know"})
        until(lambda: broker.llen(queue) == 0)
        with connect(migrated_environment) as database:
            living = database.execute("SELECT pid FROM tasks_process WHERE stopped_at IS NULL").fetchall()
        assert living == [(process.pid,)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


_DRAINING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET \"draining\"%'"
_LIVING = "SELECT count(*) FROM tasks_process WHERE stopped_at IS NULL"


@pytest.mark.parametrize("verb", ["work", "poll"])
def test_a_worker_that_is_told_twice_stops_in_order_though_the_database_keeps_it_waiting(
    migrated_environment: dict[str, str], verb: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bptl", verb], env=migrated_environment, stderr=subprocess.PIPE, text=True
    )
    try:
        with connect(migrated_environment) as database, connect(migrated_environment) as watch:
            assert process.stderr is not None
            while "ready." not in (line := process.stderr.readline()):
                assert line, "the process ended"
            process.stderr.close()
            with database.transaction():
                database.execute("LOCK TABLE tasks_process IN ACCESS EXCLUSIVE MODE")
                process.send_signal(signal.SIGTERM)
                until(lambda: watch.execute(_DRAINING).fetchall() == [(1,)])
                process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert watch.execute(_LIVING).fetchall() == [(0,)]
    finally:
        process.kill()
        process.wait()
