"""The frames of one mailbox on their way to a worker: what is handed out, what has come back, what is suspect."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ..plugins.worker.batch import Batch
from .frames import NewFrame
from .held import NOTHING_HELD, Held
from .latency import LatencyMeter
from .mailbox import NO_EXTRAS, Mailbox
from .messages.values import Extra
from .pace import Pace
from .results import DeadLetter, Outcomes, ReplyLost, Result, outcomes_of

# Frames and bytes of one batch for the worker; while one is under way the next is already in its socket.
BATCH_FRAMES = 1024
BATCH_BYTES = 1 << 20
BATCHES_UNDER_WAY = 2
# Set in the ring indices that a worker is told, where a lane has two trays: it tells of which one they are.
FLAG = 1 << 63

Settled: TypeAlias = dict[int, Outcomes]
"""Outcomes by session."""


class HandOut(NamedTuple):
    """A batch for a worker: the ring index of the first frame, and type and header of each."""

    first: int
    frames: Batch


class Tray:
    """Belongs to a lane, which gives it the results; the mailbox has the last word on what is accepted.

    A worker is told ring indices with ``flag`` set in them, so that it is plain of which tray it speaks.
    """

    def __init__(self, box: Mailbox, flag: int = 0, max_deliveries: int = 1) -> None:
        self.box = box
        self.latency = LatencyMeter(box.accepted)
        self._flag = flag
        self.max_deliveries = max_deliveries
        self._pace = Pace(BATCH_FRAMES)
        self._sent = box.finished
        self._ends: deque[int] = deque()
        self._is_alone = False
        # Frames from here on have no end of their time; of those that another actor accepted it is not known.
        self._timeless_from = box.accepted

    def ring(self, lane: int) -> int:
        """Its number among the mailboxes of the plugin."""
        return 2 * lane + bool(self._flag)

    @property
    def is_waiting(self) -> bool:
        """Whether there are frames that no worker was given."""
        return self._sent < self.box.accepted

    @property
    def is_under_way(self) -> bool:
        """Whether a worker has frames in hand."""
        return bool(self._ends)

    @property
    def is_quick(self) -> bool:
        """Whether a worker has all that there is, and takes no time for it to speak of."""
        return not self.is_waiting and self._pace.is_quick

    def accept(
        self,
        session: int,
        frames: Sequence[NewFrame],
        extras: Mapping[int, Extra] = NO_EXTRAS,
        others: Held = NOTHING_HELD,
    ) -> int:
        """Accept the frames before the first that finds no room beside ``others``; return how many."""
        count = self.box.append_batch(session, frames, extras, others)
        if count:
            self.latency.arrived(self.box.accepted, time.monotonic())
            if extras and any(extra.expires_at_ms for extra in extras.values()):
                self._timeless_from = self.box.accepted
        return count

    def take(self, now_ms: int) -> HandOut | None:
        """The next batch, which is under way from now on; ``None`` as long as there is none to be handed out."""
        if len(self._ends) >= BATCHES_UNDER_WAY or self._is_alone or not self.is_waiting:
            return None
        was_suspect = self.box.deliveries(self._sent) > 0 if self.max_deliveries > 1 else False
        if was_suspect and self._ends:
            return None
        first, frames = self._sent, self.box.read(self._sent, self._pace.frames, BATCH_BYTES, now_ms)
        if not frames:
            return None
        self._is_alone = was_suspect
        self._sent += len(frames)
        self._ends.append(self._sent)
        return HandOut(first | self._flag, frames)

    def expired(self, now_ms: int) -> int:
        """How many of the oldest frames have to be given up because their time is over, and no worker has them."""
        first, count = self.box.finished, 0
        if self._ends or first >= self._timeless_from:
            return 0
        while first + count < self._timeless_from and 0 < self.box.expires_at(first + count) <= now_ms:
            count += 1
        return count

    @property
    def expires_at_ms(self) -> int:
        """When the time of the oldest frame is over, if no worker has it; else 0."""
        first = self.box.finished
        return 0 if self._ends or first >= self._timeless_from else self.box.expires_at(first)

    def is_due(self, first: int, count: int) -> bool:
        """Whether a worker may answer ``count`` frames from ring index ``first`` (without flag) on now."""
        return first == self.box.finished and first + count <= self._sent

    def finish(self, results: Sequence[Result], spent_s: float | None = None) -> Settled:
        """Give the oldest frames their results, which took a worker so long, where it was one."""
        first = self.box.finished
        sessions, seqs = self.box.origin_columns(first, len(results))
        self.box.finish(results)
        self._sent = max(self._sent, self.box.finished)
        now = time.monotonic()
        self.latency.finished(first + len(results), now)
        if spent_s is not None:
            self._pace.finished(len(results), spent_s)
        if self._ends:
            self._is_alone = False
        while self._ends and self._ends[0] <= self.box.finished:
            self._ends.popleft()
        return _by_session(sessions, seqs, results)

    def in_hand(self, mark: tuple[int, int]) -> tuple[int, int]:
        """Move a worker's mark into the frames that it was given: claiming others gains it no time."""
        index = min(max(mark[0] ^ self._flag, self.box.finished), self._sent - 1)
        return index, min(mark[1], self._sent - index)

    def verdicts(self, mark: tuple[int, int], reason: str) -> list[Result]:
        """The results of what a worker that ended had started: what the mark covers is suspect, what is before is done.

        What comes after the mark has none: it goes to the next worker. So do suspects that may be delivered again.
        """
        index, count = mark[0] ^ self._flag, mark[1]
        end = min(index + count, self._sent)
        if index >= FLAG or count == 0 or end <= self.box.finished:
            return []
        first = min(max(index, self.box.finished), end)
        done: list[Result] = [ReplyLost()] * (first - self.box.finished)
        for index in range(first, end):
            self.box.note_delivery(index)
        # They were delivered together, so equally often.
        again = first < end and self.box.deliveries(first) < self.max_deliveries
        return done if again else done + [DeadLetter(reason)] * (end - first)

    @property
    def suspects(self) -> int:
        """How many of the oldest frames were in the hand of a worker that ended, and are to be handed out again."""
        first, count = self.box.finished, 0
        while self.max_deliveries > 1 and first + count < self.box.accepted and self.box.deliveries(first + count):
            count += 1
        return count

    def expect_mark(self) -> None:
        """Take it that all frames were handed out: a mark of a time that nobody remembers may mean any of them."""
        self._sent = self.box.accepted

    def rewind(self) -> None:
        """No worker has anything in hand any more."""
        self._sent = self.box.finished
        self._ends.clear()
        self._is_alone = False


def _by_session(sessions: Sequence[int], seqs: Sequence[int], results: Sequence[Result]) -> Settled:
    if sessions and sessions.count(sessions[0]) == len(sessions):
        return {sessions[0]: outcomes_of(seqs, results)}
    settled: dict[int, list[tuple[int, Result]]] = defaultdict(list)
    for session, seq, result in zip(sessions, seqs, results, strict=True):
        settled[session].append((seq, result))
    return dict(settled)
