"""Frames that one caller sends in a row: those that find no room wait in line together, and are let in together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias, TypeVar

from ..config.checks import shown
from ..config.errors import NyxPluginError, fresh
from ..plugins.errors import SystemStopped
from ..plugins.wire import PluginHeader
from .extras import Key, with_key
from .messages import Extra
from .receipt import Receipt
from .stretch import Stretch
from .waiting import Waiter
from .woven import Woven

S = TypeVar("S", bound=Sequence[object])

# A caller that has so many frames in line adds no others.
MOST_WAITING = 256
# So many frames are sent in one go: nobody else of the same session is held up for longer.
GO_FRAMES = 256

Header = bytes | PluginHeader
"""The header of a frame, encoded or not."""

Frame = tuple[int, Header] | tuple[int, Header, Key]
"""A frame as callers name it: its type, its header, and its key if it has one of its own."""

Sendable = tuple[int, Header, Extra | None]
"""A frame as it is sent: its type, its header, and what else there is to it."""

Entry: TypeAlias = Receipt | Waiter | NyxPluginError
"""What came of a frame: its receipt, its wait for room, or why it was refused."""

Piece: TypeAlias = Entry | Stretch | Woven
"""The same, or the receipts of several frames in a row."""

Go: TypeAlias = tuple[Sequence[Sendable], int]
"""Frames for their caller to send in one go, and how many have come since the last."""


def checked_frames(frames: Iterable[Frame], extra: Extra | None = None) -> Iterator[Sendable]:
    """Yield each frame with what else there is to it, its own key going before that of ``extra``.

    Raises :class:`TypeError` at the first item that is no frame.
    """
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be an iterable of (frame type, header[, key]), not {type(frames).__name__}")
    for number, frame in enumerate(frames):
        if frame.__class__ is tuple and len(frame) == 2:
            yield frame[0], frame[1], extra
            continue
        try:
            frame_type, header, *key = frame
        except (TypeError, ValueError):
            raise TypeError(f"frames[{number}] must be (frame type, header[, key]), not {shown(frame)}") from None
        if len(key) > 1:
            raise TypeError(f"frames[{number}] must be (frame type, header[, key]), not {shown(frame)}")
        yield frame_type, header, with_key(extra, key[0]) if key else extra


def goes(frames: Iterable[Sendable]) -> Iterator[Go]:
    """Yield frames that are there in large goes. What comes before an error of their iterator is yielded first."""
    rest = iter(frames)
    while True:
        go: list[Sendable] = []
        try:
            # What comes before an error is in the list even so.
            go.extend(islice(rest, GO_FRAMES))
        except BaseException:
            yield go, len(go)
            raise
        yield go, len(go)
        if len(go) < GO_FRAMES:
            return


def encoded(header: Header) -> bytes:
    """Return a header's bytes; what is neither of the two is refused when it is checked."""
    if header.__class__ is bytes:
        return header
    if isinstance(header, PluginHeader):
        return header.encode()
    # Those of a subclass may say something else of themselves than they are.
    return bytes(header) if isinstance(header, bytes) else header


def results(send: Callable[[int, bytes, Extra | None], Receipt | Waiter], frames: Iterable[Sendable]) -> list[Piece]:
    """Send frames one after the other: what came of each, errors included."""
    found: list[Piece] = []
    for frame_type, header, extra in frames:
        try:
            found.append(send(frame_type, encoded(header), extra))
        except NyxPluginError as error:
            found.append(error)
    return found


def each(pieces: Iterable[Piece]) -> Iterator[Entry]:
    """What came of each frame."""
    for piece in pieces:
        if isinstance(piece, (Stretch, Woven)):
            yield from piece
        else:
            yield piece


def checked_entries(entries: S) -> S:
    """Return them; raises :class:`SystemStopped` if the system had stopped before the first of them was sent."""
    if entries and all(type(entry) is SystemStopped for entry in entries):
        first = entries[0]
        assert isinstance(first, SystemStopped)
        raise fresh(first)
    return entries


class Series:
    """What became of each frame, in order: the receipt, the wait for room, or the error.

    After each :meth:`send` the caller waits for what :meth:`in_the_way` returns, if anything, and at the end for all.
    """

    def __init__(self, send: Callable[[Iterable[Sendable]], list[Piece]]) -> None:
        self.entries: list[Piece] = []
        self._send = send
        self._line: deque[Waiter] = deque()

    def send(self, frames: Iterable[Sendable]) -> None:
        """Send more. Raises :class:`SystemStopped` if these are the first, and none of them could be sent."""
        pieces = self._send(frames)
        if not self.entries:
            checked_entries(pieces)
        self.add(pieces)

    def add(self, pieces: list[Piece]) -> None:
        """This is what became of more."""
        self.entries += pieces
        self._line.extend(piece for piece in pieces if isinstance(piece, Waiter))

    @property
    def is_crowded(self) -> bool:
        """Whether there may be something :meth:`in_the_way`."""
        return len(self._line) >= MOST_WAITING

    def in_the_way(self) -> Waiter | None:
        """Return what has to be waited for before the next frame may be sent."""
        if len(self._line) < MOST_WAITING:
            return None
        while self._line and self._line[0].done:
            self._line.popleft()
        return self._line[0] if len(self._line) >= MOST_WAITING else None

    @contextmanager
    def ending(self, give_up: Callable[[Waiter], None]) -> Iterator[None]:
        """At the end nobody waits any more; what ends it early, Ctrl-C too, tells how many were sent before it."""
        try:
            yield
        except BaseException as error:
            if sent := sum(map(_is_sent, each(self.entries))):
                frames = "1 frame" if sent == 1 else f"{sent:,} frames"
                error.add_note(f"{frames} of this call had been sent before, whose receipts are lost")
            raise
        finally:
            for waiter in self.waiting:
                give_up(waiter)

    @property
    def waiting(self) -> list[Waiter]:
        """The frames that wait for room now."""
        return [waiter for waiter in self._line if not waiter.done]


def _is_sent(entry: Entry) -> bool:
    return isinstance(entry, Receipt) or (isinstance(entry, Waiter) and entry.succeeded)
