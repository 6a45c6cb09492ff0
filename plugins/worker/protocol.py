"""What travels between a plugin actor and its worker: a u32 big-endian length, then one CBOR array.

=============  ==============================================================================================
START          ``[1, {plugin_id, name, bundle, entry_point, config, max_reply_bytes, max_snapshot_bytes, jail,
               scratch, policy, standby}]``: with ``standby`` no frames come before RESTORE
BATCH          ``[2, first_index, types, ends, headers]``: frames of consecutive ring indices; ``types`` has a byte for
               each, ``ends`` a native u64 that says where its header ends in ``headers``, all of them
STOP           ``[3]``
GRANTED        ``[4, request_id]``, and with its first byte one descriptor (SCM_RIGHTS)
REFUSED        ``[5, request_id, cause, errno, text]``: ``cause`` is one of ``BY_...``
SNAPSHOT       ``[6]``: answered by SNAPSHOT_PARTs and SNAPSHOT_DONE, or by SWAP_FAILED
RESTORE        ``[7, version, state | null]``: take over from another worker, with this state (CBOR, as bytes) or with
               none; answered by STATE_TAKEN and RESTORED, or by SWAP_FAILED
REPLIED        ``[8, request_id, reply | null]``
UNDELIVERED    ``[9, request_id, error_class, text, {attribute: value}]``
READY          ``[11]``
START_FAILED   ``[12, error_type, text]``: the worker ends
DONE           ``[13, first_index, [result, ...], spent_us]``: a result is null, reply bytes, or ``[error_type,
               text]``; where all are null, their number stands for them; ``spent_us`` is how long they took, in
               microseconds
EMIT           ``[14, [[frame_type, flags, data], ...]]``: types 0x50 to 0x5F
LOG            ``[15, [[level, text], ...]]``
STOPPED        ``[16, text | null]``: ``on_unload`` has run, and raised ``text``; the worker ends
CONNECT        ``[17, request_id, host, port, timeout_ms]``: answered by GRANTED or REFUSED
OPEN           ``[18, request_id, path, flags]``: likewise; the path is bytes, the flags are those of ``open(2)``
SNAPSHOT_PART  ``[19, piece]``: up to ``FLUSH_BYTES`` of the plugin's state, which nobody but a worker looks into
SNAPSHOT_DONE  ``[20, version | null]``: that was all, and of this version; null when the plugin has no state
RESTORED       ``[21]``: ``on_ready`` has run too; the worker takes batches
SWAP_FAILED    ``[22, step, error_type, text]``: one of ``SWAP_STEPS`` raised; the worker goes on
SEND           ``[23, request_id, plugin, frame_type, flags, data, timeout_ms | null, wants_reply]``: a frame for a
               plugin (its name or id) that the manifest names; answered by REPLIED, as soon as the frame is accepted or
               with the reply that is wanted, or else by UNDELIVERED
STATE_TAKEN    ``[24]``: ``restore`` has run, if there was state; ``on_ready`` is next
ENDING         ``[25, text]``: the plugin has raised what ends a program, or the worker can't go on; it exits, and
               ``text`` is why
=============  ==============================================================================================

``[3]`` is ``00 00 00 02 81 03``. Both sides use this module; :mod:`.answers` checks what a worker says.
"""

from __future__ import annotations

from io import BytesIO

from cbor2 import CBORDecoder, dumps

from ...config.errors import NyxPluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn, TypeAlias

    Message: TypeAlias = list[Any]
    Result: TypeAlias = bytes | list[str] | None

START, BATCH, STOP, GRANTED, REFUSED, SNAPSHOT, RESTORE, REPLIED, UNDELIVERED = 1, 2, 3, 4, 5, 6, 7, 8, 9
READY, START_FAILED, DONE, EMIT, LOG, STOPPED, CONNECT, OPEN = 11, 12, 13, 14, 15, 16, 17, 18
SNAPSHOT_PART, SNAPSHOT_DONE, RESTORED, SWAP_FAILED, SEND, STATE_TAKEN, ENDING = 19, 20, 21, 22, 23, 24, 25

