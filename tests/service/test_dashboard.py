"""The dashboard over HTTP: who may read it, who may change something, and what comes over its stream."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from nyx_plugins import (
    DispatchTimeout,
    Event,
    EventKind,
    PluginFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginSystem,
    StartupError,
    SystemStopped,
)
from nyx_plugins.actors.events import Emitted
from nyx_plugins.plugins.worker.jail.level import Enforcement
from nyx_plugins.service import listening, places
from nyx_plugins.service.dashboard import app, browsers, recorder, serve_dashboard
from nyx_plugins.service.dashboard import server as server_module
from nyx_plugins.service.dashboard.server import DashboardServer

TOKEN = "correct horse battery"
FILES = ("/main.js", "/style.css", "/icon.svg")
Serve = Callable[..., DashboardServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves a system's dashboard at a free port."""
    servers: list[DashboardServer] = []

    def make(system: Any, token: str | None = None) -> DashboardServer:
        servers.append(serve_dashboard("127.0.0.1:0", system, token))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """Why it was refused."""
        return str(json.loads(self.body)["error"])


def _ask(server: DashboardServer, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(server.place.ip, server.place.port, timeout=30)
    try:
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection.request(method, path, sent, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    finally:
        connection.close()


def _act(server: DashboardServer, what: str, token: str | None = TOKEN, **more: Any) -> Answer:
    if token is not None:
        more.setdefault("Authorization", f"Bearer {token}")
    return _ask(server, f"/api/plugins/{what}", "POST", **more)


class Stream:
    """A browser's end of the stream."""

    def __init__(self, server: DashboardServer) -> None:
        self._connection = http.client.HTTPConnection(server.place.ip, server.place.port, timeout=30)
        self._connection.request("GET", "/api/stream")
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self._connection.close()

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Kind and value of each, until the stream ends."""
        kind = ""
        while line := self.answer.readline().decode():
            if line.startswith("event: "):
                kind = line[7:-1]
            elif line.startswith("data: "):
                yield kind, json.loads(line[6:])

    def next(self, kind: str) -> Any:
        """The next value of this kind; others are passed over."""
        return next(value for found, value in self.messages() if found == kind)


@pytest.fixture
def stream() -> Iterator[Callable[[DashboardServer], Stream]]:
    """Return a function that opens a stream."""
    streams: list[Stream] = []

    def make(server: DashboardServer) -> Stream:
        streams.append(Stream(server))
        return streams[-1]

    yield make
    for opened in streams:
        opened.__exit__()


# The page.


@pytest.mark.parametrize("path", ["/", *FILES])
def test_the_page_is_served_with_headers_that_keep_it_to_itself(fake: Any, serve: Serve, path: str) -> None:
    """Each file has its type, nothing may be loaded from elsewhere or run inline, and there are no cookies."""
    answer = _ask(serve(fake), path)
    assert answer.status == 200 and answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert "set-cookie" not in answer.headers and "server" not in answer.headers


def test_the_page_names_nothing_elsewhere(fake: Any, serve: Serve) -> None:
    """The page works without a network: no file refers to another host, and all that are named are there."""
    server = serve(fake)
    page = _ask(server, "/").body.decode()
    names = set(re.findall(r'(?:src|href)="(/[^"]*)"', page))
    assert names == {"/icon.svg", "/style.css", "/main.js"}
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        text = _ask(server, name).body.decode()
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
        names |= {f"/{other}" for other in re.findall(r'from "\./([^"]+)"', text)}
    assert len(seen) > 10


def test_no_text_of_a_plugin_becomes_markup(fake: Any, serve: Serve) -> None:
    """The page's code has no way to turn text into markup or code."""
    server = serve(fake)
    for path, _, _ in app._files():
        text = _ask(server, path).body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            path
        )
        assert not re.search(r"\son[a-z]+=|\sstyle=|<script(?! type=\"module\" src)", text), path


@pytest.mark.parametrize(
    "path", ["/nothing", "/../app.py", "/%2e%2e/app.py", "/static/index.html", "/api", "/index.html"]
)
def test_there_is_nothing_else(fake: Any, serve: Serve, path: str) -> None:
    """Only the page's own files are served."""
    answer = _ask(serve(fake), path)
    assert answer.status == 404
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/stream"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_reading_changes_nothing(fake: Any, serve: Serve, path: str, method: str) -> None:
    """What is there to be read takes no other method."""
    assert _ask(serve(fake), path, method).status == 405


# Who is answered.


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/stream"])
@pytest.mark.parametrize("host", ["evil.example", "", "10.0.0.1", "localhost.evil.example:80"])
def test_a_strangers_host_name_is_refused(fake: Any, serve: Serve, path: str, host: str) -> None:
    """A page that makes its own name lead to loopback reads nothing."""
    assert _ask(serve(fake), path, Host=host).status == 403


def test_two_host_names_are_refused(fake: Any, serve: Serve) -> None:
    """One of two names can't be the right one."""
    server = serve(fake)
    with socket.create_connection((server.place.ip, server.place.port), timeout=30) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.makefile("rb").readline().split()[1] in (b"400", b"403")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1", "https://localhost"])
def test_other_pages_are_refused(fake: Any, serve: Serve, origin: str) -> None:
    """A page of another origin reads no stream, and changes nothing even if it knew the token."""
    server = serve(fake, TOKEN)
    assert _ask(server, "/api/stream", Origin=origin).status == 403
    assert _act(server, "7/pause", Origin=origin).status == 403
    assert fake.done == []


def test_the_page_itself_is_answered(fake: Any, serve: Serve) -> None:
    """Its own origin is the one that it was loaded from, under whatever name and port."""
    server = serve(fake, TOKEN)
    assert _act(server, "7/pause", Host="localhost:9", Origin="http://localhost:9").status == 204


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_of_other_pages_is_believed(fake: Any, serve: Serve, site: str) -> None:
    """A link from elsewhere opens the page; a request from elsewhere gets nothing."""
    server = serve(fake, TOKEN)
    assert _ask(server, "/", Sec_Fetch_Site=site).status == 200
    assert _ask(server, "/api/stream", Sec_Fetch_Site=site).status == 403
    assert _act(server, "7/pause", Sec_Fetch_Site=site).status == 403


# Actions.


@pytest.mark.parametrize(
    ("path", "body", "done"),
    [
        ("7/pause", None, ("pause", 7)),
        ("7/resume", {}, ("resume", 7)),
        ("7/reset", {}, ("reset", 7)),
        ("4294967295/unload", None, ("unload", 4294967295)),
        ("7/grant", {"permission": "control"}, ("grant", 7, "control")),
        ("7/revoke", {"permission": "data_access"}, ("revoke", 7, "data_access")),
    ],
)
def test_whoever_knows_the_token_can_act(fake: Any, serve: Serve, path: str, body: Any, done: tuple[Any, ...]) -> None:
    """Each action is done to the plugin that is named."""
    answer = _act(serve(fake, TOKEN), path, body=body)
    assert (answer.status, answer.body, fake.done) == (204, b"", [done])


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer caf\u00e9"],
)
def test_without_the_token_nothing_is_done(fake: Any, serve: Serve, authorization: str) -> None:
    """Nothing but the whole token will do."""
    server = serve(fake, TOKEN)
    answer = _act(server, "7/pause", Authorization=authorization)
    assert (answer.status, answer.error) == (401, "This is not the token.")
    assert _ask(server, "/api/token", "POST", Authorization=authorization).status == 401
    assert _act(server, "7/pause", token=None).status == 401
    assert fake.done == []


