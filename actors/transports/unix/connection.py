"""One stream socket to another process of the same user, and what has come over it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any

from .framing import INTRODUCTION_BYTES, FrameReader, FramingError
from .tally import ACCEPTED, Tally, receive

_CREDENTIALS = struct.Struct("3i")


class Connection:
    """An introduced connection: frames in both directions, counted as they are taken."""

    __slots__ = ("address", "fd", "is_broken", "is_void", "reader", "sock", "taken", "tally", "waits_for_room")

    def __init__(self, sock: socket.socket, address: Any, tally: Tally, limit: int) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.address = address
        self.tally = tally
        self.reader = FrameReader(limit)
        self.taken = 0
        self.waits_for_room = False
        """Whether the kernel's buffer was full when last written to."""
        self.is_broken = False
        """Whether nothing can be written any more; there may still be something to read."""
        self.is_void = False
        """Whether what it brought and was not handed out yet is not to be."""

    def read(self, scratch: memoryview) -> list[bytes | bytearray]:
        """Return the payloads that one reading completes.

        Raises EOFError at the end, BlockingIOError, OSError, and FramingError.
        """
        place = self.reader.wants()
        if place is None:
            count = self.sock.recv_into(scratch)
            if not count:
                raise EOFError
            return self.reader.feed(scratch[:count])
        try:
            count = self.sock.recv_into(place)
        finally:
            # What it is a part of may have to grow.
            place.release()
        if not count:
            raise EOFError
        payload = self.reader.filled(count)
        return [] if payload is None else [payload]

    def take(self) -> None:
        """Count one message as taken: it is being handed out."""
        self.taken += 1
        self.tally.took(self.taken)

    def close(self) -> None:
        """Close the socket. The tally stays as long as anybody asks for it."""
        with contextlib.suppress(OSError):
            self.sock.close()


class Stranger:
    """A connection of a process of this user that has not introduced itself yet."""

    __slots__ = ("data", "deadline", "fd", "page", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.deadline = deadline
        self.data = b""
        self.page: int | None = None

    def read(self) -> bool:
        """Read of its introduction what there is and not a byte more; whether it is whole.

        Raises EOFError, BlockingIOError and OSError.
        """
        data, page = receive(self.sock, INTRODUCTION_BYTES - len(self.data))
        if page is not None:
            self.drop_page()
            self.page = page
        if not data:
            raise EOFError
        self.data += data
        return len(self.data) == INTRODUCTION_BYTES

    def tally(self) -> Tally:
        """Map the page that came with the introduction. Raises :class:`FramingError` where none did that can be."""
        if self.page is None:
            raise FramingError("no tally came with its introduction")
        try:
            return Tally(self.page, ACCEPTED)
        except OSError as error:
            raise FramingError(f"its tally can't be used: {error.strerror}") from None

    def drop_page(self) -> None:
        """Close the descriptor that came with the introduction."""
        if self.page is not None:
            os.close(self.page)
            self.page = None

    def close(self) -> None:
        """Close everything."""
        self.drop_page()
        self.sock.close()


def peer_user(sock: socket.socket) -> int:
    """Return the user id that the process at the other end had when it connected or began to listen.

    The kernel says so (SO_PEERCRED of unix(7)); nothing that the other end sends is read for it.
    """
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
