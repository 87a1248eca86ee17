"""Celery inside a worker process: what ends it does not end the process."""

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
    fresh_environment: dict[str, str], verb: str, queue: str
) -> None:
    migrate = [sys.executable, "-m", "bptl", "manage", "migrate", "--no-input"]
    subprocess.run(migrate, env=fresh_environment, check=True, capture_output=True)
    broker = redis.Redis.from_url(fresh_environment["CELERY_BROKER_URL"])
    process = subprocess.Popen(
        [sys.executable, "-c", FAILS_ONCE, verb], env=fresh_environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        while "celery.gave_up" not in (line := process.stderr.readline()):
            assert line, "the process ended"
        process.stderr.close()
        with Connection(fresh_environment["CELERY_BROKER_URL"]) as connection:
            connection.SimpleQueue(queue).put({"a message": "that Celery takes and does not know"})
        until(lambda: broker.llen(queue) == 0)
        with connect(fresh_environment) as database:
            living = database.execute("SELECT pid FROM tasks_process WHERE stopped_at IS NULL").fetchall()
        assert living == [(process.pid,)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
