"""When frames are due: times that are fixed before anything is sent, and the same for the same seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

NS = 1_000_000_000
MOST_COUNTED = 1_000_000


def constant(rate: float, phase: float = 0.0) -> Iterator[int]:
    """Yield times in nanoseconds, without end: ``rate`` in each second, the first ``phase`` intervals after 0."""
    number = phase
    while True:
        # Not added up: nothing drifts, however long it takes.
        yield int(number * NS / rate)
        number += 1


def phase_of(seed: int | str) -> float:
    """Return a phase from 0 to 1, so that several clients with constant rates are not in step."""
    return random.Random(seed).random()


def poisson(rate: float, seed: int | str) -> Iterator[int]:
    """Yield times in nanoseconds, without end: ``rate`` in each second on average, each independent of the others."""
    draw = random.Random(seed).expovariate
    at = 0.0
    while True:
        at += draw(rate)
        yield int(at * NS)


class Due:
    """Frames that become due one after the other, from ``begin`` (nanoseconds on any clock) to before ``end``."""

    def __init__(self, times: Iterator[int], begin: int, end: int) -> None:
        self._times, self._begin, self._end = times, begin, end
        self._next = begin + next(times)

    @property
    def next(self) -> int | None:
        """When the next is due; ``None`` if there is none any more."""
        return self._next if self._next < self._end else None

    def take(self, now: int, most: int) -> list[int]:
        """Return the times of those that are due by ``now``, ``most`` at the most; they are not due again."""
        taken: list[int] = []
        limit = min(now, self._end - 1)
        while self._next <= limit and len(taken) < most:
            taken.append(self._next)
            self._next = self._begin + next(self._times)
        return taken

    def rest(self, since: int, until: int) -> int:
        """Count those that are due from ``since`` on and before ``until`` and were not taken; none is due any more.

        Beyond a million it is as many as there are in so much time on average.
        """
        left, first = 0, self._next
        for _ in range(MOST_COUNTED):
            if self._next >= until:
                break
            left += self._next >= since
            self._next = self._begin + next(self._times)
        else:
            left += (until - max(since, self._next)) * MOST_COUNTED // max(1, self._next - first)
        self._end = self._next
        return left


def spread(weights: dict[int, int]) -> list[int]:
    """Return keys in turn, each as often as its weight says and as evenly as can be: one round of them."""
    slots = [
        ((index + 0.5) / weight, place, key)
        for place, (key, weight) in enumerate(weights.items())
        for index in range(weight)
    ]
    return [key for _, _, key in sorted(slots)]
