"""``bptl alive`` finds the process of its container and asks that process only."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bptl.cli.alive import LATEST_SECONDS, alive, running


def processes(folder: Path, *commands: str) -> Path:
    """A folder such as /proc; each command is one process, words separated by blanks."""
    for number, command in enumerate(commands, start=1):
        (folder / str(number)).mkdir()
        (folder / str(number) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    return folder


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/opt/bptl/bin/python3 /opt/bptl/bin/bptl work", "work"),
        ("python -m bptl web --bind 0.0.0.0:8000", "web"),
        ("/opt/bptl/bin/python3 /opt/bptl/bin/bptl wait --broker bptl poll", None),
        ("sh -c sleep", None),
    ],
)
def test_the_kind_is_found_among_the_processes(tmp_path: Path, command: str, kind: str | None) -> None:
    assert running(processes(tmp_path, "/sbin/init", command)) == kind


def asked(kind: str, **environment: str) -> Result:
    return CliRunner().invoke(alive, [kind], env=environment)


def test_a_loop_that_turned_lately_lives_and_one_that_stands_still_does_not(tmp_path: Path) -> None:
    sign = tmp_path / "alive"
    sign.touch()
    assert asked("work", BPTL_ALIVE_FILE=str(sign)).exit_code == 0
    long_ago = time.time() - LATEST_SECONDS - 30
    os.utime(sign, (long_ago, long_ago))
    ended = asked("work", BPTL_ALIVE_FILE=str(sign))
    assert ended.exit_code == 1
    assert "its loop last turned" in ended.output


def test_a_loop_that_never_turned_does_not_live(tmp_path: Path) -> None:
    assert asked("poll", BPTL_ALIVE_FILE=str(tmp_path / "absent")).exit_code == 1


def test_a_loop_that_cannot_be_watched_says_so() -> None:
    assert "BPTL_ALIVE_FILE is not set" in asked("beat", BPTL_ALIVE_FILE="").output
