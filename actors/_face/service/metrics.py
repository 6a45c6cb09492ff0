"""Metrics for Prometheus over HTTP: OpenMetrics for whoever asks for it, else the classic text format."""

from __future__ import annotations

import contextlib
import gzip
import logging
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from ..config.errors import NyxPluginError
from ..plugins.errors import DispatchTimeout
from .families import families
from .feed import Feed, Publisher
from .listening import Place, listen, place_of
from .places import REQUEST_S, Places
from .sampler import Sampled, Sampler
from .snapshot import Snapshot

PATIENCE_S = 5.0
"""How long one scrape waits for the system; Prometheus itself waits ten seconds."""
TURN_S = 0.25
"""How often the server looks whether it shall end, or end a connection."""
CONNECTIONS = 16
CONNECTION_S = 20.0
"""How long one connection may take in all, however slowly its other end reads or writes."""

_NO_REQUEST = (400, "This is no HTTP request.")
_REFUSALS = {
    414: (414, "The address is too long: metrics are at /metrics."),
    431: (431, "The headers are too many or too long: metrics need none but Host."),
    501: (405, "Metrics are to be read, with GET or HEAD."),
    505: (505, "Metrics are served over HTTP 1.0 and 1.1."),
}
"""Status and text of what :mod:`http.server` refuses, by the status that it would give."""

_log = logging.getLogger("nyx_plugins.service")


class Measured(Sampled, Publisher, Protocol):
    """What is measured: a ``PluginSystem``."""


def serve_metrics(address: str, system: Measured) -> MetricsServer:
    """Serve the metrics of ``system`` at ``http://ADDRESS/metrics`` until closed. Raises :class:`StartupError`."""
    listener = listen(address, "metrics")
    try:
        return MetricsServer(listener, address, system)
    except BaseException:
        listener.close()
        raise


class MetricsServer:
    """Answers scrapes from threads of its own; whatever happens to the system or a scraper, it goes on."""

    def __init__(self, listener: socket.socket, address: str, system: Measured) -> None:
        self.place = place_of(listener, address)
        """Where it listens."""
        self._scraper = Scraper(system)
        self._http = _Http(listener, self.place, self._scraper)
        serve = self._http.serve_forever
        self._thread = threading.Thread(target=serve, args=(TURN_S,), name="nyx-plugins-metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is reached, without a path."""
        return self.place.url

    def close(self) -> None:
        """Stop serving. Idempotent; the system goes on."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5.0)
        self._scraper.close()


class Scraper(Collector):
    """Looks at the system when asked; those who ask meanwhile get the same look, and nobody waits longer than told."""

    def __init__(self, system: Measured, patience_s: float = PATIENCE_S) -> None:
        self._feed = Feed(system)
        self._sampler = Sampler(system)
        self._patience_s = patience_s
        self._pool = ThreadPoolExecutor(1, "nyx-plugins-scrape")
        self._lock = threading.Lock()
        self._pending: Future[Snapshot] | None = None

    def collect(self) -> list[Metric]:
        """All metrics, as they are now. Raises :class:`SystemStopped` and :class:`DispatchTimeout`."""
        return list(families(self._look(), self._feed.counts, self._feed.dropped))

    def close(self) -> None:
        """Look no more. Idempotent."""
        self._feed.close()
        self._sampler.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> Snapshot:
        with self._lock:
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._sampler.sample)
            pending = self._pending
        try:
            return pending.result(self._patience_s)
        except NyxPluginError:
            raise
        except TimeoutError:
            raise DispatchTimeout(None, "an answer of the system", self._patience_s) from None


def render(scraper: Collector, accept: str) -> tuple[str, bytes]:
    """Content type and text of all metrics, in the format that the ``Accept`` header asks for."""
    wanted = {part.partition(";")[0].strip() for part in accept.split(",")}
    if "application/openmetrics-text" in wanted:
        text: bytes = openmetrics.generate_latest(scraper, version="1.0.0")  # type: ignore[no-untyped-call]  # so it is
        return openmetrics.CONTENT_TYPE_LATEST, text
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(scraper)


class _Http(ThreadingHTTPServer):
    """At most so many connections, none longer than told; who only holds a place gives way to whoever comes."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, place: Place, scraper: Scraper) -> None:
        super().__init__((place.ip, place.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.place, self.scraper = place, scraper
        self.places: Places[socket.socket] = Places(CONNECTIONS)
        self._open: dict[socket.socket, float] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give it a place, and note when it began."""
        self._open[request] = time.monotonic()
        oldest = self.places.enter(request)
        if oldest is not None:
            _hang_up(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Note its end."""
        self.places.leave(request)
        self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that have taken too long; called once in each turn."""
        now_s = time.monotonic()
        slow = [request for request, began_s in list(self._open.items()) if now_s - began_s > CONNECTION_S]
        for request in (*slow, *self.places.late(REQUEST_S)):
            _hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up early is none of our faults."""
        _log.debug("a scrape of the metrics ended early", exc_info=True)


def _hang_up(request: socket.socket) -> None:
    """Wake the thread that reads or writes there: it does the rest."""
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One scrape."""

    timeout = CONNECTION_S
    server: _Http

    def do_GET(self) -> None:
        """Answer with the metrics, or in one sentence why not."""
        self.server.places.answer(self.request)
        if self.server.places.overfull:
            self._say(503, "No metrics: too many others are being answered; try again.")
        elif not self.server.place.allows(self.headers.get("Host")):
            self._say(403, "The Host header names another machine: use the address that is configured.")
        elif self.path.partition("?")[0] == "/metrics":
            self._scrape()
        else:
            self._say(404, "Metrics are at /metrics.")

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request that we know, in one sentence."""
        # Else a request of which not even the version is known would get an answer without a status.
        self.request_version = self.protocol_version
        self._say(*_REFUSALS.get(code, _NO_REQUEST))

    def _scrape(self) -> None:
        try:
            content_type, body = render(self.server.scraper, self._header("Accept"))
        except NyxPluginError as error:
            self._say(503, f"No metrics: {error}.")
        except Exception:
            _log.exception("a scrape of the metrics failed")
            self._say(500, "No metrics: an error of the metrics themselves, which is in the log.")
        else:
            self._send(200, content_type, body)

    def _say(self, status: int, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", f"{text}\n".encode(errors="replace"))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 405:
            self.send_header("Allow", "GET, HEAD")
        if "gzip" in self._header("Accept-Encoding"):
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _header(self, name: str) -> str:
        """What a header says; nothing when the request was refused before its headers were read."""
        headers = getattr(self, "headers", None)
        return (headers and headers.get(name)) or ""

    def version_string(self) -> str:
        """Tell strangers no versions."""
        return "nyx-plugins"

    def log_message(self, format: str, *args: Any) -> None:
        """Log no scrapes: there are thousands in a day."""
