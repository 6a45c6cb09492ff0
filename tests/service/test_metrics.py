"""Metrics over HTTP, read by Prometheus's own parsers."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from nyx_plugins import (
    DispatchStats,
    InstanceStats,
    PermissionDenied,
    PluginFailed,
    PluginHeader,
    PluginStats,
    PluginSystem,
    StartupError,
    SystemStopped,
)
from nyx_plugins.actors.latency import BOUNDS, LatencyHistogram
from nyx_plugins.service import metrics as module
from nyx_plugins.service.metrics import MetricsServer, serve_metrics

DATA, CONTROL = 0x52, 0x53
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5"
Serve = Callable[[Any], MetricsServer]
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves a system's metrics at a free port."""
    servers: list[MetricsServer] = []

    def make(system: Any) -> MetricsServer:
        servers.append(serve_metrics("127.0.0.1:0", system))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def _get(server: MetricsServer, path: str = "/metrics", **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(server.place.ip, server.place.port, timeout=30)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def _scrape(server: MetricsServer) -> Values:
    """Every sample by name and labels, as OpenMetrics has it; that the text parses is half of what is proved."""
    status, content_type, body = _get(server, Accept=OPENMETRICS)
    assert (status, content_type.partition(";")[0]) == (200, "application/openmetrics-text"), body
    return _values(parse_openmetrics(body.decode()))


def _values(found: Any) -> Values:
    families: list[Metric] = list(found)
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name.removeprefix("nyx_plugins_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def _labels(plugin_id: int, name: str = "echo", **more: str) -> frozenset[tuple[str, str]]:
    return frozenset({"plugin_id": str(plugin_id), "plugin": name, **more}.items())


def test_both_formats_parse_and_say_the_same(fake: Any, stats: Any, serve: Serve) -> None:
    """Who accepts OpenMetrics gets it, everyone else the classic text; the figures are the same."""
    fake.add(7, stats(accepted=3))
    server = serve(fake)
    status, content_type, body = _get(server)
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    classic = _values(parse_classic(body.decode()))
    modern = _scrape(server)
    accepted = ("frames_accepted_total", _labels(7))
    assert classic[accepted] == modern[accepted] == 3
    assert set(modern) - set(classic) <= {key for key in modern if key[0].endswith("_created")}


def test_everything_that_statistics_show_is_there(fake: Any, stats: Any, serve: Serve) -> None:
    """Each counter of a plugin and of the dispatcher has its metric, and none another's value."""
    names = {
        "accepted": "frames_accepted_total",
        "processed": "frames_processed_total",
        "failed": "frames_failed_total",
        "dead_lettered": "frames_dead_lettered_total",
        "bytes_processed": "processed_bytes_total",
        "permission_violations": "permission_violations_total",
        "violations": "violations_total",
        "restarts": "restarts_total",
        "dead_letters_lost": "dead_letters_lost_total",
        "dead_letters": "dead_letters",
        "in_mailbox": "mailbox_frames",
        "peak": "mailbox_peak_frames",
        "capacity": "mailbox_capacity_frames",
        "bytes_held": "mailbox_bytes",
        "capacity_bytes": "mailbox_capacity_bytes",
    }
    numbers = {field: index for index, field in enumerate(names, start=100)}
    fake.add(7, stats(**numbers))
    fake.dispatch = DispatchStats(1, 2, 3, 9, {"MailboxFull": 4, "PermissionDenied": 5})
    values = _scrape(serve(fake))
    assert {field: values[name, _labels(7)] for field, name in names.items()} == numbers
    derived = {"messages_processed", "errors"}  # frames_processed + frames_failed, and frames_failed
    elsewhere = {"state", "latency", "actor_pid", "worker_pid", "last_death", "instances"}
    assert {field.name for field in attrs.fields(PluginStats)} == set(names) | derived | elsewhere
    alone = [values[name, frozenset()] for name in ("plugins_loaded_total", "plugins_unloaded_total")]
    alone += [values[name, frozenset()] for name in ("dispatched_frames_total", "dispatch_errors_total")]
    assert alone == [1, 2, 3, 9]
    assert values["refused_frames_total", frozenset({("cause", "MailboxFull")})] == 4
    assert ("uptime_seconds", frozenset()) in values and ("events_dropped_total", frozenset()) in values
    assert any(name == "build_info" for name, _ in values)


def test_each_instance_has_its_own_figures(fake: Any, stats: Any, serve: Serve) -> None:
    """They are told apart by their number; one whose worker is started again is not up."""
    fake.add(7, stats(instances=(InstanceStats("ready", 1, 2, 3, 4), InstanceStats("restarting", None, 5, 6, 7))))
    values = _scrape(serve(fake))
    names = ("instance_up", "instance_mailbox_frames", "instance_seen_frames_total", "instance_restarts_total")
    assert [values[name, _labels(7, instance="0")] for name in names] == [1, 2, 3, 4]
    assert [values[name, _labels(7, instance="1")] for name in names] == [0, 5, 6, 7]


def test_latencies_are_a_histogram_in_seconds(fake: Any, stats: Any, serve: Serve) -> None:
    """Buckets add up to the count, as Prometheus has them."""
    counts = tuple(range(len(BOUNDS) + 1))
    fake.add(7, stats(latency=LatencyHistogram(counts=counts, sum_s=1.5)))
    values = _scrape(serve(fake))
    assert values["frame_latency_seconds_sum", _labels(7)] == 1.5
    assert values["frame_latency_seconds_count", _labels(7)] == sum(counts)
    assert values["frame_latency_seconds_bucket", _labels(7, le="+Inf")] == sum(counts)
    assert values["frame_latency_seconds_bucket", _labels(7, le="0.001")] == sum(counts[:4])


def test_the_state_is_one_of_all(fake: Any, stats: Any, serve: Serve) -> None:
    """Exactly one state of a plugin is 1."""
    fake.add(7, stats(state="paused"))
    values = _scrape(serve(fake))
    states = {
        dict(labels)["nyx_plugins_plugin_state"]: value
        for (name, labels), value in values.items()
        if name == "plugin_state"
    }
    assert [state for state, value in states.items() if value] == ["paused"] and len(states) == 8


def test_a_plugin_without_statistics_has_its_state(fake: Any, serve: Serve) -> None:
    """A failed plugin that can't be asked is there, and says that it can't."""
    fake.add(7, PluginFailed(7, "gone"), state="failed")
    values = _scrape(serve(fake))
    assert values["plugin_up", _labels(7)] == 0
    assert values["plugin_state", _labels(7, nyx_plugins_plugin_state="failed")] == 1
    assert ("frames_accepted_total", _labels(7)) not in values


def test_hostile_names_stay_inside_their_quotes(fake: Any, stats: Any, serve: Serve) -> None:
    """Quotes, backslashes and line ends in a name make no metrics of their own."""
    name = 'a"} 1\nnyx_plugins_forged_total 7\n\\{ä'
    fake.add(7, stats(accepted=3), name=name)
    values = _scrape(serve(fake))
    assert values["frames_accepted_total", _labels(7, name)] == 3
    assert not any("forged" in key for key, _ in values)


def test_answers_are_compressed_for_whoever_asks(fake: Any, serve: Serve) -> None:
    """Prometheus asks for gzip."""
    _, _, body = _get(serve(fake), Accept_Encoding="gzip")
    assert b"nyx_plugins_uptime_seconds" in gzip.decompress(body)


@pytest.mark.parametrize("accept", ["", "*/*", "application/openmetrics-text;version=x\u00ff", "," * 5000, ";;q=,"])
def test_no_accept_header_breaks_anything(fake: Any, serve: Serve, accept: str) -> None:
    """Whatever a scraper accepts, it gets metrics."""
    assert _get(serve(fake), Accept=accept)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "", "10.0.0.1"])
