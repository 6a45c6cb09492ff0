"""What a plugin says to the plugins that it depends on. Loaded when it does so for the first time."""

from __future__ import annotations

from ...config.errors import NyxPluginError
from .. import errors
from ..sdk import plain_bytes, plain_int
from .protocol import MAX_PEER_CHARS, MAX_TIMEOUT_MS, REPLIED, SEND, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .protocol import Message

_MAX_ID = 0xFFFF_FFFF


class Peers:
    """Asks the plugin actor to send frames, and turns its refusals into the errors that an application would get."""

    def __init__(self, ask: Callable[..., Message], max_data_bytes: int) -> None:
        self._ask = ask
        self._max_data_bytes = max_data_bytes

    def send(self, plugin: str | int, data: bytes, frame_type: int, flags: int, timeout: float | None) -> None:
        """Send and wait for acceptance; see :meth:`nyx_plugins.plugins.Context.send`."""
        self._exchange(plugin, data, frame_type, flags, timeout, False)

    def request(
        self, plugin: str | int, data: bytes, frame_type: int, flags: int, timeout: float | None
    ) -> bytes | None:
        """Send and wait for the reply; see :meth:`nyx_plugins.plugins.Context.request`."""
        return self._exchange(plugin, data, frame_type, flags, timeout, True)

    def _exchange(
        self, plugin: object, data: object, frame_type: object, flags: object, timeout: object, wants_reply: bool
    ) -> bytes | None:
        copy, peer = self._checked(data), _peer(plugin)
        plain_type, plain_flags = plain_int(frame_type, 0x50, 0x5F, "frame type"), plain_int(flags, 0, 0xFF, "flags")
        answer = self._ask(SEND, peer, plain_type, plain_flags, copy, _milliseconds(timeout), wants_reply)
        if answer[0] != REPLIED:
            raise error_of(*answer[2:])
        reply: bytes | None = answer[2]
        return reply

    def _checked(self, data: object) -> bytes:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        copy = plain_bytes(data)
        if len(copy) > self._max_data_bytes:
            raise ValueError(f"data of {len(copy):,} bytes: the limit is {self._max_data_bytes:,}")
        return copy


def _peer(plugin: object) -> str | int:
    if not isinstance(plugin, (str, int)) or isinstance(plugin, bool):
        raise TypeError(f"a plugin is named by its name (str) or its id (int), not by {type(plugin).__name__}")
    if isinstance(plugin, str):
        # A member of an enumeration is its text.
        name = str.__str__(plugin)
        if not 0 < len(name) <= MAX_PEER_CHARS:
            raise ValueError(f"plugin name of {len(name):,} characters: must have 1 to {MAX_PEER_CHARS}")
        name.encode()
        return name
    if not 0 <= plugin <= _MAX_ID:
        raise ValueError(f"plugin id {plugin} is not in 0 to {_MAX_ID:,}")
    return int(plugin)


def _milliseconds(timeout: object) -> int | None:
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool):
        raise TypeError(f"timeout must be seconds or None, not {type(timeout).__name__}")
    if not 0 <= timeout <= MAX_TIMEOUT_MS / 1000:
        raise ValueError(f"timeout {timeout} s is not in 0 to {MAX_TIMEOUT_MS // 1000:,}")
    return round(timeout * 1000)


def error_of(name: str, text: str, attributes: dict[str, Any]) -> NyxPluginError:
    """Make the error that the other side has described."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, NyxPluginError)):
        raise ProtocolError(f"error {name!r} is none of this package")
    error = kind.__new__(kind, text)
    error.args = (text,)
    for key, value in attributes.items():
        setattr(error, key, tuple(value) if isinstance(value, list) else value)
    return error


def described(error: BaseException) -> list[Any]:
    """Write an error of this package as ``[class, text, attributes]``; attributes that are no plain values stay out."""
    plain = {name: value for name, value in vars(error).items() if _is_plain(value)}
    return [type(error).__name__, str(error), plain | _nothing(error)]


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, bytes, int, float))


def _nothing(error: BaseException) -> dict[str, None]:
    """The attributes that stay out, so that they are there."""
    return {name: None for name, value in vars(error).items() if not _is_plain(value)}
