"""What is on its way to one address: written but not known to be taken, and not written yet, in order."""

from __future__ import annotations

import itertools
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

from thespian.system.transport import TransmitIntent

from .connection import Connection
from .framing import HEADER, HEADER_BYTES
from .note import Note

# How many pieces go into one call of the kernel, which takes at most 1,024 (IOV_MAX).
MOST_PIECES = 64
# A message of this size is not copied again only to put its length before it.
_COPY_BYTES = 1 << 16
# What a message that waits takes besides its bytes: the object itself, Thespian's intent, and the parcel.
_KEEP_BYTES = 2048


class Parcel:
    """One message on its way: Thespian's intent, or a note, and the bytes."""

    __slots__ = ("intent", "is_settled", "memory_bytes", "pieces", "size")

    def __init__(self, intent: TransmitIntent | Note, payload: bytes) -> None:
        self.intent = intent
        length = len(payload)
        header = HEADER.pack(length)
        self.pieces: tuple[bytes, ...] = (header + payload,) if length < _COPY_BYTES else (header, payload)
        self.size = HEADER_BYTES + length
        self.memory_bytes = self.size + _KEEP_BYTES
        """What it takes while it waits."""
        self.is_settled = False
        """Whether the sender has been told that it was sent."""


class Peer:
    """The way to one address. Not thread-safe."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.path: str = address.addressDetails.path
        self.connection: Connection | None = None
        self.queued_bytes = 0
        """What the messages that wait to be written take."""
        self.untaken_bytes = 0
        """What the messages take that were written and are not known to be taken."""
        self.written_bytes = 0
        """All that was ever written, so that progress shows."""
        self.is_stalled = False
        """Whether somebody waited for room in vain and nothing was written since."""
        self.attempts = 0
        self.retry_at: float | None = None
        self.gives_up_at = 0.0
        self._written: deque[Parcel] = deque()
        self._queue: deque[Parcel] = deque()
        self._offset = 0
        self._count = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def untaken(self) -> int:
        """How many messages were written and are not known to be taken."""
        return len(self._written)

    def messages(self) -> Iterator[Any]:
        """Yield the messages that wait."""
        return (parcel.intent.message for parcel in self._queue)

    def add(self, parcel: Parcel) -> None:
        """Put a message at the end."""
        self._queue.append(parcel)
        self.queued_bytes += parcel.memory_bytes

    def write_first(self, parcel: Parcel) -> bool:
        """Write a message, where none waits before it; returns whether it was written whole, else the rest waits.

        Raises what :meth:`write` does, and then all of it waits.
        """
        assert self.connection is not None
        if len(parcel.pieces) > 1:
            self.add(parcel)
            return False
        try:
            count = self.connection.sock.send(parcel.pieces[0])
        except OSError:
            self.add(parcel)
            raise
        if count < parcel.size:
            self.add(parcel)
            self._offset = count
        else:
            self.untaken_bytes += parcel.memory_bytes
            self._written.append(parcel)
            self._count += 1
        self.written_bytes += count
        self.is_stalled = False
        return count == parcel.size

    def attach(self, connection: Connection) -> None:
        """Send over this connection from now on."""
        self.connection = connection
        self._count = 0
        self._offset = 0
        self.retry_at = None

    def write(self) -> list[Parcel]:
        """Write as much as the connection takes now; returns what was written whole.

        Raises BlockingIOError when it takes nothing now, and OSError when it never will. What was written before is
        returned first: the next call raises.
        """
        assert self.connection is not None
        done: list[Parcel] = []
        try:
            while self._queue:
                done.extend(self._advance(self._write_some(self.connection.sock)))
        except OSError:
            if not done:
                raise
        return done

    def _write_some(self, sock: socket.socket) -> int:
        first = self._queue[0]
        if len(self._queue) == 1 and len(first.pieces) == 1 and not self._offset:
            return sock.send(first.pieces[0])
        pieces: list[bytes | memoryview] = []
        for parcel in itertools.islice(self._queue, MOST_PIECES):
            pieces += parcel.pieces
        return sock.sendmsg(_skip(pieces, self._offset))

    def _advance(self, count: int) -> Iterator[Parcel]:
        self.written_bytes += count
        self.is_stalled = False
        self._offset += count
        while self._queue and self._offset >= self._queue[0].size:
            parcel = self._queue.popleft()
            self._offset -= parcel.size
            self.queued_bytes -= parcel.memory_bytes
            self.untaken_bytes += parcel.memory_bytes
            self._written.append(parcel)
            self._count += 1
            yield parcel

    def trim(self) -> None:
        """Forget what the peer has taken."""
        written = self._written
        if not written or self.connection is None:
            return
        left = self._count - self.connection.tally.taken_by_peer
        while len(written) > left and written:
            self.untaken_bytes -= written.popleft().memory_bytes

    def detach(self) -> None:
        """The connection is gone: what the peer has not taken of it is to be sent again."""
        self.trim()
        self.connection = None
        self.queued_bytes += self.untaken_bytes
        self.untaken_bytes = 0
        self._queue.extendleft(reversed(self._written))
        self._written.clear()
        self._offset = 0

    def give_up(self) -> list[Parcel]:
        """Take everything back."""
        parcels = [*self._written, *self._queue]
        self._written.clear()
        self._queue.clear()
        self.queued_bytes = self.untaken_bytes = self._offset = 0
        return parcels


def _skip(pieces: list[bytes | memoryview], count: int) -> list[bytes | memoryview]:
    """Leave out the first ``count`` bytes."""
    index = 0
    while count and count >= len(pieces[index]):
        count -= len(pieces[index])
        index += 1
    rest = pieces[index:]
    if count:
        rest[0] = memoryview(rest[0])[count:]
    return rest
