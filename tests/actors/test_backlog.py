"""What is left of frames whose system has ended: which go to the plugin again, and which are suspect."""

from __future__ import annotations

import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import cbor2
import pytest

from nyx_plugins.actors import backlog, inheritance, segments
from nyx_plugins.actors.backlog import Backlog, Holder, KeptFrame, judge
from nyx_plugins.actors.extras import checked_key
from nyx_plugins.actors.journal import HEAD_BYTES, Journal
from nyx_plugins.actors.segments import Segments
from nyx_plugins.plugins.errors import JournalCorrupt, JournalFailed

HOLDER = Holder(7, "echo", "boot", 1)


def frame(seq: int, session: int = 11) -> KeptFrame:
    """A frame that is known by its number."""
    return KeptFrame(session, seq, 0x52, b"header %d" % seq, 3, 99, 5)


def record(*operations: backlog.Operation) -> bytes:
    """A record of operations."""
    return backlog.encoded(operations)


def left(*operations: backlog.Operation) -> Backlog:
    """What operations come to, after a head."""
    return backlog.read([record(backlog.head(HOLDER)), *map(record, operations)])


def seqs(frames: list[KeptFrame]) -> list[int]:
    """The numbers of frames."""
    return [each.seq for each in frames]


def test_a_frame_comes_back_as_it_was() -> None:
    """Everything that it takes to accept a frame again is there, in the order of acceptance."""
    found = left(backlog.accept(11, [frame(2), frame(3)]), backlog.accept(13, [frame(1, 13)]), backlog.done(11, [2]))
    assert found.holder == HOLDER
    assert list(found.frames.values()) == [frame(3), frame(1, 13)]


def test_who_takes_over_makes_what_was_before_unnecessary() -> None:
    """The head of another load begins anew; that of the same load, in its next file, does not."""
    records = [record(backlog.head(HOLDER), backlog.accept(11, [frame(1)]), backlog.send(0, 0, [(11, 1)]))]
    again = backlog.read([*records, record(backlog.head(HOLDER))])
    assert list(again.frames) == list(again.in_hand) == [(11, 1)]
    other = attrs.evolve(frame(1), session=2)
    taken = backlog.read([*records, record(backlog.head(HOLDER._replace(incarnation=2)), backlog.accept(2, [other]))])
    assert (list(taken.frames), list(taken.in_hand)) == ([(2, 1)], [])


def test_files_of_earlier_programs_are_read(tmp_path: Path) -> None:
    """The first files hold keys, not check sums: their frames come back with what stands for the key now."""
    old = frame(1).values()
    old[5] = b"tkey"
    folder = tmp_path / "7"
    folder.mkdir()
    records = [[[backlog.HEAD, 1, 7, "echo", "boot", 1]], [[backlog.ACCEPT, 11, [old]]]]
    Journal.create(folder / f"{1:012}.journal", map(cbor2.dumps, records)).close()
    found = Segments(folder).read()
    assert found.holder == HOLDER
    assert list(found.frames.values()) == [attrs.evolve(frame(1), key=checked_key("key"))]


def test_a_file_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    """It is said which version it has; whoever reads it sets it aside like one that is damaged."""
    folder = tmp_path / "7"
    folder.mkdir()
    path = folder / f"{1:012}.journal"
    Journal.create(path, [cbor2.dumps([[backlog.HEAD, 9, "something else"]])]).close()
    with pytest.raises(JournalCorrupt, match="its version is 9, not 1") as caught:
        Segments(folder).read()
    assert caught.value.path == str(path)


HANDED_OUT = (
    backlog.accept(11, [frame(seq) for seq in range(1, 9)]),
    backlog.send(0, 40, [(11, 1), (11, 2), (11, 3), (11, 4), (11, 5)]),
    backlog.send(1, 7, [(11, 6)]),
)


def test_after_another_start_of_the_machine_all_that_was_handed_out_is_suspect() -> None:
    """Nobody knows which of them were begun; what was not handed out goes to the plugin."""
    verdict = judge(left(*HANDED_OUT, backlog.done(11, [1, 2])), None, 1)
    assert (seqs(verdict.suspects), seqs(verdict.survivors)) == ([3, 4, 5, 6], [7, 8])


