"""Instruments as Prometheus reads them, and a port of a process of its own for that.

Imported only where somebody reads them: prometheus_client is memory that other processes save.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from bptl.lib.instruments import Counter, Histogram, Instrument

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

READ_SECONDS = 10.0
"""How long whoever asks may take to say what."""


class Instruments(Collector):
    """Instruments for prometheus_client, which writes them in the format that whoever asks understands."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._instruments = instruments

    def collect(self) -> Iterator[Metric]:
        """Each with all its series, also one that has none yet: monitoring sees that it exists."""
        yield from map(_family, self._instruments)


class Exposition:
    """All instruments as text; ``about_process`` adds memory, CPU time, open files and start of this process."""

    def __init__(self, instruments: Iterable[Instrument], *, about_process: bool) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Instruments(instruments))
        if about_process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """All of it now, in the format that the header ``Accept`` asks for, and the type of that."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class Port:
    """An HTTP port with ``/metrics``, and ``/live`` and ``/ready`` that say yes (200) or no (503) and nothing else.

    Serves from a thread of its own as soon as it is made; raises OSError when it cannot listen at ``address`` (host,
    port; port 0: any that is free, see ``port``).
    """

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Exposition,
        *,
        live: Callable[[], bool],
        ready: Callable[[], bool],
    ) -> None:
        self._metrics = metrics
        self._signs = {"/live": live, "/ready": ready}
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._server = type("Server", (_Server,), {"address_family": family})(address, _Handler)
        self._server.set_app(self._answer)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self._closing = True
        # Whoever waits for a request is woken by one.
        with suppress(OSError):
            socket.create_connection(self._server.server_address[:2], timeout=1).close()
        self._thread.join(timeout=1)
        self._server.server_close()

    def _serve(self) -> None:
        # serve_forever would look twice a second whether it should end.
        while not self._closing:
            self._server.handle_request()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            text, content_type = self._metrics.text(environ.get("HTTP_ACCEPT", ""))
            start_response("200 OK", [("Content-Type", content_type), ("Cache-Control", "no-store")])
            return [text]
        if path not in self._signs:
            return _text(start_response, "404 Not Found", "not found\n")
        if self._signs[path]():
            return _text(start_response, "200 OK", "yes\n")
        return _text(start_response, "503 Service Unavailable", "no\n")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """As WSGIServer, without asking a name server what this machine is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = READ_SECONDS

    def address_string(self) -> str:
        """The number, not the name."""
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants to read of every scrape."""


def _text(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
    return [text.encode()]


def _family(instrument: Instrument) -> Metric:
    declared = instrument.declared
    if isinstance(instrument, Histogram):
        histogram = HistogramMetricFamily(declared.name, declared.help, labels=declared.labels)
        names = [*map(str, instrument.bounds), "+Inf"]
        for labels, one in instrument.values().items():
            buckets = list(zip(names, map(float, accumulate(one.counts)), strict=True))
            histogram.add_metric(labels, buckets, one.total)
        return histogram
    made = CounterMetricFamily if isinstance(instrument, Counter) else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = made(declared.name, declared.help, labels=declared.labels)
    for labels, value in instrument.values().items():
        family.add_metric(labels, value)
    return family
