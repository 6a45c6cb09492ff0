"""When frames may go: at once if they are alone, and in a flow together with those of the next moment. Pure.

A message wakes somebody at every place that it passes. That costs more than what is done there with another frame.
"""

from __future__ import annotations

# In a flow messages are so far apart, in seconds.
INTERVAL_S = 0.002
# So many frames are worth a message of their own.
MANY_FRAMES = 1024


class Gathering:
    """Of one sender. Times are seconds, by any clock that only goes forward."""

    def __init__(self) -> None:
        self._next = 0.0

    def sent(self, now: float) -> None:
        """A message has gone."""
        self._next = now + INTERVAL_S

    def wait_s(self, now: float, frames: int, is_flow: bool) -> float:
        """How long these frames wait for others; ``is_flow``: earlier ones have not arrived yet."""
        return max(0.0, self._next - now) if is_flow and 0 < frames < MANY_FRAMES else 0.0
