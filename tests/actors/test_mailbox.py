"""The mailbox against a simple model, and its answers at the edges."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nyx_plugins.actors import mailbox, ring_file
from nyx_plugins.actors.mailbox import DeadLetter, Failed, Mailbox, ReplyLost, Result
from nyx_plugins.actors.results import Recalled, decode_result, encode_result, kinds_of
from nyx_plugins.plugins.errors import MailboxFull

ID = 1001


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Mailbox]:
    """A mailbox with room for four frames, 100 bytes of headers and 100 bytes of results."""
    box = Mailbox.create(tmp_path / "mailbox", ID, 4, 100, 100)
    yield box
    box.close()


def test_a_frame_goes_in_is_read_and_finishes(box: Mailbox) -> None:
    """A frame that is appended can be read until it is finished, and is counted in every step."""
    assert box.append(7, 1, 0x52, b"header", 2) == 0
    assert (box.depth, box.bytes_held, box.accepted, box.finished) == (1, 6, 1, 0)
    assert box.read(0, 10, 1000) == [(0x52, b"header")]
    box.finish([b"reply"])
    assert (box.depth, box.bytes_held, box.accepted, box.finished) == (0, 0, 1, 1)
    assert box.recall(7) == Recalled([(1, b"reply")], [])


def test_full_in_frames(box: Mailbox) -> None:
    """The frame after the last that fits is refused with depth and capacity, and changes nothing."""
    assert box.append_batch(7, [(seq, 0x52, b"h", 0) for seq in range(1, 7)]) == 4
    before = box.statistics()
    with pytest.raises(MailboxFull) as full:
        box.append(7, 9, 0x52, b"h", 0)
    assert (full.value.plugin_id, full.value.depth, full.value.capacity, full.value.unit) == (ID, 4, 4, "frames")
    assert box.statistics() == before
    assert box.last_seq(7) == 4
    assert not box.room(0)


def test_full_in_bytes(box: Mailbox) -> None:
    """A frame whose header finds no room is refused with the bytes taken, while a shorter one is accepted."""
    assert box.append_batch(7, [(1, 0x52, b"h" * 60, 0), (2, 0x52, b"h" * 41, 0), (3, 0x52, b"h", 0)]) == 1
    with pytest.raises(MailboxFull) as full:
        box.append(7, 2, 0x52, b"h" * 41, 0)
    assert (full.value.depth, full.value.capacity, full.value.unit) == (60, 100, "bytes")
    assert box.room(40) and not box.room(41)
    assert box.append(7, 2, 0x52, b"h" * 40, 0) == 1


def test_header_larger_than_the_mailbox(box: Mailbox) -> None:
    """A header that can never fit is refused even when the mailbox is empty."""
    with pytest.raises(MailboxFull):
        box.append(7, 1, 0x52, b"h" * 101, 0)


def test_read_keeps_to_both_limits(box: Mailbox) -> None:
    """A read gives as many frames as both limits allow, but always one, so that the reader gets on."""
    box.append_batch(7, [(1, 1, b"aa", 0), (2, 2, b"bbb", 0), (3, 3, b"c", 0)])
    assert box.read(0, 2, 1000) == [(1, b"aa"), (2, b"bbb")]
    assert box.read(0, 10, 5) == [(1, b"aa"), (2, b"bbb")]
    assert box.read(1, 10, 1) == [(2, b"bbb")]
    assert box.read(2, 0, 0) == [(3, b"c")]
    assert box.read(3, 10, 1000) == []


@pytest.mark.parametrize("index", [0, 3])
def test_read_outside(box: Mailbox, index: int) -> None:
    """Frames that are finished, or not there yet, can't be read."""
    box.append_batch(7, [(1, 1, b"aa", 0), (2, 2, b"bbb", 0)])
    box.finish([None])
    with pytest.raises(IndexError):
        box.read(index, 1, 1)


def test_origins(box: Mailbox) -> None:
    """Session and sequence number of the last frames are known, finished or not, and of no others."""
    box.append_batch(7, [(1, 1, b"", 0), (5, 1, b"", 0)])
    box.finish([None])
    box.append_batch(8, [(1, 1, b"", 0), (2, 1, b"", 0)])
    assert box.origins(0, 4) == [(7, 1), (7, 5), (8, 1), (8, 2)]
    box.append(9, 1, 1, b"", 0)
    for index, count in ((0, 1), (4, 2), (6, 0)):
        with pytest.raises(IndexError):
            box.origins(index, count)


