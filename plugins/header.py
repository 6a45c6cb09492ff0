"""The plugin header, ``{id: u32, flags: u8, data: bytes}`` in CBOR, split strictly and fast.

Workers import this, so it stays light. It reads CBOR itself: a general decoder builds values that nobody asked for,
keeps the last of duplicate keys, ignores trailing bytes and interprets tags.
"""

from __future__ import annotations

from .errors import FrameError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")
    Shape = Mapping[str, Callable[["CborReader"], Any]]

MAX_HEADER_BYTES = 65_536
MAX_NESTING = 16
# Bounds the time that a hostile input costs; an input of up to 64 KiB can't reach it.
MAX_ITEMS = 65_536

U8, U16, U32, U64 = 0xFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)

_NAMES = ("an unsigned integer", "a negative integer", "a byte string", "a text", "an array", "a map", "a tag")
_SIMPLE_NAMES = {0xF4: "a bool", 0xF5: "a bool", 0xF6: "null", 0xF9: "a float", 0xFA: "a float", 0xFB: "a float"}
_BREAK = 0xFF
_INDEFINITE = -1


def split_header(raw: bytes, max_bytes: int = MAX_HEADER_BYTES) -> tuple[int, int, bytes]:
    """Return ``(id, flags, data)`` of a plugin header of at most ``max_bytes``, or raise :class:`FrameError`."""
    if raw.__class__ is bytes and len(raw) <= max_bytes:
        lead = canonical_lead(raw)
        if lead is not None:
            return lead[0], lead[1], raw[lead[2] :]
    return decode(raw, read_header, max_bytes)


def read_header(reader: CborReader) -> tuple[int, int, bytes]:
    """Read one header map: ``(id, flags, data)``."""
    found = reader.fields("header", _HEADER)
    return found["id"], found["flags"], found["data"]


def decode(raw: bytes, read: Callable[[CborReader], T], max_bytes: int) -> T:
    """Return what ``read`` makes of the one CBOR item that fills ``raw``, or raise :class:`FrameError`."""
    if not isinstance(raw, (bytes, bytearray, memoryview)):
        raise FrameError(f"bytes expected, got {type(raw).__name__}")
    raw = bytes(raw)
    if len(raw) > max_bytes:
        raise FrameError(f"{len(raw)} bytes, more than the {max_bytes} allowed", max_bytes)
    reader = CborReader(raw)
    value = read(reader)
    reader.finish()
    return value


