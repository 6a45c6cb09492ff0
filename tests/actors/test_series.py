"""Frames in a row: results in order, and never more of them in line than others can bear."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any
from zlib import crc32

import pytest

from nyx_plugins import FrameError, PluginHeader, PluginNotRegistered, SystemStopped
from nyx_plugins.actors import series as module
from nyx_plugins.actors.messages import Extra
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.series import MOST_WAITING, Sendable, Series, checked_frames, encoded, goes, results
from nyx_plugins.actors.waiting import Waiter


def receipt() -> Receipt:
    """Make a receipt."""
    return Receipt(7, 1, 0, threading.Condition())


def test_results_stand_in_order() -> None:
    """Receipts, waits and errors take the places of their frames; a header that can't be encoded is an error too."""
    waiter, sent = Waiter(7, 0x52, b""), receipt()
    answers = [sent, PluginNotRegistered(8), waiter, FrameError("bad")]

    def send(frame_type: int, header: bytes, extra: Extra | None) -> Receipt | Waiter:
        answer = answers[frame_type]
        if isinstance(answer, Exception):
            raise answer
        return answer

    series = Series(partial(results, send))
    series.send([(place, b"", None) for place in range(3)])
    series.send([(3, b"", None)])
    assert series.entries == answers
    assert series.waiting == [waiter]
    assert series.in_the_way() is None


def test_a_system_that_has_stopped_ends_the_series() -> None:
    """There is no point in beginning; but what was sent before it stopped is not forgotten."""
    stopped = SystemStopped("it was closed")
    going = [Waiter(7, 0x52, b"")]

    def send(frame_type: int, header: bytes, extra: Extra | None) -> Receipt | Waiter:
        if going:
            return going.pop()
        raise stopped

    series, frame = Series(partial(results, send)), (0x52, b"", None)
    series.send([frame, frame])
    series.send([frame])
    waiter, *others = series.entries
    assert isinstance(waiter, Waiter) and others == [stopped, stopped]
    with pytest.raises(SystemStopped):
        Series(partial(results, send)).send([frame, frame])


def test_the_line_is_bounded() -> None:
    """With so many in line, the first is in the way until it is done; then as many more may come."""
    frame = (0x52, b"", None)
    series = Series(lambda frames: [Waiter(7, *frame) for frame in frames])
    series.send([frame] * (MOST_WAITING - 1))
    assert series.in_the_way() is None
    series.send([frame])
    first, second, *_ = series.waiting
    assert series.in_the_way() is first
    first.succeed(receipt())
    assert series.in_the_way() is None
    series.send([frame])
    assert series.in_the_way() is second
    assert len(series.waiting) == MOST_WAITING


def test_headers_may_be_encoded_or_not() -> None:
    """Bytes are taken as they are."""
    header = PluginHeader(7, 0, b"x")
    assert encoded(header) == encoded(header.encode()) == header.encode()


def test_frames_are_pairs_or_have_a_key_of_their_own() -> None:
    """A key goes before that of the call; what is no frame is named with its place, after those before it."""
    common = Extra(99, 5)
    frames = checked_frames([(1, b"a"), (2, b"b", "own"), [3, b"c", 7], (4,)], common)  # type: ignore[list-item]
    assert next(frames) == (1, b"a", common)
    assert next(frames) == (2, b"b", Extra(crc32(b"town"), 5))
    assert next(frames) == (3, b"c", Extra(crc32(b"i7"), 5))
    with pytest.raises(TypeError, match=r"frames\[3\] must be \(frame type, header\[, key\]\), not \(4,\)"):
        next(frames)


@pytest.mark.parametrize("frames", [5, [5], [(1, b"a", "key", "more")], [(1, b"a", 1.5)]])
def test_what_is_no_frame_is_refused(frames: Any) -> None:
    """Whether it is the list or one of its items."""
    with pytest.raises(TypeError):
        list(checked_frames(frames))


def test_frames_that_are_there_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes before an error goes in any case."""
    monkeypatch.setattr(module, "GO_FRAMES", 2)
    frames = [(number, b"", None) for number in range(3)]

    def failing() -> Iterator[Sendable]:
        yield from frames
        raise TypeError("no frame")

    assert list(goes(frames)) == [(frames[:2], 2), (frames[2:], 1)]
    gone = goes(failing())
    assert [next(gone), next(gone)] == [(frames[:2], 2), (frames[2:], 1)]
    with pytest.raises(TypeError, match="no frame"):
        next(gone)


def test_an_error_of_the_callers_iterator_tells_what_was_sent_before() -> None:
    """Those with a receipt and those that were let in count; who waits now is given up, and refusals are nothing."""
    let_in, waiter, given_up = Waiter(7, 0x52, b""), Waiter(7, 0x52, b""), []
    series = Series(lambda frames: [receipt(), receipt(), PluginNotRegistered(8), let_in, waiter])
    with pytest.raises(OSError, match="gone") as caught, series.ending(given_up.append):
        series.send([(0x52, b"", None)])
        let_in.succeed(receipt())
        raise OSError("gone")
    assert caught.value.__notes__ == ["3 frames of this call had been sent before, whose receipts are lost"]
    assert given_up == [waiter]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_ctrl_c_tells_what_was_sent_before_too(kind: type[BaseException]) -> None:
    """As every error does, and so does an end of the program."""
    series = Series(lambda frames: [receipt()])
    with pytest.raises(kind) as caught, series.ending(lambda waiter: None):
        series.send([(0x52, b"", None)])
        raise kind
    assert caught.value.__notes__ == ["1 frame of this call had been sent before, whose receipts are lost"]


def test_an_error_before_the_first_frame_has_nothing_to_tell() -> None:
    """It is as its maker has made it."""
    series = Series(lambda frames: [])
    with pytest.raises(OSError, match="gone") as caught, series.ending(lambda waiter: None):
        raise OSError("gone")
    assert not hasattr(caught.value, "__notes__")
