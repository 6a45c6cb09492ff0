"""What a worker says, checked: the host believes nothing of it that has not been through :func:`check_from_worker`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from . import protocol
from .protocol import ProtocolError

if TYPE_CHECKING:
    from .protocol import Result

_MAX_INDEX = 0xFFFF_FFFF_FFFF_FFFF
_MAX_LEVEL = 100
_MAX_PORT = 0xFFFF
_MAX_FLAGS = 0xFFFF_FFFF
_OPEN_FLAGS = os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND


class Ready(NamedTuple):
    """The plugin is loaded; the worker takes batches."""


class StartFailed(NamedTuple):
    """The plugin could not be loaded: it raised ``type`` with ``text``. The worker ends."""

    type: str
    text: str


class Done(NamedTuple):
    """``results`` of consecutive frames, the first of which has ring index ``first_index``."""

    first_index: int
    results: list[Result]
    spent_us: int = 0
    """What the worker says that they took, in microseconds."""


class Emitted(NamedTuple):
    """One frame that the plugin sent of its own accord."""

    frame_type: int
    flags: int
    data: bytes


class Emit(NamedTuple):
    """Frames that the plugin sent of its own accord, in order."""

    frames: tuple[Emitted, ...]


class LogLine(NamedTuple):
    """One line of the plugin's log; ``level`` as in :mod:`logging`."""

    level: int
    text: str


class Log(NamedTuple):
    """Lines of the plugin's log, in order."""

    lines: tuple[LogLine, ...]


class Stopped(NamedTuple):
    """``on_unload`` has run; ``error`` is what it raised. The worker ends."""

    error: str | None


class Ending(NamedTuple):
    """The worker exits, of which ``text`` is the reason."""

    text: str


class Connect(NamedTuple):
    """The plugin asks for a connection, to be made within ``timeout_ms``."""

    request_id: int
    host: str
    port: int
    timeout_ms: int


class Open(NamedTuple):
    """The plugin asks for a file; ``flags`` as for ``open(2)``."""

    request_id: int
    path: bytes
    flags: int


class Send(NamedTuple):
    """The plugin has a frame for another, named by name or id; ``timeout_ms`` of ``None`` is the host's choice."""

    request_id: int
    plugin: str | int
    frame_type: int
    flags: int
    data: bytes
    timeout_ms: int | None
    wants_reply: bool


class SnapshotPart(NamedTuple):
    """A piece of the plugin's state, which the host passes on and never looks into."""

    piece: bytes


class SnapshotDone(NamedTuple):
    """The plugin's state is complete; ``version`` is ``None`` when it has none."""

    version: int | None


class StateTaken(NamedTuple):
    """The plugin has the state that it was given, if there was any; its ``on_ready`` is next."""


class Restored(NamedTuple):
    """The plugin goes on from the state that it was given; the worker takes batches."""


class SwapFailed(NamedTuple):
    """One of the ``SWAP_STEPS`` raised ``type`` with ``text``."""

    step: str
    type: str
    text: str


Request: TypeAlias = Connect | Open
SwapAnswer: TypeAlias = SnapshotPart | SnapshotDone | StateTaken | Restored | SwapFailed
Answer: TypeAlias = Ready | StartFailed | Done | Emit | Log | Stopped | Request | Send | SwapAnswer


def check_from_worker(message: list[Any], *, max_reply_bytes: int, max_results: int) -> Answer | Ending:
    """Turn one decoded message into a typed value, every field checked; a DONE holds at most ``max_results``.

    Raises :class:`ProtocolError` for anything that an honest worker does not send.
    """
    match message:
        case [protocol.DONE, first_index, list() as results, spent_us]:
            _check_range(first_index, _MAX_INDEX, "index")
            _check_count(results, max_results, "results")
            _check_results(results, max_reply_bytes)
            _check_range(spent_us, _MAX_INDEX, "time")
            return Done(first_index, results, spent_us)
        case [protocol.DONE, first_index, int() as count, spent_us]:
            _check_range(first_index, _MAX_INDEX, "index")
            _check_range(count, max_results, "number of results")
            _check_range(spent_us, _MAX_INDEX, "time")
            return Done(first_index, [None] * count, spent_us)
        case [protocol.EMIT, list() as frames]:
            _check_count(frames, protocol.MAX_ITEMS, "emitted frames")
            return Emit(tuple(_emitted(frame, max_reply_bytes) for frame in frames))
        case [protocol.LOG, list() as lines]:
            _check_count(lines, protocol.MAX_ITEMS, "log lines")
            return Log(tuple(map(_log_line, lines)))
        case [protocol.CONNECT | protocol.OPEN, *_]:
            return check_request(message)
        case [protocol.SEND, *_]:
            return check_send(message, max_reply_bytes=max_reply_bytes)
        case [protocol.SNAPSHOT_PART | protocol.SNAPSHOT_DONE | protocol.RESTORED | protocol.SWAP_FAILED, *_]:
            return _swap_answer(message)
        case _:
            return _once(message)