def test_bytes_processed_as_the_reference_counts_them(tmp_path: Path) -> None:
    """Five frames of 26 header bytes with 8 data bytes give 170; failed ones count too, dead letters do not."""
    box = Mailbox.create(tmp_path / "box", ID, 10, 1000, 1000)
    box.append_batch(1, [(seq, 0x52, b"h" * 26, 8) for seq in range(1, 6)])
    box.finish([None, b"reply", Failed("ValueError", "no"), ReplyLost(), None])
    box.append_batch(1, [(6, 0x52, b"h" * 10, 3), (7, 0x52, b"h" * 20, 4)])
    box.finish([DeadLetter("crash"), None])
    statistics = box.statistics()
    assert statistics.bytes_processed == 170 + 24
    assert (statistics.processed, statistics.failed, statistics.dead_lettered) == (5, 1, 1)


@pytest.mark.parametrize("seqs", [(0,), (3,), (2,), (4, 4), (5, 4)])
def test_sequence_numbers_ascend(box: Mailbox, seqs: tuple[int, ...]) -> None:
    """A sequence number that is not above the last one of its session is refused, so that no frame is doubled."""
    box.append(7, 3, 1, b"", 0)
    with pytest.raises(ValueError, match="must ascend from 3"):
        box.append_batch(7, [(seq, 1, b"", 0) for seq in seqs])
    assert box.accepted == 1


def test_more_results_than_frames(box: Mailbox) -> None:
    """Results for frames that are not there are refused, and so is what is no result."""
    box.append(7, 1, 1, b"", 0)
    with pytest.raises(ValueError, match="2 results for 1 frames"):
        box.finish([None, None])
    with pytest.raises(TypeError, match="str is no result"):
        box.finish(["done"])  # type: ignore[list-item]  # what is tested
    assert box.depth == 1


def test_numbers_that_do_not_fit_change_nothing(box: Mailbox) -> None:
    """A number that is no u64 is refused before anything is accepted."""
    for session, data_length in ((1 << 64, 0), (1, -1)):
        with pytest.raises(OverflowError):
            box.append(session, 1, 1, b"", data_length)
    assert box.accepted == 0
    assert box.append((1 << 64) - 1, (1 << 64) - 1, 255, b"", (1 << 64) - 1) == 0


def test_recall_reports_overwritten_results_as_lost(box: Mailbox) -> None:
    """The oldest results go first; what is left of them is their kind."""
    box.append_batch(7, [(seq, 1, b"", 0) for seq in range(1, 5)])
    box.finish([b"x" * 60, Failed("ValueError", "e" * 30), DeadLetter("d" * 10), b"y" * 50])
    assert box.recall(7).finished == [
        (1, ReplyLost()),
        (2, Failed("", "")),
        (3, DeadLetter("d" * 10)),
        (4, b"y" * 50),
    ]


def test_a_result_larger_than_the_room_is_lost_alone(box: Mailbox) -> None:
    """A result that can't be kept is lost at once, and what finishes after it is kept."""
    box.append_batch(7, [(1, 1, b"", 0), (2, 1, b"", 0)])
    box.finish([b"x" * 101])
    box.finish([b"small"])
    assert box.recall(7).finished == [(1, ReplyLost()), (2, b"small")]


def test_recall_tells_sessions_apart(box: Mailbox) -> None:
    """Each session learns of its own frames, finished and unfinished, as far as rows reach back."""
    box.append_batch(7, [(1, 1, b"", 0), (2, 1, b"", 0)])
    box.append(8, 1, 1, b"", 0)
    box.finish([None, b"r"])
    assert box.recall(7) == Recalled([(1, None), (2, b"r")], [])
    assert box.recall(8) == Recalled([], [1])
    box.append_batch(8, [(2, 1, b"", 0), (3, 1, b"", 0)])
    assert box.recall(7) == Recalled([(2, b"r")], [])
    assert box.recall(9) == Recalled([], [])


