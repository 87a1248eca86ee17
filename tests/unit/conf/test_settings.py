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


def test_no_proxy_is_trusted_until_it_is_named() -> None:
    trusted = "settings.BPTL_TRUSTED_PROXIES"
    assert load(SAFE, trusted).stdout.strip() == "[]"
    named = {**SAFE, "BPTL_TRUSTED_PROXIES": "10.0.3.7, 10.1.0.0/16"}
    assert load(named, trusted).stdout.strip() == "['10.0.3.7/32', '10.1.0.0/16']"
    assert "BPTL_TRUSTED_PROXIES: " in refusal({**SAFE, "BPTL_TRUSTED_PROXIES": "proxy.example.com"})


def test_believing_a_header_from_everybody_is_refused_with_what_to_say_instead() -> None:
    told = refusal({**SAFE, "SECURE_PROXY_SSL_HEADER": "HTTP_X_FORWARDED_PROTO,https"})
    assert "name the proxy in BPTL_TRUSTED_PROXIES" in told


@pytest.mark.parametrize(
    ("contradiction", "told"),
    [
        ({"IS_HTTPS": "False", "SESSION_COOKIE_SECURE": "True"}, "SESSION_COOKIE_SECURE: is True with IS_HTTPS=False"),
        ({"SESSION_COOKIE_HTTPONLY": "False"}, "SESSION_COOKIE_HTTPONLY: is False"),
        ({"EMAIL_USE_TLS": "True", "EMAIL_USE_SSL": "True"}, "EMAIL_USE_SSL: and EMAIL_USE_TLS"),
        ({"DEFAULT_FROM_EMAIL": "Gemeente Voorbeeld"}, "DEFAULT_FROM_EMAIL: is no mail address"),
        ({"CACHE_URL": "redis://r/0", "CELERY_BROKER_URL": "redis://r/0"}, "CACHE_URL: is the broker's database"),
        ({"SUBPATH": "https://example.com/bptl"}, "SUBPATH: is "),
        ({"DB_HOST": "new", "DATABASE_HOST": "old"}, "DB_HOST: DB_HOST and DATABASE_HOST differ"),
        ({"ALLOWED_HOSTS": "https://bptl.example.com"}, "ALLOWED_HOSTS: 'https://bptl.example.com' is no host name"),
        ({"ALLOWED_HOSTS": "bptl.example.com:443"}, "ALLOWED_HOSTS: 'bptl.example.com:443' is no host name"),
        ({"CSRF_TRUSTED_ORIGINS": "bptl.example.com"}, "CSRF_TRUSTED_ORIGINS: 'bptl.example.com' is no origin"),
        ({"CELERY_WORKER_QUEUE": "klantcontact"}, "CELERY_WORKER_QUEUE: is 'klantcontact'; use one of"),
        ({"BPTL_TRACE_VARIABLE": "traceparent"}, "BPTL_TRACE_VARIABLE: is of use with OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "otel:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT: is no http(s) address"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: is 'grpc'; use one of http/protobuf"),
        ({"SENTRY_DSN": "https://sentry.example.com/7"}, "SENTRY_DSN: is no DSN"),
    ],
)
def test_a_contradiction_is_refused_by_name(contradiction: dict[str, str], told: str) -> None:
    assert told in refusal({**SAFE, **contradiction})


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CACHE_URL"])
@pytest.mark.parametrize("address", ["broker:6379", "amqp://guest:geheim@broker//", "redis://:ge/heim@broker:6379/0"])
def test_what_is_no_address_of_redis_is_refused_and_not_repeated(name: str, address: str) -> None:
    told = refusal({**SAFE, name: address})
    assert f"{name}: is no address of Redis or Valkey" in told
    assert "heim" not in told


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("CELERY_BROKER_URL", "redis://:een%2Fgeheim@broker:6379/0", "een/geheim"),
        ("FLOWER_BASIC_AUTH", "jansen:een-geheim,smit:twee-geheim", "twee-geheim"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=een-geheim", "een-geheim"),
        ("SENTRY_DSN", "https://een-geheim@sentry.example.com/7", "een-geheim"),
        ("DB_PASSWORD", "een-geheim", "een-geheim"),
        ("SECRET_KEY", SAFE["SECRET_KEY"], SAFE["SECRET_KEY"]),
        ("BPTL_ENCRYPTION_KEYS", SAFE["BPTL_ENCRYPTION_KEYS"], SAFE["BPTL_ENCRYPTION_KEYS"]),
    ],
)
def test_what_is_secret_in_a_setting_is_hidden_in_every_text(name: str, value: str, word: str) -> None:
    assert redacted(f"x {word} y", {name: value}) == "x *** y"


def test_words_of_an_address_without_a_login_stay() -> None:
    assert redacted("redis://localhost:6379/0", {}) == "redis://localhost:6379/0"


