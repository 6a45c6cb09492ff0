"""The feed of events: counted, handed on, and ended."""

from __future__ import annotations

import queue
from typing import Any

from nyx_plugins import Event, EventKind
from nyx_plugins.actors.events import Emitted
from nyx_plugins.service.feed import Feed, TimedEvent


def test_events_are_handed_on_with_their_time_and_counted(fake: Any) -> None:
    """Events come in order; frames that plugins emit are nobody's event."""
    taken: queue.Queue[TimedEvent] = queue.Queue()
    feed = Feed(fake, taken.put)
    fake.publish(Emitted(1, 0x52, 0, b""), Event(EventKind.CRASHED, 1, "a"), Event(EventKind.READY, 1), dropped=3)
    first, second = taken.get(timeout=30), taken.get(timeout=30)
    assert (first.event.kind, second.event.kind) == (EventKind.CRASHED, EventKind.READY)
    assert first.time_s <= second.time_s
    feed.close()
    assert (feed.counts["crashed"], feed.counts["ready"], feed.counts["loaded"], feed.dropped) == (1, 1, 0, 3)


def test_closing_ends_the_thread(fake: Any) -> None:
    """Nothing is left, however often it is closed."""
    feed = Feed(fake)
    feed.close()
    feed.close()
    assert not feed._thread.is_alive()
