"""Timed wakeups of one actor, in the order in which they are due. Thread-safe."""

from __future__ import annotations

import heapq
import threading
import time
from typing import Any

from thespian.actors import WakeupMessage
from thespian.system.timing import ExpirationTimer, timePeriodSeconds


class Wakeups:
    """A heap of what ``wakeupAfter`` asked for."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Any, Any]] = []
        self._count = 0
        self._lock = threading.Lock()

    def add(self, period: Any, payload: Any) -> None:
        """Set a wakeup in ``period`` (a timedelta, or a number of seconds)."""
        with self._lock:
            self._count += 1
            due = time.monotonic() + timePeriodSeconds(period)
            heapq.heappush(self._heap, (due, self._count, period, payload))

    def next_due(self) -> float | None:
        """Return when the next one is due, in monotonic seconds."""
        heap = self._heap
        try:
            return heap[0][0]
        except IndexError:
            return None

    def pop_due(self, now: float) -> WakeupMessage | None:
        """Take the next one if it is due."""
        with self._lock:
            if not self._heap or self._heap[0][0] > now:
                return None
            _, _, period, payload = heapq.heappop(self._heap)
        return WakeupMessage(period, payload)

    def timers(self) -> list[ExpirationTimer]:
        """List when they are due, as Thespian's status reports want it."""
        now = time.monotonic()
        with self._lock:
            return [ExpirationTimer(max(0.0, due - now)) for due, *_ in sorted(self._heap, key=lambda item: item[:2])]