def encode_head(major: int, argument: int) -> bytes:
    """Return the shortest head of a CBOR item: ``argument`` is its value (up to 2^64 - 1), length or count."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    for info, width in ((24, 1), (25, 2), (26, 4)):
        if argument < 1 << 8 * width:
            return bytes((major << 5 | info,)) + argument.to_bytes(width, "big")
    return bytes((major << 5 | 27,)) + argument.to_bytes(8, "big")


def encode_text(text: str) -> bytes:
    """Return ``text`` as a CBOR text string."""
    raw = text.encode()
    return encode_head(TEXT, len(raw)) + raw


def encode_bytes(raw: bytes) -> bytes:
    """Return ``raw`` as a CBOR byte string."""
    length = len(raw)
    if length <= U8:
        return _SHORT_HEADS[length] + raw
    return (b"\x59" + length.to_bytes(2, "big") if length <= U16 else encode_head(BYTES, length)) + raw


# Of byte strings, by their length.
_SHORT_HEADS = tuple(encode_head(BYTES, length) for length in range(U8 + 1))


def check_unsigned(what: str, value: object, most: int) -> None:
    """Raise :class:`FrameError` unless ``value`` is an int (no bool) from 0 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise FrameError(f"{what} must be an unsigned integer, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise FrameError(f"{what} is {value}, expected 0 to {most}")


def check_bytes(what: str, value: object) -> None:
    """Raise :class:`FrameError` unless ``value`` is ``bytes``."""
    if not isinstance(value, bytes):
        raise FrameError(f"{what} must be bytes, not {type(value).__name__}")


class CborReader:
    """Reads expected CBOR items from ``raw``, one after the other.

    Whatever is not as expected, not well-formed or not untagged raises :class:`FrameError` with its offset.
    """

    __slots__ = ("_at", "_items", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._items = 0

    @property
    def offset(self) -> int:
        """Where the next item begins."""
        return self._at

    def unsigned(self, what: str, most: int) -> int:
        """Read an unsigned integer of any width, up to ``most``."""
        start = self._at
        value = self._open(UINT, what)
        if value > most:
            raise FrameError(f"{what} is {value}, more than {most}", start)
        return value

    def byte_string(self, what: str) -> bytes:
        """Read a byte string, definite or in chunks."""
        return self._string(BYTES, what)

    def text(self, what: str) -> str:
        """Read a text string, definite or in chunks."""
        start = self._at
        return _utf8(self._string(TEXT, what), what, start)

    def fields(self, what: str, shape: Shape, *, optional: Shape | None = None, exact: bool = False) -> dict[str, Any]:
        """Read a map with text keys, in any order, and return the values of the keys of ``shape``, all of them.

        Those of ``optional`` may be missing. Other keys are skipped, or refused if ``exact``;
        duplicates are always refused.
        """
        found: dict[str, Any] = {}
        seen: set[str] = set()
        known = {**shape, **optional} if optional else shape
        for start in self.entries(MAP, what):
            key = self.text("key")
            if key in seen or (exact and key not in known):
                raise FrameError(f"{what} has a{' duplicate' if key in seen else 'n unknown'} key {key[:40]!r}", start)
            seen.add(key)
            if key in known:
                found[key] = known[key](self)
            else:
                self.skip()
        missing = [key for key in shape if key not in found]
        if missing:
            raise FrameError(f"{what} has no key {missing[0]!r}", self._at)
        return found

    def entries(self, major: int, what: str) -> Iterator[int]:
        """Enter an array or map and yield the offset of each entry; the caller reads it before it goes on."""
        start = self._at
        count = self._open(major, what)
        if count == _INDEFINITE:
            while not self._take_break():
                yield self._at
            return
        if count * (2 if major == MAP else 1) > len(self._raw) - self._at:
            raise FrameError(f"{what} declares {count} entries, more than the rest of the input can hold", start)
        for _ in range(count):
            yield self._at

    def skip(self, depth: int = MAX_NESTING) -> None:
        """Pass over one well-formed, untagged item with at most ``depth`` nested arrays and maps."""
        major = self.peek()
        if major in (ARRAY, MAP):
            if not depth:
                raise FrameError(f"more than {MAX_NESTING} nested arrays and maps", self._at)
            for _ in self.entries(major, "value"):
                self.skip(depth - 1)
                if major == MAP:
                    self.skip(depth - 1)
        elif major == TEXT:
            self.text("value")
        elif major == BYTES:
            self.byte_string("value")
        else:
            self._skip_scalar()

    def peek(self) -> int:
        """Return the major type of the item that comes next."""
        if self._at >= len(self._raw):
            raise FrameError("truncated: an item is due", self._at)
        return self._raw[self._at] >> 5

    def finish(self) -> None:
        """Refuse trailing bytes."""
        left = len(self._raw) - self._at
        if left:
            raise FrameError(f"{left} trailing bytes", self._at)

    def _open(self, major: int, what: str) -> int:
        start = self._at
        found, argument = self._head()
        if found != major:
            raise FrameError(f"{what} must be {_NAMES[major]}, found {self._describe(start)}", start)
        return argument

    def _head(self) -> tuple[int, int]:
        start, major = self._at, self.peek()
        self._items += 1
        if self._items > MAX_ITEMS:
            raise FrameError(f"more than {MAX_ITEMS} CBOR items", start)
        info = self._raw[start] & 0x1F
        if info == 31 and BYTES <= major <= MAP:
            self._at += 1
            return major, _INDEFINITE
        if info > 27:
            raise FrameError(f"0x{self._raw[start]:02x} begins no CBOR item", start)
        self._at += 1
        return major, info if info < 24 else int.from_bytes(self._take(1 << (info - 24), "head", start), "big")

    def _take(self, length: int, what: str, start: int) -> bytes:
        left = len(self._raw) - self._at
        if length > left:
            raise FrameError(f"truncated: {what} declares {length} bytes, {left} follow", start)
        self._at += length
        return self._raw[self._at - length : self._at]

    def _take_break(self) -> bool:
        self.peek()
        found = self._raw[self._at] == _BREAK
        self._at += found
        return found

    def _string(self, major: int, what: str) -> bytes:
        start = self._at
        length = self._open(major, what)
        if length != _INDEFINITE:
            return self._take(length, what, start)
        whole = bytearray()
        while not self._take_break():
            whole += self._chunk(major, what)
        return bytes(whole)

    def _chunk(self, major: int, what: str) -> bytes:
        start = self._at
        length = self._open(major, what)
        if length == _INDEFINITE:
            raise FrameError(f"{what} has a chunk without a length", start)
        chunk = self._take(length, what, start)
        if major == TEXT:
            _utf8(chunk, what, start)
        return chunk

    def _skip_scalar(self) -> None:
        start = self._at
        major, argument = self._head()
        if major == TAG:
            raise FrameError(f"{self._describe(start)} is not allowed", start)
        if self._raw[start] == 0xF8 and argument < 32:
            raise FrameError(f"simple value {argument} in two bytes", start)

    def _describe(self, start: int) -> str:
        first = self._raw[start]
        return _NAMES[first >> 5] if first >> 5 < SIMPLE else _SIMPLE_NAMES.get(first, "a simple value")


_HEADER: Shape = {
    "id": lambda reader: reader.unsigned("id", U32),
    "flags": lambda reader: reader.unsigned("flags", U8),
    "data": lambda reader: reader.byte_string("data"),
}


def _utf8(raw: bytes, what: str, start: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise FrameError(f"{what} is not UTF-8: {error.reason}", start) from None


def canonical_lead(raw: bytes) -> tuple[int, int, int] | None:
    """Return id, flags and where the data begin, of a header laid out as the reference writes it.

    ``None`` for any other, valid or not. Every header of that length is such a one, with this id and these flags, that
    has the same bytes before its data. A slice past the end is short, and so differs from the key that is due there.
    """
    if raw[:4] != b"\xa3bid":
        return None
    try:
        first = raw[4]
        if first < 0x18:
            plugin_id, at = first, 5
        elif first == 0x18:
            plugin_id, at = raw[5], 6
        elif first == 0x19:
            plugin_id, at = raw[5] << 8 | raw[6], 7
        elif first == 0x1A:
            plugin_id, at = int.from_bytes(raw[5:9], "big"), 9
        else:
            return None
        flags, flags_at = raw[at + 6], at
        at += 7
        if flags >= 0x18:
            if flags != 0x18:
                return None
            flags = raw[at]
            at += 1
        first, data_at = raw[at + 5], at
        if 0x40 <= first < 0x58:
            length, at = first - 0x40, at + 6
        elif first == 0x58:
            length, at = raw[at + 6], at + 7
        elif first == 0x59:
            length, at = raw[at + 6] << 8 | raw[at + 7], at + 8
        else:
            return None
    except IndexError:
        return None
    if raw[flags_at : flags_at + 6] != b"eflags" or raw[data_at : data_at + 5] != b"ddata":
        return None
    return (plugin_id, flags, at) if len(raw) - at == length else None
