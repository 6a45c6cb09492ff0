"""The frames of one mailbox on their way to a worker: what is handed out, what has come back, what is suspect."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from .latency import LatencyMeter
from .mailbox import Mailbox, NewFrame
from .results import DeadLetter, ReplyLost, Result

# Frames and bytes of one batch for the worker; while one is under way the next is already in its socket.
BATCH_FRAMES = 256
BATCH_BYTES = 1 << 20
BATCHES_UNDER_WAY = 2

Settled: TypeAlias = dict[int, list[tuple[int, Result]]]
"""Outcomes by session, each with its sequence number."""


class HandOut(NamedTuple):
    """A batch for a worker: the ring index of the first frame, and type and header of each."""

    first: int
    frames: list[tuple[int, bytes]]


class Tray:
    """Belongs to a lane, which gives it the results; the mailbox has the last word on what is accepted."""

    def __init__(self, box: Mailbox) -> None:
        self.box = box
        self.latency = LatencyMeter(box.accepted)
        self._sent = box.finished
        self._ends: deque[int] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether there are frames that no worker was given."""
        return self._sent < self.box.accepted

    @property
    def is_under_way(self) -> bool:
        """Whether a worker has frames in hand."""
        return bool(self._ends)

    @property
    def has_room(self) -> bool:
        """Whether one more batch may be under way."""
        return len(self._ends) < BATCHES_UNDER_WAY

    def accept(self, session: int, frames: Sequence[NewFrame]) -> int:
        """Accept the frames before the first that finds no room; return how many."""
        count = self.box.append_batch(session, frames)
        if count:
            self.latency.arrived(self.box.accepted, time.monotonic())
        return count

    def take(self) -> HandOut:
        """The next batch, which is under way from now on."""
        first, frames = self._sent, self.box.read(self._sent, BATCH_FRAMES, BATCH_BYTES)
        self._sent += len(frames)
        self._ends.append(self._sent)
        return HandOut(first, frames)

    def is_due(self, first: int, count: int) -> bool:
        """Whether a worker may answer ``count`` frames from ring index ``first`` on now."""
        return first == self.box.finished and first + count <= self._sent

    def finish(self, results: Sequence[Result]) -> Settled:
        """Give the oldest frames their results."""
        first = self.box.finished
        origins = self.box.origins(first, len(results))
        self.box.finish(results)
        self.latency.finished(first + len(results), time.monotonic())
        while self._ends and self._ends[0] <= self.box.finished:
            self._ends.popleft()
        settled: Settled = defaultdict(list)
        for (session, seq), result in zip(origins, results, strict=True):
            settled[session].append((seq, result))
        return settled

    def in_hand(self, mark: tuple[int, int]) -> tuple[int, int]:
        """Move a worker's mark into the frames that it was given: claiming others gains it no time."""
        index, count = mark
        index = min(max(index, self.box.finished), self._sent - 1)
        return index, min(count, self._sent - index)

    def verdicts(self, mark: tuple[int, int], reason: str) -> list[Result]:
        """The results of what a worker that ended had started: what the mark covers is suspect, what is before is done.

        What comes after the mark has none: it goes to the next worker.
        """
        index, count = mark
        end = min(index + count, self._sent)
        if count == 0 or end <= self.box.finished:
            return []
        first = min(max(index, self.box.finished), end)
        return [ReplyLost()] * (first - self.box.finished) + [DeadLetter(reason)] * (end - first)

    def expect_mark(self) -> None:
        """Take it that all frames were handed out: a mark of a time that nobody remembers may mean any of them."""
        self._sent = self.box.accepted

    def rewind(self) -> None:
        """No worker has anything in hand any more."""
        self._sent = self.box.finished
        self._ends.clear()
