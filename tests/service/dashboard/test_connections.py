"""The dashboard's connections: half open, slow, too many; its start and its end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nyx_plugins import Event, EventKind, StartupError
from nyx_plugins.service import places
from nyx_plugins.service.dashboard import serve_dashboard
from nyx_plugins.service.dashboard import server as server_module
from nyx_plugins.service.dashboard.server import DashboardServer

from .conftest import TOKEN, Serve, act, ask


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
    assert ask(server, "/").status == 200
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
        answer = ask(server, "/")
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
    assert ask(server, "/", Connection="Upgrade", Upgrade="websocket").status == 200
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


def test_faults_of_the_dashboard_are_in_the_log(fake: Any, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody has thought of is told below ``nyx_plugins``, and ends nothing."""
    fake.refusal = ZeroDivisionError("secret")
    server = serve(fake, TOKEN)
    answer = act(server, "7/pause")
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
    # An address that nobody else has: on the usual one, another program may be quicker to take the port.
    address = f"127.{os.getpid() >> 16}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
    server = serve_dashboard(f"{address}:0", fake)
    server.close()
    server.close()
    serve_dashboard(f"{address}:{server.place.port}", fake).close()
