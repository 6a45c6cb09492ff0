"""Replaying: pieces, chunks and counts, against a target that only pretends."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import DispatchTimeout, FrameError, NyxPluginError, PluginHeader, PluginNotRegistered, Receipt
from nyx_plugins.actors.receipt import Outcome, OutcomeKind
from nyx_plugins.cli.replay import (
    CHUNK_FRAMES,
    PIECE_BYTES,
    CaptureError,
    Replay,
    cause_of,
    read_frames,
)
from nyx_plugins.plugins import errors
from nyx_plugins.plugins.wire import OTHER_KINDS, StreamFrame

MAX_FRAME = 8 * 1024 * 1024


def receipt() -> Receipt:
    """A frame that is on its way."""
    return Receipt(1, 1, 10, threading.Condition())


class Pretender:
    """Answers each frame with what its data names, and remembers the size of every chunk."""

    def __init__(self) -> None:
        self.chunks: list[int] = []
        self.timeouts: list[float | None] = []
        self.late: list[Receipt] = []

    def dispatch_many(
        self, frames: Iterable[tuple[int, bytes]], *, timeout: float | None = None
    ) -> list[Receipt | NyxPluginError]:
        """Answer."""
        taken = list(frames)
        self.chunks.append(len(taken))
        self.timeouts.append(timeout)
        return [self._answer(PluginHeader.decode(header)) for _, header in taken]

    def _answer(self, header: PluginHeader) -> Receipt | NyxPluginError:
        match header.data:
            case b"unknown":
                return PluginNotRegistered(header.id, header.required)
            case b"malformed":
                return FrameError("nonsense")
            case b"late" | b"too late":
                error = DispatchTimeout(header.id, "acceptance", 1.0)
                error.receipt = receipt()
                self.late.append(error.receipt)
                error.receipt.accepted = None if header.data == b"too late" else True
                return error
            case b"no room":
                return DispatchTimeout(header.id, "room", 1.0)
        return receipt()

    def drain(self, timeout: float | None = None) -> None:
        """Settle what is late."""
        self.timeouts.append(timeout)
        for each in self.late:
            if each.accepted:
                each._settle(Outcome(OutcomeKind.PROCESSED))
            else:
                each._refuse(PluginNotRegistered(1))


def frame(data: bytes = b"", kind: int | str = 0x52, flags: int = 0) -> StreamFrame:
    """One stream frame for plugin 1."""
    return StreamFrame(1, 0, kind, PluginHeader(1, flags, data).encode())


ANSWERS = ["fine", "unknown", "malformed", "late", "too late", "no room"]


@given(st.lists(st.one_of(st.sampled_from(ANSWERS), st.sampled_from(OTHER_KINDS)), max_size=40))
def test_every_frame_is_counted_once(kinds: list[str]) -> None:
    """Each stream frame is one of: not for plugins, accepted, refused by one cause."""
    replay = Replay(Pretender())
    replay.take(frame(kind=kind) if kind in OTHER_KINDS else frame(kind.encode()) for kind in kinds)
    result = replay.finish()
    assert result.stream_frames == len(kinds)
    assert result.not_plugin_frames == sum(kind in OTHER_KINDS for kind in kinds)
    assert result.accepted == kinds.count("fine") + kinds.count("late")
    expected = {
        "plugin_not_registered": kinds.count("unknown") + kinds.count("too late"),
        "frame_error": kinds.count("malformed"),
        "dispatch_timeout": kinds.count("no room"),
    }
    assert result.refused == {cause: count for cause, count in expected.items() if count}
    assert result.accepted + sum(result.refused.values()) == result.plugin_frames


def test_frames_go_in_chunks() -> None:
    """However many frames come at once, no chunk is larger than the limit; the last one holds the rest."""
    target = Pretender()
    Replay(target, 2.5).take([frame()] * (2 * CHUNK_FRAMES + 3))
    assert target.chunks == [CHUNK_FRAMES, CHUNK_FRAMES, 3]
    assert target.timeouts == [2.5] * 3


def test_a_close_is_owed_for_required_frames_only() -> None:
    """A frame for an unknown plugin owes a CLOSE if it was REQUIRED."""
    replay = Replay(Pretender())
    replay.take([frame(b"unknown"), frame(b"unknown", flags=1)])
    assert replay.finish().close_owed == (bytes.fromhex("000700000001"),)


@given(st.integers(1, 200))
def test_a_capture_is_read_in_pieces(size: int) -> None:
    """All frames come, in order, and the sizes of the pieces add up."""
    frames = [StreamFrame(1, seq, 0x52, bytes(size * 20)) for seq in range(50)]
    encoded = b"".join(each.encode() for each in frames)
    sizes: list[int] = []
    pieces = list(read_frames(io.BytesIO(encoded), "some", MAX_FRAME, sizes.append))
    assert [each for piece in pieces for each in piece] == frames
    assert sum(sizes) == len(encoded) and max(sizes) <= PIECE_BYTES


@given(st.data())
def test_a_truncated_capture_tells_how_far_it_went(data: st.DataObject) -> None:
    """Wherever the end is cut off, the frames before it come, and the error counts them."""
    whole = [frame(b"x" * 30).encode() for _ in range(4)]
    cut = data.draw(st.integers(1, len(whole[0]) - 1))
    count = data.draw(st.integers(0, 3))
    read: list[StreamFrame] = []
    with pytest.raises(CaptureError, match=rf"at byte {len(whole[0]) * count + cut}: the stream ends") as caught:
        for piece in read_frames(io.BytesIO(b"".join(whole[:count]) + whole[0][:cut]), "a", MAX_FRAME, lambda _: None):
            read += piece
    assert len(read) == caught.value.frames == count


def test_a_capture_that_fails_while_it_is_read_is_an_error_of_ours() -> None:
    """What the operating system says of a disk that fails is told in words."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(CaptureError) as caught:
        list(read_frames(Failing(), "a", MAX_FRAME, lambda _: None))
    assert str(caught.value) == "capture a: can't be read: Input/output error; 0 frames were read before"


def test_every_cause_has_a_name() -> None:
    """A cause is named as its class, in lower case with underscores."""
    names = {cause_of(getattr(errors, name)("x", "y", 1)) for name in ("PermissionDenied", "SandboxViolation")}
    assert names == {"permission_denied", "sandbox_violation"}
    assert cause_of(PluginNotRegistered(1)) == "plugin_not_registered"
