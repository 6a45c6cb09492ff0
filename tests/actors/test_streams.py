"""Emitted frames and log lines on their way to sessions."""

from __future__ import annotations

from typing import Any

import pytest

from nyx_plugins.actors import streams
from nyx_plugins.actors.events import ALL_STREAMS, EMITS, LOG, Emitted
from nyx_plugins.actors.messages import Delivery
from nyx_plugins.actors.streams import STREAM_BYTES, WARNING, Streams
from nyx_plugins.config.settings import LimitSettings


class _Post(list[tuple[Any, Delivery]]):
    """Records what is sent."""

    def send(self, to: Any, message: Any) -> None:
        self.append((to, message))


def test_one_delivery_is_under_way_and_the_rest_rides_in_the_next() -> None:
    """A subscriber that has not acknowledged gets nothing more; then it gets all at once, with what was dropped."""
    post = _Post()
    both = Streams(7, LimitSettings(event_queue=3), post.send)
    both.join(1, "here", (EMITS,))
    for data in (b"0", b"1", b"2", b"3", b"4"):
        both.emit(0x52, 0, data)
        both.flush("source")
    assert [delivery.items for _, delivery in post] == [(Emitted(7, 0x52, 0, b"0"),)]
    both.acknowledge(1, EMITS)
    both.flush("source")
    to, second = post[1]
    assert (to, second.stream, second.dropped) == ("here", EMITS, 1)
    assert [frame.data for frame in second.items] == [b"2", b"3", b"4"]


def test_a_frame_of_any_size_is_delivered() -> None:
    """A session that reads gets each frame, also one that is larger than all that may wait for it otherwise."""
    post = _Post()
    both = Streams(7, LimitSettings(), post.send)
    both.join(1, "here", ALL_STREAMS)
    for _ in range(2):
        both.emit(0x52, 0, bytes(2 * STREAM_BYTES))
        both.flush("source")
        both.acknowledge(1, EMITS)
    assert [(delivery.stream, len(delivery.items), delivery.dropped) for _, delivery in post] == [(EMITS, 1, 0)] * 2


def test_the_loss_of_frames_is_said_in_the_log_once() -> None:
    """The first frame that a slow session loses is told to whoever reads the plugin's log."""
    post = _Post()
    both = Streams(7, LimitSettings(event_queue=3), post.send)
    both.join(1, "here", ALL_STREAMS)
    for _ in range(9):
        both.emit(0x52, 0, b"")
    both.flush("source")
    [line] = [item for _, delivery in post if delivery.stream == LOG for item in delivery.items]
    bounds = "3 frames (limits.event_queue) and 1,048,576 bytes, or one larger frame, may wait"
    told = "the oldest are dropped, and this is said once"
    assert line == (WARNING, f"emitted frames come faster than a program takes them: {bounds}; {told}")


def test_a_session_that_left_gets_nothing() -> None:
    """Leaving ends both streams."""
    post = _Post()
    both = Streams(7, LimitSettings(), post.send)
    both.join(1, "here", ALL_STREAMS)
    both.leave(1)
    both.emit(0x52, 0, b"")
    both.log(20, "line")
    both.flush("source")
    assert post == []


def test_log_lines_are_rate_limited_and_the_loss_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the quota of a second lines are dropped; the next second begins with how many."""
    now = [100.0]
    monkeypatch.setattr(streams.time, "monotonic", lambda: now[0])
    post = _Post()
    both = Streams(7, LimitSettings(log_lines_per_s=2), post.send)
    both.join(1, "here", ALL_STREAMS)
    for number in range(5):
        both.log(20, f"line {number}")
    now[0] += 1.0
    both.log(20, "later")
    both.flush("source")
    [(_, delivery)] = post
    assert delivery.stream == LOG
    texts = [text for _, text in delivery.items]
    assert texts == ["line 0", "line 1", "3 log lines dropped: more than 2 in a second", "later"]
    assert delivery.items[2][0] == WARNING
