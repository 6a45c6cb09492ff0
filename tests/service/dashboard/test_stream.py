"""What comes over the dashboard's stream."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from nyx_plugins import DispatchTimeout, Event, EventKind, PluginSystem, SystemStopped
from nyx_plugins.actors.events import Emitted
from nyx_plugins.plugins.worker.jail.level import Enforcement
from nyx_plugins.service import listening
from nyx_plugins.service.dashboard import browsers, recorder

from .conftest import TOKEN, Serve, Stream, act, ask


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
        answer = ask(server, "/api/stream")
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


def test_a_real_system_is_shown_and_changed(system: PluginSystem, serve: Serve, stream: Any) -> None:
    """On each transport: a plugin that is paused from the page is paused."""
    system.load("builtin:echo", plugin_id=7)
    server = serve(system, TOKEN)
    opened = stream(server)
    assert act(server, "7/pause").status == 204
    assert system.plugin_stats(7).state == "paused"
    while opened.next("snapshot")["plugins"][0]["state"] != "paused":
        pass
    assert act(server, "7/revoke", body={"permission": "control"}).status == 204
    assert "control" not in system.plugin_info(7).permissions
    assert act(server, "7/unload").status == 204
    assert opened.next("event")["kind"] == "unloaded"
    assert act(server, "7/pause").error == "plugin 7 is not registered."
