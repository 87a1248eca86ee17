"""The command as a process of its own: what it needs, and what it says when that is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from stage.environment import without_servers
from stage.ports import HOST, free_port

BARE = {"PATH": os.environ["PATH"]}


def bptl(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bptl", *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["units"], ["engines", "add", "--help"], ["mappings", "add", "--help"]]
)
def test_help_and_the_catalogue_need_no_configuration(arguments: list[str]) -> None:
    ended = bptl(*arguments, environment=BARE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_faults_of_the_environment_are_one_line_each_without_a_traceback() -> None:
    ended = bptl("engines", "list", environment=BARE)
    assert ended.returncode == 2
    assert [line.split(":")[:2] for line in ended.stderr.splitlines()] == [
        ["bptl", " SECRET_KEY"],
        ["bptl", " BPTL_ENCRYPTION_KEYS"],
    ]


def test_a_database_that_is_away_is_named_with_its_address_and_the_fix() -> None:
    ended = bptl("engines", "list", environment={**BARE, **without_servers()})
    assert ended.returncode == 1
    assert f"{HOST}:1" in ended.stderr
    assert "DB_HOST" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_without_tables_is_answered_with_the_command_that_makes_them(
    fresh_environment: dict[str, str],
) -> None:
    ended = bptl("mappings", "list", environment=fresh_environment)
    assert ended.returncode == 1
    assert "bptl manage migrate" in ended.stderr


def test_an_installation_is_migrated_checked_and_served(fresh_environment: dict[str, str]) -> None:
    migrated = bptl("manage", "migrate", "--no-input", environment=fresh_environment)
    assert migrated.returncode == 0, migrated.stderr
    checked = bptl("manage", "check", "--deploy", "--fail-level", "ERROR", environment=fresh_environment)
    assert checked.returncode == 0, checked.stderr
    address = f"{HOST}:{free_port()}"
    server = subprocess.Popen(
        [sys.executable, "-m", "bptl", "web", "--bind", address, "--processes", "1"],
        env=fresh_environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert answered(f"http://{address}/ready") == (200, "yes\n")
        status, page = answered(f"http://{address}/admin/login/")
        assert status == 200
        assert "csrfmiddlewaretoken" in page
        assert answered(f"http://{address}/static/admin/css/base.css")[0] == 200
    finally:
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=60)
    assert server.returncode == 0
    assert log.splitlines()
    assert all(line.startswith("{") for line in log.splitlines()), log


def answered(url: str) -> tuple[int, str]:
    """Status and text of ``url``; waits until somebody listens, at most a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
