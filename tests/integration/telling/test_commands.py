"""``bptl incidents``, and owners in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from django.conf import settings
from pytest_django.fixtures import Settings

from bptl.cli.main import bptl
from bptl.connections import rotation
from bptl.connections.models import Mapping
from bptl.telling import rounds
from tests.doubles.mailbox import Mailbox
from tests.integration.telling.conftest import FALLBACK, OWNER, Fail

pytestmark = pytest.mark.django_db


def test_the_list_says_what_goes_wrong_and_whom_was_told(fail: Fail) -> None:
    fail(7)
    rounds.run()
    (row,) = json.loads(CliRunner().invoke(bptl, ["incidents", "list", "--json"]).output)
    assert (row["kind"], row["topic"], row["tasks"], row["to"]) == ("failed", "permit", 7, [OWNER])
    assert row["told"]
    shown = CliRunner().invoke(bptl, ["incidents", "list"]).output
    assert "zaak … is closed" in shown
    assert json.loads(CliRunner().invoke(bptl, ["incidents", "list", "--ended", "--json"]).output) == []


def test_a_test_tells_what_each_address_answered(fleet: None, post: Mailbox, settings: Settings) -> None:
    taken = CliRunner().invoke(bptl, ["incidents", "test"])
    assert (taken.exit_code, taken.output) == (0, f"{FALLBACK}: taken\n")
    settings.EMAIL_PORT = 1
    refused = CliRunner().invoke(bptl, ["incidents", "test"])
    assert refused.exit_code == 1
    assert "no mail was given to the mail server" in refused.output


def test_a_file_names_the_owner_of_a_mapping_once(mapping: Mapping, tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("een-geheim-van-de-ontvanger\n")
    file = tmp_path / "bptl.yaml"
    file.write_text(
        f"""
mappings_config_enable: true
mappings:
  items:
    - engine: main
      topic: permit
      unit: demo.quick
      owner_name: Team Zaken
      owner_mail: [zaken@example.nl]
      owner_webhook: https://chat.example.nl/hook
      owner_secret_file: {tmp_path / "hook"}
"""
    )
    first = CliRunner().invoke(bptl, ["configure", str(file)])
    assert first.exit_code == 0, first.output
    stored = Mapping.objects.get()
    assert (stored.owner_name, stored.owner_mail) == ("Team Zaken", ["zaken@example.nl"])
    assert stored.owner_secret == "een-geheim-van-de-ontvanger"
    encrypted = stored.encrypted_owner_secret
    CliRunner().invoke(bptl, ["configure", str(file)])
    assert Mapping.objects.get().encrypted_owner_secret == encrypted, "a row that is as the file says is not touched"


def test_the_secret_of_a_webhook_is_encrypted_anew_with_all_others(
    mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping.owner_webhook, mapping.owner_secret = "https://chat.example.nl/hook", "een-geheim-van-de-ontvanger"
    mapping.save()
    new = Fernet.generate_key().decode()
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [new, *settings.BPTL_ENCRYPTION_KEYS])
    assert rotation.rotate() == 1
    monkeypatch.setattr(settings, "BPTL_ENCRYPTION_KEYS", [new])
    assert Mapping.objects.get().owner_secret == "een-geheim-van-de-ontvanger"
