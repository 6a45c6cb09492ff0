"""The dashboard's parts: queues of browsers, the history, who knows the token."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from nyx_plugins.service.dashboard import browsers
from nyx_plugins.service.dashboard.browsers import Browser, Browsers, message
from nyx_plugins.service.dashboard.guard import knows, refusal
from nyx_plugins.service.dashboard.history import POINTS, SENT_POINTS, SPAN_S, History, Point, point_of
from nyx_plugins.service.listening import Place
from nyx_plugins.service.sampler import Sampler


@given(st.text())
def test_no_value_forges_a_message(text: str) -> None:
    """Whatever a plugin says, it stays inside the one line of its own message."""
    lines = message("event", {"reason": text}).decode().split("\n")
    assert lines[0] == "event: event" and lines[2:] == ["", ""]
    assert json.loads(lines[1].removeprefix("data: ")) == {"reason": text}


def test_a_slow_browser_gets_the_newest_snapshot_alone() -> None:
    """Snapshots that nobody has read are replaced, and events come before them."""
    browser = Browser()
    for data in (b"old", b"new"):
        browser.put("snapshot", data)
    browser.put("event", b"e")
    assert asyncio.run(browser.take()) == b"enew"


def test_a_slow_browser_loses_the_oldest_events_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded, and what was lost is counted."""
    monkeypatch.setattr(browsers, "QUEUED_EVENTS", 2)
    browser = Browser()
    for data in (b"1", b"2", b"3", b"4"):
        browser.put("event", data)
    assert asyncio.run(browser.take()) == message("dropped", 2) + b"34"


def test_a_silent_stream_is_kept_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """From time to time comes a comment, so that a browser that has gone is noticed."""
    monkeypatch.setattr(browsers, "HEARTBEAT_S", 0.0)
    assert asyncio.run(Browser().take()) == b": still here\n\n"


def test_what_is_queued_is_sent_before_the_end() -> None:
    """Closing takes nothing away, and after it comes nothing."""
    browser = Browser()
    browser.put("event", b"last")
    browser.close()

    async def take_all() -> list[bytes]:
        return [await browser.take(), await browser.take()]

    assert asyncio.run(take_all()) == [b"last", b""]


def test_publishing_needs_no_running_loop() -> None:
    """Before the server's loop runs, and after it has ended, nobody is there to be told."""
    all_of_them = Browsers()
    all_of_them.publish("event", 1)
    loop = asyncio.new_event_loop()
    all_of_them.run_in(loop)
    loop.close()
    all_of_them.publish("event", 1)
    all_of_them.close()


def test_history_forgets_what_is_too_old() -> None:
    """Points older than the span go, so do those that are too many."""
    history = History()
    for second in range(POINTS + 10):
        history.add(Point(float(second), {1: (second, 0.0)}))
    assert len(history._points) == POINTS
    history.add(Point(POINTS + SPAN_S + 1.0, {}))
    assert [point.time_s for point in history._points] == [POINTS + 1.0 + i for i in range(9)] + [POINTS + SPAN_S + 1.0]


@given(st.integers(0, 3 * SENT_POINTS))
def test_history_is_thinned_evenly_and_ends_with_the_last(number: int) -> None:
    """A browser gets so many points at most, in order, the newest always among them."""
    history = History()
    for second in range(number):
        history.add(Point(float(second), {}))
    times = [time for time, _ in history.as_json()]
    assert len(times) <= SENT_POINTS and times == sorted(times)
    assert times[-1:] == ([] if number == 0 else [float(number - 1)])
    assert len({later - earlier for earlier, later in itertools.pairwise(times)}) <= 1


def test_a_point_holds_depth_and_rate(fake: Any, stats: Any) -> None:
    """Of a plugin without statistics there is no point, which a chart shows as a gap."""
    fake.add(1, stats(in_mailbox=3))
    fake.add(2, stats(), state="registered")
    sampler = Sampler(fake)
    assert point_of(sampler.sample()).plugins == {1: (3, 0.0)}
    sampler.close()


@given(st.text(st.characters(codec="latin-1")), st.text(min_size=1))
def test_only_the_token_is_the_token(given_token: str, token: str) -> None:
    """No other text is taken for it, of whatever length and alphabet, and none raises."""
    assert knows(token, f"Bearer {given_token}") == (given_token.strip() == token)
    assert not knows(token, None) and not knows(token, token)


def test_a_request_without_a_browser_is_answered() -> None:
    """Programs send neither Origin nor fetch metadata."""
    assert refusal(Headers({"host": "localhost"}), "POST", "/api/token", Place("127.0.0.1", "127.0.0.1", 1)) is None
