"""The plugin frames of Nyx Protocol v1.0: headers, CLOSE payloads and the frames of a stream."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Self

import attrs

from .errors import CLOSE_UNSUPPORTED_CAPABILITY, FrameError
from .frame_type import FrameType
from .header import (
    MAX_HEADER_BYTES,
    TEXT,
    U8,
    U16,
    U32,
    U64,
    CborReader,
    check_bytes,
    check_unsigned,
    decode,
    encode_bytes,
    encode_head,
    encode_text,
    split_header,
)

if TYPE_CHECKING:
    from .header import Shape

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_STREAM_FRAME_BYTES",
    "OTHER_KINDS",
    "REQUIRED",
    "FrameType",
    "PluginHeader",
    "StreamDecoder",
    "StreamFrame",
    "close_frame",
    "split_header",
]

REQUIRED = 0x01
MAX_STREAM_FRAME_BYTES = 8 * 1024 * 1024
OTHER_KINDS = ("Data", "Ack", "Close", "Crypto")

_LEAST_STREAM_FRAME_BYTES = 1024
_MOST_STREAM_FRAME_BYTES = 64 * 1024 * 1024
_PREFIX_BYTES = 4
_OPENING = b"\xa2fheader\xa3istream_id"


@attrs.frozen
class PluginHeader:
    """The header of a plugin frame. Values out of range raise :class:`FrameError`."""

    id: int
    """The plugin's id, a u32."""
    flags: int
    """A u8; only 0x01, REQUIRED, has a meaning."""
    data: bytes
    """What the plugin's handler gets."""

    def __attrs_post_init__(self) -> None:
        check_unsigned("id", self.id, U32)
        check_unsigned("flags", self.flags, U8)
        check_bytes("data", self.data)

    @property
    def required(self) -> bool:
        """Whether the sender is owed a CLOSE if nobody takes the frame."""
        return bool(self.flags & REQUIRED)

    def encode(self) -> bytes:
        """Return the canonical CBOR, byte for byte what the reference writes."""
        return _lead(self.id, self.flags) + encode_bytes(self.data)

    @classmethod
    def decode(cls, raw: bytes, *, max_bytes: int = MAX_HEADER_BYTES) -> Self:
        """Return the header that fills ``raw``, of at most ``max_bytes``, or raise :class:`FrameError`."""
        return cls(*split_header(raw, max_bytes))


@lru_cache(maxsize=1024)
def _lead(plugin_id: int, flags: int) -> bytes:
    """What is before the data of a header: few programs write to many plugins."""
    return b"\xa3bid" + encode_head(0, plugin_id) + b"eflags" + encode_head(0, flags) + b"ddata"


def close_frame(plugin_id: int, code: int = CLOSE_UNSUPPORTED_CAPABILITY) -> bytes:
    """Return the payload of a CLOSE: ``code`` (u16) and ``plugin_id`` (u32), big-endian."""
    check_unsigned("code", code, U16)
    check_unsigned("id", plugin_id, U32)
    return code.to_bytes(2, "big") + plugin_id.to_bytes(4, "big")


@attrs.frozen
class StreamFrame:
    """One frame of a connection or capture file. Values out of range raise :class:`FrameError`."""

    stream_id: int
    """A u32."""
    seq: int
    """A u64; nobody checks its order."""
    kind: int | str
    """The number of a custom frame (a u8), or one of ``OTHER_KINDS``."""
    payload: bytes
    """For a plugin frame its header, not yet decoded."""

    def __attrs_post_init__(self) -> None:
        check_unsigned("stream_id", self.stream_id, U32)
        check_unsigned("seq", self.seq, U64)
        if self.kind not in OTHER_KINDS:
            check_unsigned("ty", self.kind, U8)
        check_bytes("payload", self.payload)

    @property
    def is_plugin_frame(self) -> bool:
        """Whether the frame is for the dispatcher, which refuses the types that no plugin takes."""
        return isinstance(self.kind, int)

    def encode(self) -> bytes:
        """Return the canonical CBOR with its length, a big-endian u32, before it."""
        kind = encode_text(self.kind) if isinstance(self.kind, str) else b"\xa1fCustom" + encode_head(0, self.kind)
        ids = encode_head(0, self.stream_id) + b"cseq" + encode_head(0, self.seq)
        body = _OPENING + ids + b"bty" + kind + b"gpayload" + encode_bytes(self.payload)
        return len(body).to_bytes(_PREFIX_BYTES, "big") + body


