"""What the demo keeps between its runs."""

from __future__ import annotations

from pathlib import Path

from stage.demo import kept_secrets


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = kept_secrets(path)
    assert kept_secrets(path) == made
    assert path.stat().st_mode & 0o077 == 0


def test_two_demos_do_not_share_secrets(tmp_path: Path) -> None:
    assert kept_secrets(tmp_path / "a.json") != kept_secrets(tmp_path / "b.json")