def test_a_stranger_s_host_name_is_refused(fake: Any, serve: Serve, host: str) -> None:
    """A page that makes its own name lead to loopback reads nothing."""
    status, _, body = _get(serve(fake), Host=host)
    assert status == 403 and b"nyx_plugins" not in body


def test_there_is_nothing_else(fake: Any, serve: Serve) -> None:
    """Other paths say where the metrics are."""
    assert _get(serve(fake), "/") == (404, "text/plain; charset=utf-8", b"Metrics are at /metrics.\n")


def test_a_stopped_system_is_503(fake: Any, serve: Serve) -> None:
    """A scrape of a dead system says why there are no metrics, and the server lives on."""
    server = serve(fake)
    fake.stopped = SystemStopped("its host process ended")
    assert _get(server)[::2] == (503, b"No metrics: the plugin system has stopped: its host process ended.\n")
    fake.stopped = None
    assert _get(server)[0] == 200


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
        assert _get(server)[::2] == (503, b"No metrics: an answer of the system not within 0.05 s.\n")
    assert looks == [1]
    server._scraper._patience_s = 30.0
    go.set()
    assert _get(server)[0] == 200


def test_an_error_of_our_own_is_500(fake: Any, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody has thought of goes to the log, and ends neither the server nor the service."""
    server = serve(fake)
    fake.stopped = ZeroDivisionError("secret")
    status, _, body = _get(server)
    assert status == 500 and b"secret" not in body
    assert "a scrape of the metrics failed" in caplog.text
    fake.stopped = None
    assert _get(server)[0] == 200


def test_slow_scrapers_are_ended(fake: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that send nothing take all places for so long and no longer."""
    monkeypatch.setattr(module, "CONNECTION_S", 0.0)
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    server = serve(fake)
    for _ in range(6):
        with socket.create_connection((server.place.ip, server.place.port), timeout=30) as slow:
            assert slow.recv(1) == b""


def _raw(server: MetricsServer, data: bytes) -> socket.socket:
    raw = socket.create_connection((server.place.ip, server.place.port), timeout=30)
    raw.sendall(data)
    return raw


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"GET /metrics HTTP/1.1\r\nHost: localh"])
def test_half_open_connections_keep_nobody_from_scraping(fake: Any, serve: Serve, data: bytes) -> None:
    """Who has sent no whole request gives its place to whoever comes, the oldest first."""
    server = serve(fake)
    with contextlib.ExitStack() as stack:
        half_open = [stack.enter_context(_raw(server, data)) for _ in range(module.CONNECTIONS)]
        assert _get(server)[0] == 200
        with contextlib.suppress(OSError):
            while half_open[0].recv(100):
                pass