def _swap_answer(message: list[Any]) -> SwapAnswer:
    match message:
        case [protocol.SNAPSHOT_PART, piece]:
            _check_piece(piece)
            return SnapshotPart(piece)
        case [protocol.SNAPSHOT_DONE, version]:
            if version is not None:
                _check_range(version, protocol.MAX_STATE_VERSION, "state version")
            return SnapshotDone(version)
        case [protocol.RESTORED]:
            return Restored()
        case [protocol.SWAP_FAILED, step, error_type, text]:
            if step not in protocol.SWAP_STEPS:
                raise ProtocolError(f"step is {_shown(step)}")
            _check_error([error_type, text])
            return SwapFailed(step, error_type, text)
    raise ProtocolError(f"answer of {len(message)} items that begins with {_shown(message[0])}")


def check_request(message: list[Any]) -> Request:
    """Turn a request into a typed value, every field checked. Raises :class:`ProtocolError`."""
    match message:
        case [protocol.CONNECT, request_id, host, port, timeout_ms]:
            _check_range(request_id, _MAX_INDEX, "request id")
            _check_text(host, protocol.MAX_HOST_CHARS, "host")
            _check_range(port, _MAX_PORT, "port")
            _check_range(timeout_ms, protocol.MAX_TIMEOUT_MS, "timeout")
            return Connect(request_id, host, port, timeout_ms)
        case [protocol.OPEN, request_id, path, flags]:
            _check_range(request_id, _MAX_INDEX, "request id")
            _check_path(path)
            _check_flags(flags)
            return Open(request_id, path, flags)
    raise ProtocolError(f"request of {len(message)} items that begins with {_shown(message[0])}")


def check_send(message: list[Any], *, max_reply_bytes: int) -> Send:
    """Turn a frame for another plugin into a typed value, every field checked. Raises :class:`ProtocolError`."""
    if len(message) != 8:
        raise ProtocolError(f"frame for another plugin of {len(message)} items")
    _, request_id, plugin, frame_type, flags, data, timeout_ms, wants_reply = message
    _check_range(request_id, _MAX_INDEX, "request id")
    if type(plugin) is int:
        _check_range(plugin, _MAX_FLAGS, "plugin id")
    else:
        _check_text(plugin, protocol.MAX_PEER_CHARS, "plugin")
    _check_range(frame_type, 0xFF, "frame type")
    _check_range(flags, 0xFF, "flags")
    _check_data(data, max_reply_bytes, "frame")
    if timeout_ms is not None:
        _check_range(timeout_ms, protocol.MAX_TIMEOUT_MS, "timeout")
    if type(wants_reply) is not bool:
        raise ProtocolError(f"wants_reply is {_shown(wants_reply)}")
    return Send(request_id, plugin, frame_type, flags, data, timeout_ms, wants_reply)


def _check_data(data: Any, max_bytes: int, what: str) -> None:
    if type(data) is not bytes:
        raise ProtocolError(f"{what} data is {_shown(data)}")
    if len(data) > max_bytes:
        raise ProtocolError(f"{what} of {len(data):,} bytes: the limit is {max_bytes:,}")


def _check_piece(piece: Any) -> None:
    if type(piece) is not bytes:
        raise ProtocolError(f"piece of state is {_shown(piece)}")
    if not 0 < len(piece) <= protocol.FLUSH_BYTES:
        raise ProtocolError(f"piece of state of {len(piece):,} bytes: it must have 1 to {protocol.FLUSH_BYTES:,}")


