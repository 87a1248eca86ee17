"""The page of the environment variables says what the readers say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stage.environment import without_servers

ROOT = Path(__file__).resolve().parents[3]


def printed(environment: dict[str, str]) -> str:
    """The page as it is made now, in a process that has nothing else in its environment that could be a setting."""
    return subprocess.run(
        [sys.executable, "-m", "bptl.conf.reference"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_page_of_environment_variables_is_up_to_date() -> None:
    kept = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    assert kept == printed(without_servers()), "write it anew with ./run docs"


def test_the_page_shows_no_secret_of_the_environment() -> None:
    environment = {**without_servers(), "DB_PASSWORD": "geheim-van-de-gemeente"}
    page = printed(environment)
    for name in ("SECRET_KEY", "BPTL_ENCRYPTION_KEYS", "DB_PASSWORD"):
        assert name in page
        assert environment[name] not in page