def redacted(text: str, environment: dict[str, str]) -> str:
    """As a process with this environment shows it."""
    redact = "__import__('bptl.lib.redaction').lib.redaction.redact"
    ended = load({**SAFE, **environment}, f"settings.TIME_ZONE[:0] + {redact}({text!r})")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_cookies_of_a_sub_path_are_seen_there_only() -> None:
    paths = "settings.FORCE_SCRIPT_NAME, settings.SESSION_COOKIE_PATH, settings.CSRF_COOKIE_PATH"
    assert load({**SAFE, "SUBPATH": "bptl/"}, paths).stdout.strip() == "/bptl /bptl/ /bptl/"
    assert load(SAFE, paths).stdout.strip() == "None / /"


def test_a_name_that_nobody_reads_is_refused_with_the_nearest_one() -> None:
    told = refusal({**SAFE, "CELERY_WORKER_CONCURENCY": "3", "DB_USER_FILE": "/run/secrets/user", "BPTL_FOO": "1"})
    assert "CELERY_WORKER_CONCURENCY: nobody reads this; did you mean CELERY_WORKER_CONCURRENCY?" in told
    assert "DB_USER_FILE: DB_USER is no secret" in told
    assert "BPTL_FOO: nobody reads this" in told


def test_what_kubernetes_tells_of_services_is_no_mistake_and_no_setting() -> None:
    linked = {"BPTL_SERVICE_HOST": "10.0.0.1", "BPTL_PORT": "tcp://10.0.0.1:8000", "DB_PORT_5432_TCP_ADDR": "10.0.0.2"}
    linked["DB_PORT"] = "tcp://10.0.0.2:6543"
    assert load({**SAFE, **linked}, "settings.DATABASES['default']['PORT']").stdout.strip() == "5432"


def test_every_environment_name_of_existing_deployments_is_read_or_says_why_it_does_nothing() -> None:
    old = [
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "DEBUG",
        "ADMINS",
        "SUBPATH",
        "SESSION_COOKIE_SECURE",
        "SESSION_COOKIE_HTTPONLY",
        "CSRF_COOKIE_SECURE",
        "SITE_ID",
        "IS_HTTPS",
        "DB_NAME",
        "DB_USER",
        "DB_PASSWORD",
        "DB_HOST",
        "DB_PORT",
        "EMAIL_HOST",
        "EMAIL_PORT",
        "EMAIL_HOST_USER",
        "EMAIL_HOST_PASSWORD",
        "EMAIL_USE_TLS",
        "DEFAULT_FROM_EMAIL",
        "KCC_DEFAULT_FROM_EMAIL",
        "KCC_EMAIL_HOST",
        "KCC_EMAIL_PORT",
        "KCC_EMAIL_HOST_USER",
        "KCC_EMAIL_HOST_PASSWORD",
        "KCC_EMAIL_USE_TLS",
        "KCC_EMAIL_USE_SSL",
        "KCC_EMAIL_TIMEOUT",
        "LOG_STDOUT",
        "SENTRY_DSN",
        "VERSION_TAG",
        "ELASTIC_APM_SECRET_TOKEN",
        "ELASTIC_APM_SERVER_URL",
        "CELERY_BROKER_URL",
        "CELERY_RESULT_BACKEND",
        "CELERY_ONCE_REDIS_URL",
        "CELERY_TASK_SOFT_TIME_LIMIT",
        "CELERY_QUEUE_ONCE_TIMEOUT",
        "LONG_POLLING_TIMEOUT_MINUTES",
        "MAX_TOTAL_DOCUMENT_SIZE",
        "MAX_DOCUMENT_SIZE",
        "CHUNK_SIZE",
        "XENTIAL_URL_TOKEN_TIMEOUT_DAYS",
        "XENTIAL_CALLBACK_URL",
        "UWSGI_PORT",
        "UWSGI_PROCESSES",
        "UWSGI_THREADS",
        "FIXTURES_DIR",
        "CELERY_LOGLEVEL",
        "CELERY_WORKER_QUEUE",
        "CELERY_WORKER_NAME",
        "CELERY_WORKER_CONCURRENCY",
    ]
    read = set(load(SAFE, "' '.join(each.name for each in settings.BPTL_ENVIRONMENT)").stdout.split())
    silent = [name for name in old if name not in read]
    said = load({**SAFE, **dict.fromkeys(silent, "1")}, "' '.join(name for name, _ in settings.BPTL_RETIRED_NAMES)")
    assert sorted(said.stdout.split()) == sorted(silent), said.stderr


def test_the_names_of_old_deployments_are_declared() -> None:
    names = load(SAFE, "' '.join(each.name for each in settings.BPTL_ENVIRONMENT)").stdout.split()
    assert {"DB_HOST", "DB_PASSWORD", "CELERY_BROKER_URL", "CELERY_WORKER_CONCURRENCY", "SUBPATH"} <= set(names)
    assert len(names) == len(set(names))
