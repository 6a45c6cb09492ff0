"""The frames of one mailbox on their way to a worker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.mailbox import DeadLetter, Mailbox, ReplyLost
from nyx_plugins.actors.messages import Extra
from nyx_plugins.actors.tray import FLAG, Tray

NOW_MS = 1_000_000


@contextmanager
def _tray(frames: int = 0, flag: int = 0, max_deliveries: int = 1) -> Iterator[Tray]:
    with tempfile.TemporaryDirectory() as folder:
        box = Mailbox.create(Path(folder, "box"), 1, 100, 10_000, 10_000)
        tray = Tray(box, flag, max_deliveries)
        if frames:
            assert tray.accept(7, [(seq, 0x52, b"h%d" % seq, 1) for seq in range(1, frames + 1)]) == frames
        yield tray
        box.close()


@pytest.mark.parametrize("flag", [0, FLAG])
@given(
    frames=st.integers(1, 40),
    done=st.integers(0, 40),
    started=st.integers(0, 40),
    run=st.integers(1, 5),
    data=st.data(),
)
def test_exactly_what_was_started_is_suspect(
    flag: int, frames: int, done: int, started: int, run: int, data: st.DataObject
) -> None:
    """Of what was handed out, frames before the mark are done, those in it suspect, those after it as if untouched."""
    with _tray(frames, flag) as tray:
        sent = 0
        while (batch := tray.take(NOW_MS)) is not None:
            assert batch.first == sent | flag
            sent += len(batch.frames)
        done = min(done, sent)
        tray.finish([None] * done)
        mark = (min(started, sent - 1) | flag, run)
        results = tray.verdicts(mark, "why")
        first, end = max(mark[0] ^ flag, done), min((mark[0] ^ flag) + run, sent)
        expected = [ReplyLost()] * (first - done) + [DeadLetter("why")] * (end - first) if end > done else []
        assert results == expected
        tray.finish(results)
        tray.rewind()
        if tray.is_waiting:
            batch = tray.take(NOW_MS)
            assert batch is not None and batch.first == max(done, end if expected else done) | flag


@given(index=st.integers(0, FLAG - 1), count=st.integers(0, 300))
def test_a_mark_of_the_other_tray_makes_nothing_suspect(index: int, count: int) -> None:
    """Only the class of the mark can have been started."""
    for mine, other in ((0, FLAG), (FLAG, 0)):
        with _tray(5, mine) as tray:
            tray.take(NOW_MS)
            assert tray.verdicts((index | other, count), "why") == []


@given(index=st.integers(0, 2 * FLAG - 1), count=st.integers(0, 2 * FLAG - 1))
def test_no_mark_is_taken_for_more_than_was_handed_out(index: int, count: int) -> None:
    """Whatever a worker writes, verdicts are about frames that it was given, and all others go on."""
    with _tray(20) as tray:
        batch = tray.take(NOW_MS)
        assert batch is not None
        assert len(tray.verdicts((index, count), "why")) <= len(batch.frames)
        first, run = tray.in_hand((index, count))
        assert 0 <= first < len(batch.frames)
        assert first + run <= len(batch.frames)


def test_two_batches_are_under_way() -> None:
    """While one is in hand the next is in the worker's socket, and no more."""
    with _tray(100) as tray:
        assert [tray.take(NOW_MS) is None for _ in range(3)] == [False, False, True]
        assert tray.is_under_way and tray.is_waiting


def test_a_suspect_comes_again_alone_until_it_was_delivered_often_enough() -> None:
    """With three deliveries a frame is handed out twice more, alone, and given up after that; the others go on."""
    with _tray(6, max_deliveries=3) as tray:
        tray.take(NOW_MS)
        assert tray.verdicts((2, 1), "why") == [ReplyLost()] * 2
        tray.finish([ReplyLost()] * 2)
        assert tray.suspects == 1
        for _ in range(2):
            tray.rewind()
            batch = tray.take(NOW_MS)
            assert batch is not None and (batch.first, batch.frames) == (2, [(0x52, b"h3")])
            assert tray.take(NOW_MS) is None
            verdicts = tray.verdicts((2, 1), "why")
        assert verdicts == [DeadLetter("why")]
        tray.finish(verdicts)
        assert tray.suspects == 0
        tray.rewind()
        batch = tray.take(NOW_MS)
        assert batch is not None and [header for _, header in batch.frames] == [b"h4", b"h5", b"h6"]


def test_a_suspect_that_is_done_lets_the_others_follow() -> None:
    """Once a frame that came alone has its result, batches go on as before."""
    with _tray(4, max_deliveries=2) as tray:
        tray.take(NOW_MS)
        assert tray.verdicts((0, 1), "why") == []
        tray.rewind()
        assert tray.take(NOW_MS) == (0, [(0x52, b"h1")])
        tray.finish([None])
        batch = tray.take(NOW_MS)
        assert batch is not None and len(batch.frames) == 3


def test_a_run_of_suspects_comes_again_one_by_one() -> None:
    """Frames that a handler had together come alone after it has crashed, so that the culprit is found."""
    with _tray(3, max_deliveries=2) as tray:
        tray.take(NOW_MS)
        assert tray.verdicts((0, 3), "why") == []
        tray.rewind()
        for index in range(3):
            batch = tray.take(NOW_MS)
            assert batch is not None and (batch.first, len(batch.frames)) == (index, 1)
            assert tray.take(NOW_MS) is None
            tray.finish([None])


def test_time_is_over() -> None:
    """A frame whose time is over is handed to nobody; it is given up when it is the oldest and none is in hand."""
    with _tray() as tray:
        tray.accept(
            7,
            [(seq, 0x52, b"h", 1) for seq in range(1, 6)],
            {2: Extra(None, NOW_MS), 3: Extra(None, NOW_MS - 1), 4: Extra(1, NOW_MS + 1), 5: Extra(2)},
        )
        batch = tray.take(NOW_MS)
        assert batch is not None and len(batch.frames) == 1
        assert tray.take(NOW_MS) is None
        assert (tray.expired(NOW_MS), tray.expires_at_ms) == (0, 0)
        tray.finish([None])
        assert (tray.expired(NOW_MS), tray.expires_at_ms) == (2, NOW_MS)
        tray.finish([DeadLetter("expired")] * 2)
        assert (tray.expired(NOW_MS), tray.expires_at_ms) == (0, NOW_MS + 1)
        batch = tray.take(NOW_MS)
        assert batch is not None and len(batch.frames) == 2


def test_times_survive_a_writer(tmp_path: Path) -> None:
    """A tray over a mailbox that another actor has filled knows whose time is over."""
    box = Mailbox.create(tmp_path / "box", 1, 10, 1000, 1000)
    Tray(box).accept(7, [(1, 0x52, b"h", 1)], {1: Extra(None, NOW_MS)})
    box.close()
    tray = Tray(Mailbox.open(tmp_path / "box", 1))
    assert tray.expired(NOW_MS) == 1
    tray.box.close()