def test_the_token_can_be_checked(fake: Any, serve: Serve) -> None:
    """The page checks a token before it keeps it."""
    assert _ask(serve(fake, TOKEN), "/api/token", "POST", Authorization=f"Bearer {TOKEN}").status == 204


def test_without_a_token_of_its_own_it_is_read_only(fake: Any, serve: Serve) -> None:
    """A service that was started without a token takes none."""
    server = serve(fake)
    for token in (TOKEN, "", "None", None):
        answer = _act(server, "7/pause", token)
        assert (answer.status, answer.error.partition(":")[0]) == (403, "This dashboard is read-only")
    assert _ask(server, "/api/token", "POST").status == 403
    assert fake.done == []


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_actions_are_posted(fake: Any, serve: Serve, method: str) -> None:
    """No link can act."""
    server = serve(fake, TOKEN)
    assert _ask(server, "/api/plugins/7/pause", method, Authorization=f"Bearer {TOKEN}").status == 405
    assert fake.done == []


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("seven/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("-1/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("4294967296/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("9" * 5000 + "/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("%D9%A7/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("7/close", None, "There is no such action: pause, resume, reset, unload, grant, revoke are all."),
        (
            "7/grant",
            None,
            "There is no such permission: control, data_access, error_reporting, handshake, inter_plugin are all.",
        ),
        ("7/grant", {"permission": ["control"]}, "There is no such permission: "),
        ("7/grant", {"permission": "root"}, "There is no such permission: "),
        ("7/pause", [], "A request is a JSON object."),
        ("7/pause", b"{", "A request is a JSON object."),
        ("7/pause", b"\xff", "A request is a JSON object."),
        ("7/pause", b"[" * 4096, "A request is a JSON object."),
        ("7/pause", b"9" * 5000, "A request has at most 4,096 bytes."),
    ],
)
def test_nonsense_is_refused_in_one_sentence(fake: Any, serve: Serve, path: str, body: Any, said: str) -> None:
    """Whatever is wrong with a request is told, and nothing is done."""
    answer = _act(serve(fake, TOKEN), path, body=body)
    assert answer.status == 400 and answer.error.startswith(said)
    assert fake.done == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PluginNotRegistered(7), 404),
        (PluginNotLoaded(7, "failed"), 409),
        (PluginFailed(7, "gone"), 409),
        (SystemStopped("it was closed"), 503),
        (DispatchTimeout(7, "pausing plugin 7", 5.0), 504),
    ],
)
def test_what_the_system_refuses_is_told(fake: Any, serve: Serve, error: Exception, status: int) -> None:
    """The system's own words, under a status that fits."""
    fake.refusal = error
    answer = _act(serve(fake, TOKEN), "7/pause")
    assert (answer.status, answer.error) == (status, f"{error}.")


