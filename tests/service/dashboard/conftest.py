"""A dashboard at a free port, and what asks it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from nyx_plugins.service.dashboard import serve_dashboard
from nyx_plugins.service.dashboard.server import DashboardServer

TOKEN = "correct horse battery"
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


def ask(server: DashboardServer, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
    """Ask for something, and wait for what comes back."""
    connection = http.client.HTTPConnection(server.place.ip, server.place.port, timeout=30)
    try:
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection.request(method, path, sent, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    finally:
        connection.close()


def act(server: DashboardServer, what: str, token: str | None = TOKEN, **more: Any) -> Answer:
    """Ask for a change, as whoever knows this token."""
    if token is not None:
        more.setdefault("Authorization", f"Bearer {token}")
    return ask(server, f"/api/plugins/{what}", "POST", **more)


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
