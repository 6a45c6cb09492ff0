"""``Places``: room for so many connections, where those that only hold a place give way to those that come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

REQUEST_S = 10.0
"""How long a request may take to arrive, and a connection to send its first."""

C = TypeVar("C", bound=Hashable)


class Places(Generic[C]):
    """The connections of a server. Each waits for its request, or is answered. Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        # Since when they wait, the one that has waited longest first.
        self._waiting: dict[C, float] = {}
        self._answered: set[C] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._answered)

    @property
    def overfull(self) -> bool:
        """Whether one more than there is room for has come, because all others are answered."""
        return len(self) > self._limit

    def enter(self, connection: C) -> C | None:
        """Let one in; returns the one that has to go for it: who has waited longest, if there is no room else."""
        with self._lock:
            oldest = next(iter(self._waiting), None) if len(self) >= self._limit else None
            if oldest is not None:
                del self._waiting[oldest]
            self._waiting[connection] = self._clock()
            return oldest

    def answer(self, connection: C) -> None:
        """Its request is complete; no matter for one that has left."""
        with self._lock:
            if self._waiting.pop(connection, None) is not None:
                self._answered.add(connection)

    def wait(self, connection: C) -> None:
        """It has its answer, and may ask again."""
        with self._lock:
            if connection in self._answered:
                self._answered.remove(connection)
                self._waiting[connection] = self._clock()

    def leave(self, connection: C) -> None:
        """It has gone. Idempotent."""
        with self._lock:
            self._waiting.pop(connection, None)
            self._answered.discard(connection)

    def late(self, limit_s: float) -> list[C]:
        """Those that have waited longer than that."""
        with self._lock:
            now_s = self._clock()
            return [connection for connection, since_s in self._waiting.items() if now_s - since_s > limit_s]
