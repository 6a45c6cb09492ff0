"""The dead letters of one plugin as a value that records change: which there are, which went, which are claimed.

A record is a list of operations that count together or not at all. `dead_letters` keeps the records in a journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import attrs
import cbor2

VERSION = 1
HEAD, LETTER, LOST, DROP, CLAIM = range(1, 6)
# What a letter takes besides its header and its reason, roughly, in bytes.
OVERHEAD_BYTES = 64

Operation: TypeAlias = list[Any]


@attrs.frozen
class DeadFrame:
    """A frame that is about to be dead-lettered: where it was, and what of it is kept."""

    ring: int
    """The mailbox, by its number among those of the plugin."""
    index: int
    """The ring index in there."""
    frame_type: int
    header: bytes
    deliveries: int = 0
    """How often it was in the hand of a worker that ended."""
    key: int | None = None
    """The check sum of its key, if it had one."""
    session: int = 0
    """Who had sent it, 0 in older files."""
    seq: int = 0
    """And with which sequence number."""


@attrs.frozen
class Letter:
    """A dead letter: the frame, and what became of it."""

    letter_id: int
    frame: DeadFrame
    reason: str
    at: float
    """When, in seconds since 1970."""
    plugin: str
    """The name of the plugin that it was for."""

    @property
    def cause(self) -> str:
        """The first part of the reason: ``crash``, ``deadline``, ``unloaded``, ``expired``, ..."""
        return self.reason.partition(":")[0]

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.frame.header) + len(self.reason) + OVERHEAD_BYTES

    def operation(self) -> Operation:
        """How it is recorded."""
        return [LETTER, self.letter_id, *attrs.astuple(self.frame), self.reason, self.at, self.plugin]


@attrs.define
class LetterBook:
    """What the records say. ``incarnation`` is the mailbox whose frames `marks` and `claims` are about."""

    letters: dict[int, Letter] = attrs.field(factory=dict)
    size: int = 0
    next_id: int = 1
    lost: int = 0
    """How many had to go, because there were too many, or too many bytes of them."""
    incarnation: int = 0
    first_id: int = 1
    """The first letter that can be one of that mailbox."""
    marks: dict[int, int] = attrs.field(factory=dict)
    """By ring, the index behind the last frame that was noted: what is before it was noted already."""
    claims: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    """By letter, the session and the sequence number of the frame that it is to be delivered with again."""

    def take(self, payload: bytes) -> None:
        """Apply one record; raises :class:`ValueError` for one of another version."""
        for operation in cbor2.loads(payload):
            self.apply(operation)

    def apply(self, operation: Operation) -> None:
        """Apply one operation of a record."""
        kind, *values = operation
        match kind:
            case 1:
                self._begin(*values)
            case 2:
                self._add(*values)
            case 3:
                self._lose(*values)
            case 4:
                self._drop(*values)
            case 5:
                self.claims[values[0]] = (values[1], values[2])

    def head(self) -> Operation:
        """What has to be recorded first, so that nothing before it is needed."""
        return [HEAD, VERSION, self.next_id, self.lost, self.incarnation, dict(self.marks), self.first_id]

    def everything(self) -> Iterable[bytes]:
        """Records that make a book like this one."""
        yield encoded([self.head()])
        for letter in self.letters.values():
            yield encoded([letter.operation()])
        if self.claims:
            yield encoded([[CLAIM, letter_id, *frame] for letter_id, frame in self.claims.items()])
        # A letter moves the mark of its ring on; what it was is said again.
        yield encoded([self.head()])

    def unnoted(self, frames: Sequence[DeadFrame]) -> list[DeadFrame]:
        """Those of ``frames`` that no record is about yet."""
        return [frame for frame in frames if frame.index >= self.marks.get(frame.ring, 0)]

    def _begin(self, version: int, *values: Any) -> None:
        if version != VERSION:
            raise ValueError(f"its version is {version}, not {VERSION}")
        next_id, lost, incarnation, marks, *first_id = values
        self.next_id, self.lost = max(self.next_id, next_id), lost
        if incarnation != self.incarnation:
            self.claims.clear()
            self.first_id = next_id
        # Older files do not say it.
        self.first_id = first_id[0] if first_id else self.first_id
        self.incarnation, self.marks = incarnation, dict(marks)

    def _add(self, letter_id: int, *values: Any) -> None:
        *of_frame, reason, at, plugin = values
        frame = DeadFrame(*of_frame)
        letter = Letter(letter_id, frame, reason, at, plugin)
        self.letters[letter_id] = letter
        self.size += letter.size
        self.next_id = max(self.next_id, letter_id + 1)
        self.marks[frame.ring] = max(self.marks.get(frame.ring, 0), frame.index + 1)

    def _lose(self, ids: Iterable[int], lost: int) -> None:
        self._drop(ids)
        self.lost = lost

    def _drop(self, ids: Iterable[int]) -> None:
        for letter_id in ids:
            self.claims.pop(letter_id, None)
            letter = self.letters.pop(letter_id, None)
            self.size -= letter.size if letter is not None else 0


def encoded(operations: Sequence[Operation]) -> bytes:
    """Return the record of these operations."""
    return cbor2.dumps(operations)