def test_reopened_mailbox_goes_on(tmp_path: Path) -> None:
    """Frames, counters, sessions and results are there again after a reopen."""
    box = Mailbox.create(tmp_path / "box", ID, 4, 100, 100)
    box.append_batch(7, [(1, 0x51, b"one", 0), (2, 0x52, b"two", 0)])
    box.finish([b"reply"])
    box.note_violations(3)
    box.note_restart()
    before = box.statistics()
    box.close()
    box = Mailbox.open(tmp_path / "box", ID)
    assert box.statistics() == before
    assert (before.permission_violations, before.restarts, before.peak) == (3, 1, 2)
    assert box.peak_depth == 2
    assert box.read(1, 9, 99) == [(0x52, b"two")]
    assert box.recall(7) == Recalled([(1, b"reply")], [2])
    assert box.last_seq(7) == 2


def test_closed_mailbox(box: Mailbox) -> None:
    """A closed mailbox may be closed again, and refuses everything else."""
    box.append(7, 1, 1, b"", 0)
    box.close()
    box.close()
    with pytest.raises(ValueError, match="released"):
        box.finish([None])


def test_sessions_least_recently_used_goes_first(tmp_path: Path) -> None:
    """The table of sessions remembers 256 of them, also over a reopen, and forgets the one that was silent longest."""
    box = Mailbox.create(tmp_path / "box", ID, 4, 100, 100)
    for session in [*range(256), 0, 256]:
        box.append(session, box.last_seq(session) + 1, 1, b"", 0)
        box.finish([None])
    assert [box.last_seq(session) for session in (0, 1, 2, 256)] == [2, 0, 1, 1]
    box.close()
    box = Mailbox.open(tmp_path / "box", ID)
    box.append(257, 1, 1, b"", 0)
    assert [box.last_seq(session) for session in (0, 1, 2, 3, 256, 257)] == [2, 0, 0, 1, 1, 1]


def test_memory_follows_what_is_held(tmp_path: Path) -> None:
    """A mailbox that is never empty touches the whole of its areas in time, but gives the pages back."""
    box = Mailbox.create(tmp_path / "box", ID, 4, 8 << 20, 8 << 20)
    for seq in range(1, 401):
        box.append(7, seq, 1, b"h" * 50_000, 0)
        if seq > 1:
            box.finish([b"r" * 50_000])
    assert box.read(399, 1, 1) == [(1, b"h" * 50_000)]
    assert box.recall(7).finished == [(seq, b"r" * 50_000) for seq in (397, 398, 399)]
    allocated = (tmp_path / "box").stat().st_blocks * 512
    assert allocated < 2 << 20 or allocated >= 16 << 20, "neither given back, nor a file system that can't"


@pytest.mark.parametrize(
    "result",
    [None, b"", b"reply", Failed("ValueError", "näh\0\ud800"), Failed("", ""), DeadLetter("crash: é"), ReplyLost()],
)
def test_results_are_stored_as_they_are(result: Result) -> None:
    """Every result survives encoding, odd texts included."""
    assert decode_result(kinds_of([result])[0], encode_result(result)) == result


def test_face() -> None:
    """What the module offers is what it defines for others."""
    assert all(hasattr(mailbox, name) for name in mailbox.__all__)


@attrs.define
class Frame:
    """A frame in the model."""

    session: int
    seq: int
    frame_type: int
    header: bytes
    data_length: int
    result: Result = None
    result_begin: int = 0


SIZES = st.sampled_from([(1, 10, 10), (3, 40, 30), (8, 300, 100), (5, 30_000, 20_000)])
RESULTS = st.one_of(
    st.none(),
    st.integers(0, 12_000).map(lambda n: b"r" * n),
    st.binary(max_size=20),
    st.builds(Failed, st.text(max_size=5), st.text(max_size=5)),
    st.builds(DeadLetter, st.text(max_size=5)),
    st.just(ReplyLost()),
)
HEADERS = st.one_of(st.binary(max_size=20), st.integers(0, 12_000).map(lambda n: b"h" * n))


