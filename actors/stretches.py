"""The stretches of one channel that are under way, oldest first. What comes back in order costs the same for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .results import Result
from .stretch import Stretch

# So many frames are worth being kept together.
LEAST_FRAMES = 16


class OutOfOrder(Exception):
    """A frame has come back before one of the same stretch: the frames have to be looked at one by one."""


class Stretches:
    """Not thread-safe: the session holds its lock."""

    def __init__(self) -> None:
        self._line: deque[Stretch] = deque()
        self.outstanding = 0
        """How many of their frames have no outcome yet."""
        self.unaccepted = 0
        """How many of their frames are not accepted yet."""

    def __bool__(self) -> bool:
        return bool(self._line)

    @property
    def first(self) -> int | None:
        """The number of the first frame without an outcome."""
        return self._line[0].settled_until if self._line else None

    def add(self, stretch: Stretch) -> None:
        """These frames are new."""
        self._line.append(stretch)
        self.outstanding += len(stretch)
        self.unaccepted += len(stretch)

    def accept(self, start: int, stop: int) -> int:
        """Frames with these numbers are accepted; returns how many were not. Raises :class:`OutOfOrder`."""
        count = 0
        for stretch in self._line:
            if stretch.first >= stop:
                break
            if stretch.stop > start and stretch.accepted_until < min(stop, stretch.stop):
                if stretch.accepted_until < start:
                    raise OutOfOrder
                count += self._accept(stretch, min(stop, stretch.stop))
        return count

    def settle(self, start: int, results: Sequence[Result], has_replies: bool) -> tuple[int, int]:
        """Frames from this number on have outcomes, ``has_replies`` says whether any is not ``None``.

        Returns how many are news, and the size of their headers. Raises :class:`OutOfOrder`.
        """
        count, size, stop = 0, 0, start + len(results)
        while self._line and (first := self._line[0].settled_until) < stop:
            stretch = self._line[0]
            if first < start:
                raise OutOfOrder
            until = min(stop, stretch.stop)
            size += stretch.size(first, until)
            count += until - first
            self._settle(stretch, results[first - start : until - start], has_replies)
        return count, size

    def take_all(self) -> list[Stretch]:
        """Keep none of them any more."""
        taken, self._line = list(self._line), deque()
        self.outstanding = self.unaccepted = 0
        return taken

    def _accept(self, stretch: Stretch, until: int) -> int:
        before = stretch.unaccepted
        stretch.accept(until)
        self.unaccepted -= before - stretch.unaccepted
        return before - stretch.unaccepted

    def _settle(self, stretch: Stretch, results: Sequence[Result], has_replies: bool) -> None:
        before = stretch.unaccepted
        stretch.settle(results, has_replies)
        self.unaccepted -= before - stretch.unaccepted
        self.outstanding -= len(results)
        if not stretch.unsettled:
            self._line.popleft()
