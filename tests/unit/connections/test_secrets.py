"""Secrets at rest, and how keys are changed."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pytest_django.fixtures import Settings

from bptl.connections import secrets

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_a_secret_is_not_in_its_token_and_comes_back(settings: Settings) -> None:
    settings.BPTL_ENCRYPTION_KEYS = [NEW]
    token = secrets.encrypt("geheim é")
    assert "geheim" not in token
    assert secrets.decrypt(token) == "geheim é"
    assert secrets.encrypt("geheim é") != token


def test_an_older_key_still_opens_what_it_encrypted(settings: Settings) -> None:
    settings.BPTL_ENCRYPTION_KEYS = [OLD]
    token = secrets.encrypt("geheim")
    settings.BPTL_ENCRYPTION_KEYS = [NEW, OLD]
    assert secrets.decrypt(token) == "geheim"


def test_without_a_fitting_key_the_error_names_the_setting_and_not_the_token(settings: Settings) -> None:
    settings.BPTL_ENCRYPTION_KEYS = [OLD]
    token = secrets.encrypt("geheim")
    settings.BPTL_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(secrets.Undecryptable, match="BPTL_ENCRYPTION_KEYS") as caught:
        secrets.decrypt(token)
    assert token not in str(caught.value)


def test_a_reencrypted_secret_needs_the_first_key_only(settings: Settings) -> None:
    settings.BPTL_ENCRYPTION_KEYS = [OLD]
    token = secrets.encrypt("geheim")
    settings.BPTL_ENCRYPTION_KEYS = [NEW, OLD]
    renewed = secrets.reencrypt(token)
    settings.BPTL_ENCRYPTION_KEYS = [NEW]
    assert secrets.decrypt(renewed) == "geheim"
