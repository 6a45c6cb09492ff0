"""``Feed``: the events of a system as they come, read by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import attrs

from ..actors.events import Event, EventKind
from ..actors.subscription import Subscription


class Publisher(Protocol):
    """Whose events are read: a ``PluginSystem``."""

    def subscribe(self) -> Subscription:
        """A queue of what happens from now on."""


@attrs.frozen
class TimedEvent:
    """An event, and when it arrived here (seconds since 1970)."""

    time_s: float
    event: Event


class Feed:
    """Counts events by their kind, and hands each to ``take``, until it is closed or the system ends."""

    def __init__(self, system: Publisher, take: Callable[[TimedEvent], None] = lambda event: None) -> None:
        self._take = take
        self._counts: Counter[EventKind] = Counter()
        self._subscription = system.subscribe()
        self._thread = threading.Thread(target=self._read, name="nyx-plugins-feed", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each kind have come so far."""
        return {str(kind): self._counts[kind] for kind in EventKind}

    @property
    def dropped(self) -> int:
        """How many notices, events or emitted frames, were lost on their way here."""
        return self._subscription.dropped

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._subscription.close()
        self._thread.join(5.0)

    def _read(self) -> None:
        for notice in self._subscription:
            if isinstance(notice, Event):
                self._counts[notice.kind] += 1
                self._take(TimedEvent(time.time(), notice))
