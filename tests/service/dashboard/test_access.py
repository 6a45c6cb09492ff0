"""Who is answered by the dashboard."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from .conftest import TOKEN, Serve, act, ask


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/stream"])
@pytest.mark.parametrize("host", ["evil.example", "", "10.0.0.1", "localhost.evil.example:80"])
def test_a_strangers_host_name_is_refused(fake: Any, serve: Serve, path: str, host: str) -> None:
    """A page that makes its own name lead to loopback reads nothing."""
    assert ask(serve(fake), path, Host=host).status == 403


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
    assert ask(server, "/api/stream", Origin=origin).status == 403
    assert act(server, "7/pause", Origin=origin).status == 403
    assert fake.done == []


def test_the_page_itself_is_answered(fake: Any, serve: Serve) -> None:
    """Its own origin is the one that it was loaded from, under whatever name and port."""
    server = serve(fake, TOKEN)
    assert act(server, "7/pause", Host="localhost:9", Origin="http://localhost:9").status == 204


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_of_other_pages_is_believed(fake: Any, serve: Serve, site: str) -> None:
    """A link from elsewhere opens the page; a request from elsewhere gets nothing."""
    server = serve(fake, TOKEN)
    assert ask(server, "/", Sec_Fetch_Site=site).status == 200
    assert ask(server, "/api/stream", Sec_Fetch_Site=site).status == 403
    assert act(server, "7/pause", Sec_Fetch_Site=site).status == 403
