"""What the dashboard serves to read: its page, its files, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nyx_plugins.service.dashboard import app

from .conftest import Serve, ask

FILES = ("/main.js", "/style.css", "/icon.svg")


@pytest.mark.parametrize("path", ["/", *FILES])
def test_the_page_is_served_with_headers_that_keep_it_to_itself(fake: Any, serve: Serve, path: str) -> None:
    """Each file has its type, nothing may be loaded from elsewhere or run inline, and there are no cookies."""
    answer = ask(serve(fake), path)
    assert answer.status == 200 and answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert "set-cookie" not in answer.headers and "server" not in answer.headers


def test_the_page_names_nothing_elsewhere(fake: Any, serve: Serve) -> None:
    """The page works without a network: no file refers to another host, and all that are named are there."""
    server = serve(fake)
    page = ask(server, "/").body.decode()
    names = set(re.findall(r'(?:src|href)="(/[^"]*)"', page))
    assert names == {"/icon.svg", "/style.css", "/main.js"}
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        text = ask(server, name).body.decode()
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
        names |= {f"/{other}" for other in re.findall(r'from "\./([^"]+)"', text)}
    assert len(seen) > 10


def test_no_text_of_a_plugin_becomes_markup(fake: Any, serve: Serve) -> None:
    """The page's code has no way to turn text into markup or code."""
    server = serve(fake)
    for path, _, _ in app._files():
        text = ask(server, path).body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            path
        )
        assert not re.search(r"\son[a-z]+=|\sstyle=|<script(?! type=\"module\" src)", text), path


@pytest.mark.parametrize(
    "path", ["/nothing", "/../app.py", "/%2e%2e/app.py", "/static/index.html", "/api", "/index.html"]
)
def test_there_is_nothing_else(fake: Any, serve: Serve, path: str) -> None:
    """Only the page's own files are served."""
    answer = ask(serve(fake), path)
    assert answer.status == 404
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/stream"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_reading_changes_nothing(fake: Any, serve: Serve, path: str, method: str) -> None:
    """What is there to be read takes no other method."""
    assert ask(serve(fake), path, method).status == 405
