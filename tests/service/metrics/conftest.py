"""A server of metrics at a free port, and what scrapes it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nyx_plugins.service.metrics import MetricsServer, serve_metrics

Serve = Callable[[Any], MetricsServer]


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


def get(server: MetricsServer, path: str = "/metrics", **headers: str) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer."""
    connection = http.client.HTTPConnection(server.place.ip, server.place.port, timeout=30)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()
