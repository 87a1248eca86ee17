"""The recap of the founding page, whole: 500 cases, two kills in the middle, nothing lost and nothing twice.

Web, beat, two long-polling workers, three workers, Flower, PostgreSQL, Redis, nginx, and Operaton with a user that has
the three rights of the page; as plain processes at every run, and in containers with --all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stage.containers import Podman
from stage.images import Images, ToolMissing
from stage.maven import JavaMissing, engine_jar, java
from tests.acceptance.recap import TASKS_A_CASE, Account, Play, Recap, assert_bptl_agrees, assert_pages_and_flower, key
from tests.acceptance.recap_containers import Containers
from tests.acceptance.recap_processes import Processes

ALL_CASES, FEW_CASES = 500, 60
KILLS = 2

Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Tells how it goes in the middle of a run, and leaves the account in CI's log."""

    def aloud(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)

    return aloud


@pytest.fixture(autouse=True)
def engine_can_be_built() -> None:
    """Operaton needs Java."""
    try:
        engine_jar("operaton")
        java()
    except JavaMissing as error:
        pytest.skip(f"THE RECAP IS NOT PLAYED: {error}")


def played(recap: Recap, *, cases: int, say: Say) -> None:
    account = Play(recap, cases=cases, say=say).run()
    assert_pages_and_flower(recap)
    assert_bptl_agrees(recap, tasks=cases * TASKS_A_CASE)
    say(f"{account}\n")
    assert account.interrupted >= 1, "the worker was killed while it ran units"
    assert account == Account(
        cases=cases,
        ended=cases,
        tasks=cases * TASKS_A_CASE,
        completed=cases * TASKS_A_CASE,
        effects=cases,
        kills=KILLS,
        interrupted=account.interrupted,
        lost=0,
        effect_of_key={key(number): 1 for number in range(1, cases + 1)},
    )


@pytest.mark.timeout(900)
def test_processes_of_the_entry_scripts_lose_and_double_nothing(
    tmp_path: Path, say: Say, pytestconfig: pytest.Config
) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("THE RECAP IS NOT PLAYED: nginx is missing (Debian: apt-get install nginx)")
    everything = pytestconfig.getoption("all")
    with Processes.built(tmp_path) as recap:
        played(recap, cases=ALL_CASES if everything else FEW_CASES, say=say)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_containers_of_the_compose_file_lose_and_double_nothing(tmp_path: Path, say: Say) -> None:
    try:
        Images(Podman())
    except ToolMissing as error:
        pytest.skip(f"THE RECAP IS NOT PLAYED IN CONTAINERS: {error}")
    with Containers.built(tmp_path) as recap:
        played(recap, cases=ALL_CASES, say=say)
