"""The application for a WSGI server; ``bptl web`` serves it with gunicorn."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from bptl.web.proxy import BehindProxy

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bptl.conf.settings")

application = BehindProxy(
    get_wsgi_application(), trusted=settings.BPTL_TRUSTED_PROXIES, subpath=settings.FORCE_SCRIPT_NAME or ""
)
