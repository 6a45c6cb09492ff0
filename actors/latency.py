"""How long frames take from acceptance to outcome, counted by plugin actors as histograms."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

import attrs

_MILLISECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
BOUNDS = tuple(milliseconds / 1000 for milliseconds in _MILLISECONDS)
"""The upper bounds of the buckets, in seconds."""


@attrs.frozen
class LatencyHistogram:
    """Seconds from acceptance to outcome; ``counts[i]`` frames took at most ``bounds[i]``, the last ones more.

    A bucket does not include those below it, and there is one count more than there are bounds.
    """

    bounds: tuple[float, ...] = BOUNDS
    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        """How many frames were measured."""
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """Return the upper bound of the bucket in which the share ``q`` (0 to 1) of the frames is reached, in seconds.

        Infinity beyond the last bound; ``None`` as long as nothing was measured.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile must be from 0 to 1, not {q}")
        total = self.count
        if not total:
            return None
        seen = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            if seen and seen >= q * total:
                return bound
        raise AssertionError("all counts together are the total")


def total(histograms: Sequence[LatencyHistogram]) -> LatencyHistogram:
    """All that any of them has measured."""
    counts = tuple(map(sum, zip(*(histogram.counts for histogram in histograms), strict=True)))
    return LatencyHistogram(BOUNDS, counts, sum(histogram.sum_s for histogram in histograms))


class LatencyMeter:
    """Measures the frames of one mailbox by their index; frames below ``first`` came before it and are not measured."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._arrivals: deque[tuple[int, float]] = deque()
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum_s = 0.0

    def arrived(self, end: int, now: float) -> None:
        """All frames below ``end`` are accepted, the last of them at ``now`` (monotonic seconds)."""
        self._arrivals.append((end, now))

    def finished(self, end: int, now: float) -> None:
        """All frames below ``end`` have their outcomes."""
        while self._arrivals and self._next < end:
            batch_end, arrived = self._arrivals[0]
            upto = min(batch_end, end)
            self._add(now - arrived, upto - self._next)
            self._next = upto
            if upto == batch_end:
                self._arrivals.popleft()

    def histogram(self) -> LatencyHistogram:
        """What was measured so far."""
        return LatencyHistogram(BOUNDS, tuple(self._counts), self._sum_s)

    def _add(self, seconds: float, frames: int) -> None:
        self._counts[bisect_left(BOUNDS, seconds)] += frames
        self._sum_s += seconds * frames
