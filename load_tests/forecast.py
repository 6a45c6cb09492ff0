"""``Forecast``: how long something will take that has many steps, from what was expected and from how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

MINUTE_S = 60.0
# Below this many seconds a forecast is told in seconds.
SHORT_S = 100.0


class Forecast:
    """Knows how many seconds each step was expected to take, and corrects what is left by how long others took."""

    def __init__(self, expected_s: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._expected = list(expected_s)
        self._clock, self._begun, self._done = clock, clock(), 0

    def step(self, text: str) -> str:
        """Begin the next step; return ``text`` with its number, and how long it and all after it will take."""
        told = f"{text} ({self._done + 1} of {len(self._expected)}, {spoken(self._left_s())} to go)"
        self._done += 1
        return told

    def skip(self) -> None:
        """Leave the next step out."""
        del self._expected[self._done]

    def _left_s(self) -> float:
        before, left = sum(self._expected[: self._done]), sum(self._expected[self._done :])
        return left * (self._clock() - self._begun) / before if before else left


def spoken(seconds: float) -> str:
    """Return a time as one says it: ``about 40 s``, ``about 5 minutes``."""
    return f"about {seconds:.0f} s" if seconds < SHORT_S else f"about {seconds / MINUTE_S:.0f} minutes"
