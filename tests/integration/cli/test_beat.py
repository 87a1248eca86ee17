"""beat as a process of its own, whatever the database does when it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys

import redis

from stage.ports import HOST
from stage.postgres import connect
from tests.integration.waiting import until

_BEATS = "SELECT count(*) FROM tasks_process WHERE kind = 'beat' AND stopped_at IS NULL"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
BPTL = [sys.executable, "-m", "bptl"]


def test_beat_that_waits_for_a_database_stops_when_told_to(fresh_environment: dict[str, str]) -> None:
    nobody = {**fresh_environment, "DB_HOST": HOST, "DB_PORT": "1"}
    beat = subprocess.Popen([*BPTL, "beat"], env=nobody, stderr=subprocess.PIPE, text=True)
    try:
        assert beat.stderr is not None
        while "beat.failed" not in (line := beat.stderr.readline()):
            assert line, "beat gave up"
        beat.send_signal(signal.SIGTERM)
        beat.stderr.close()
        assert beat.wait(timeout=60) == 0
    finally:
        beat.kill()
        beat.wait()


def test_beat_does_not_fill_the_broker_while_nobody_takes_its_messages(migrated_environment: dict[str, str]) -> None:
    broker = redis.Redis.from_url(migrated_environment["CELERY_BROKER_URL"])
    broker.rpush("long-polling", *["nobody takes this"] * 100)
    beat = subprocess.Popen([*BPTL, "beat"], env=migrated_environment, stderr=subprocess.PIPE, text=True)
    try:
        assert beat.stderr is not None
        while "beat.held_back" not in (line := beat.stderr.readline()):
            assert line, "beat ended"
        beat.stderr.close()
        until(lambda: broker.llen("celery") > 0)
        assert broker.llen("long-polling") == 100

        broker.delete("long-polling")
        until(lambda: broker.llen("long-polling") > 0)
    finally:
        beat.kill()
        beat.wait()


def test_beat_stops_in_order_though_the_database_keeps_it_waiting(migrated_environment: dict[str, str]) -> None:
    beat = subprocess.Popen([*BPTL, "beat"], env=migrated_environment, stderr=subprocess.DEVNULL)
    try:
        with connect(migrated_environment) as database, connect(migrated_environment) as watch:
            until(lambda: watch.execute(_BEATS).fetchall() == [(1,)])
            with database.transaction():
                database.execute("LOCK TABLE tasks_process IN ACCESS EXCLUSIVE MODE")
                until(lambda: watch.execute(_WAITING).fetchall() == [(1,)])
                beat.send_signal(signal.SIGTERM)
            assert beat.wait(timeout=60) == 0
            assert watch.execute(_BEATS).fetchall() == [(0,)]
    finally:
        beat.kill()
        beat.wait()
