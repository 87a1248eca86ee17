"""BPTL refuses to start with an unsafe or unclear environment, and says what to do about each fault."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAFE = {
    "SECRET_KEY": "k3Jx0vTqz8LmP5wR2sYd7UfHb4Nc6GaE1oQi9WtX",
    "BPTL_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}


def load(environment: dict[str, str], expression: str = "'started'") -> subprocess.CompletedProcess[str]:
    """Load the settings in a process that has only ``environment``, and print ``expression`` of them."""
    program = f"from django.conf import settings; print({expression})"
    bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "bptl.conf.settings"}
    return subprocess.run(
        [sys.executable, "-c", program if "settings." in expression else f"{program}; settings.DEBUG"],
        env={**bare, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(environment: dict[str, str]) -> str:
    ended = load(environment)
    assert ended.returncode != 0
    return ended.stderr


def test_nothing_starts_without_secrets_and_both_are_named_with_the_fix() -> None:
    told = refusal({})
    assert "SECRET_KEY: is required" in told
    assert "BPTL_ENCRYPTION_KEYS: is required" in told
    assert told.count("openssl rand") == 2


def test_secrets_alone_are_enough_to_start() -> None:
    ended = load(SAFE, "settings.ALLOWED_HOSTS")
    assert ended.stdout.strip() == "['localhost', '127.0.0.1']", ended.stderr


@pytest.mark.parametrize("weak", ["changeme", "a" * 50, "django-insecure-k3Jx0vTqz8LmP5wR2sYd7UfHb4Nc6GaE1oQi9WtX"])
def test_a_secret_key_that_is_easy_to_guess_is_refused_and_not_repeated(weak: str) -> None:
    told = refusal({**SAFE, "SECRET_KEY": weak})
    assert "SECRET_KEY: is easy to guess" in told
    assert weak not in told


def test_an_encryption_key_that_is_none_is_named_by_position_and_not_repeated() -> None:
    told = refusal({**SAFE, "BPTL_ENCRYPTION_KEYS": f"{SAFE['BPTL_ENCRYPTION_KEYS']},not-a-key"})
    assert "BPTL_ENCRYPTION_KEYS: key 2 is not 32 bytes" in told
    assert "not-a-key" not in told


def test_wildcard_hosts_are_refused_outside_debug() -> None:
    assert "ALLOWED_HOSTS: * allows every host" in refusal({**SAFE, "ALLOWED_HOSTS": "*"})
    assert load({**SAFE, "ALLOWED_HOSTS": "*", "DEBUG": "True"}).returncode == 0


def test_cookies_are_for_https_only_unless_plain_http_is_said_by_name() -> None:
    cookies = "settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE"
    assert load(SAFE, cookies).stdout.strip() == "True True"
    assert "SESSION_COOKIE_SECURE: is False" in refusal({**SAFE, "SESSION_COOKIE_SECURE": "False"})
    assert load({**SAFE, "IS_HTTPS": "False"}, cookies).stdout.strip() == "False False"


def test_a_poll_job_longer_than_half_an_hour_and_a_request_longer_than_a_minute_are_refused_together() -> None:
    told = refusal({**SAFE, "LONG_POLLING_TIMEOUT_MINUTES": "31", "BPTL_LONG_POLL_SECONDS": "60"})
    assert "LONG_POLLING_TIMEOUT_MINUTES: is 31; use a value from 1 to 30" in told
    assert "BPTL_LONG_POLL_SECONDS: is 60.0; use a value from 1 to 55" in told


def test_the_cache_never_shares_its_redis_database_with_the_jobs() -> None:
    location = "settings.CACHES['default']['LOCATION']"
    assert load({**SAFE, "CELERY_BROKER_URL": "redis://:pw@broker:6379/3"}, location).stdout.strip() == (
        "redis://:pw@broker:6379/4"
    )


def test_https_behind_a_proxy_is_believed_only_when_told() -> None:
    header = "settings.SECURE_PROXY_SSL_HEADER"
    assert load(SAFE, header).stdout.strip() == "None"
    told = {**SAFE, "SECURE_PROXY_SSL_HEADER": "HTTP_X_FORWARDED_PROTO,https"}
    assert load(told, header).stdout.strip() == "('HTTP_X_FORWARDED_PROTO', 'https')"


def test_the_names_of_old_deployments_are_declared() -> None:
    names = load(SAFE, "' '.join(each.name for each in settings.BPTL_ENVIRONMENT)").stdout.split()
    assert {"DB_HOST", "DB_PASSWORD", "CELERY_BROKER_URL", "CELERY_WORKER_CONCURRENCY", "SUBPATH"} <= set(names)
    assert len(names) == len(set(names))
