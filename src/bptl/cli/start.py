"""Django, started by the commands that need it and by no other."""

from __future__ import annotations

import os

import django


def start_django() -> None:
    """Read the settings and load the models, once; raises ImproperlyConfigured that names every fault."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bptl.conf.settings")
    django.setup()
