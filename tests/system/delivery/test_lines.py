"""Threads that wait for room in a mailbox stand in line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Receipt

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0
FRAME = (DATA, PluginHeader(P, 0, b"x").encode())


def waiting(system: PluginSystem) -> int:
    """Count those who wait."""
    return len(system._session._traffic._channels[P].waiting)


def test_threads_get_room_in_the_order_in_which_they_have_come(load: Callable[..., PluginSystem]) -> None:
    """First come, first served."""
    system = load(capacity=1)
    system.pause(P)
    replies: dict[int, Any] = {}

    def ask(number: int) -> None:
        replies[number] = system.request(HANDSHAKE, PluginHeader(P, 0, b""), LONG_S)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 9)]
    system.dispatch(HANDSHAKE, PluginHeader(P, 0, b""))
    for number, thread in enumerate(threads, 1):
        thread.start()
        # Its place is what matters: it has to be in line before the next one comes.
        while waiting(system) < number:
            thread.join(0.001)
    system.resume(P)
    for thread in threads:
        thread.join(LONG_S)
    assert replies == {number: b"%d" % (number + 1) for number in range(1, 9)}


def test_more_frames_than_may_wait(load: Callable[..., PluginSystem]) -> None:
    """A thousand frames go through a mailbox of five, in order."""
    system = load(capacity=5)
    frames = [(DATA, PluginHeader(P, 0, b"%d" % number)) for number in range(1000)]
    results = system.dispatch_many(frames, timeout=LONG_S)
    assert [item.outcome(LONG_S).reply for item in results if isinstance(item, Receipt)] == [
        b"%d" % number for number in range(1000)
    ]


def test_frames_that_wait_are_not_sent_when_the_call_ends_with_an_error(load: Callable[..., PluginSystem]) -> None:
    """What had found room before an item that is no frame is on its way; nothing is left in line."""
    system = load(capacity=2)
    system.pause(P)
    with pytest.raises(TypeError, match=r"frames\[4\] must be \(frame type, header"):
        system.dispatch_many([FRAME, FRAME, FRAME, FRAME, None], timeout=LONG_S)  # type: ignore[list-item]  # a mistake
    assert waiting(system) == 0
    system.resume(P)
    system.drain(LONG_S)
    assert system.plugin_stats(P).accepted == 2
