"""Django, started by the commands that need it and by no other."""

from __future__ import annotations

import os

import django


def choose_settings() -> None:
    """Say which settings hold, and load no models: for what needs neither database nor units."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bptl.conf.settings")


def start_django() -> None:
    """Read the settings and load the models, once; raises ImproperlyConfigured that names every fault."""
    choose_settings()
    django.setup()
