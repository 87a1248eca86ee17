"""The meters of the benchmark, held against work whose cost is known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis

from benchmarks.meters import SETTINGS, Commands, Cpu, Sql, resident_mb, shared_out_mb, tree
from stage.postgres import Postgres, connect
from tests.integration.waiting import until

BURN = """
import os, sys, threading, time
def burn():
    while time.thread_time() < 0.3: pass
child = os.fork()
if child == 0:
    burn(); os._exit(0)
os.waitpid(child, 0)
thread = threading.Thread(target=burn); thread.start(); thread.join()
print("done", flush=True); sys.stdin.read()
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres(settings=SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_cpu_of_threads_and_ended_children_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        cpu = Cpu({"burner": process.pid})
        assert process.stdout.readline() == b"done\n"
        spent = cpu.spent()
        process.stdin.close()

    assert spent["burner"] >= 0.5


def test_descendants_belong_to_a_tree_and_have_a_size() -> None:
    command = ["sh", "-c", "sleep 60 & echo started; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        members = list(tree(process.pid))
        sizes, shared_out = resident_mb(process.pid), shared_out_mb(process.pid)
        subprocess.run(["kill", *map(str, reversed(members))], check=True)

    assert len(members) == len(sizes) == 2
    assert all(0 < size < 100 for size in sizes)
    assert 0 < shared_out < sum(sizes), "both run the same program"


def test_statements_of_the_measured_database_are_counted(postgres: Postgres) -> None:
    sql = Sql(postgres, postgres.database)
    with connect(postgres.environment()) as connection:
        for number in range(3):
            connection.execute("SELECT %s::int + 1", [number])
    with connect(postgres.environment(database="postgres")) as connection:
        connection.execute("SELECT 'elsewhere'")

    (found,) = [one for one in sql.spent() if "SELECT" in one.text]
    assert (found.calls, found.rows) == (3, 3)
    assert found.plan_ms > 0
    assert found.execution_ms > 0


def test_checks_of_foreign_keys_are_told_apart(postgres: Postgres) -> None:
    with connect(postgres.environment()) as connection:
        connection.execute("CREATE TABLE owner (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE pet (owner_id int REFERENCES owner DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO owner VALUES (1)")
        sql = Sql(postgres, postgres.database)
        connection.execute("INSERT INTO pet SELECT 1 FROM generate_series(1, 5)")

    found = sql.spent()
    assert sum(one.calls for one in found if one.sent) == 1
    assert sum(one.calls for one in found if not one.sent) == 5


def test_commands_of_the_broker_are_counted(broker: str) -> None:
    client = redis.Redis.from_url(broker)
    commands = Commands(broker)
    for _ in range(3):
        client.ping()

    assert commands.spent()["ping"] == 3
    client.close()


def test_rows_that_are_read_in_sequence_are_counted_by_table(postgres: Postgres) -> None:
    with connect(postgres.environment()) as connection:
        connection.execute("CREATE TABLE long AS SELECT generate_series(1, 1000) AS number")
        connection.execute("CREATE TABLE unread AS SELECT 1 AS number")
    sql = Sql(postgres, postgres.database)
    with connect(postgres.environment()) as connection:
        connection.execute("SELECT sum(number) FROM long")

    # Sessions tell of their scans at the latest when they end, which is a little after the client has left.
    until(lambda: sql.read_in_sequence()["long"])
    found = sql.read_in_sequence()
    assert (found["long"], found["unread"]) == (1000, 0)