class MailboxMachine(RuleBasedStateMachine):
    """Any order of appends, finishes and reopens, compared with lists in memory."""

    box: Mailbox

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.released = ring_file.RELEASE_BYTES
        ring_file.RELEASE_BYTES = 1
        self.frames: list[Frame] = []
        self.finished = self.peak = self.violations = self.result_bytes = 0

    @initialize(sizes=SIZES)
    def create(self, sizes: tuple[int, int, int]) -> None:
        """Begin with an empty mailbox."""
        self.box = Mailbox.create(self.directory / "box", ID, *sizes)

    @rule(session=st.integers(0, 3), headers=st.lists(HEADERS, max_size=10), gap=st.integers(1, 3))
    def append(self, session: int, headers: list[bytes], gap: int) -> None:
        """Append the headers that fit."""
        last = max((frame.seq for frame in self.frames if frame.session == session), default=0)
        new = [Frame(session, last + gap * n, n, header, n * 5) for n, header in enumerate(headers, 1)]
        ends = itertools.accumulate(len(frame.header) for frame in new)
        held = sum(len(frame.header) for frame in self.frames[self.finished :])
        room = self.box.capacity - len(self.frames) + self.finished
        fit = min(room, sum(held + end <= self.box.capacity_bytes for end in ends))
        frames = [(frame.seq, frame.frame_type, frame.header, frame.data_length) for frame in new]
        assert self.box.append_batch(session, frames) == fit
        self.frames += new[:fit]
        self.peak = max(self.peak, len(self.frames) - self.finished)

    @rule(results=st.lists(RESULTS, max_size=8))
    def finish(self, results: list[Result]) -> None:
        """Finish as many frames as there are."""
        results = results[: len(self.frames) - self.finished]
        self.box.finish(results)
        for frame, result in zip(self.frames[self.finished :], results, strict=False):
            frame.result, frame.result_begin = result, self.result_bytes
            self.result_bytes += len(encode_result(result))
        self.finished += len(results)

    @rule(n=st.integers(1, 3))
    def violate(self, n: int) -> None:
        """Count violations."""
        self.box.note_violations(n)
        self.violations += n

    @rule()
    def reopen(self) -> None:
        """Close and open again."""
        self.box.close()
        self.box = Mailbox.open(self.directory / "box", ID)

    @invariant()
    def frames_agree(self) -> None:
        """What is unfinished can be read, from any point on."""
        for index in range(self.finished, len(self.frames) + 1):
            expected = [(frame.frame_type, frame.header) for frame in self.frames[index:]]
            assert self.box.read(index, 100, 1 << 20) == expected

    @invariant()
    def counters_agree(self) -> None:
        """All statistics are those of the model."""
        done = self.frames[: self.finished]
        dead = sum(isinstance(frame.result, DeadLetter) for frame in done)
        failed = sum(isinstance(frame.result, Failed) for frame in done)
        counted = (frame for frame in done if not isinstance(frame.result, DeadLetter))
        statistics = self.box.statistics()
        assert attrs.asdict(statistics) == {
            "accepted": len(self.frames),
            "processed": self.finished - dead - failed,
            "failed": failed,
            "dead_lettered": dead,
            "in_mailbox": len(self.frames) - self.finished,
            "peak": self.peak,
            "capacity": self.box.capacity,
            "bytes_held": sum(len(frame.header) for frame in self.frames[self.finished :]),
            "capacity_bytes": self.box.capacity_bytes,
            "bytes_processed": sum(len(frame.header) + frame.data_length for frame in counted),
            "permission_violations": self.violations,
            "restarts": 0,
        }

    @invariant()
    def sessions_agree(self) -> None:
        """Each session's last sequence number and known frames are those of the model."""
        known = list(enumerate(self.frames))[-self.box.capacity :]
        for session in range(4):
            own = [(index, frame) for index, frame in known if frame.session == session]
            finished = [(frame.seq, self._kept(frame)) for index, frame in own if index < self.finished]
            unfinished = [frame.seq for index, frame in own if index >= self.finished]
            assert self.box.recall(session) == Recalled(finished, unfinished)
            last = max((frame.seq for frame in self.frames if frame.session == session), default=0)
            assert self.box.last_seq(session) == last

    def _kept(self, frame: Frame) -> Result:
        if frame.result_begin >= self.result_bytes - self.box.result_bytes:
            return frame.result
        return decode_result(kinds_of([frame.result])[0], None)

    def teardown(self) -> None:
        """Leave nothing behind."""
        ring_file.RELEASE_BYTES = self.released
        self.box.close()
        shutil.rmtree(self.directory)


TestMailboxMachine = MailboxMachine.TestCase
TestMailboxMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
