"""A bounded fan-out of one stream (events, emits, logs) to subscribers, in batches that come about naturally.

At most one message is under way to each subscriber; what is added meanwhile becomes the next. A subscriber that does
not acknowledge costs the limits twice at most, once under way and once waiting, and loses its oldest items. One item
is always let in, however large: it waits alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

import attrs

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class Batch(NamedTuple, Generic[Item]):
    """What one message carries: items, oldest first, and how many were lost before them since the last message."""

    items: tuple[Item, ...]
    dropped: int


@attrs.frozen
class OutletStatistics:
    """``waiting`` items over all subscribers, messages ``in_flight``, and items ever ``dropped``."""

    subscribers: int
    waiting: int
    in_flight: int
    dropped: int


@attrs.define(eq=False)
class _Subscriber(Generic[Item]):
    waiting: deque[tuple[Item, int]] = attrs.field(factory=deque)
    size: int = 0
    dropped: int = 0
    in_flight: bool = False


class Outlet(Generic[Key, Item]):
    """Buffers of at most ``max_items`` items and ``max_bytes`` bytes, one for each subscriber."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        if max_items < 1 or max_bytes < 1:
            raise ValueError(f"max_items and max_bytes must be at least 1, got {max_items} and {max_bytes}")
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._subscribers: dict[Key, _Subscriber[Item]] = {}
        self._dropped = 0

    def subscribe(self, key: Key) -> None:
        """Add a subscriber for what is added from now on. One that is there begins anew, with nothing under way."""
        self._subscribers[key] = _Subscriber()

    def unsubscribe(self, key: Key) -> None:
        """Remove a subscriber and what waits for it; nothing happens if it is not there."""
        self._subscribers.pop(key, None)

    def add(self, item: Item, size: int) -> int:
        """Add an item of ``size`` bytes for every subscriber; where there is no room the oldest are dropped.

        Returns how many were, over all subscribers.
        """
        before = self._dropped
        for subscriber in self._subscribers.values():
            waiting = subscriber.waiting
            while waiting and (len(waiting) >= self._max_items or subscriber.size + size > self._max_bytes):
                subscriber.size -= waiting.popleft()[1]
                self._note_drop(subscriber)
            waiting.append((item, size))
            subscriber.size += size
        return self._dropped - before

    def ready(self) -> list[tuple[Key, Batch[Item]]]:
        """What is to be sent now, and to whom; it counts as under way until `acknowledge`."""
        due = [
            (key, subscriber)
            for key, subscriber in self._subscribers.items()
            if not subscriber.in_flight and (subscriber.waiting or subscriber.dropped)
        ]
        return [(key, _take(subscriber)) for key, subscriber in due]

    def rest(self) -> list[tuple[Key, Batch[Item]]]:
        """All that is left, and for whom, whatever is under way: the source is about to end."""
        for subscriber in self._subscribers.values():
            subscriber.in_flight = False
        return self.ready()

    def acknowledge(self, key: Key) -> None:
        """The message under way to ``key`` has arrived: the next may go. Harmless for one that is not there."""
        subscriber = self._subscribers.get(key)
        if subscriber is not None:
            subscriber.in_flight = False

    def statistics(self) -> OutletStatistics:
        """How full it is now, and what was lost so far (also by subscribers that have gone)."""
        subscribers = self._subscribers.values()
        return OutletStatistics(
            subscribers=len(subscribers),
            waiting=sum(len(subscriber.waiting) for subscriber in subscribers),
            in_flight=sum(subscriber.in_flight for subscriber in subscribers),
            dropped=self._dropped,
        )

    def _note_drop(self, subscriber: _Subscriber[Item]) -> None:
        subscriber.dropped += 1
        self._dropped += 1


def _take(subscriber: _Subscriber[Item]) -> Batch[Item]:
    batch = Batch(tuple(item for item, _ in subscriber.waiting), subscriber.dropped)
    subscriber.waiting.clear()
    subscriber.size = subscriber.dropped = 0
    subscriber.in_flight = True
    return batch