@pytest.mark.parametrize("token", ["", " " * 16, "a" * 16 + "\n", "caf\u00e9" * 4, " padded with spaces", "short"])
def test_a_token_that_protects_nothing_is_an_error_of_the_start(fake: Any, token: str) -> None:
    """A short one can be guessed, and others could not be typed or sent."""
    with pytest.raises(StartupError, match="token"):
        serve_dashboard("127.0.0.1:0", fake, token)


# The stream.


def test_a_browser_is_told_everything_when_it_comes(fake: Any, stats: Any, serve: Serve, stream: Any) -> None:
    """The first message has the version, what may be done, events so far; then comes a snapshot."""
    fake.add(7, stats(accepted=3, in_mailbox=2), name="<b>echo</b>")
    fake.enforcement = Enforcement("partial", {"net": "an old kernel"})
    opened = stream(serve(fake))
    assert opened.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    hello = opened.next("hello")
    assert (hello["read_only"], hello["stopped"], hello["events"]) == (True, "", [])
    assert hello["enforcement"] == {"level": "partial", "missing": ["net: an old kernel"]}
    [plugin] = opened.next("snapshot")["plugins"]
    assert (plugin["name"], plugin["stats"]["accepted"]) == ("<b>echo</b>", 3)
    later = stream(serve(fake, TOKEN))
    assert later.next("hello")["read_only"] is False


def test_events_come_at_once_and_are_kept_for_later(fake: Any, serve: Serve, stream: Any) -> None:
    """Each browser gets each event, and one that comes later gets those before it; what plugins emit is not shown."""
    server = serve(fake)
    first, second = stream(server), stream(server)
    first.next("hello"), second.next("hello")
    reason = "line\nevent: forged\ndata: {}\n\n\ud800"
    fake.publish(Emitted(7, 0x52, 0, b"secret"), Event(EventKind.CRASHED, 7, reason))
    for opened in (first, second):
        event = opened.next("event")
        assert (event["kind"], event["plugin_id"], event["reason"]) == ("crashed", 7, reason)
    assert [event["reason"] for event in stream(server).next("hello")["events"]] == [reason]


