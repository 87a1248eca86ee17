"""Containers start in any order: the entry scripts wait, migrate once, and become their process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stage.environment import without_servers

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
# The scripts start `bptl` by its name.
SCRIPTS = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def waiting(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bptl", "wait", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def script(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(DEPLOY / name), *arguments], env={**environment, **SCRIPTS}, capture_output=True, text=True, check=False
    )


def test_replicas_that_start_together_migrate_once_and_all_become_their_command(
    fresh_environment: dict[str, str],
) -> None:
    replicas = [waiting("--migrate", "echo", "started", environment=fresh_environment) for _ in range(3)]
    replicas.append(waiting("echo", "started", environment=fresh_environment))
    ended = [replica.communicate(timeout=240) for replica in replicas]
    assert [(replica.returncode, out) for replica, (out, _) in zip(replicas, ended, strict=True)] == [
        (0, "started\n")
    ] * 4, ended
    assert sum(told.count("migrations.applied") for _, told in ended) == 1


def test_a_database_that_stays_away_is_waited_for_aloud_and_not_for_ever() -> None:
    ended = script("celery_beat.sh", environment={**without_servers(), "BPTL_WAIT_SECONDS": "2"})
    assert ended.returncode == 75
    assert "start.awaited" in ended.stderr
    assert "waited 2 s (BPTL_WAIT_SECONDS) for the database in vain" in ended.stderr


def test_a_wrong_configuration_ends_the_start_at_once() -> None:
    ended = script("start.sh", environment={**without_servers(), "SECRET_KEY": "changeme"})
    assert ended.returncode == 2
    assert "SECRET_KEY: is easy to guess" in ended.stderr


@pytest.mark.parametrize("arguments", [[], ["klantcontact"]])
def test_a_queue_that_does_not_exist_is_refused_with_those_that_do(arguments: list[str]) -> None:
    ended = script(
        "celery_worker.sh", *arguments, environment={**without_servers(), "CELERY_WORKER_QUEUE": "klantcontact"}
    )
    assert ended.returncode == 2
    assert "'klantcontact'" in ended.stderr
    assert "long-polling" in ended.stderr