def test_a_request_has_a_deadline(fake: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that never ends ends with its connection."""
    monkeypatch.setattr(module, "REQUEST_S", 0.1)
    with _raw(serve(fake), b"GET /metrics HTTP/1.1\r\nHost: localh") as half_open, contextlib.suppress(OSError):
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
            assert _get(server)[::2] == (503, b"No metrics: too many others are being answered; try again.\n")
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
    server = serve_metrics("127.0.0.1:0", fake)
    server.close()
    server.close()
    serve_metrics(f"127.0.0.1:{server.place.port}", fake).close()


@pytest.mark.needs_worker(reason="a worker is killed")
def test_counters_agree_with_the_statistics_and_never_fall(system: PluginSystem, serve: Serve) -> None:
    """Of a real system: what is scraped is what it tells, over a worker's end too; events are counted."""
    system.load("builtin:echo", plugin_id=7)
    server = serve(system)
    _send(system, 5)
    before = _scrape(server)
    with system.subscribe() as events:
        os.kill(system.plugin_stats(7).worker_pid or 0, signal.SIGKILL)
        assert any(event.kind == "restarted" for event in events)  # type: ignore[union-attr]
    _send(system, 5)
    after = _scrape(server)
    counters = [key for key in before if key[0].endswith(("_total", "_bucket", "_count", "_sum"))]
    assert [key for key in counters if key not in after or after[key] < before[key]] == []
    assert after["restarts_total", _labels(7)] == 1
    assert after["events_total", frozenset({("event", "restarted")})] == 1
    _agrees(after, system)


def test_sums_agree_with_the_statistics(system: PluginSystem, serve: Serve) -> None:
    """On every transport the frames that were accepted are those with an outcome and those in the mailbox."""
    system.load("builtin:echo", plugin_id=7)
    _send(system, 3)
    system.revoke(7, "control")
    with pytest.raises(PermissionDenied):
        system.dispatch(CONTROL, PluginHeader(7, 0, b"x"))
    _agrees(_scrape(serve(system)), system)


def _send(system: PluginSystem, frames: int) -> None:
    for _ in range(frames):
        system.request(DATA, PluginHeader(7, 0, b"hello"))


def _agrees(values: Values, system: PluginSystem) -> None:
    stats = system.plugin_stats(7)
    outcomes = [values[f"frames_{name}_total", _labels(7)] for name in ("processed", "failed", "dead_lettered")]
    assert sum(outcomes) + values["mailbox_frames", _labels(7)] == values["frames_accepted_total", _labels(7)]
    assert (
        values["frames_accepted_total", _labels(7)] == stats.accepted == values["dispatched_frames_total", frozenset()]
    )
    assert values["frame_latency_seconds_count", _labels(7)] == stats.latency.count
    assert values["dispatch_errors_total", frozenset()] == system.dispatch_stats().dispatch_errors
    assert values["permission_violations_total", _labels(7)] == stats.permission_violations


def test_the_document_lists_all_metrics(fake: Any, stats: Any, serve: Serve) -> None:
    """The table of docs/observability.md names every family, and no other, with its type."""
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", text, re.M)
    listed: dict[str, str] = {}
    for names, kinds in rows:
        found = re.findall(r"`(.*?)`", names)
        types = kinds.replace(" ", "").split(",")
        listed |= dict(zip(found, types * len(found) if len(types) == 1 else types, strict=False))
    fake.add(7, stats())
    body = _get(serve(fake), Accept=OPENMETRICS)[2].decode()
    families = {family.name.removeprefix("nyx_plugins_"): family.type for family in parse_openmetrics(body)}
    assert listed == families
