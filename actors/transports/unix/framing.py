"""What goes over a connection: one introduction, then frames. Pure: bytes in, values out.

==============  =====================================================================================
introduction    magic (8 bytes), key (32), path at which the connecting side listens (108, zero-padded);
                with it comes the descriptor of a tally, see :mod:`.tally`
frame           length of the payload (4 bytes, little-endian), payload (a pickle)
==============  =====================================================================================

The side that accepted sends frames only.
"""

from __future__ import annotations

import struct

# What hmac.compare_digest is where there is no OpenSSL; with it, the import would make every actor 5 MiB larger.
from _operator import _compare_digest as compare_digest

MAGIC = b"ThespUx1"
_INTRODUCTION = struct.Struct("8s32s108s")
INTRODUCTION_BYTES = _INTRODUCTION.size
HEADER = struct.Struct("<I")
HEADER_BYTES = HEADER.size
LARGE_BYTES = 1 << 16


class FramingError(Exception):
    """A peer sent what no peer sends; the text says what."""


def introduce(key: bytes, path: str) -> bytes:
    """Encode an introduction."""
    return _INTRODUCTION.pack(MAGIC, key, path.encode())


def read_introduction(data: bytes, key: bytes) -> str:
    """Return the path at which the peer listens. Raises :class:`FramingError` for anybody without the key."""
    magic, shown, path = _INTRODUCTION.unpack(data)
    if magic != MAGIC:
        raise FramingError("it does not speak this protocol")
    if not compare_digest(shown, key):
        raise FramingError("it does not know the key of this system")
    try:
        text = str(path.rstrip(b"\0"), "utf-8")
    except UnicodeDecodeError:
        raise FramingError("its address is no text") from None
    if not text.startswith("/") or "\0" in text:
        raise FramingError("its address is not the absolute path of a socket")
    return text


class FrameReader:
    """Cuts a stream of bytes into payloads, whatever the pieces in which it comes.

    The rest of a large frame is better put where :meth:`wants` says, so that it is copied once only.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._header = b""
        self._body: bytearray | None = None
        self._size = 0
        self._filled = 0

    def wants(self) -> memoryview | None:
        """Return where the rest of a large frame goes, or ``None`` if no large frame is under way."""
        if self._body is None or self._size - self._filled < LARGE_BYTES:
            return None
        if self._filled == len(self._body):
            # Twice as much each time: a peer can't make this process grow by announcing much.
            self._body.extend(bytes(min(self._filled, self._size - self._filled)))
        return memoryview(self._body)[self._filled :]

    def filled(self, count: int) -> bytearray | None:
        """Note that ``count`` bytes were put where :meth:`wants` said; returns the payload if it is complete."""
        assert self._body is not None
        self._filled += count
        if self._filled < self._size:
            return None
        body, self._body = self._body, None
        return body

    def feed(self, data: memoryview) -> list[bytes | bytearray]:
        """Return the payloads that ``data`` completes. Raises :class:`FramingError` for one above the limit."""
        whole: list[bytes | bytearray] = []
        if self._body is not None:
            count = min(len(data), self._size - self._filled)
            self._body[self._filled : self._filled + count] = data[:count]
            body = self.filled(count)
            if body is None:
                return whole
            whole.append(body)
            data = data[count:]
        if self._header:
            data, self._header = memoryview(self._header + data), b""
        position, end = 0, len(data)
        while end - position >= HEADER_BYTES:
            (size,) = HEADER.unpack_from(data, position)
            if size > self._limit:
                raise FramingError(f"a message of {size:,} bytes is above the limit of {self._limit:,}")
            start = position + HEADER_BYTES
            position = start + size
            if position > end:
                self._begin(size, data[start:])
                return whole
            whole.append(bytes(data[start:position]))
        self._header = bytes(data[position:])
        return whole

    def _begin(self, size: int, data: memoryview) -> None:
        self._size = size
        self._filled = len(data)
        self._body = bytearray(min(size, max(LARGE_BYTES, self._filled)))
        self._body[: self._filled] = data
