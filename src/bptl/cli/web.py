"""``bptl web``: gunicorn in this process, threads in its children."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import click
from django.conf import settings
from django.core.servers.basehttp import get_internal_wsgi_application
from django.urls import get_resolver
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from bptl.cli.start import start_process
from bptl.lib.log import get_logger

log = get_logger(__name__)

REQUEST_SECONDS = 60
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn beats its heart in a file; on a container's disk that can block


class PlainLogger(Logger):
    """Leaves the records to our own set-up instead of adding handlers, so that every line has one format."""

    def setup(self, cfg: Any) -> None:
        """Set nothing but the level."""
        self.error_log.propagate = True
        self.error_log.setLevel(settings.LOG_LEVEL)
        self.access_log.propagate = False


class Server(BaseApplication):
    """gunicorn without its command line and configuration files."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take the options."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application that the settings name, with all its pages: this is before the fork, and what is loaded here
        lies in memory once for all processes. What the collector of garbage never touches stays shared.
        """
        application = get_internal_wsgi_application()
        get_resolver().url_patterns  # noqa: B018 - reading it imports the pages
        gc.collect()
        gc.freeze()
        return application


def _send_wakes(_worker: object) -> None:
    """In each process that serves: calls of the REST API make work, and workers hear of it at once."""
    # Here, after the fork: it starts a thread, and the process that only watches the others needs no Celery.
    from bptl.tasks import wake
    from bptl.workers.waker import Waker

    waker = Waker()
    waker.start()
    wake.use(waker.send)


def _separate_monitoring(server: Any) -> None:
    """Before the fork, when all sockets are open: what comes to the last one is monitoring's, where there are two."""
    from bptl.api import metrics

    if settings.BPTL_METRICS_ADDRESS is not None:
        port = int(server.LISTENERS[-1].getsockname()[1])
        metrics.serve_at(port)
        log.info("metrics.served", address=settings.BPTL_METRICS_ADDRESS[0], port=port)


def _make_first_administrator() -> None:
    """Before the fork; a database that is away stops no web process, and leaves no connection to the children."""
    from django.db import DatabaseError, connection

    from bptl.accounts import welcome

    try:
        welcome.make_first_administrator()
    except DatabaseError as error:
        log.warning("administrator.not_made", error=str(error))
    finally:
        connection.close()


@click.command()
@click.option("--bind", help="Address and port or unix:PATH; default 127.0.0.1 and UWSGI_PORT (8000).")
@click.option("--processes", type=click.IntRange(min=1), help="Default UWSGI_PROCESSES (2).")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads for pages in each process; default UWSGI_THREADS (4). Waiting calls of the REST API have others.",
)
def web(bind: str | None, processes: int | None, threads: int | None) -> None:
    """Serve the pages until SIGTERM, then let running requests finish."""
    start_process("web")
    _make_first_administrator()
    binds = [bind or f"127.0.0.1:{settings.UWSGI_PORT}"]
    if settings.BPTL_METRICS_ADDRESS is not None:
        host, port = settings.BPTL_METRICS_ADDRESS
        binds.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    options: dict[str, Any] = {
        "bind": binds,
        "when_ready": _separate_monitoring,
        "workers": processes or settings.UWSGI_PROCESSES,
        # Waiting calls have threads of their own, so that they never keep a page waiting.
        "threads": (threads or settings.UWSGI_THREADS) + settings.BPTL_CALLS_WAITING,
        "post_worker_init": _send_wakes,
        "worker_class": "gthread",
        "preload_app": True,
        "timeout": REQUEST_SECONDS,
        "graceful_timeout": int(settings.BPTL_GRACE_SECONDS),
        "keepalive": 65,  # Longer than the usual minute of a proxy, so that the proxy closes first.
        # Whom to believe is decided in one place, bptl.web.proxy.
        "forwarded_allow_ips": "",
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        "proc_name": "bptl-web",
        "logger_class": PlainLogger,
        "control_socket_disable": True,
    }
    if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK):
        options["worker_tmp_dir"] = str(SHARED_MEMORY)
    Server(options).run()