def test_a_browser_that_comes_back_finds_the_history(fake: Any, stats: Any, serve: Serve, stream: Any) -> None:
    """What was seen while nobody looked is there: depth and rate of each plugin over time."""
    fake.add(7, stats(in_mailbox=5))
    server = serve(fake)
    with Stream(server) as opened:
        opened.next("snapshot")
    history = stream(server).next("hello")["history"]
    assert history[0][1] == {"7": [5, 0.0]}


def test_a_system_that_stops_says_so(fake: Any, serve: Serve, stream: Any) -> None:
    """The page learns why, whether it was open already or comes later."""
    server = serve(fake)
    opened = stream(server)
    opened.next("hello")
    fake.stopped = SystemStopped("its host process ended")
    assert opened.next("stopped") == "its host process ended"
    assert stream(server).next("hello")["stopped"] == "its host process ended"


def test_the_end_of_the_service_is_told(fake: Any, serve: Serve, stream: Any) -> None:
    """A stream ends with a word, and not by a lost connection alone."""
    server = serve(fake)
    opened = stream(server)
    opened.next("hello")
    server.close()
    assert opened.next("stopped") == "the service has ended"
    assert list(opened.messages()) == []


def test_trouble_passes(fake: Any, serve: Serve, stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not answer for a while is no end: the page says so, and goes on."""
    monkeypatch.setattr(recorder, "WATCHED_S", 0.01)
    monkeypatch.setattr(recorder, "HASTE_S", 0.01)
    opened = stream(serve(fake))
    opened.next("hello")
    fake.stopped = DispatchTimeout(None, "an answer", 5.0)
    assert opened.next("trouble") == "an answer not within 5 s"
    fake.stopped = ZeroDivisionError("secret")
    assert opened.next("trouble") in (
        "an answer not within 5 s",
        "an error of the dashboard itself, which is in the log",
    )
    fake.stopped = None
    assert opened.next("snapshot")["plugins"] == []


def test_there_are_only_so_many_browsers(fake: Any, serve: Serve, stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused in one sentence; as soon as another has gone there is room."""
    monkeypatch.setattr(browsers, "MAX_BROWSERS", 2)
    monkeypatch.setattr(browsers, "HEARTBEAT_S", 0.05)
    server = serve(fake)
    stays = stream(server)
    stays.next("hello")
    with Stream(server) as leaves:
        leaves.next("hello")
        answer = _ask(server, "/api/stream")
        assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    for _ in range(1000):
        with Stream(server) as again:
            if again.answer.status == 200:
                break
            stays.next("snapshot")
    assert again.answer.status == 200


def test_a_browser_that_reads_nothing_is_given_up(
    fake: Any, stats: Any, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    """A stalled connection is ended by the kernel, and holds up nobody meanwhile."""
    monkeypatch.setattr(listening, "STALLED_MS", 200)
    monkeypatch.setattr(recorder, "WATCHED_S", 0.01)
    monkeypatch.setattr(recorder, "HASTE_S", 0.01)
    for plugin_id in range(200):
        fake.add(plugin_id, stats())
    server = serve(fake)
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.settimeout(30)
        stalled.connect((server.place.ip, server.place.port))
        stalled.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with Stream(server) as reads:
            reads.next("hello")
            while len(server._browsers) > 1:
                reads.next("snapshot")


# Connections.


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """Return a function that connects and sends some bytes."""
    with contextlib.ExitStack() as stack:

        def make(server: DashboardServer, data: bytes) -> socket.socket:
            raw = stack.enter_context(socket.create_connection((server.place.ip, server.place.port), timeout=30))
            raw.sendall(data)
            return raw

        yield make


def _rest(raw: socket.socket) -> bytes:
    """All that comes until the other end hangs up, be it rudely."""
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionResetError):
        while part := raw.recv(4096):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"POST /api/token HTTP/1.1\r\nHost: localhost\r\nContent-Len"])
def test_half_open_connections_lock_nobody_out(fake: Any, serve: Serve, connect: Any, data: bytes) -> None:
    """Who has sent no whole request gives its place to whoever comes, the oldest first."""
    server = serve(fake)
    half_open = [connect(server, data) for _ in range(server_module.CONNECTIONS)]
    assert _ask(server, "/").status == 200
    assert _rest(half_open[0]) == b""
    assert len(half_open) == server_module.CONNECTIONS >= 64


