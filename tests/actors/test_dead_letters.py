"""Dead letters: what is kept and in which order it goes, across kills, restarts, other mailboxes and damaged files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors import dead_letters as module
from nyx_plugins.actors.dead_letters import Bounds, DeadLetters
from nyx_plugins.actors.journal import Journal
from nyx_plugins.actors.letter_book import HEAD, LETTER, OVERHEAD_BYTES, DeadFrame, encoded
from nyx_plugins.plugins.errors import DeadLetterUnknown, JournalCorrupt, JournalFailed

ID, AT = 7, 1000.5
MANY = Bounds(1000, 1 << 20)

Opening = Callable[..., DeadLetters]


def frames(*indices: int, ring: int = 0, header: bytes = b"header") -> list[DeadFrame]:
    """Frames of one ring."""
    return [DeadFrame(ring, index, 0x52, header, 1) for index in indices]


def ids(letters: DeadLetters) -> list[int]:
    """The numbers of all."""
    return [letter.letter_id for letter in letters.listed(limit=10_000)]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    """Return a function that opens the letters of plugin 7, as a new process would."""
    opened: list[DeadLetters] = []

    def open_(bounds: Bounds = MANY, incarnation: int = 1, **options: object) -> DeadLetters:
        while opened:
            opened.pop().close()
        opened.append(DeadLetters(tmp_path / "letters", ID, bounds, incarnation=incarnation, **options))  # type: ignore[arg-type]
        return opened[-1]

    return open_


def test_what_is_kept_of_a_frame(opening: Opening) -> None:
    """Header, type, deliveries, reason, cause, time and plugin come back as they were, also from the file."""
    letters = opening()
    letters.add(frames(5), "crash: worker was killed", AT, "echo")
    for again in (False, True):
        found = opening() if again else letters
        [letter] = found.listed()
        assert found.get(1) == letter
        assert letter.frame == DeadFrame(0, 5, 0x52, b"header", 1)
        assert (letter.cause, letter.reason) == ("crash", "crash: worker was killed")
        assert (letter.letter_id, letter.at, letter.plugin) == (1, AT, "echo")
        assert (found.count, found.size, found.lost) == (1, letter.size, 0)


def test_nothing_is_made_before_it_is_needed(opening: Opening, tmp_path: Path) -> None:
    """Without a letter there is neither file nor folder, and nothing to list; nor where none are to be kept."""
    assert opening().listed() == []
    assert opening().drop() == 0
    for bounds in (Bounds(0, 100), Bounds(100, 0)):
        letters = opening(bounds)
        letters.add(frames(1), "unloaded", AT, "echo")
        assert (letters.count, letters.lost) == (0, 0)
    assert os.listdir(tmp_path) == []


def test_pages(opening: Opening) -> None:
    """They are listed in ascending order, so many at a time, after a given one."""
    letters = opening()
    letters.add(frames(*range(10)), "unloaded", AT, "echo")
    assert [letter.letter_id for letter in letters.listed(limit=4)] == [1, 2, 3, 4]
    assert [letter.letter_id for letter in letters.listed(after=8, limit=4)] == [9, 10]
    assert letters.listed(after=10) == []


def test_numbers_are_never_used_again(opening: Opening) -> None:
    """Not when all were dropped, nor after the file was written anew, nor in the next mailbox."""
    letters = opening()
    letters.add(frames(0, 1), "unloaded", AT, "echo")
    assert letters.drop([2]) == 1
    assert letters.drop() == 1
    letters = opening(incarnation=2)
    letters.add(frames(0), "unloaded", AT, "echo")
    assert ids(letters) == [3]


def test_unknown_numbers(opening: Opening) -> None:
    """A number that is not there is an error, and none of the others is dropped."""
    letters = opening()
    letters.add(frames(0, 1), "unloaded", AT, "echo")
    with pytest.raises(DeadLetterUnknown, match="no dead letter 9"):
        letters.drop([1, 9])
    with pytest.raises(DeadLetterUnknown, match="no dead letter 3"):
        letters.get(3)
    assert ids(letters) == [1, 2]


@given(
    batches=st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=12),
    most=st.integers(1, 8),
    most_bytes=st.integers(1, 600),
)
def test_bounds(tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], most: int, most_bytes: int) -> None:
    """Neither bound is passed, the oldest go first, and those that went are counted; the file says the same.

    One that is larger than all may be together is as if it had never been, but that it is counted.
    """
    folder = tmp_path_factory.mktemp("letters")
    letters = DeadLetters(folder, ID, Bounds(most, most_bytes), incarnation=1)
    sizes: list[int] = []
    for batch in batches:
        first = len(sizes)
        new = [DeadFrame(0, first + place, 0x52, bytes(size)) for place, size in enumerate(batch)]
        letters.add(new, "crash", AT, "echo")
        sizes += [size + len("crash") + OVERHEAD_BYTES for size in batch]
        kept = letters.listed()
        fitting = [size for size in sizes if size <= most_bytes]
        assert [letter.size for letter in kept] == fitting[len(fitting) - len(kept) :]
        assert len(kept) <= most
        assert letters.size == sum(letter.size for letter in kept) <= most_bytes
        assert letters.lost == len(sizes) - len(kept)
        older = fitting[-len(kept) - 1 :]
        assert len(older) > most or sum(older) > most_bytes or len(kept) == len(fitting)
    seen = (ids(letters), letters.size, letters.lost)
    letters.close()
    again = DeadLetters(folder, ID, Bounds(most, most_bytes), incarnation=1)
    assert (ids(again), again.size, again.lost) == seen
    again.close()


def test_a_frame_is_noted_once(opening: Opening) -> None:
    """Who was killed after noting frames and before finishing them notes them again: they are there once.

    Also those that had to go at once, and were dropped since; another ring's or mailbox's are others.
    """
    opening(Bounds(2, 10_000)).add(frames(0, 1, 2), "crash", AT, "echo")
    letters = opening(Bounds(2, 10_000))
    letters.add(frames(0, 1, 2), "crash", AT, "echo")
    assert (ids(letters), letters.lost) == ([2, 3], 1)
    letters.drop()
    letters.add(frames(2), "crash", AT, "echo")
    assert ids(letters) == []
    letters.add(frames(2, ring=1), "crash", AT, "echo")
    letters.add(frames(3), "crash", AT, "echo")
    assert ids(letters) == [4, 5]
    letters = opening(incarnation=2)
    letters.add(frames(0), "crash", AT, "echo")
    assert ids(letters) == [4, 5, 6]


def test_one_that_never_fits(opening: Opening) -> None:
    """A letter that is larger than all of them may be goes at once, alone, and is noted: it does not come again."""
    letters = opening(Bounds(10, 300))
    letters.add(frames(0), "crash", AT, "echo")
    letters.add(frames(1, header=bytes(1000)), "crash", AT, "echo")
    letters.add([*frames(2, header=bytes(1000)), *frames(3)], "crash", AT, "echo")
    for again in (False, True):
        found = opening(Bounds(10, 300)) if again else letters
        found.add(frames(1, 2), "crash", AT, "echo")
        assert (ids(found), found.lost) == ([1, 4], 2)


def test_one_that_does_not_fit_any_more(opening: Opening) -> None:
    """Where the bound has become smaller than a letter that is kept, it goes with the next one, and no other does."""
    letters = opening(Bounds(10, 3000))
    letters.add([*frames(0), *frames(1, header=bytes(1000))], "crash", AT, "echo")
    letters = opening(Bounds(10, 300))
    assert ids(letters) == [1, 2]
    letters.add(frames(2), "crash", AT, "echo")
    assert (ids(letters), letters.lost) == ([1, 3], 1)


def test_claims(opening: Opening) -> None:
    """A claim is known to the next process, until its letter is dropped, it is released, or the mailbox is another."""
    letters = opening()
    letters.add(frames(0, 1, 2), "crash", AT, "echo")
    letters.claim([(1, 50, 7), (2, 50, 8), (3, 51, 1)])
    letters.claim([])
    letters = opening()
    assert letters.claims() == {1: (50, 7), 2: (50, 8), 3: (51, 1)}
    letters.drop([1])
    letters.release([3])
    assert letters.claims() == {2: (50, 8)}
    assert opening(incarnation=2).claims() == {}
    assert ids(opening(incarnation=2)) == [2, 3]


def test_the_file_stays_small(opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is out of date is written no more once it is enough; counters, claims and notes survive that."""
    monkeypatch.setattr(module, "STALE_BYTES", 2000)
    letters = opening(Bounds(3, 10_000))
    for index in range(200):
        letters.add(frames(index), "crash: a reason", AT, "echo")
        if index == 150:
            letters.claim([(150, 9, 9), (151, 9, 10)])
    assert (tmp_path / "letters" / f"{ID}.journal").stat().st_size < 3500
    letters.claim([(199, 9, 11)])
    for index in range(200, 215):
        letters.add(frames(index), "crash: a reason", AT, "echo")
    letters = opening(Bounds(3, 10_000))
    letters.add(frames(*range(215)), "crash", AT, "echo")
    assert (ids(letters), letters.lost, letters.claims()) == ([213, 214, 215], 212, {})


