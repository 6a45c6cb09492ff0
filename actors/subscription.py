"""Subscriptions: bounded queues between the system and whoever listens to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

from .arguments import checked_wait
from .events import Notice
from .lineage import OwnCondition


class Subscription:
    """Events and emitted frames, oldest first. When the queue is full the oldest is dropped and counted.

    Iterating yields until the subscription or the system is closed. All methods are thread-safe. In a process that was
    forked, reading raises :class:`SystemStopped`.
    """

    def __init__(self, capacity: int, on_close: Callable[[Subscription], None]) -> None:
        self._items: deque[Notice] = deque(maxlen=capacity)
        self._changed = OwnCondition()
        self._on_close = on_close
        self._on_change: Callable[[], None] | None = None
        self._closed = False
        self.dropped = 0
        """How many were lost so far, here or on the way, because nobody took them in time."""

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Notice]:
        while (item := self.get()) is not None:
            yield item

    def get(self, timeout: float | None = None) -> Notice | None:
        """Return the oldest; ``None`` after ``timeout`` seconds without any, or when closed and empty.

        Raises :class:`TypeError` and :class:`ValueError` for what is no time.
        """
        timeout = checked_wait(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._items and not self._closed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return self._items.popleft() if self._items else None

    @property
    def closed(self) -> bool:
        """Whether nothing more will come than is queued."""
        return self._closed

    @property
    def ready(self) -> bool:
        """Whether :meth:`get` has no reason to wait."""
        return bool(self._items) or self._closed

    def tell(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` whenever there is news, instead of whom was told before. It must not wait."""
        self._on_change = on_change

    def close(self) -> None:
        """Take nothing more; what is queued can still be read. Idempotent, and nothing in a process that was forked."""
        if self._changed.origin.elsewhere is not None:
            return
        with self._changed:
            self._closed = True
            self._tell_all()
        self._on_close(self)

    def _put(self, items: tuple[Notice, ...], dropped: int) -> None:
        with self._changed:
            if self._closed:
                return
            room = (self._items.maxlen or 0) - len(self._items)
            self.dropped += dropped + max(0, len(items) - room)
            self._items.extend(items)
            self._tell_all()

    def _tell_all(self) -> None:
        self._changed.notify_all()
        if self._on_change is not None:
            self._on_change()
