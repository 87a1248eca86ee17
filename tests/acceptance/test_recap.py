"""The recap of the founding page, whole: 500 cases, two kills in the middle, nothing lost and nothing twice.

Web, beat, two long-polling workers, three workers, Flower, PostgreSQL, Redis, nginx, and Operaton with a user that has
the three rights of the page; as plain processes at every run, and in containers with --all.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stage.containers import Podman
from stage.images import Images, ToolMissing
from stage.maven import JavaMissing, engine_jar, java
from tests.acceptance.recap import TASKS_A_CASE, UNIT_OF_TOPIC, USER, Account, Play, Recap, key
from tests.acceptance.recap_containers import Containers
from tests.acceptance.recap_processes import Processes
from tests.acceptance.visits import Visits

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
    assert_bptl_agrees(recap, tasks=cases * TASKS_A_CASE)
    assert_pages_and_flower(recap)


def assert_pages_and_flower(recap: Recap) -> None:
    """Somebody logs in at nginx and finds a task; Flower answers nobody without its password."""
    visits = Visits(recap.pages)
    assert "/login/" in visits.address_of("tasks/"), "a stranger is asked to log in"
    visits.log_in(USER, recap.password)
    listed = visits.text(f"tasks/?business_key={key(1)}")
    assert all(topic in listed for topic in UNIT_OF_TOPIC)
    assets = {asset: visits.status(asset) for asset in visits.assets(listed)}
    assert assets == dict.fromkeys(assets, 200)
    assert len(assets) > 1, "the pages have styles and scripts"
    assert Visits(recap.flower).status("") == 401
    user, _, password = recap.flower_login.partition(":")
    assert Visits(recap.flower, user=user, password=secrets.token_urlsafe(16)).status("") == 401
    inside = Visits(recap.flower, user=user, password=password).text("")
    assert "long-polling" in inside, "Flower shows the workers"


def assert_bptl_agrees(recap: Recap, *, tasks: int) -> None:
    """BPTL's own count is that of the engine: nothing else, nothing left over."""
    told = recap.wait(
        "every task is delivered", lambda: not set(found := _counts(recap)) - {"delivered"} and found, seconds=30
    )
    assert told == {"delivered": {"completed": tasks}}


def _counts(recap: Recap) -> dict[str, Any]:
    counted: dict[str, Any] = json.loads(recap.bptl("tasks", "count", "--json"))
    return counted


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