SWAP_STEPS = ("snapshot", "restore", "on_ready")
"""What a plugin does when one version takes another's place."""
MAX_STATE_VERSION = 0xFFFF_FFFF

BY_SYSTEM, BY_POLICY, BY_RESOLVER = 0, 1, 2
"""What refused a request: an operation failed (``errno``), the policy denies it, or the host has no address."""

PAGE_BYTES = 16
"""Size of the page in which a worker marks ``(index, count)`` of the frames in hand, two u64, little-endian."""
MAX_RUN = 256
"""Most frames that ``on_batch`` gets at once."""
MAX_ITEMS = 1024
"""Most frames of one EMIT, and lines of one LOG."""
MAX_ERROR_CHARS = 2_000
MAX_ERROR_TYPE_CHARS = 200
MAX_LOG_CHARS = 8_000
MAX_REQUESTS = 32
"""Most requests of one worker that are not answered yet."""
MAX_HOST_CHARS = 255
MAX_PATH_BYTES = 4_096
MAX_TIMEOUT_MS = 3_600_000
MAX_PEER_CHARS = 64
FLUSH_BYTES = 262_144
"""A worker sends what it holds as soon as it amounts to this."""
_SLACK_BYTES = 65_536
# An array and its fields; around them, the message, its kind, an index and the array of all.
_RESULT_ITEMS, _FRAME_ITEMS, _OUTER_ITEMS = 3, 4, 4
_LENGTH_BYTES = 4
_MAX_LENGTH = 0xFFFF_FFFF