def test_cut_at_every_byte(opening: Opening, tmp_path: Path) -> None:
    """Wherever the file ends, it holds the letters of some moment, with the counters of that moment."""
    letters = opening(Bounds(3, 10_000))
    moments = [([], 0)]
    for step in range(6):
        letters.add(frames(2 * step, 2 * step + 1), "crash", AT, "echo")
        moments.append((ids(letters), letters.lost))
    letters.drop([11])
    moments.append((ids(letters), letters.lost))
    letters.close()
    path = tmp_path / "letters" / f"{ID}.journal"
    data = path.read_bytes()
    for length in range(16, len(data)):
        path.write_bytes(data[:length])
        letters = opening(Bounds(3, 10_000))
        assert (ids(letters), letters.lost) in moments[:-1]


def test_a_corrupt_file_is_set_aside_and_said(opening: Opening, tmp_path: Path) -> None:
    """What can't be read is kept under another name, somebody is told, and new letters get other numbers."""
    opening().add(frames(0), "crash", AT, "echo")
    path = tmp_path / "letters" / f"{ID}.journal"
    path.write_bytes(b"nonsense")
    told: list[str] = []
    letters = opening(tell=told.append)
    assert letters.listed() == []
    letters.add(frames(1), "crash", AT, "echo")
    [letter] = letters.listed()
    assert letter.letter_id > 1_000_000
    [kept] = path.parent.glob("*.corrupt-*")
    assert told == [
        f"journal {path} is corrupt: it does not begin like a journal; it is kept as {kept}, and its dead"
        " letters are not listed any more"
    ]
    assert kept.read_bytes() == b"nonsense"