def _check_path(path: Any) -> None:
    if type(path) is not bytes:
        raise ProtocolError(f"path is {_shown(path)}")
    if len(path) > protocol.MAX_PATH_BYTES:
        raise ProtocolError(f"path of {len(path):,} bytes: the limit is {protocol.MAX_PATH_BYTES:,}")


def _check_flags(flags: Any) -> None:
    _check_range(flags, _MAX_FLAGS, "flags")
    if flags & ~_OPEN_FLAGS or flags & os.O_ACCMODE == os.O_ACCMODE:
        raise ProtocolError(f"flags 0x{flags:x} are not those of a file")


def _once(message: list[Any]) -> Answer | Ending:
    """Check the messages that a worker sends once in its life."""
    match message:
        case [protocol.READY]:
            return Ready()
        case [protocol.STATE_TAKEN]:
            return StateTaken()
        case [protocol.START_FAILED, error_type, text]:
            _check_text(error_type, protocol.MAX_ERROR_TYPE_CHARS, "error type")
            _check_text(text, protocol.MAX_ERROR_CHARS, "error text")
            return StartFailed(error_type, text)
        case [protocol.STOPPED, error]:
            if error is not None:
                _check_text(error, _MAX_STOP_CHARS, "error text")
            return Stopped(error)
        case [protocol.ENDING, text]:
            _check_text(text, protocol.MAX_ERROR_CHARS, "reason")
            return Ending(text)
    raise ProtocolError(f"no worker sends a message of {len(message)} items that begins with {_shown(message[0])}")


_MAX_STOP_CHARS = protocol.MAX_ERROR_TYPE_CHARS + 2 + protocol.MAX_ERROR_CHARS


def _check_results(results: list[Any], max_reply_bytes: int) -> None:
    for result in results:
        if result is None:
            continue
        if type(result) is bytes:
            if len(result) > max_reply_bytes:
                raise ProtocolError(f"reply of {len(result):,} bytes: the limit is {max_reply_bytes:,}")
            continue
        _check_error(result)


def _check_error(result: Any) -> None:
    if type(result) is not list or len(result) != 2:
        raise ProtocolError(f"result is {_shown(result)}")
    _check_text(result[0], protocol.MAX_ERROR_TYPE_CHARS, "error type")
    _check_text(result[1], protocol.MAX_ERROR_CHARS, "error text")


def _emitted(frame: Any, max_bytes: int) -> Emitted:
    if type(frame) is not list or len(frame) != 3:
        raise ProtocolError(f"emitted frame is {_shown(frame)}")
    frame_type, flags, data = frame
    _check_range(frame_type, 0x5F, "frame type", lowest=0x50)
    _check_range(flags, 0xFF, "flags")
    _check_data(data, max_bytes, "emit")
    return Emitted(frame_type, flags, data)


def _log_line(line: Any) -> LogLine:
    if type(line) is not list or len(line) != 2:
        raise ProtocolError(f"log line is {_shown(line)}")
    level, text = line
    _check_range(level, _MAX_LEVEL, "log level")
    _check_text(text, protocol.MAX_LOG_CHARS, "log text")
    return LogLine(level, text)


def _check_range(value: Any, highest: int, what: str, lowest: int = 0) -> None:
    # bool is an int to isinstance(), but not on the wire.
    if type(value) is not int:
        raise ProtocolError(f"{what} is {_shown(value)}")
    if not lowest <= value <= highest:
        raise ProtocolError(f"{what} {value} is not in {lowest} to {highest}")


def _check_text(value: Any, max_chars: int, what: str) -> None:
    if type(value) is not str:
        raise ProtocolError(f"{what} is {_shown(value)}")
    if len(value) > max_chars:
        raise ProtocolError(f"{what} of {len(value):,} characters: the limit is {max_chars:,}")


def _check_count(items: list[Any], highest: int, what: str) -> None:
    if len(items) > highest:
        raise ProtocolError(f"{len(items):,} {what}: the limit is {highest:,}")


def _shown(value: Any) -> str:
    return f"{value}" if type(value) is int else type(value).__name__
