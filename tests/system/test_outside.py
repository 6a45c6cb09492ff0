"""What plugins reach outside their workers, through whole systems: real servers, real files, hostile requests."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors.events import Emitted
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import Settings, SupervisionSettings

DATA = 0x52
PLUGIN = 1
WAIT_S = 60.0


class Greeter:
    """A server on loopback that says hello to everybody and hangs up, once its gate is open."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.calls = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.calls += 1
                with connection:
                    connection.sendall(b"hello")

    def close(self) -> None:
        """Stop."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        self.socket.close()


@pytest.fixture
def greeter() -> Iterator[Greeter]:
    """Return a server."""
    greeter = Greeter()
    yield greeter
    greeter.close()


@pytest.fixture
def plugin(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], tmp_path: Path
) -> tuple[PluginSystem, Path]:
    """Return a system with the plugin that reaches out, and the folder that it may write to."""
    folder = tmp_path / "data"
    folder.mkdir()
    system = make_system(
        Settings(
            ceiling=Ceiling(network=("localhost", "denied.example"), write_paths=(str(folder),)),
            supervision=SupervisionSettings(max_restarts=10, backoff_initial_s=0.01, backoff_max_s=0.01),
        )
    )
    manifest = f'[sandbox]\nnetwork = ["localhost"]\nwrite_paths = ["{folder}"]\n'
    system.load(fault("plugin_that_reaches_out", manifest, PLUGIN))
    return system, folder


Plugin = tuple[PluginSystem, Path]


def send(system: PluginSystem, *texts: str) -> list[Any]:
    """Send data frames; returns their receipts."""
    frames = [(DATA, PluginHeader(PLUGIN, 0, text.encode()).encode()) for text in texts]
    return list(system.dispatch_many(frames, timeout=30.0))


def do(system: PluginSystem, text: str) -> Any:
    """Send one frame; returns the reply, or what was raised."""
    [receipt] = send(system, text)
    outcome = receipt.outcome(WAIT_S)
    return outcome.reply if outcome.kind == "processed" else outcome.reason


def descriptors_of(pid: int) -> list[str]:
    """Return what a process has open, without the connections between actors, which come and go."""
    others = {f"socket:[{line.split()[6]}]" for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    found = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    return sorted(re.sub(r"\d+", "N", name) for name in found if name not in others)


# What a plugin may do.


def test_a_plugin_connects_to_what_its_policy_names(plugin: Plugin, greeter: Greeter) -> None:
    """ctx.connect() is a connection to the server."""
    assert do(plugin[0], f"call localhost {greeter.port}") == b"hello"


def test_a_plugin_connects_to_nothing_else(plugin: Plugin, greeter: Greeter) -> None:
    """What is not named is denied with the list, by its address as well; nothing reaches the server."""
    system, _ = plugin
    for host in ("denied.example", "127.0.0.1"):
        error = str(do(system, f"call {host} {greeter.port}"))
        assert "SandboxViolation" in error
        assert f"'connect to {host}:{greeter.port}' denied by policy: host '{host}'" in error
        assert "is not in the network list (localhost)" in error
    assert greeter.calls == 0
    assert system.plugin_stats(PLUGIN).permission_violations == 2


def test_a_denial_is_an_event(plugin: Plugin, wait_event: Callable[..., Any]) -> None:
    """Operators see what a plugin was denied; many denials are few events, with their count."""
    system, _ = plugin
    with system.subscribe() as events:
        assert do(system, "refused 300") == b""
        event = wait_event(events, "violation", PLUGIN)[-1]
        assert "connection: host 'denied.example' is not in the network list (localhost)" in event.reason
        seen = 0
        while events.get(0.0) is not None:
            seen += 1
    assert seen < 100
    assert system.plugin_stats(PLUGIN).permission_violations == 300


def test_nobody_listens(plugin: Plugin) -> None:
    """A refused connection is the usual error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "ConnectionRefusedError" in str(do(plugin[0], f"call localhost {port}"))


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer a page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"page " + self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_https_over_a_brokered_connection(plugin: Plugin) -> None:
    """ctx.http speaks TLS with a real server on loopback that is named, and checks its certificate."""
    system, folder = plugin
    authority = trustme.CA()
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "other.pem").write_bytes(trustme.CA().cert_pem.bytes())
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust it hangs up
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"https://localhost:{server.server_address[1]}/x"
        assert do(system, f"get {url} {folder}/ca.pem") == b"200 page /x"
        assert "SSLCertVerificationError" in str(do(system, f"get {url} {folder}/other.pem"))
        assert "SandboxViolation" in str(do(system, f"get {url.replace('localhost', '127.0.0.1')} {folder}/ca.pem"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_files(plugin: Plugin) -> None:
    """ctx.open() makes, reads and appends to files below the write paths, and no others."""
    system, folder = plugin
    assert do(system, f"write {folder}/new one") == b""
    assert do(system, f"write {folder}/new two") == b""
    assert do(system, f"read {folder}/new") == b"onetwo"
    assert "FileNotFoundError" in str(do(system, f"read {folder}/missing"))
    (folder / "link").symlink_to("/etc/passwd")
    for path in ("/etc/passwd", f"{folder}/../x", f"{folder}/link"):
        error = str(do(system, f"read {path}"))
        assert "SandboxViolation" in error
        assert f"write paths: {folder}" in error


def test_a_plugin_connects_while_it_loads(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], greeter: Greeter, plugin_log: Any
) -> None:
    """ctx.connect() works in on_load() already."""
    bundle = fault("plugin_that_reaches_out", '[sandbox]\nnetwork = ["localhost"]\n', PLUGIN)
    system = make_system(Settings(ceiling=Ceiling(network=("localhost",))))
    system.load(bundle, config={"on_load": f"call localhost {greeter.port}"})
    assert plugin_log.wait_for("hello")


def test_many_threads_at_once(plugin: Plugin, greeter: Greeter) -> None:
    """More threads than requests that may be under way all get their connection."""
    assert do(plugin[0], f"together localhost {greeter.port} 60") == b" ".join([b"hello"] * 61)


@pytest.mark.needs_worker(reason="on inline nothing is idle")
def test_a_thread_asks_while_the_worker_is_idle(plugin: Plugin, greeter: Greeter) -> None:
    """A thread that a handler left behind gets its connection after the handler has returned."""
    system, _ = plugin
    with system.subscribe() as notices:
        assert do(system, f"later localhost {greeter.port}") == b""
        while not isinstance(notice := notices.get(WAIT_S), Emitted):
            assert notice is not None
    assert notice.data == b"hello"
    assert do(system, "echo still-here") == b"still-here"


@pytest.mark.needs_worker(reason="on inline no frame waits while a handler runs")
def test_frames_that_come_meanwhile_keep_their_order(plugin: Plugin, greeter: Greeter) -> None:
    """Frames that reach a worker while its handler waits for a connection are handled after it, in order."""
    texts = [f"{action}" for number in range(200) for action in (f"call localhost {greeter.port}", f"echo {number}")]
    replies = [receipt.outcome(WAIT_S).reply for receipt in send(plugin[0], *texts)]
    assert replies == [reply for number in range(200) for reply in (b"hello", b"%d" % number)]


# What a hostile one does.


@pytest.mark.needs_worker(reason="there is no protocol on inline")
@pytest.mark.parametrize(
    ("action", "breach"),
    [
        ("flood connect 100000", "worker protocol: more than 32 requests are not answered"),
        ("flood open 100000", "worker protocol: more than 32 requests are not answered"),
        ("flood odd 1", "worker protocol: timeout -1 is not in"),
        ("twice", "request 5 is not answered, and made again"),
    ],
)
def test_a_hostile_worker_is_ended(plugin: Plugin, action: str, breach: str, wait_event: Callable[..., Any]) -> None:
    """More requests than an honest worker makes, or odd ones, are a violation; the plugin is restarted and goes on."""
    system, _ = plugin
    with system.subscribe() as events:
        send(system, action)
        seen = wait_event(events, "restarted", PLUGIN)
    reasons = [event.reason for event in seen if event.kind == "violation"]
    assert any(breach in reason for reason in reasons), reasons
    assert do(system, "echo back") == b"back"


@pytest.mark.needs_worker(reason="there is no protocol on inline")
def test_an_answer_that_nobody_asked_for_ends_the_worker(plugin: Plugin, wait_event: Callable[..., Any]) -> None:
    """A worker takes an answer to a request that it has not made for a breach, and ends itself."""
    system, _ = plugin
    with system.subscribe() as events:
        send(system, "unasked")
        wait_event(events, "restarted", PLUGIN)
    assert do(system, "echo back") == b"back"


@pytest.mark.needs_worker(reason="there is no plugin actor's process on inline")
def test_nothing_is_left_open(plugin: Plugin, greeter: Greeter, wait_event: Callable[..., Any]) -> None:
    """Connections handed over, workers that die while they wait, and descriptors thrown at it leave nothing open."""
    system, folder = plugin
    (folder / "file").write_text("x")
    with system.subscribe() as events:
        do(system, "refused 1")
        # The file of dead letters is opened for the first of them, and stays open.
        send(system, f"vanish localhost {greeter.port}")
        wait_event(events, "restarted", PLUGIN)
        actor = system.plugin_stats(PLUGIN).actor_pid
        before = descriptors_of(actor)
        for _ in range(20):
            do(system, f"call localhost {greeter.port}")
            do(system, f"read {folder}/file")
        assert do(system, "throw") == b""
        for _ in range(3):
            send(system, f"vanish localhost {greeter.port}")
            wait_event(events, "restarted", PLUGIN)
        assert do(system, f"call localhost {greeter.port}") == b"hello"
    assert descriptors_of(actor) == before


@pytest.mark.needs_worker(reason="no deadline applies on inline")
def test_waiting_counts_as_the_handlers_time(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """A handler that waits for a connection longer than its wall time allows is ended like any other."""
    system = make_system(Settings(ceiling=Ceiling(network=("localhost",))))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        select.select([server], [], [], WAIT_S)
        system.load(fault("plugin_that_reaches_out", '[sandbox]\nnetwork = ["localhost"]\nwall_time_s = 0.3\n', PLUGIN))
        with system.subscribe() as events:
            send(system, f"call localhost {server.getsockname()[1]} 60")
            crashed = wait_event(events, "crashed", PLUGIN)[-1]
    assert "wall time" in crashed.reason
