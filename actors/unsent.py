"""What a worker's socket has not taken yet, in order: bytes, and with some of them a descriptor."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque

import attrs

NO_DESCRIPTOR = -1


@attrs.define(eq=False)
class _Piece:
    data: bytearray
    is_answer: bool = False
    fd: int = NO_DESCRIPTOR
    instead: bytes = b""


class Unsent:
    """Bytes that wait for room. A descriptor goes with the first byte of its piece, and is closed then."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque()
        self.answers = 0
        """How many of the pieces were added with :meth:`add_answer`."""

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, data: bytes) -> None:
        """Append bytes."""
        if not self._pieces or self._pieces[-1].is_answer:
            self._pieces.append(_Piece(bytearray()))
        self._pieces[-1].data += data

    def add_answer(self, data: bytes, fd: int = NO_DESCRIPTOR, instead: bytes = b"") -> None:
        """Append bytes with a descriptor; ``instead`` of both when the kernel lets no more descriptors travel."""
        self._pieces.append(_Piece(bytearray(data), True, fd, instead))
        self.answers += 1

    def send(self, to: socket.socket) -> None:
        """Send as much as there is room for. Raises :class:`BlockingIOError` when some is left, or another OSError."""
        while self._pieces:
            piece = self._pieces[0]
            while piece.data:
                del piece.data[: _sent(to, piece)]
            self._pieces.popleft()
            self.answers -= piece.is_answer

    def clear(self) -> None:
        """Let go of everything."""
        for piece in self._pieces:
            _close(piece)
        self._pieces.clear()
        self.answers = 0


def _sent(to: socket.socket, piece: _Piece) -> int:
    if piece.fd == NO_DESCRIPTOR:
        return to.send(piece.data)
    try:
        sent = socket.send_fds(to, [piece.data], [piece.fd])
    except OSError as error:
        if error.errno != errno.ETOOMANYREFS:
            raise
        piece.data, sent = bytearray(piece.instead), 0
    _close(piece)
    return sent


def _close(piece: _Piece) -> None:
    if piece.fd != NO_DESCRIPTOR:
        os.close(piece.fd)
        piece.fd = NO_DESCRIPTOR
