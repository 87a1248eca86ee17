"""``bptl flower``: Flower with our jobs, behind a password, for looking only.

Flower shows workers and *jobs* (Celery messages, which carry no ids); where a *task* is, the pages of BPTL say.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import signal
from collections.abc import Sequence
from typing import Any

from celery import Celery
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from flower.app import Flower
from flower.options import options
from flower.urls import settings as tornado_settings
from flower.utils import prepend_url
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.web import RequestHandler

from bptl.lib.log import configure, get_logger, quiet
from bptl.workers.app import configuration

log = get_logger(__name__)

SHORTEST_PASSWORD = 12
MOST_JOBS, MOST_WORKERS = 2_000, 200
"""What is kept in memory; Flower's own defaults (100,000 and 5,000) would outgrow a small container."""

FORGET_WORKERS_AFTER = 15 * 60
"""Seconds after which a worker that left is not shown any more: every start has a name of its own."""

HOW = (
    "FLOWER_BASIC_AUTH: is required for bptl flower, which shows how BPTL is set up: give user:password (several "
    "separated by commas), or a file that holds it in FLOWER_BASIC_AUTH_FILE. Make a password with: "
    "openssl rand -hex 24"
)


class Refused(RequestHandler):
    """The answer to whoever gives no login, or wants to change something."""

    def initialize(self, *, status: int) -> None:
        """``status`` is 401 or 405."""
        self._status = status

    def check_xsrf_cookie(self) -> None:
        """Nothing to check: nothing is done here."""

    def prepare(self) -> None:
        """Answer whatever the method is, before anything else looks at the request."""
        self.set_status(self._status)
        if self._status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="BPTL monitoring", charset="UTF-8"')
        self.finish()


class GuardedFlower(Flower):  # type: ignore[misc]
    """Flower that asks everybody for the password first: its own guard leaves /metrics open.

    ``logins`` are texts ``user:password``. /healthcheck alone is open and says OK.
    """

    def __init__(self, *, logins: Sequence[str], **kwargs: Any) -> None:
        self._logins = [login.encode() for login in logins]
        # Flower has a guard of its own, which fails on other letters than those of English: it gets a login of its own.
        inside = secrets.token_urlsafe()
        options.basic_auth = [inside]
        self._own_login = f"Basic {base64.b64encode(inside.encode()).decode()}"
        self._health = prepend_url("/healthcheck", options.url_prefix) if options.url_prefix else "/healthcheck"
        super().__init__(**kwargs)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate:
        """Whoever answers ``request``."""
        status = self._refusal(request)
        if status is None:
            request.headers["Authorization"] = self._own_login
            found: HTTPMessageDelegate = super().find_handler(request, **kwargs)
            return found
        refused: HTTPMessageDelegate = self.get_handler_delegate(request, Refused, {"status": status})
        return refused

    def _refusal(self, request: HTTPServerRequest) -> int | None:
        looks_only = request.method in {"GET", "HEAD"}
        if request.path == self._health and looks_only:
            return None
        if not self._knows(request.headers.get("Authorization", "")):
            return 401
        return None if looks_only else 405

    def _knows(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        # Every login is compared, so that the time tells nothing.
        same = [hmac.compare_digest(login, given) for login in self._logins]
        return any(same)


def logins(given: str) -> list[str]:
    """The logins of FLOWER_BASIC_AUTH; raises ImproperlyConfigured, which never repeats one."""
    found = [login.strip() for login in given.split(",") if login.strip()]
    if not found:
        raise ImproperlyConfigured(HOW)
    for position, login in enumerate(found, start=1):
        user, _, password = login.partition(":")
        if not user or len(password) < SHORTEST_PASSWORD:
            raise ImproperlyConfigured(
                f"FLOWER_BASIC_AUTH: login {position} is not user:password with a password of {SHORTEST_PASSWORD} "
                "characters or more (without a comma). Make one with: openssl rand -hex 24"
            )
    return found


def run() -> int:
    """Serve Flower at FLOWER_ADDRESS and FLOWER_PORT until SIGTERM or SIGINT; answers the exit code.

    Raises ImproperlyConfigured when there is no login or the address is taken.
    """
    allowed = logins(settings.FLOWER_BASIC_AUTH)
    configure(level=settings.CELERY_LOGLEVEL, form="console" if settings.BPTL_LOG_FORMAT == "console" else "json")
    quiet("tornado.access")
    flower = GuardedFlower(logins=allowed, capp=_watched(), options=options, **_options())

    def stop(*_: object) -> None:
        flower.io_loop.add_callback_from_signal(flower.stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        flower.start_http_server()
    except OSError as error:
        where = f"{options.address}:{options.port}"
        raise ImproperlyConfigured(
            f"FLOWER_ADDRESS, FLOWER_PORT: cannot listen on {where}: {error.strerror}"
        ) from error
    log.info("monitor.started", address=options.address, port=options.port, prefix=options.url_prefix)
    flower.start()
    log.info("process.stopped", kind="flower")
    return 0


def _watched() -> Celery:
    """An application that knows the broker and no jobs: a watcher needs neither models nor units (60 MB less)."""
    app = Celery("bptl", fixups=[], set_as_current=False)
    app.config_from_object(configuration())
    with app.connection_for_read() as connection:
        if isinstance(connection.ssl, dict):
            # Flower asks for the length of queues with a client of its own, which reads no TLS from the address.
            app.conf.broker_use_ssl = connection.ssl
    return app


def _options() -> dict[str, Any]:
    """Set Flower's options; answers the settings of its web server."""
    prefix = settings.FLOWER_URL_PREFIX.strip("/")
    options.address, options.port = settings.FLOWER_ADDRESS, settings.FLOWER_PORT
    options.url_prefix = prefix or None
    options.read_only = True
    options.persistent = False
    options.max_tasks, options.max_workers = MOST_JOBS, MOST_WORKERS
    options.purge_offline_workers = FORGET_WORKERS_AFTER
    if not prefix:
        return dict(tornado_settings)
    paths = {name: prepend_url(tornado_settings[name], prefix) for name in ("login_url", "static_url_prefix")}
    return {**tornado_settings, **paths}
