"""The server of the metrics: whom it answers, how, and for how long."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import socket
import threading
from typing import Any

import pytest

from nyx_plugins import DispatchStats, StartupError, SystemStopped
from nyx_plugins.service import metrics as module
from nyx_plugins.service.metrics import MetricsServer, serve_metrics

from .conftest import Serve, get


def test_answers_are_compressed_for_whoever_asks(fake: Any, serve: Serve) -> None:
    """Prometheus asks for gzip."""
    _, _, body = get(serve(fake), Accept_Encoding="gzip")
    assert b"nyx_plugins_uptime_seconds" in gzip.decompress(body)


@pytest.mark.parametrize("accept", ["", "*/*", "application/openmetrics-text;version=x\u00ff", "," * 5000, ";;q=,"])
def test_no_accept_header_breaks_anything(fake: Any, serve: Serve, accept: str) -> None:
    """Whatever a scraper accepts, it gets metrics."""
    assert get(serve(fake), Accept=accept)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "", "10.0.0.1"])
def test_a_stranger_s_host_name_is_refused(fake: Any, serve: Serve, host: str) -> None:
    """A page that makes its own name lead to loopback reads nothing."""
    status, _, body = get(serve(fake), Host=host)
    assert status == 403 and b"nyx_plugins" not in body


def test_there_is_nothing_else(fake: Any, serve: Serve) -> None:
    """Other paths say where the metrics are."""
    assert get(serve(fake), "/") == (404, "text/plain; charset=utf-8", b"Metrics are at /metrics.\n")


def test_a_stopped_system_is_503(fake: Any, serve: Serve) -> None:
    """A scrape of a dead system says why there are no metrics, and the server lives on."""
    server = serve(fake)
    fake.stopped = SystemStopped("its host process ended")
    assert get(server)[::2] == (503, b"No metrics: the plugin system has stopped: its host process ended.\n")
    fake.stopped = None
    assert get(server)[0] == 200


def test_a_silent_system_is_503_in_bounded_time(fake: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrapers wait so long and no longer, all for the same look; once the system answers, they get metrics."""
    go, looks = threading.Event(), []

    def silent() -> DispatchStats:
        looks.append(1)
        assert go.wait(30)
        return fake.dispatch

    monkeypatch.setattr(fake, "dispatch_stats", silent)
    server = serve(fake)
    server._scraper._patience_s = 0.05
    for _ in range(3):
        assert get(server)[::2] == (503, b"No metrics: an answer of the system not within 0.05 s.\n")
    assert looks == [1]
    server._scraper._patience_s = 30.0
    go.set()
    assert get(server)[0] == 200


def test_an_error_of_our_own_is_500(fake: Any, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody has thought of goes to the log, and ends neither the server nor the service."""
    server = serve(fake)
    fake.stopped = ZeroDivisionError("secret")
    status, _, body = get(server)
    assert status == 500 and b"secret" not in body
    assert "a scrape of the metrics failed" in caplog.text
    fake.stopped = None
    assert get(server)[0] == 200


def test_slow_scrapers_are_ended(fake: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that send nothing take all places for so long and no longer."""
    monkeypatch.setattr(module, "CONNECTION_S", 0.0)
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    server = serve(fake)
    for _ in range(6):
        with socket.create_connection((server.place.ip, server.place.port), timeout=30) as slow:
            assert slow.recv(1) == b""


def _raw(server: MetricsServer, data: bytes) -> socket.socket:
    """Connect, and send this."""
    raw = socket.create_connection((server.place.ip, server.place.port), timeout=30)
    raw.sendall(data)
    return raw


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"GET /metrics HTTP/1.1\r\nHost: localh"])
def test_half_open_connections_keep_nobody_from_scraping(fake: Any, serve: Serve, data: bytes) -> None:
    """Who has sent no whole request gives its place to whoever comes, the oldest first."""
    server = serve(fake)
    with contextlib.ExitStack() as stack:
        half_open = [stack.enter_context(_raw(server, data)) for _ in range(module.CONNECTIONS)]
        assert get(server)[0] == 200
        with contextlib.suppress(OSError):
            while half_open[0].recv(100):
                pass


def test_a_request_has_a_deadline(fake: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that never ends ends with its connection."""
    monkeypatch.setattr(module, "REQUEST_S", 0.1)
    with (
        _raw(serve(fake), b"GET /metrics HTTP/1.1\r\nHost: localh") as half_open,
        contextlib.suppress(OSError),
    ):
        assert half_open.recv(1) == b""


def test_when_all_are_answered_one_more_is_told(fake: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scrape too many is 503 with a sentence, and those before it get their metrics."""
    asked, go = threading.Event(), threading.Event()

    def slow() -> DispatchStats:
        asked.set()
        assert go.wait(30)
        return fake.dispatch

    monkeypatch.setattr(fake, "dispatch_stats", slow)
    monkeypatch.setattr(module, "CONNECTIONS", 1)
    server = serve(fake)
    server._scraper._patience_s = 30.0
    with _raw(server, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") as first:
        assert asked.wait(30)
        for _ in range(3):
            assert get(server)[::2] == (503, b"No metrics: too many others are being answered; try again.\n")
        go.set()
        assert first.makefile("rb").readline().split()[1] == b"200"


def test_head_is_get_without_a_body(fake: Any, serve: Serve) -> None:
    """Whoever only wants to know whether metrics are there is told so."""
    with _raw(serve(fake), b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") as raw:
        head, _, body = raw.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.split()[1] == b"200" and body == b""
    assert int(re.findall(rb"Content-Length: (\d+)", head)[0]) > 0


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "Metrics are to be read, with GET or HEAD."),
        (b"<script> /metrics HTTP/1.1\r\n\r\n", 405, "Metrics are to be read, with GET or HEAD."),
        (b"GET /metrics HTTP/2.0\r\n", 505, "Metrics are served over HTTP 1.0 and 1.1."),
        (b"GET / HT\r\n", 400, "This is no HTTP request."),
        (b"\x00\xff\r\n", 400, "This is no HTTP request."),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101, 431, "The headers are too many or too long"),
        (b"GET /" + b"x" * 65_532, 414, "The address is too long: metrics are at /metrics."),
    ],
)
def test_what_is_no_scrape_is_told_in_one_sentence(
    fake: Any, serve: Serve, request_: bytes, status: int, said: str
) -> None:
    """Whatever is sent, the answer is a sentence and no page, with a status."""
    with _raw(serve(fake), request_) as raw:
        head, _, body = raw.makefile("rb").read().partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status and b"Content-Type: text/plain" in head
    assert body.decode().startswith(said) and body.count(b"\n") == 1
    assert (b"Allow: GET, HEAD" in head) == (status == 405)


def test_a_busy_address_is_an_error_of_the_start(fake: Any, serve: Serve) -> None:
    """Two servers can't have the same port."""
    port = serve(fake).place.port
    with pytest.raises(StartupError, match="metrics can't be served at"):
        serve_metrics(f"127.0.0.1:{port}", fake)


def test_closing_is_idempotent_and_frees_the_address(fake: Any) -> None:
    """After the end the port can be taken again at once."""
    # An address that nobody else has: on the usual one, another program may be quicker to take the port.
    address = f"127.{os.getpid() >> 16}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
    server = serve_metrics(f"{address}:0", fake)
    server.close()
    server.close()
    serve_metrics(f"{address}:{server.place.port}", fake).close()