class StreamDecoder:
    """Cuts a byte stream, fed in pieces of any size, into frames.

    A malformed frame fails the decoder for good, since nothing after it can be trusted. Wherever the stream was cut,
    the frames before it are returned first, and every call after that raises the same :class:`FrameError`, whose
    offset counts from the start of the stream. Between calls only an incomplete frame is kept, of at most
    ``max_frame_bytes`` (1 KiB to 64 MiB, else :class:`ValueError`).
    """

    def __init__(self, max_frame_bytes: int = MAX_STREAM_FRAME_BYTES) -> None:
        if not _LEAST_STREAM_FRAME_BYTES <= max_frame_bytes <= _MOST_STREAM_FRAME_BYTES:
            raise ValueError(f"max_frame_bytes is {max_frame_bytes}, expected 1024 to 67108864")
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._due = _PREFIX_BYTES
        self._offset = 0
        self._failure: tuple[str, int] | None = None

    def feed(self, data: bytes) -> list[StreamFrame]:
        """Return the frames that ``data`` completes, in order, or raise :class:`FrameError`."""
        self._check()
        self._buffer += data
        if len(self._buffer) < self._due:
            return []
        frames: list[StreamFrame] = []
        try:
            self._cut(frames)
        except FrameError as error:
            self._fail(error)
        if not frames:
            self._check()
        return frames

    def finish(self) -> None:
        """Say that the stream has ended; raise :class:`FrameError` if it ended within a frame."""
        self._check()
        if self._buffer:
            what = f"the stream ends within a frame: {len(self._buffer)} of at least {self._due} bytes are there"
            self._fail(FrameError(what, self._offset + len(self._buffer)))
            self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise FrameError(*self._failure)

    def _fail(self, error: FrameError) -> None:
        self._failure = error.what, error.offset  # The error itself would hold the frames of its traceback.
        self._buffer.clear()

    def _cut(self, frames: list[StreamFrame]) -> None:
        """Move every complete frame from the buffer to ``frames``."""
        raw, at = bytes(self._buffer), 0
        while len(raw) - at >= self._measure(raw, at):
            end = at + self._due
            frames.append(_decode_at(raw[at + _PREFIX_BYTES : end], self._offset + at + _PREFIX_BYTES))
            at = end
        del self._buffer[:at]
        self._offset += at

    def _measure(self, raw: bytes, at: int) -> int:
        """Set and return how many bytes the frame at ``at`` takes, as far as is known."""
        self._due = _PREFIX_BYTES
        if len(raw) - at >= _PREFIX_BYTES:
            length = int.from_bytes(raw[at : at + _PREFIX_BYTES], "big")
            if length > self._max_frame_bytes:
                what = f"stream frame of {length} bytes, more than the {self._max_frame_bytes} allowed"
                raise FrameError(what, self._offset + at)
            self._due += length
        return self._due


def _decode_at(body: bytes, offset: int) -> StreamFrame:
    frame = _read_canonical(body)
    if frame is not None:
        return frame
    try:
        return decode(body, _read_stream_frame, len(body))
    except FrameError as error:
        raise FrameError(error.what, offset + error.offset) from None


def _read_stream_frame(reader: CborReader) -> StreamFrame:
    found = reader.fields("stream frame", _STREAM_FRAME)
    return StreamFrame(**found["header"], payload=found["payload"])


def _read_stream_header(reader: CborReader) -> dict[str, int | str]:
    found = reader.fields("stream header", _STREAM_HEADER)
    return {"stream_id": found["stream_id"], "seq": found["seq"], "kind": found["ty"]}


def _read_kind(reader: CborReader) -> int | str:
    if reader.peek() != TEXT:
        custom: int = reader.fields("ty", _CUSTOM, exact=True)["Custom"]
        return custom
    start = reader.offset
    kind = reader.text("ty")
    if kind not in OTHER_KINDS:
        raise FrameError(f"ty {kind[:40]!r} is none of {', '.join(OTHER_KINDS)}", start)
    return kind


_CUSTOM: Shape = {"Custom": lambda reader: reader.unsigned("Custom", U8)}
_STREAM_HEADER: Shape = {
    "stream_id": lambda reader: reader.unsigned("stream_id", U32),
    "seq": lambda reader: reader.unsigned("seq", U64),
    "ty": _read_kind,
}
_STREAM_FRAME: Shape = {"header": _read_stream_header, "payload": lambda reader: reader.byte_string("payload")}


def _read_canonical(body: bytes) -> StreamFrame | None:
    """Return a custom frame laid out as the reference writes it; ``None`` for any other, valid or not.

    A slice past the end is short, and so differs from the key that is due there.
    """
    if not body.startswith(_OPENING):
        return None
    try:
        stream_id, seq_at = _argument(body, len(_OPENING), 0x00)
        seq, kind_at = _argument(body, seq_at + 4, 0x00)
        kind, payload_at = _argument(body, kind_at + 11, 0x00)
        length, at = _argument(body, payload_at + 8, 0x40)
    except IndexError:
        return None
    if body[seq_at : seq_at + 4] != b"cseq" or body[kind_at : kind_at + 11] != b"bty\xa1fCustom":
        return None
    if body[payload_at : payload_at + 8] != b"gpayload" or length != len(body) - at or stream_id > U32 or kind > U8:
        return None
    return StreamFrame(stream_id, seq, kind, body[at:])


def _argument(raw: bytes, at: int, first: int) -> tuple[int, int]:
    """Return the argument of the head at ``at``, whose major type begins at ``first``, and where the head ends."""
    info = raw[at] - first
    if 0 <= info < 24:
        return info, at + 1
    if not 24 <= info <= 27:
        raise IndexError
    end = at + 1 + (1 << (info - 24))
    return int.from_bytes(raw[at + 1 : end], "big"), end
