"""The stage starts what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from stage.ports import HOST, free_port
from stage.postgres import Postgres, connect
from stage.probes import listens
from stage.processes import Part, PartFailed, Stage
from stage.valkey import Valkey

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def one(environment: dict[str, str], query: str) -> object:
    with connect(environment) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_postgres_keeps_its_data_over_a_restart_and_a_crash() -> None:
    with Stage() as stage:
        postgres = stage.add(Postgres())
        postgres.start()
        with connect(postgres.environment()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        postgres.restart()
        assert one(postgres.environment(), "SELECT count(*) FROM kept") == 1
        postgres.crash()
        assert not listens(postgres.port)
        postgres.start()
        assert one(postgres.environment(), "SELECT count(*) FROM kept") == 1


def test_postgres_asks_for_its_password() -> None:
    with Stage() as stage:
        postgres = stage.add(Postgres(durable=False))
        postgres.start()
        with pytest.raises(psycopg.OperationalError, match="password"):
            connect({**postgres.environment(), "DB_PASSWORD": "guessed"})


def test_a_named_directory_keeps_data_and_password_for_the_next_run() -> None:
    with tempfile.TemporaryDirectory() as parent:
        # Root's server runs as another user, who must be let in.
        Path(parent).chmod(0o755)
        home = Path(parent) / "postgres"
        for expected in ("empty", "kept"):
            with Stage() as stage:
                postgres = stage.add(Postgres(home))
                postgres.start()
                found = one(postgres.environment(), "SELECT coalesce(to_regclass('kept')::text, 'empty')")
                assert found == expected
                with connect(postgres.environment()) as connection:
                    connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")


def test_data_whose_creation_was_interrupted_are_created_anew() -> None:
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        home = Path(parent) / "postgres"
        code = f"""
from pathlib import Path
from stage.postgres import Postgres
from stage.processes import Stage
with Stage() as stage:
    stage.add(Postgres(Path({str(home)!r}))).start()
"""
        holder = Part("the holder", [sys.executable, "-c", code], log=Path(parent) / "holder.log")
        holder.start()
        begun = [home / "data.unfinished" / "PG_VERSION", home / "data"]
        holder.wait_until(lambda: any(path.exists() for path in begun), seconds=30)
        holder.stop()
        assert holder.exit_code == 128 + signal.SIGTERM
        with Stage() as stage:
            postgres = stage.add(Postgres(home))
            postgres.start()
            assert one(postgres.environment(), "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_a_closed_directory_gives_way_to_one_that_the_servers_user_can_enter(tmp_path: Path) -> None:
    with Stage() as stage:
        postgres = stage.add(Postgres(tmp_path / "postgres", durable=False))
        postgres.start()
        assert one(postgres.environment(), "SELECT 1") == 1


def test_a_stopped_postgres_leaves_no_process_and_no_files() -> None:
    with Stage() as stage:
        postgres = stage.add(Postgres(durable=False))
        postgres.start()
        with connect(postgres.environment()) as connection:
            backend = connection.info.backend_pid
        postmaster = postgres.part.pid
    assert not lives(postmaster)
    assert not lives(backend)
    assert not listens(postgres.port)
    assert not postgres.home.exists()


def test_valkey_answers_at_the_same_address_after_a_restart_and_is_gone_after_stop() -> None:
    with Stage() as stage:
        valkey = stage.add(Valkey())
        valkey.start()
        first = valkey.part.pid
        valkey.restart()
        assert valkey.part.pid != first
        with socket.create_connection((HOST, valkey.port), timeout=5) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(16) == b"+PONG\r\n"
        last = valkey.part.pid
    assert not lives(first)
    assert not lives(last)
    assert not listens(valkey.port)


def test_a_part_that_ends_early_names_its_log_and_shows_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    part = Part("the oracle", [sys.executable, "-c", "import sys; sys.exit('no port left')"], log=log)
    part.start()
    with pytest.raises(PartFailed) as caught:
        part.wait_until(lambda: False, seconds=30)
    assert caught.value.name == "the oracle"
    assert str(log) in str(caught.value)
    assert "no port left" in str(caught.value)
    assert "exit code 1" in str(caught.value)


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="the oracle cannot be started"):
        Part("the oracle", [str(tmp_path / "nothing")], log=tmp_path / "part.log").start()


def test_a_part_that_is_never_ready_is_reported_and_stopped(tmp_path: Path) -> None:
    part = Part("the sleeper", SLEEP, log=tmp_path / "part.log")
    with Stage() as stage:
        stage.add(part)
        part.start()
        with pytest.raises(PartFailed, match="was not ready after"):
            part.wait_until(lambda: False, seconds=0.1)
    assert part.exit_code == -signal.SIGTERM


def test_a_part_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    part = Part("the deaf one", DEAF, log=log)
    part.start()
    part.wait_until(lambda: "deaf" in log.read_text(), seconds=30)
    part.stop(grace=0.2)
    assert part.exit_code == -signal.SIGKILL


def test_a_paused_part_can_be_stopped(tmp_path: Path) -> None:
    part = Part("the sleeper", SLEEP, log=tmp_path / "part.log")
    part.start()
    part.pause()
    part.stop()
    assert part.exit_code == -signal.SIGTERM


def test_a_killed_part_takes_its_children_with_it(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    code = f"import subprocess; child = subprocess.Popen({SLEEP!r}); print(child.pid, flush=True); child.wait()"
    part = Part("the parent", [sys.executable, "-c", code], log=log)
    part.start()
    part.wait_until(lambda: "awake" in log.read_text(), seconds=30)
    child = next(int(line) for line in log.read_text().splitlines() if line.isdigit())
    group = os.getpgid(child)
    part.kill()
    assert group == part.pid
    assert part.exit_code == -signal.SIGKILL


def test_parts_are_stopped_in_reverse_order_also_after_an_exception() -> None:
    stopped: list[str] = []

    class Recorded:
        def __init__(self, name: str) -> None:
            self.name = name

        def stop(self) -> None:
            stopped.append(self.name)

    def fail_after_two_parts() -> None:
        with Stage() as stage:
            stage.add(Recorded("database"))
            stage.add(Recorded("worker"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_two_parts()
    assert stopped == ["worker", "database"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_stage_stops_its_parts(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "holder.log"
    code = f"""
from pathlib import Path
from stage.processes import Part, Stage
with Stage() as stage:
    part = stage.add(Part("inner", {SLEEP!r}, log=Path({str(tmp_path / "inner.log")!r})))
    part.start()
    print(part.pid, flush=True)
    part.wait(seconds=60)
"""
    holder = Part("the holder", [sys.executable, "-c", code], log=log)
    holder.start()
    holder.wait_until(lambda: log.read_text().endswith("\n"), seconds=30)
    inner = int(log.read_text())
    assert lives(inner)
    os.kill(holder.pid, number)
    assert holder.wait(seconds=30) == 128 + number
    assert not lives(inner)


def test_a_port_is_given_only_once() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)


def test_an_embedded_server_starts_although_its_caller_has_no_environment() -> None:
    code = "from stage.valkey import Valkey; v = Valkey(); v.start(); print(v.part.running); v.stop()"
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "True", done.stderr