def test_a_request_has_a_deadline(
    fake: Any, serve: Serve, stream: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that never ends is told so, its body's end included; a stream that began before goes on."""
    monkeypatch.setattr(places, "REQUEST_S", 0.5)
    server = serve(fake)
    opened = stream(server)
    opened.next("hello")
    body = b"POST /api/plugins/7/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    body += f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    for half_open in [connect(server, b"GET / HT"), connect(serve(fake, TOKEN), body)]:
        head, _, text = _rest(half_open).partition(b"\r\n\r\n")
        assert head.split()[1] == b"408" and text == b"The request was not complete within 0.5 s.\n"
    assert fake.done == []
    fake.publish(Event(EventKind.CRASHED, 7, "later"))
    assert opened.next("event")["reason"] == "later"


def test_when_all_are_answered_one_more_is_told(
    fake: Any, serve: Serve, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who is answered is cut off for another, who gets a sentence."""
    monkeypatch.setattr(server_module, "CONNECTIONS", 1)
    server = serve(fake)
    opened = stream(server)
    opened.next("hello")
    for _ in range(3):
        answer = _ask(server, "/")
        assert (answer.status, answer.body) == (503, b"All places are taken: try again, or close a page.\n")
    opened.next("snapshot")


def test_strangers_write_nothing_into_the_log(
    fake: Any, serve: Serve, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage before, in and after a request, and upgrades, are answered with a sentence at most."""
    server = serve(fake)
    for garbage in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x" * 70_000):
        assert b"This is no HTTP request" in _rest(connect(server, garbage))
    raw = connect(server, b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"405" in raw.recv(4096)
    raw.sendall(b"no chunk\r\n")
    _rest(raw)
    assert _ask(server, "/", Connection="Upgrade", Upgrade="websocket").status == 200
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


def test_faults_of_the_dashboard_are_in_the_log(fake: Any, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody has thought of is told below ``nyx_plugins``, and ends nothing."""
    fake.refusal = ZeroDivisionError("secret")
    server = serve(fake, TOKEN)
    answer = _act(server, "7/pause")
    assert answer.status == 500 and b"secret" not in answer.body
    server.close()
    assert {record.name for record in caplog.records if record.levelno > logging.INFO} == {
        "nyx_plugins.service.dashboard"
    }


# Start and end.


def test_a_busy_address_is_an_error_of_the_start(fake: Any, serve: Serve) -> None:
    """Two dashboards can't have the same port."""
    with pytest.raises(StartupError, match="the dashboard can't be served at"):
        serve_dashboard(f"127.0.0.1:{serve(fake).place.port}", fake)


def test_missing_packages_are_told_in_one_sentence(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error says how to get it."""
    monkeypatch.delitem(sys.modules, "nyx_plugins.service.dashboard.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(StartupError, match=r"needs the package uvicorn; pip install 'nyx-plugins\[dashboard\]'"):
        serve_dashboard("127.0.0.1:0", fake)


def test_closing_is_idempotent_and_frees_the_address(fake: Any) -> None:
    """After the end the port can be taken again at once."""
    server = serve_dashboard("127.0.0.1:0", fake)
    server.close()
    server.close()
    serve_dashboard(f"127.0.0.1:{server.place.port}", fake).close()


def test_a_real_system_is_shown_and_changed(system: PluginSystem, serve: Serve, stream: Any) -> None:
    """On each transport: a plugin that is paused from the page is paused."""
    system.load("builtin:echo", plugin_id=7)
    server = serve(system, TOKEN)
    opened = stream(server)
    assert _act(server, "7/pause").status == 204
    assert system.plugin_stats(7).state == "paused"
    while opened.next("snapshot")["plugins"][0]["state"] != "paused":
        pass
    assert _act(server, "7/revoke", body={"permission": "control"}).status == 204
    assert "control" not in system.plugin_info(7).permissions
    assert _act(server, "7/unload").status == 204
    assert opened.next("event")["kind"] == "unloaded"
    assert _act(server, "7/pause").error == "plugin 7 is not registered."
