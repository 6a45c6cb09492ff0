"""Frames that one caller sends in a row: those that find no room wait in line together, and are let in together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ..config.checks import shown
from ..config.errors import NyxPluginError
from ..plugins.errors import SystemStopped
from ..plugins.wire import PluginHeader
from .extras import Key, with_key
from .messages import Extra
from .receipt import Receipt
from .waiting import Waiter

# So many frames of one caller wait in line at the most; others would have to wait behind them.
MOST_WAITING = 256

Header = bytes | PluginHeader
"""The header of a frame, encoded or not."""

Frame = tuple[int, Header] | tuple[int, Header, Key]
"""A frame as callers name it: its type, its header, and its key if it has one of its own."""

Sendable = tuple[int, Header, Extra | None]
"""A frame as it is sent: its type, its header, and what else there is to it."""


def checked_frames(frames: Iterable[Frame], extra: Extra | None = None) -> Iterator[Sendable]:
    """Yield each frame with what else there is to it, its own key going before that of ``extra``.

    Raises :class:`TypeError` at the first item that is no frame.
    """
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be pairs of frame type and header, not {type(frames).__name__}")
    for number, frame in enumerate(frames):
        try:
            frame_type, header, *key = frame
        except (TypeError, ValueError):
            raise TypeError(f"frames[{number}] must be a pair of frame type and header, not {shown(frame)}") from None
        if len(key) > 1:
            raise TypeError(f"frames[{number}] must be frame type, header and key at the most, not {shown(frame)}")
        yield frame_type, header, with_key(extra, key[0]) if key else extra


def encoded(header: Header) -> bytes:
    """Return a header's bytes."""
    return header.encode() if isinstance(header, PluginHeader) else header


class Series:
    """What became of each frame, in order: the receipt, the wait for room, or the error.

    After each :meth:`send` the caller waits for what :meth:`in_the_way` returns, if anything, and at the end for all.
    """

    def __init__(self, send: Callable[[int, bytes, Extra | None], Receipt | Waiter]) -> None:
        self.entries: list[Receipt | Waiter | NyxPluginError] = []
        self._send = send
        self._line: deque[Waiter] = deque()

    def send(self, frame_type: int, header: Header, extra: Extra | None = None) -> None:
        """Send one more; of what the system raises only :class:`SystemStopped` is raised here."""
        try:
            entry = self._send(frame_type, encoded(header), extra)
        except SystemStopped:
            raise
        except NyxPluginError as error:
            self.entries.append(error)
            return
        self.entries.append(entry)
        if isinstance(entry, Waiter):
            self._line.append(entry)

    def in_the_way(self) -> Waiter | None:
        """Return what has to be waited for before the next frame may be sent."""
        if len(self._line) < MOST_WAITING:
            return None
        while self._line and self._line[0].done:
            self._line.popleft()
        return self._line[0] if len(self._line) >= MOST_WAITING else None

    @property
    def waiting(self) -> list[Waiter]:
        """The frames that wait for room now."""
        return [waiter for waiter in self._line if not waiter.done]
