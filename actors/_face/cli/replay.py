"""Replaying a capture: read it in pieces, dispatch its plugin frames in chunks, and count what becomes of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Protocol

import attrs

from ..actors.receipt import Receipt
from ..config.errors import NyxPluginError
from ..plugins.errors import DispatchTimeout, FrameError, PluginNotRegistered
from ..plugins.wire import StreamDecoder, StreamFrame

PIECE_BYTES = 64 * 1024
# All frames of one chunk share a timeout, so a chunk is small enough for a plugin that is not fast.
CHUNK_FRAMES = 256


class Target(Protocol):
    """The part of a plugin system that a replay needs."""

    def dispatch_many(
        self, frames: Iterable[tuple[int, bytes]], *, timeout: float | None = None
    ) -> Sequence[Receipt | NyxPluginError]:
        """Send frames; one receipt or error for each."""

    def drain(self, timeout: float | None = None) -> None:
        """Wait until every frame has its outcome."""


class CaptureError(NyxPluginError, ValueError):
    """A capture can't be read to its end. Name another, or mend what wrote it.

    ``frames`` stream frames were read, and replayed, before; ``None`` if it could not even be opened.
    """

    def __init__(self, source: str, reason: str, frames: int | None = None) -> None:
        self.source = source
        self.reason = reason
        self.frames = frames
        read = "" if frames is None else f"; {frames:,} frames were read before"
        super().__init__(f"capture {source}: {reason}{read}")


@attrs.frozen
class Replayed:
    """What became of a capture's frames; ``refused`` counts by cause, ``close_owed`` holds CLOSE payloads in order."""

    stream_frames: int
    not_plugin_frames: int
    accepted: int
    refused: dict[str, int]
    close_owed: tuple[bytes, ...]

    @property
    def plugin_frames(self) -> int:
        """How many frames were for the dispatcher."""
        return self.stream_frames - self.not_plugin_frames


class Replay:
    """One replay under way: feed it the frames of a stream, then ask for the result."""

    def __init__(self, target: Target, timeout: float | None = None) -> None:
        self._target = target
        self._timeout = timeout
        self._stream_frames = 0
        self._others = 0
        self._accepted = 0
        self._refused: Counter[str] = Counter()
        self._close_owed: list[bytes] = []
        self._late: list[Receipt] = []

    def take(self, frames: Iterable[StreamFrame]) -> None:
        """Dispatch the plugin frames among these, and count all."""
        pending = iter(self._plugin_frames(frames))
        while chunk := list(islice(pending, CHUNK_FRAMES)):
            for result in self._target.dispatch_many(chunk, timeout=self._timeout):
                self._count(result)

    def finish(self) -> Replayed:
        """Wait for the outcomes of all frames; raises :class:`DispatchTimeout` when some have none in time."""
        self._target.drain(self._timeout)
        for receipt in self._late:
            self._count(receipt if receipt.accepted else _refusal(receipt))
        self._late.clear()
        return Replayed(self._stream_frames, self._others, self._accepted, dict(self._refused), tuple(self._close_owed))

    def _plugin_frames(self, frames: Iterable[StreamFrame]) -> Iterator[tuple[int, bytes]]:
        for frame in frames:
            self._stream_frames += 1
            if isinstance(frame.kind, int):
                yield frame.kind, frame.payload
            else:
                self._others += 1

    def _count(self, result: Receipt | NyxPluginError) -> None:
        if isinstance(result, Receipt):
            self._accepted += 1
        elif isinstance(result, DispatchTimeout) and isinstance(result.receipt, Receipt):
            # It is on its way all the same; what became of it is known after the drain.
            self._late.append(result.receipt)
        else:
            self._refused[cause_of(result)] += 1
            if isinstance(result, PluginNotRegistered) and result.close is not None:
                self._close_owed.append(result.close)


def read_frames(
    capture: BinaryIO, source: str, max_frame_bytes: int, on_read: Callable[[int], None]
) -> Iterator[list[StreamFrame]]:
    """Yield a capture's frames piece by piece, telling ``on_read`` how many bytes each piece had.

    Raises :class:`CaptureError` for one that is malformed, truncated, or can't be read.
    """
    decoder = StreamDecoder(max_frame_bytes)
    count = 0
    try:
        while piece := capture.read(PIECE_BYTES):
            frames = decoder.feed(piece)
            count += len(frames)
            yield frames
            on_read(len(piece))
        decoder.finish()
    except FrameError as error:
        raise CaptureError(source, str(error), count) from None
    except OSError as error:
        raise CaptureError(source, f"can't be read: {error.strerror}", count) from None


def cause_of(error: BaseException) -> str:
    """Name the cause of a refusal: ``PluginNotRegistered`` is ``plugin_not_registered``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def _refusal(receipt: Receipt) -> NyxPluginError:
    assert isinstance(receipt.error, NyxPluginError)
    return receipt.error
