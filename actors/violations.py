"""How often a plugin has broken its bounds lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

STEPS = 100
"""Into so many parts a window is divided; what falls into the same part is forgotten together."""


class ViolationLog:
    """The violations of one plugin's worker within a window. It stays small, however many there are."""

    def __init__(self, recent: Iterable[tuple[float, int]] = ()) -> None:
        self._recent = deque(recent)
        self._in_window = sum(count for _, count in self._recent)

    @property
    def recent(self) -> tuple[tuple[float, int], ...]:
        """What counts still, oldest first, as (monotonic seconds, count)."""
        return tuple(self._recent)

    def note(self, count: int, now: float, *, most: int, within_s: float) -> bool:
        """Count ``count`` more at ``now``: whether these are more than ``most`` within ``within_s`` seconds."""
        while self._recent and self._recent[0][0] <= now - within_s:
            self._in_window -= self._recent.popleft()[1]
        if self._recent and now - self._recent[-1][0] < within_s / STEPS:
            start, before = self._recent.pop()
            self._recent.append((start, before + count))
        else:
            self._recent.append((now, count))
        self._in_window += count
        return self._in_window > most

    def __len__(self) -> int:
        """How many entries it holds."""
        return len(self._recent)
