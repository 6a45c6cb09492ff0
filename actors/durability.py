"""What a plugin actor does for frames to outlive more than itself: nothing, or everything that a disk can do.

Each call says what is about to be told or done, and does it with ``then`` once that would survive.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ..plugins.errors import JournalFailed
from . import backlog, inheritance
from . import messages as m
from .backlog import Backlog, FrameName, KeptFrame
from .committer import Commit, Committer, Watching
from .dead_letters import DeadLetters
from .incarnation import incarnation_of
from .letter_office import bounds
from .results import Result
from .segments import Segments

Then = Callable[[], None]
Accepting = Callable[[JournalFailed | None], None]


class Durability(Protocol):
    """How long frames live, for a plugin actor."""

    @property
    def is_on_disk(self) -> bool:
        """Whether frames outlive the system."""

    def accept(self, frames: Sequence[KeptFrame], then: Accepting) -> None:
        """Frames of one session are about to be accepted; ``then`` gets the error if they can't be."""

    def forget(self, session: int, seqs: Sequence[int], then: Then) -> None:
        """Frames that were about to be accepted are not after all."""

    def hand_out(self, ring: int, first: int, names: Sequence[FrameName], then: Then) -> None:
        """A worker is about to be given frames of a ring, from an index on."""

    def take_back(self, names: Sequence[tuple[int, int, int]], then: Then) -> None:
        """A worker has ended, and frames that it had go to another: see :func:`backlog.take_back`."""

    def settle(self, outcomes: Mapping[int, Sequence[tuple[int, Result]]], then: Then) -> None:
        """Sessions are about to be told outcomes."""

    def after(self, then: Then) -> None:
        """Do this after all that was said before."""

    def again(self) -> None:
        """Try what could not be done."""

    def close(self, is_empty: bool) -> None:
        """The plugin actor ends, and whether no frame is left."""


class Volatile:
    """Frames live as long as the system: their mailbox is in memory that outlives each of its processes."""

    is_on_disk = False
    left = Backlog()

    def accept(self, frames: Sequence[KeptFrame], then: Accepting) -> None:
        """Go on."""
        then(None)

    def forget(self, session: int, seqs: Sequence[int], then: Then) -> None:
        """Go on."""
        then()

    def hand_out(self, ring: int, first: int, names: Sequence[FrameName], then: Then) -> None:
        """Go on."""
        then()

    def take_back(self, names: Sequence[tuple[int, int, int]], then: Then) -> None:
        """Go on."""
        then()

    def settle(self, outcomes: Mapping[int, Sequence[tuple[int, Result]]], then: Then) -> None:
        """Go on."""
        then()

    def after(self, then: Then) -> None:
        """Go on."""
        then()

    def again(self) -> None:
        """There is nothing to try."""

    def close(self, is_empty: bool) -> None:
        """There is nothing to close."""


class OnDisk:
    """Frames live until they have an outcome: what is told of them is on the disk before.

    Raises :class:`JournalFailed` and :class:`BacklogOfAnother`. ``left`` is what the one before has left.
    """

    is_on_disk = True

    def __init__(self, plan: m.StartPlugin, tell: Callable[[str], None], watching: Watching | None) -> None:
        folder = Path(plan.durable)
        self._lock = inheritance.claim(folder)
        try:
            self._segments = Segments(folder)
            self.left = self._inherited(plan, tell)
            self._segments.begin(self.left)
        except BaseException:
            os.close(self._lock)
            raise
        self._committer = Committer(self._write, tell, watching)

    def accept(self, frames: Sequence[KeptFrame], then: Accepting) -> None:
        """Record them."""
        session = frames[0].session
        names = [(session, frame.seq) for frame in frames]
        self._committer.add(Commit([backlog.accept(session, frames)], then, accepted=names))

    def forget(self, session: int, seqs: Sequence[int], then: Then) -> None:
        """Record that."""
        self._record([backlog.done(session, seqs)], [(session, seq) for seq in seqs], then)

    def take_back(self, names: Sequence[tuple[int, int, int]], then: Then) -> None:
        """Record how often each was delivered by now."""
        self._record([backlog.take_back(names)], (), then)

    def hand_out(self, ring: int, first: int, names: Sequence[FrameName], then: Then) -> None:
        """Record it, so that after another start of the machine it is known which frames were in hand."""
        self._record([backlog.send(ring, first, names)], (), then)

    def settle(self, outcomes: Mapping[int, Sequence[tuple[int, Result]]], then: Then) -> None:
        """Record that they are done with."""
        done = {session: [seq for seq, _ in settled] for session, settled in outcomes.items()}
        names = [(session, seq) for session, seqs in done.items() for seq in seqs]
        self._record([backlog.done(session, seqs) for session, seqs in done.items()], names, then)

    def after(self, then: Then) -> None:
        """Wait for what is under way."""
        self._record([], (), then)

    def again(self) -> None:
        """Write what could not be written."""
        self._committer.again()

    def close(self, is_empty: bool) -> None:
        """Leave nothing where nothing is left."""
        if is_empty and self._committer.is_idle:
            self._segments.remove()
            inheritance.remove(self._segments.folder)
        self._committer.close()
        os.close(self._lock)

    def _record(self, operations: Sequence[backlog.Operation], settled: Sequence[FrameName], then: Then) -> None:
        self._committer.add(Commit(operations, lambda _: then(), settled=settled, must=True))

    def _write(
        self, operations: Sequence[backlog.Operation], accepted: Sequence[FrameName], settled: Sequence[FrameName]
    ) -> None:
        self._segments.append(backlog.encoded(operations), accepted, settled)

    def _inherited(self, plan: m.StartPlugin, tell: Callable[[str], None]) -> Backlog:
        found = inheritance.read(self._segments, plan, tell)
        if found.holder is not None and found.holder.incarnation == incarnation_of(plan):
            return found
        earlier = found.holder.incarnation if found.holder is not None else 0
        limits = bounds(plan.settings.limits)
        letters = DeadLetters(plan.letters, plan.plugin_id, limits, incarnation=earlier, durable=True, tell=tell)
        return inheritance.take_over(found, plan, Path(plan.durable), letters)


def durability(plan: m.StartPlugin, tell: Callable[[str], None], watching: Watching) -> Volatile | OnDisk:
    """Return what the plugin was loaded with."""
    if not plan.durable:
        return Volatile()
    return OnDisk(plan, tell, None if plan.settings.system.transport == "inline" else watching)