def test_letters_that_were_cut_off_are_said(
    opening: Opening, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who keeps letters tells of a torn tail in the plugin's log, who only looks in the log of the host."""
    for number in range(2):
        opening().add(frames(number), "crash", AT, "echo")
    path = tmp_path / "letters" / f"{ID}.journal"
    told: list[str] = []
    for tell in (told.append, None):
        os.truncate(path, path.stat().st_size - 1)
        opening(tell=tell).listed()
    assert [f"of journal {path} are no whole record" in text for text in (*told, capsys.readouterr().err)] == [True] * 2


def test_a_file_of_another_version_is_set_aside_and_said(opening: Opening, tmp_path: Path) -> None:
    """It is not guessed at either; who only looks is told, and leaves it where it is."""
    opening().add(frames(0), "crash", AT, "echo")
    path = tmp_path / "letters" / f"{ID}.journal"
    Journal.create(path, [encoded([[HEAD, 9, "something else"]])]).close()
    with pytest.raises(JournalCorrupt, match="its version is 9, not 1"):
        opening().listed()
    told: list[str] = []
    assert opening(tell=told.append).listed() == []
    assert len(told) == 1 and f"its version is 9, not 1; it is kept as {path}.corrupt-" in told[0]


def test_letters_without_keys_are_read(opening: Opening, tmp_path: Path) -> None:
    """Files of earlier programs do not say what key a frame had, nor whose it was: it has none, and is nobody's."""
    opening().add(frames(0), "crash", AT, "echo")
    path = tmp_path / "letters" / f"{ID}.journal"
    letter = [LETTER, 1, 0, 0, 0x52, b"header", 1, "crash", AT, "echo"]
    Journal.create(path, [encoded([[HEAD, 1, 1, 0, 0, {}]]), encoded([letter])]).close()
    [found] = opening().listed()
    assert (found.frame.key, found.frame.deliveries, found.reason) == (None, 1, "crash")
    assert opening().buried() <= {(0, 0)}


def test_whose_frames_were_buried_is_known_of_the_present_mailbox(opening: Opening) -> None:
    """Whoever opens it again, or is about to take over what it has left, finds their names; so after a rewrite."""
    opening().add([DeadFrame(0, 0, 0x52, b"header", 0, None, 11, 1)], "crash", AT, "echo")
    letters = opening(incarnation=2)
    assert letters.buried() == set()
    for seq in range(1, 4):
        letters.add([DeadFrame(0, seq, 0x52, b"header", 0, None, 2, seq)], "expired", AT, "echo")
    letters.drop([2])
    assert opening(incarnation=2).buried() == {(2, 2), (2, 3)}
    opening(incarnation=2).add([DeadFrame(0, 4, 0x52, bytes(module.STALE_BYTES), 0, None, 2, 4)], "crash", AT, "echo")
    assert opening(incarnation=2).buried() == {(2, 2), (2, 3), (2, 4)}


def test_somebody_else_has_it(opening: Opening, tmp_path: Path) -> None:
    """Two processes never write to one file: the second waits a while, then says who is in the way."""
    opening().add(frames(0), "crash", AT, "echo")
    letters = opening(patience_s=0.02)
    lock = os.open(tmp_path / "letters" / f"{ID}.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for _ in range(2):
        with pytest.raises(JournalFailed, match=r"another process has it in use; try again once that has ended$"):
            letters.listed()
    os.close(lock)
    assert ids(letters) == [1]


def test_where_nothing_can_be_written(opening: Opening, tmp_path: Path) -> None:
    """A folder that can't be made is an error that names it."""
    (tmp_path / "letters").write_bytes(b"")
    with pytest.raises(JournalFailed, match="it is no folder"):
        opening().add(frames(0), "crash", AT, "echo")


def test_what_was_decided_on_a_frame_is_known_after_a_kill(opening: Opening) -> None:
    """Whoever opens the same mailbox again finds why its frames are dead; frames of another are other ones."""
    letters = opening()
    letters.add(frames(3, 4), "unloaded", AT, "echo")
    letters.add(frames(5), "crash: worker was killed", AT, "echo")
    letters.add(frames(0, ring=1), "expired", AT, "echo")
    assert opening().reasons(0) == {3: "unloaded", 4: "unloaded", 5: "crash: worker was killed"}
    assert (opening().reasons(1), opening().reasons(2)) == ({0: "expired"}, {})
    assert opening(incarnation=2).reasons(0) == {}
    letters = opening(incarnation=2)
    letters.add(frames(3), "failed plugin: no", AT, "echo")
    assert opening(incarnation=2).reasons(0) == {3: "failed plugin: no"}
