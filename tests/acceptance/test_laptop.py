"""The laptop of a newcomer: the demo with nothing but Python, and what it keeps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stage.processes import Part

ROOT = Path(__file__).resolve().parents[2]
CASE = re.compile(r"started case VTH-0*(\d+)")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for the demo's data. Root's database runs as another user, who must be let in."""
    with tempfile.TemporaryDirectory(prefix="bptl-laptop-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which no program is found: no Java, no Node, no Docker."""
    return {"PATH": str(tmp_path), "HOME": str(tmp_path), "LANG": "C.UTF-8"}


def in_session(leader: int) -> list[str]:
    """The processes that a session leader has left behind; a process may change its group, hardly its session."""
    listed = subprocess.run(["ps", "-axo", "pid=,stat=,args="], check=True, capture_output=True, text=True).stdout
    left = []
    for line in listed.splitlines():
        pid, status, command = line.split(maxsplit=2)
        try:
            if os.getsid(int(pid)) == leader and not status.startswith("Z"):
                left.append(command)
        except ProcessLookupError:
            continue
    return left


def demo(home: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "stage.demo", "--home", str(home), *options]


def test_ten_cases_end_on_a_machine_with_nothing_but_python(home: Path, bare: dict[str, str]) -> None:
    running = subprocess.Popen(
        demo(home, "--headless", "--cases", "10"),
        cwd=ROOT,
        env=bare,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output, _ = running.communicate(timeout=240)

    assert running.returncode == 0, output
    assert "2 zaken, 2 rollen, 8 statussen, 2 besluiten, 2 documenten, 2 mails; 2 zaken closed" in output
    assert output.splitlines()[-1] == "10 of 10 cases ended, 54 tasks delivered, 0 lost"
    assert in_session(running.pid) == []


def test_reset_forgets_and_operaton_without_java_says_what_to_install(home: Path, bare: dict[str, str]) -> None:
    (home / "sandbox").mkdir()
    done = subprocess.run(
        demo(home, "--reset", "--headless", "--engine", "operaton"),
        cwd=ROOT,
        env=bare,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "apt-get install openjdk" in done.stderr
    assert not (home / "sandbox").exists()


def watched(home: Path, bare: dict[str, str], log: Path) -> list[int]:
    """The numbers of the cases that a demo has started when it is ended by Ctrl-C after its second."""
    part = Part("the demo", demo(home), log=log, environment=bare, directory=ROOT, stop_signal=signal.SIGINT)
    part.start()
    try:
        part.wait_until(lambda: len(CASE.findall(log.read_text())) >= 2, seconds=120)
        listed = subprocess.run([home / "bptl", "engines", "list"], check=True, capture_output=True, text=True, env={})
        assert "sandbox" in listed.stdout, "the command that the demo leaves behind talks to it"
    finally:
        part.stop(grace=120)
    assert part.exit_code == 128 + signal.SIGINT, log.read_text()
    return [int(number) for number in CASE.findall(log.read_text())]


def test_a_demo_goes_on_where_it_was_ended(home: Path, bare: dict[str, str], tmp_path: Path) -> None:
    first = watched(home, bare, tmp_path / "first.log")
    assert first[:2] == [1, 2]

    second = watched(home, bare, tmp_path / "second.log")
    assert second[0] == first[-1] + 1
    login = re.compile(r"BPTL +\S+ +admin / \S+")
    logins = [login.findall((tmp_path / name).read_text())[0].split()[-1] for name in ("first.log", "second.log")]
    assert logins[0] == logins[1]


def test_two_demos_do_not_share_their_data(home: Path, bare: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "first.log"
    part = Part("the demo", demo(home), log=log, environment=bare, directory=ROOT)
    part.start()
    try:
        part.wait_until(lambda: "starting the engine" in log.read_text(), seconds=60)
        second = subprocess.run(demo(home), cwd=ROOT, env=bare, check=False, capture_output=True, text=True, timeout=60)
    finally:
        part.stop(grace=60)
    assert second.returncode == 1
    assert "a demo works with" in second.stderr
