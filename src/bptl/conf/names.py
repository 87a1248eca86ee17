"""Names of environment variables that no reader reads: those that lost their meaning, and those that are mistakes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

OURS = ("BPTL_", "CELERY_", "DB_", "EMAIL_", "KCC_", "LONG_POLLING_", "UWSGI_", "XENTIAL_")
"""A name that begins so and that nobody reads is taken for a mistake: it would be ignored in silence."""

BESIDE = frozenset({
    # Read by the command line, the entry scripts and the compose file rather than by the settings.
    "BPTL_ENGINE_PASSWORD", "BPTL_IMAGE", "BPTL_SANDBOX_PASSWORD",
    # Read by tests and CI.
    "BPTL_ALLOWED_SKIPS", "BPTL_CHROMIUM",
    # Celery sets these itself; a worker that starts itself anew hands them on.
    "CELERY_LOG_FILE", "CELERY_LOG_LEVEL",
})  # fmt: skip

# Kubernetes and old Docker links describe services in the environment of their neighbours, also one named bptl or db.
_LINKED = re.compile(r".*_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)")

_NO_FILES = "logs go to stderr, one event a line"
_NO_ONCE = "jobs carry no ids and need no once-locks"
_NO_APM = "Elastic APM takes traces of OpenTelemetry: set OTEL_EXPORTER_OTLP_ENDPOINT to its address"
_NO_KCC = "this version has no work units that mail for OpenKlant"
_NO_VALIDSIGN = "this version has no ValidSign units"
_NO_XENTIAL = "this version has no Xential units"

RETIRED: Mapping[str, str] = {
    "ADMINS": "failures are events in the log; nobody is mailed about them",
    "SITE_ID": "addresses are made from the request, not from a site row",
    "LOG_STDOUT": _NO_FILES,
    "ELASTIC_APM_SECRET_TOKEN": _NO_APM,
    "ELASTIC_APM_SERVER_URL": _NO_APM,
    "CELERY_RESULT_BACKEND": "rows in PostgreSQL are the results; jobs have none",
    "CELERY_ONCE_REDIS_URL": _NO_ONCE,
    "CELERY_QUEUE_ONCE_TIMEOUT": _NO_ONCE,
    **dict.fromkeys(
        (
            *("KCC_DEFAULT_FROM_EMAIL", "KCC_EMAIL_HOST", "KCC_EMAIL_PORT", "KCC_EMAIL_HOST_USER"),
            *("KCC_EMAIL_HOST_PASSWORD", "KCC_EMAIL_USE_TLS", "KCC_EMAIL_USE_SSL", "KCC_EMAIL_TIMEOUT"),
        ),
        _NO_KCC,
    ),
    **dict.fromkeys(("MAX_TOTAL_DOCUMENT_SIZE", "MAX_DOCUMENT_SIZE", "CHUNK_SIZE"), _NO_VALIDSIGN),
    **dict.fromkeys(("XENTIAL_URL_TOKEN_TIMEOUT_DAYS", "XENTIAL_CALLBACK_URL"), _NO_XENTIAL),
    "FIXTURES_DIR": "it was never used",
}
"""Names of existing deployments that do nothing here, and why."""


class Retired(NamedTuple):
    """A name that is set and does nothing, with the reason."""

    name: str
    reason: str


def retired(source: Mapping[str, str]) -> tuple[Retired, ...]:
    """Those of ``source`` that are set and do nothing."""
    return tuple(Retired(name, reason) for name, reason in RETIRED.items() if source.get(name, "").strip())


def mistakes(source: Mapping[str, str], *, known: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """Each set name of ours that nobody reads, with the fix; ``known`` are the names that are read: is it secret?"""
    files = {f"{name}_FILE" for name, secret in known.items() if secret}
    read = {*known, *files, *RETIRED, *BESIDE}
    for name in sorted(source):
        if not name.startswith(OURS) or name in read or not source[name].strip() or _LINKED.fullmatch(name):
            continue
        bare = name.removesuffix("_FILE")
        if bare in known:
            yield name, f"{bare} is no secret and is not read from a file; set {bare} itself"
            continue
        near = difflib.get_close_matches(name, sorted({*known, *files}), n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}? " if near else ""
        yield name, f"nobody reads this; {hint}correct or remove it"
