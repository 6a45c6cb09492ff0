"""The frames of one plugin that have to outlive its system, as records say: accepted, handed out, done. Pure.

A record is a list of operations that count together. A frame goes by its session and its sequence number; a ring is a
mailbox of the plugin, by its number, and its indices say which frames a worker's mark means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

import attrs
import cbor2

VERSION = 1
HEAD, ACCEPT, SENT, DONE, TAKEN_BACK = range(1, 6)

Operation: TypeAlias = list[Any]
# Where the key is among the values of a frame.
_KEY = 5
FrameName: TypeAlias = tuple[int, int]
"""Session and sequence number."""


class Holder(NamedTuple):
    """Whose frames they are, and who has them in hand."""

    plugin_id: int
    plugin: str
    """The plugin's name."""
    boot: str
    """Which start of the machine it was (random/boot_id of proc(5))."""
    incarnation: int
    """Which load it was: that is whose mailboxes the rings are."""


@attrs.frozen
class KeptFrame:
    """All that it takes to accept a frame again."""

    session: int
    seq: int
    frame_type: int
    header: bytes
    data_length: int
    expires_at_ms: int = 0
    key: int | None = None
    deliveries: int = 0
    """How often systems ended while a worker may have had it in hand."""

    def values(self) -> list[Any]:
        """How it is recorded, but for its session."""
        return list(attrs.astuple(self)[1:])


@attrs.define
class Backlog:
    """What a row of records comes to."""

    holder: Holder | None = None
    frames: dict[FrameName, KeptFrame] = attrs.field(factory=dict)
    """Those without an outcome, in the order in which they were accepted."""
    in_hand: dict[FrameName, tuple[int, int]] = attrs.field(factory=dict)
    """Those of them that were handed out: ring, and index in there."""

    def take(self, payload: bytes) -> None:
        """Apply one record; raises :class:`ValueError` for one of another version."""
        for kind, *values in cbor2.loads(payload):
            match kind:
                case 1:
                    self._begin(*values)
                case 2:
                    self._accept(*values)
                case 3:
                    self._send(*values)
                case 4:
                    self._settle(*values)
                case 5:
                    self._take_back(*values)

    def _begin(self, version: int, *values: Any) -> None:
        if version != VERSION:
            raise ValueError(f"its version is {version}, not {VERSION}")
        found = Holder(*values)
        if self.holder is not None and found.incarnation != self.holder.incarnation:
            # Whoever wrote this has taken over what was before.
            self.frames.clear()
            self.in_hand.clear()
        self.holder = found

    def _accept(self, session: int, frames: Iterable[Sequence[Any]]) -> None:
        for values in frames:
            self.frames[session, values[0]] = KeptFrame(session, *_summed(values))

    def _send(self, ring: int, first: int, names: Iterable[Sequence[int]]) -> None:
        for index, (session, seq) in enumerate(names, first):
            if (session, seq) in self.frames:
                self.in_hand[session, seq] = (ring, index)

    def _take_back(self, names: Iterable[Sequence[int]]) -> None:
        for session, seq, deliveries in names:
            self.in_hand.pop((session, seq), None)
            if (frame := self.frames.get((session, seq))) is not None:
                self.frames[session, seq] = attrs.evolve(frame, deliveries=deliveries)

    def _settle(self, session: int, seqs: Iterable[int]) -> None:
        for seq in seqs:
            self.forget((session, seq))

    def forget(self, name: FrameName) -> None:
        """This frame has its outcome, if it is here."""
        self.frames.pop(name, None)
        self.in_hand.pop(name, None)


def _summed(values: Sequence[Any]) -> Sequence[Any]:
    """The same with the check sum of the key, in whose place the first files of this version hold the key itself."""
    key = values[_KEY]
    return [*values[:_KEY], crc32(key), *values[_KEY + 1 :]] if isinstance(key, bytes) else values


def head(holder: Holder) -> Operation:
    """What comes first in each file."""
    return [HEAD, VERSION, *holder]


def accept(session: int, frames: Sequence[KeptFrame]) -> Operation:
    """Frames of a session are accepted."""
    return [ACCEPT, session, [frame.values() for frame in frames]]


def take_back(names: Sequence[tuple[int, int, int]]) -> Operation:
    """Frames go to another worker: session, sequence number, and in the hand of how many each was that ended."""
    return [TAKEN_BACK, names]


def send(ring: int, first: int, names: Sequence[FrameName]) -> Operation:
    """Frames of a ring, from an index on, are about to be handed out; again, if they were before."""
    return [SENT, ring, first, names]


def done(session: int, seqs: Sequence[int]) -> Operation:
    """Frames have their outcome, or were not accepted after all."""
    return [DONE, session, seqs]


def encoded(operations: Sequence[Operation]) -> bytes:
    """Return the record of these operations."""
    return cbor2.dumps(operations)


def read(payloads: Iterable[bytes], before: Backlog | None = None) -> Backlog:
    """Return what records come to, after those ``before`` them; raises :class:`ValueError` for another version."""
    backlog = before or Backlog()
    for payload in payloads:
        backlog.take(payload)
    return backlog


class Verdict(NamedTuple):
    """What becomes of unfinished frames whose system has ended."""

    survivors: list[KeptFrame]
    """To be accepted again, oldest first."""
    suspects: list[KeptFrame]
    """To be dead-lettered: they may have been processed, or may have been what ended the worker."""


Marks: TypeAlias = Mapping[int, tuple[int, int]]
"""By ring, index and number of the frames that a worker had started last (0: none)."""


def judge(backlog: Backlog, marks: Marks | None, max_deliveries: int) -> Verdict:
    """Tell frames that no worker has started from those that one may have had in hand.

    Without ``marks``, as after another start of the machine, all that were handed out are suspect. Frames before a mark
    were processed. Suspects that may be delivered ``max_deliveries`` times are survivors until they were.
    """
    verdict = Verdict([], [])
    for frame, part in _sorted_out(backlog, marks):
        if part == _WAITING:
            verdict.survivors.append(frame)
        elif part == _STARTED:
            delivered = attrs.evolve(frame, deliveries=frame.deliveries + 1)
            again = delivered.deliveries < max_deliveries
            (verdict.survivors if again else verdict.suspects).append(delivered)
    return verdict


_WAITING, _STARTED, _PROCESSED = range(3)


def _sorted_out(backlog: Backlog, marks: Marks | None) -> Iterator[tuple[KeptFrame, int]]:
    for name, frame in backlog.frames.items():
        if name not in backlog.in_hand:
            yield frame, _WAITING
        elif marks is None:
            yield frame, _STARTED
        else:
            ring, index = backlog.in_hand[name]
            first, count = marks.get(ring, (0, 0))
            waits = not count or index >= first + count
            yield frame, _WAITING if waits else _STARTED if index >= first else _PROCESSED
