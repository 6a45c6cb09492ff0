"""A thread of a session that fails ends the session: nobody waits for what will not come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, SystemStopped
from nyx_plugins.actors.transports import sockets

FRAME = (0x52, PluginHeader(1002, 0, b"x"))
LONG_S = 120.0

pytestmark = pytest.mark.needs_worker(reason="an inline system has no threads")


def _fail(*_: object) -> None:
    raise RuntimeError("as told")


def _check(system: PluginSystem, caplog: pytest.LogCaptureFixture, thread: str) -> None:
    """What waits, and what comes after it, is told why; the log tells of it once."""
    for call in (lambda: system.request(*FRAME, LONG_S), system.plugins, system.subscribe):
        with pytest.raises(SystemStopped, match=r"internal error: RuntimeError\('as told'\)"):
            call()
    assert system.stopped is not None
    assert [record.getMessage() for record in caplog.records] == [f"the thread that {thread} the system has failed"]


def test_the_thread_that_sends_fails(
    system: PluginSystem, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is that it can't do."""
    system.load("builtin:echo")
    with caplog.at_level(logging.ERROR, "nyx_plugins.session"):
        monkeypatch.setattr(system._session._outbox, "next", _fail)
        _check(system, caplog, "sends to")


def test_the_thread_that_receives_fails(
    make_system: Callable[[], PluginSystem], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise."""
    receive, failing = sockets.Endpoint._receive, []

    def receive_or_fail(endpoint: sockets.Endpoint, on_message: Callable[[Any], None]) -> None:
        receive(endpoint, lambda message: _fail() if failing else on_message(message))

    monkeypatch.setattr(sockets.Endpoint, "_receive", receive_or_fail)
    system = make_system()
    system.load("builtin:echo")
    with caplog.at_level(logging.ERROR, "nyx_plugins.session"):
        failing.append(True)
        _check(system, caplog, "receives from")
