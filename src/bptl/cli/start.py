"""Django, started by the commands that need it and by no other."""

from __future__ import annotations

import os
from collections.abc import Collection

import django
from django.conf import settings
from django.utils import translation

from bptl import __version__
from bptl.lib.log import get_logger, take_over_stderr

SETTINGS = "bptl.conf.settings"
OLD_SETTINGS = frozenset(f"bptl.conf.{name}" for name in ("dev", "docker", "staging", "production", "jenkins", "local"))
"""What DJANGO_SETTINGS_MODULE said in existing deployments; there is one settings module now."""

PAGES = frozenset({
    "axes",
    "bptl.api",
    "bptl.web",
    "django.contrib.admin",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
})  # fmt: skip
"""Apps for people and for callers of the REST API."""

SCHEDULE = frozenset({"django_celery_beat"})
"""The app whose rows say what beat sends."""

log = get_logger(__name__)


def choose_settings() -> str:
    """Say which settings hold, and load no models: for what needs neither database nor units.

    Answers the module of an existing deployment that was asked for and is there no longer, else an empty text.
    """
    old = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not old or old in OLD_SETTINGS:
        os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    return old if old in OLD_SETTINGS else ""


def start_django(*, without: Collection[str] = ()) -> None:
    """Read the settings and load the models, once; raises ImproperlyConfigured that names every fault.

    ``without`` names apps that this kind of process has no use for: they, and all that they import, stay out of its
    memory (decision 0020). What such an app would have registered does not exist in the process, least of all pages.
    """
    old = choose_settings()
    if without:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in without]
    django.setup()
    # Commands speak one language; pages choose theirs for each request.
    translation.activate("en")
    if old:
        log.warning("setting.ignored", name="DJANGO_SETTINGS_MODULE", reason=f"the one settings module is {SETTINGS}")


def start_process(kind: str, *, without: Collection[str] = ()) -> None:
    """``start_django`` for a process that stays: all that it says is logged, and failures are told where they are
    wanted. It also says which names of its environment do nothing, and why.
    """
    start_django(without=without)
    take_over_stderr()
    if settings.SENTRY_DSN:
        # Imported by who wants it only: 5 MB in each process.
        from bptl.lib import sentry

        sentry.start(
            settings.SENTRY_DSN,
            environment=settings.SENTRY_ENVIRONMENT,
            release=settings.VERSION_TAG or f"bptl@{__version__}",
            process=kind,
        )
    for name, reason in settings.BPTL_RETIRED_NAMES:
        log.warning("setting.ignored", name=name, reason=reason)
    if settings.DEBUG:
        log.warning(
            "setting.insecure", name="DEBUG", reason="it shows errors to whoever looks, and weak keys are let in"
        )
