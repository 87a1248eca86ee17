"""The page of an error that DEBUG shows to a developer."""

from __future__ import annotations

import pytest
from django.test import RequestFactory, override_settings
from django.views.debug import technical_500_response

BROKER = "redis://:geheim-wachtwoord@broker:6379/0"


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@override_settings(
    DEBUG=True,
    CELERY_BROKER_URL=BROKER,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": BROKER}},
    FLOWER_BASIC_AUTH="flower:geheim-wachtwoord",
    EMAIL_HOST_PASSWORD="geheim-wachtwoord",
    BPTL_ENCRYPTION_KEYS=["geheim-wachtwoord"],
)
def test_the_page_of_an_error_shows_no_secret_of_the_settings(accept: str) -> None:
    request = RequestFactory().get("/", headers={"accept": accept})
    # Without a traceback, which would show these lines of code too.
    shown = technical_500_response(request, ZeroDivisionError, ZeroDivisionError("deliberately"), None).content.decode()
    assert "deliberately" in shown
    assert "CELERY_BROKER_URL" in shown
    assert "geheim-wachtwoord" not in shown