@pytest.mark.parametrize(
    ("marks", "suspects", "survivors"),
    [
        ({}, [], [2, 3, 4, 5, 6, 7, 8]),
        ({0: (0, 0)}, [], [2, 3, 4, 5, 6, 7, 8]),
        ({0: (41, 1)}, [2], [3, 4, 5, 6, 7, 8]),
        ({0: (42, 2)}, [3, 4], [5, 6, 7, 8]),
        ({0: (44, 100)}, [5], [6, 7, 8]),
        ({0: (2**60, 1)}, [], [6, 7, 8]),
        ({1: (7, 1)}, [6], [2, 3, 4, 5, 7, 8]),
        ({0: (3, 5)}, [], [2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_a_mark_says_exactly_which_frame_is_suspect(
    marks: backlog.Marks, suspects: list[int], survivors: list[int]
) -> None:
    """What is before it was processed, what comes after it was not begun; a mark of long ago is none."""
    verdict = judge(left(*HANDED_OUT, backlog.done(11, [1])), marks, 1)
    assert (seqs(verdict.suspects), seqs(verdict.survivors)) == (suspects, survivors)


def test_suspects_may_be_delivered_again() -> None:
    """With max_deliveries they are survivors, counted, until they were delivered as often."""
    found = left(*HANDED_OUT[:2])
    verdict = judge(found, {0: (40, 1)}, 2)
    assert (verdict.suspects, verdict.survivors[0].deliveries) == ([], 1)
    found.frames[11, 1] = verdict.survivors[0]
    assert seqs(judge(found, {0: (40, 1)}, 2).suspects) == [1]
    assert judge(found, {0: (40, 1)}, 2).suspects[0].deliveries == 2


def test_how_often_a_frame_was_delivered_is_known_when_its_mark_is_gone() -> None:
    """It was written down when its worker had ended; nobody has it in hand then, whatever its page says still."""
    found = left(*HANDED_OUT[:2], backlog.take_back([(11, 1, 2), (11, 99, 1)]))
    for marks in ({}, {0: (40, 1)}, None):
        [waiting] = [frame for frame in judge(found, marks, 3).survivors if frame.seq == 1]
        assert waiting.deliveries == 2
    again = left(*HANDED_OUT[:2], backlog.take_back([(11, 1, 2)]), backlog.send(0, 40, [(11, 1)]))
    assert seqs(judge(again, {0: (40, 1)}, 3).suspects) == [1]


# Files.


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be full soon."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 400)


class Driver:
    """Does at random what plugin actors do, and remembers what has to be there after each commit."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.files = Segments(folder)
        self.files.begin(Backlog(HOLDER))
        self.model = Backlog(HOLDER)
        self.moments = [self._moment()]
        self._seq = self._index = self.last_bytes = 0

    def step(self) -> None:
        """Commit a few operations."""
        operations, accepted, settled = [], [], []
        if self.random.random() < 0.7:
            frames = [frame(self._seq + n + 1) for n in range(self.random.randint(1, 4))]
            self._seq += len(frames)
            operations.append(backlog.accept(11, frames))
            accepted = [(11, each.seq) for each in frames]
        waiting = [name for name in self.model.frames if name not in self.model.in_hand]
        if waiting and self.random.random() < 0.6:
            operations.append(backlog.send(0, self._index, waiting[:3]))
            self._index += len(waiting[:3])
        done = list(self.model.frames)[: self.random.randint(0, 4)]
        if done:
            operations.append(backlog.done(11, [seq for _, seq in done]))
            settled = done
        if operations:
            self.last_bytes = 16 + -(-len(backlog.encoded(operations)) // 8) * 8
            self.files.append(backlog.encoded(operations), accepted, settled)
            self.model.take(backlog.encoded(operations))
            self.moments.append(self._moment())

    def _moment(self) -> tuple[list[KeptFrame], dict[tuple[int, int], tuple[int, int]]]:
        return list(self.model.frames.values()), dict(self.model.in_hand)


def moment_in(folder: Path) -> tuple[list[KeptFrame], dict[tuple[int, int], tuple[int, int]]]:
    """What is read by whoever comes next."""
    found = Segments(folder).read()
    return list(found.frames.values()), found.in_hand


@pytest.mark.parametrize("seed", range(20))
def test_what_was_committed_is_there(tmp_path: Path, small: None, seed: int) -> None:
    """Killed after any commit, nothing is lost or doubled, and files of finished frames are gone."""
    driver = Driver(tmp_path / "7", seed)
    for _ in range(60):
        driver.step()
        assert moment_in(tmp_path / "7") == driver.moments[-1]
    assert len(list((tmp_path / "7").iterdir())) < 60
    driver.files.close()


@pytest.mark.parametrize("seed", range(5))
def test_cut_at_any_byte(tmp_path: Path, small: None, seed: int) -> None:
    """Without a part of the last commit there is what was there before it; with less, no frame that never was."""
    folder = tmp_path / "7"
    driver = Driver(folder, seed)
    for _ in range(25):
        driver.step()
    driver.files.close()
    last = max(folder.glob("*.journal"))
    data = last.read_bytes()
    begin = len(data) - driver.last_bytes
    for length in range(HEAD_BYTES, len(data)):
        last.write_bytes(data[:length])
        frames, _ = moment_in(folder)
        if length >= begin:
            # Files that the last commit has made unnecessary are gone: it had been synced before.
            assert {each.seq for each in frames} <= {each.seq for each in driver.moments[-2][0]}
        # What was synced is not cut off but by hand.
        assert frames == sorted(frames, key=lambda each: each.seq) and all(each == frame(each.seq) for each in frames)
    last.write_bytes(data[: HEAD_BYTES - 1])
    with pytest.raises(JournalCorrupt):
        moment_in(folder)
    assert Segments(folder).set_aside()
    assert moment_in(folder) == ([], {})


def test_what_was_cut_off_is_told(tmp_path: Path, small: None) -> None:
    """Who takes over tells of a torn tail once, and goes on with what came before it."""
    files = Segments(tmp_path / "7")
    files.begin(Backlog(HOLDER))
    for seq in (1, 2):
        files.append(record(backlog.accept(11, [frame(seq)])), [(11, seq)], [])
    files.close()
    last = max((tmp_path / "7").glob("*.journal"))
    os.truncate(last, last.stat().st_size - 1)
    plan: Any = SimpleNamespace(plugin_id=7, manifest=SimpleNamespace(name=HOLDER.plugin))
    told: list[str] = []
    for _ in range(2):
        assert list(inheritance.read(Segments(tmp_path / "7"), plan, told.append).frames) == [(11, 1)]
    assert len(told) == 1 and f"bytes of journal {last} are no whole record" in told[0]


def test_one_frame_does_not_keep_all_files(tmp_path: Path, small: None) -> None:
    """While a frame waits and others come and go, the files are written anew now and then, and stay few."""
    files = Segments(tmp_path / "7")
    files.begin(Backlog(HOLDER))
    files.append(record(backlog.accept(11, [frame(1)]), backlog.send(0, 3, [(11, 1)])), [(11, 1)], [])
    for seq in range(2, 400):
        name = (11, seq)
        files.append(record(backlog.accept(11, [frame(seq)])), [name], [])
        files.append(record(backlog.done(11, [seq])), [], [name])
        assert len(list((tmp_path / "7").iterdir())) <= segments.MAX_SEGMENTS + 1
    assert moment_in(tmp_path / "7") == ([frame(1)], {(11, 1): (0, 3)})
    files.remove()
    assert list((tmp_path / "7").iterdir()) == []


def test_a_commit_that_fails_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be synced is not read by whoever comes next, and the next commit goes to a new file."""
    files = Segments(tmp_path / "7")
    files.begin(Backlog(HOLDER))
    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(JournalFailed, match="Input/output error"):
            files.append(record(backlog.accept(11, [frame(1)])), [(11, 1)], [])
    files.append(record(backlog.accept(11, [frame(2)])), [(11, 2)], [])
    assert moment_in(tmp_path / "7") == ([frame(2)], {})
    files.close()


def test_damage_is_no_reason_to_write_on(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that have to be written anew, and can't be read, are left as they are, and it is said."""
    monkeypatch.setattr(segments, "MAX_SEGMENTS", 1)
    files = Segments(tmp_path / "7")
    files.begin(Backlog(HOLDER))
    [path] = (tmp_path / "7").iterdir()
    with pytest.raises(JournalFailed, match="it is damaged"):
        for seq in range(1, 30):
            files.append(record(backlog.accept(11, [frame(seq)])), [(11, seq)], [])
            data = path.read_bytes()
            path.write_bytes(data[:24] + b"#" + data[25:])
    files.close()
    assert path.exists()
    Journal.create(tmp_path / "other").close()