class ProtocolError(NyxPluginError, ValueError):
    """The other side of a worker's socket broke the protocol (``what``). End the worker: it is broken or hostile."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"worker protocol: {what}")


def max_message_bytes(max_reply_bytes: int) -> int:
    """Return the size that no message of an honest worker exceeds."""
    return FLUSH_BYTES + max_reply_bytes + _SLACK_BYTES


def max_items(max_results: int) -> int:
    """Return the number of CBOR items that no message of an honest worker exceeds, with so many results in a DONE."""
    return max(max_results * _RESULT_ITEMS, MAX_ITEMS * _FRAME_ITEMS) + _OUTER_ITEMS


def encode(message: Sequence[Any]) -> bytes:
    """Encode one message, length included. Raises :class:`ProtocolError` for what CBOR can't hold."""
    try:
        body: bytes = dumps(message)
    except Exception as error:
        raise ProtocolError(f"message can't be encoded: {error}") from None
    if len(body) > _MAX_LENGTH:
        raise ProtocolError(f"message of {len(body):,} bytes: the limit is {_MAX_LENGTH:,}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class MessageReader:
    """Cuts a byte stream into messages; holds at most one of ``max_message_bytes``, nested ``max_depth`` deep.

    With ``max_items``, no message has more CBOR items, or a map: each byte could become an object of seventy bytes,
    and keys can be chosen that collide. After an error it stays failed: every further call raises the same.
    """

    def __init__(self, max_message_bytes: int = _MAX_LENGTH, max_depth: int = 4, max_items: int | None = None) -> None:
        self._max_message_bytes = max_message_bytes
        self._max_depth = max_depth
        self._max_items = max_items
        self._pending = bytearray()
        self._wanted = _LENGTH_BYTES
        self._fault = ""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that ``data`` completes. Raises :class:`ProtocolError` for anything malformed."""
        if self._fault:
            raise ProtocolError(self._fault)
        self._pending += data
        if len(self._pending) < self._wanted:
            return []
        try:
            return self._cut()
        except ProtocolError as error:
            self._fault = error.what
            self._pending = bytearray()
            raise

    def _cut(self) -> list[Message]:
        messages: list[Message] = []
        start = 0
        with memoryview(self._pending) as view:
            while (end := self._end_of_message(view, start)) <= len(view):
                messages.append(self._decode(view[start + _LENGTH_BYTES : end]))
                start = end
        del self._pending[:start]
        self._wanted = end - start
        return messages

    def _end_of_message(self, view: memoryview, start: int) -> int:
        body = start + _LENGTH_BYTES
        if len(view) < body:
            return body
        length = int.from_bytes(view[start:body], "big")
        if not 0 < length <= self._max_message_bytes:
            raise ProtocolError(f"message of {length:,} bytes: the limit is {self._max_message_bytes:,}")
        return body + length

    def _decode(self, body: memoryview) -> Message:
        source = BytesIO(body)
        if self._max_items is not None:
            _check_items(source.getvalue(), self._max_items)
        try:
            message = CBORDecoder(
                source, tag_hook=_refuse_tag, semantic_decoders=_TAGS, max_depth=self._max_depth, allow_indefinite=False
            ).decode()
        except Exception as error:
            raise ProtocolError(f"message is not the CBOR expected: {error}") from None
        if source.tell() != len(body):
            raise ProtocolError(f"{len(body) - source.tell():,} bytes follow the message")
        if type(message) is not list or not message:
            raise ProtocolError(f"message is {type(message).__name__}, not an array with a kind")
        return message


def _check_items(body: bytes, max_items: int) -> None:
    """Go from head to head, building nothing. What else is wrong with the body, the decoder will find."""
    at, end = 0, len(body)
    for _ in range(max_items):
        if at >= end:
            return
        head = body[at]
        if short := _SHORT_BYTES[head]:
            at += short
        elif head == _OFTEN and at + 1 < end:
            at += 2 + body[at + 1]
        else:
            at += _long_bytes(body, at, head)
    if at < end:
        raise ProtocolError(f"message of more than {max_items:,} items")


def _long_bytes(body: bytes, at: int, head: int) -> int:
    """Return the size of an item with its argument after the head, without the items in it."""
    major = head >> 5
    if major == _MAP:
        raise ProtocolError("message holds a map")
    width = 1 << (head & 31) - _FIRST_WIDTH
    if major not in _STRINGS:
        return 1 + width
    return 1 + width + int.from_bytes(body[at + 1 : at + 1 + width], "big")


_STRINGS, _MAP = (2, 3), 5
_FIRST_WIDTH, _WIDTHS = 24, 4
# A byte string of 24 to 255 bytes, as most replies are: not worth a call.
_OFTEN = 0x58


def _short_bytes(head: int) -> int:
    """Return the size of an item that its head tells alone; 0 for maps, and where an argument follows."""
    major, argument = head >> 5, head & 31
    if major == _MAP or _FIRST_WIDTH <= argument < _FIRST_WIDTH + _WIDTHS:
        return 0
    return 1 + argument if major in _STRINGS and argument < _FIRST_WIDTH else 1


_SHORT_BYTES = bytes(map(_short_bytes, range(256)))


def clip(text: str, max_chars: int = MAX_ERROR_CHARS) -> str:
    """Cut ``text``, and replace what UTF-8 can't hold."""
    # A plugin's own kind of text could say anything of itself.
    text = str.__str__(text)[:max_chars]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def describe(error: BaseException) -> list[str]:
    """Write an exception as ``[error_type, text]``, whatever its ``__str__`` does."""
    try:
        text = str(error)
    except BaseException as fault:
        text = f"(its text can't be had: {type_name(fault)})"
    return [clip(type_name(error), MAX_ERROR_TYPE_CHARS), clip(text)]


def type_name(value: object) -> str:
    """Return the name of a value's class, whatever a metaclass makes of it."""
    name: str = _CLASS_NAME(type(value))
    return name


_CLASS_NAME = type.__dict__["__name__"].__get__


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tags are not allowed")


class _EveryTag(dict[int, "Any"]):
    """Refuses all tags: those that cbor2 knows never get to ``tag_hook``."""

    def __missing__(self, tag: int) -> Any:
        return _refuse_tag


_TAGS = _EveryTag()
