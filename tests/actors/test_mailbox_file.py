"""The mailbox's file: its layout, kills at every store, and files that are no mailbox."""

from __future__ import annotations

import mmap
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nyx_plugins.actors import mailbox_file, ring_file
from nyx_plugins.actors.mailbox import DeadLetter, Failed, Mailbox, MailboxCorrupt, ReplyLost, Result
from nyx_plugins.actors.messages import Extra
from nyx_plugins.actors.results import decode_result, kinds_of

ID = 1001
PAGE = mmap.PAGESIZE
Store = tuple[int, bytes, bool]
"""Offset, data, and whether the store is atomic."""


def _u64(*words: int) -> bytes:
    return b"".join(word.to_bytes(8, "little") for word in words)


def test_layout(tmp_path: Path) -> None:
    """A mailbox with one finished and one unfinished frame has exactly the documented bytes."""
    box = Mailbox.create(tmp_path / "box", ID, 2, 10, 20)
    box.append_batch(7, [(1, 0x51, b"abc", 1), (2, 0x52, b"defg", 2)], {1: Extra(0), 2: Extra(0xFFFF_FFFF, 99)})
    box.finish([b"reply"])
    for _ in range(3):
        box.note_delivery(1)
    data = (tmp_path / "box").read_bytes()
    frames, results = 6656, 6656 + 2 * 56
    headers = results + 2 * 24
    assert len(data) == headers + 16 + 24
    assert data[:8] == b"NYXMBOX1"
    assert data[8:72] == _u64(3, ID, 2, 10, 20) + _u64(2, 2, 5)
    assert data[128:224] == _u64(2, 1, 1, 0, 0, 4, 0, 0, 2, 3, 7, 5)
    assert data[256:352] == _u64(2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 7, 0)
    assert data[512:536] == _u64(7, 2, 1)
    assert data[frames:results] == _u64(7, 1, 3, 0x51, 1, 0, 1 << 32) + _u64(7, 2, 7, 0x352, 2, 99, 0x1_FFFF_FFFF)
    assert (box.key(0), box.key(1)) == (0, 0xFFFF_FFFF)
    assert data[results:headers] == _u64(2, 0, 5) + _u64(0, 0, 0)
    assert data[headers:] == b"abcdefg".ljust(16, b"\0") + b"reply".ljust(24, b"\0")


def test_literal_bytes_of_a_failure(tmp_path: Path) -> None:
    """A failure is stored as the length of its type, the type and the text."""
    box = Mailbox.create(tmp_path / "box", ID, 1, 10, 20)
    box.append(7, 1, 0x52, b"", 0)
    box.finish([Failed("KeyError", "x")])
    assert (tmp_path / "box").read_bytes().endswith(bytes.fromhex("080000004b65794572726f7278") + b"\0" * 11)


def test_created_for_the_owner_alone_and_once(tmp_path: Path) -> None:
    """The file has mode 0600 and replaces nothing."""
    Mailbox.create(tmp_path / "box", ID, 1, 1, 1).close()
    assert stat.S_IMODE((tmp_path / "box").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        Mailbox.create(tmp_path / "box", ID, 1, 1, 1)
    with pytest.raises(FileNotFoundError):
        Mailbox.open(tmp_path / "other", ID)


def test_a_writer_killed_while_it_creates_leaves_the_name_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of an unfinished file is no mailbox, and is replaced by the next attempt."""
    with monkeypatch.context() as killed:
        killed.setattr(ring_file.Pages, "store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Mailbox.create(tmp_path / "box", ID, 1, 1, 1)
    assert not (tmp_path / "box").exists()
    Mailbox.create(tmp_path / "box", ID, 1, 1, 1).close()
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_sizes_are_positive(tmp_path: Path, sizes: tuple[int, int, int]) -> None:
    """A mailbox without room is refused, and no file is made."""
    with pytest.raises(ValueError, match="at least 1"):
        Mailbox.create(tmp_path / "box", ID, *sizes)
    assert not (tmp_path / "box").exists()


# Files that are no mailbox.


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    """The bytes of a mailbox in use."""
    box = Mailbox.create(tmp_path / "image", ID, 4, 50, 50)
    box.append_batch(7, [(seq, 0x52, b"header", 2) for seq in range(1, 5)])
    box.finish([b"reply", Failed("ValueError", "no")])
    box.close()
    return (tmp_path / "image").read_bytes()


def _open(tmp_path: Path, data: bytes, plugin_id: int = ID) -> Mailbox:
    path = tmp_path / "opened"
    path.write_bytes(data)
    return Mailbox.open(path, plugin_id)


@pytest.mark.parametrize(
    ("offset", "word", "reason"),
    [
        (0, 0, "does not begin like a mailbox"),
        (8, 1, "its version is 1, not 3"),
        (16, 5, "belongs to plugin 5, not 1001"),
        (24, 5, "do not fit"),
        (24, 0, "do not fit"),
        (40, 1 << 63, "do not fit"),
        (56, 9, "its rows contradict"),
        (128, 1, "its counters contradict"),
        (128, 1 << 60, "its counters contradict"),
        (144, 3, "its counters contradict"),
        (200, 19, "its headers overlap"),
        (208, 1 << 63, "its headers are longer"),
        (216, 1 << 63, "its results overlap"),
        (6656 + 2 * 56 + 16, 99, "its headers overlap"),
        (6656 + 2 * 56 + 24, 0x10052, "frames of an unknown type"),
        (6656 + 4 * 56, 77, "unknown kind"),
        (6656 + 4 * 56 + 8, 99, "its results overlap"),
    ],
)
def test_contradictions(tmp_path: Path, image: bytes, offset: int, word: int, reason: str) -> None:
    """A file that contradicts itself or its opener is corrupt, and the error says why."""
    changed = image[:offset] + _u64(word) + image[offset + 8 :]
    with pytest.raises(MailboxCorrupt, match=reason) as corrupt:
        _open(tmp_path, changed)
    assert corrupt.value.path == str(tmp_path / "opened")


def test_truncated(tmp_path: Path, image: bytes) -> None:
    """A file that is too short or too long is corrupt, whatever its length."""
    for length in (0, 1, 7, 100, 6655, 6656, 6657, len(image) - 1):
        with pytest.raises(MailboxCorrupt):
            _open(tmp_path, image[:length])
    with pytest.raises(MailboxCorrupt):
        _open(tmp_path, image + b"\0")


@settings(deadline=None, max_examples=200)
@given(garbage=st.binary(max_size=64), at=st.integers(0, 350), data=st.data())
def test_garbage(tmp_path_factory: pytest.TempPathFactory, garbage: bytes, at: int, data: st.DataObject) -> None:
    """Garbage in what decides the rest is found, or does no harm; nothing else is raised, and all can be read."""
    tmp_path = tmp_path_factory.mktemp("garbage")
    box = Mailbox.create(tmp_path / "image", ID, 4, 50, 50)
    box.append_batch(7, [(seq, 0x52, b"header", 2) for seq in range(1, 5)])
    box.finish([b"reply", Failed("ValueError", "no")])
    box.close()
    image = (tmp_path / "image").read_bytes()
    at = data.draw(st.sampled_from([at, at + 6600, len(image) - at]))
    try:
        box = _open(
            tmp_path, (image[:at] + garbage + image[at + len(garbage) :])[: len(image)].ljust(len(image), b"\0")
        )
    except MailboxCorrupt:
        return
    statistics = box.statistics()
    outcomes = statistics.processed + statistics.failed + statistics.dead_lettered
    assert statistics.accepted == outcomes + statistics.in_mailbox
    box.read(box.finished, 10, 1000)
    box.close()


# Kills: every store is recorded, and the file is opened as it would be if the writer had died after each.


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """All stores made from now on, in order."""
    recorded: list[Store] = []
    store, put, discard = ring_file.Pages.store, ring_file.Pages.put, ring_file.Pages.discard

    def recording_store(pages: ring_file.Pages, offset: int, word: int) -> None:
        recorded.append((offset, _u64(word), True))
        store(pages, offset, word)

    def recording_put(pages: ring_file.Pages, offset: int, data: bytes) -> None:
        recorded.append((offset, data, False))
        put(pages, offset, data)

    def recording_discard(pages: ring_file.Pages, start: int, stop: int) -> None:
        before = pages.get(0, len(pages._bytes))
        discard(pages, start, stop)
        if pages.get(0, len(before)) != before:
            recorded.append((start, pages.get(start, stop - start), False))

    monkeypatch.setattr(ring_file.Pages, "store", recording_store)
    monkeypatch.setattr(ring_file.Pages, "put", recording_put)
    monkeypatch.setattr(ring_file.Pages, "discard", recording_discard)
    monkeypatch.setattr(ring_file, "RELEASE_BYTES", 1)
    monkeypatch.setattr(mailbox_file, "KEPT_BYTES", 0)
    return recorded


def _killed(image: bytes, stores: list[Store]) -> Iterator[tuple[bytes, bool]]:
    """The file after each prefix of the stores, the last of them whole or torn; and whether that is all of them."""
    data = bytearray(image)
    yield bytes(data), False
    for n, (offset, new, atomic) in enumerate(stores):
        before = bytes(data)
        data[offset : offset + len(new)] = new
        after = bytes(data)
        if not atomic:
            middle = offset + len(new) // 2
            yield before[:middle] + after[middle:], False
            yield after[:middle] + before[middle:], False
            yield before[:offset] + b"\xff" * len(new) + before[offset + len(new) :], False
        yield after, n == len(stores) - 1


def _view(box: Mailbox) -> tuple[object, ...]:
    """Everything that must be as before an operation, or as after it."""
    unfinished = [seq for session in range(4) for seq in box.recall(session).unfinished]
    frames = box.read(box.finished, 1000, 1 << 30)
    delivered = [box.deliveries(index) for index in range(box.finished, box.accepted)]
    return box.statistics(), frames, unfinished, delivered, [box.last_seq(session) for session in range(4)]


def _results(box: Mailbox) -> dict[tuple[int, int], Result]:
    return {(session, seq): result for session in range(4) for seq, result in box.recall(session).finished}


def _is_or_was(result: Result, known: Result) -> bool:
    return result in (known, decode_result(kinds_of([known])[0], None))


Operation = Callable[[Mailbox], object]
FILLINGS: list[list[Operation]] = [
    [],
    [lambda box: box.append_batch(1, [(1, 1, b"aaaa", 1), (2, 2, b"bbb", 1)])],
    [
        lambda box: box.append_batch(1, [(1, 1, b"aaaa", 1), (2, 2, b"bbb", 1)]),
        lambda box: box.finish([b"r" * 20, Failed("E", "text")]),
    ],
    [
        lambda box: box.append_batch(1, [(1, 1, b"a" * 12, 1), (2, 2, b"b" * 12, 1), (3, 2, b"c" * 12, 1)]),
        lambda box: box.finish([b"r" * 20, DeadLetter("x")]),
        lambda box: box.append_batch(2, [(4, 1, b"d" * 12, 1)]),
    ],
]
MIXED: list[Result] = [Failed("Error", "why"), b"s" * 15, None]
OPERATIONS: list[Operation] = [
    lambda box: box.append(3, 5, 9, b"z" * 16, 4),
    lambda box: box.append_batch(
        1, [(7, 1, b"e" * 10, 1), (9, 2, b"f" * 10, 1), (11, 2, b"g" * 10, 1)], {9: Extra(7, 1 << 40)}
    ),
    lambda box: box.finish([b"q" * 25][: box.depth]),
    lambda box: box.finish(MIXED[: box.depth]),
    lambda box: box.finish([b"t" * 100, b"u"][: box.depth]),
    lambda box: box.note_violations(2),
    lambda box: box.note_restart(),
    lambda box: [box.note_delivery(index) for index in range(box.finished, box.accepted)[:1]],
]


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_in_an_operation(
    tmp_path: Path, stores: list[Store], filling: list[Operation], operation: Operation
) -> None:
    """Whenever the writer is killed, all of the operation is there or nothing of it, and the mailbox goes on."""
    path = tmp_path / "box"
    box = Mailbox.create(path, ID, 4, 50, 50)
    for step in filling:
        step(box)
    before, known, image = _view(box), _results(box), path.read_bytes()
    stores.clear()
    operation(box)
    after, all_known = _view(box), _results(box)
    box.close()
    for data, is_all in _killed(image, list(stores)):
        survivor = _open(tmp_path, data)
        assert _view(survivor) == after if is_all else _view(survivor) in (before, after)
        results = _results(survivor)
        assert all(_is_or_was(result, {**all_known, **known}[key]) for key, result in results.items())
        _goes_on(survivor)


def _goes_on(box: Mailbox) -> None:
    """Finish what is there, then fill up and finish again; every result must be there as given."""
    box.finish([b""] * box.depth)
    first = box.last_seq(0) + 1
    frames = [(first + n, n, bytes([n]) * 12, n) for n in range(4)]
    assert box.append_batch(0, frames) == 4
    assert box.read(box.finished, 9, 999) == [(kind, header) for _, kind, header, _ in frames]
    replies: list[Result] = [b"1" * 12, Failed("E", "2"), DeadLetter("3"), b"4" * 12]
    box.finish(replies)
    assert box.recall(0).finished == list(zip(range(first, first + 4), replies, strict=True))
    box.close()


def test_killed_again_and_again(tmp_path: Path, stores: list[Store]) -> None:
    """Killed at one store or another in each round of a long run, it loses and doubles nothing."""
    path = tmp_path / "box"
    Mailbox.create(path, ID, 3, 9_000, 9_000).close()
    seq = finished = 0
    for round_ in range(150):
        image = path.read_bytes()
        stores.clear()
        box = Mailbox.open(path, ID)
        stores.clear()
        box.append_batch(0, [(seq + 1, 1, seq.to_bytes(2, "big") * 1500, 1)])
        box.finish([finished.to_bytes(2, "big") * 1500] * (round_ % 2 + 1 if box.depth > 1 else 0))
        box.close()
        images = [data for data, _ in _killed(image, list(stores))]
        path.write_bytes(images[round_ * 7 % len(images)])
        box = Mailbox.open(path, ID)
        assert [header for _, header in box.read(box.finished, 9, 1 << 20)] == [
            n.to_bytes(2, "big") * 1500 for n in range(box.finished, box.accepted)
        ]
        assert box.last_seq(0) == box.accepted
        for seq, result in box.recall(0).finished:
            assert isinstance(result, ReplyLost) or (isinstance(result, bytes) and len(result) == 3000), seq
        seq, finished = box.accepted, box.finished
        box.close()
    assert finished > 20


class Room:
    """Which pages of a file have room on the disk: to touch another one is the end of the process where it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: set[int] = set()
        self.is_full = False
        for name in ("reserve", "blank", "put", "store", "discard"):
            monkeypatch.setattr(ring_file.Pages, name, self._watched(getattr(self, f"_{name}"), name))

    @staticmethod
    def _watched(watch: Callable[..., bool], name: str) -> Callable[..., bool]:
        real = getattr(ring_file.Pages, name)

        def both(pages: ring_file.Pages, *values: Any) -> bool:
            return watch(*values) and real(pages, *values) in (None, True)

        return both

    def _reserve(self, start: int, stop: int) -> bool:
        wanted = {*range(start // PAGE, -(-stop // PAGE))} if start < stop else set[int]()
        if self.is_full and wanted - self.pages:
            return False
        self.pages |= wanted
        return True

    def _blank(self, start: int, stop: int) -> bool:
        return self._reserve(start, stop)

    def _put(self, offset: int, data: bytes) -> bool:
        touched = {*range(offset // PAGE, -(-(offset + len(data)) // PAGE))} if data else set[int]()
        assert touched <= self.pages
        return True

    def _store(self, offset: int, word: int) -> bool:
        return self._put(offset, bytes(8))

    def _discard(self, start: int, stop: int) -> bool:
        self.pages.difference_update(range(-(-start // PAGE), stop // PAGE))
        return True


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Watch what has room, in small portions."""
    monkeypatch.setattr(ring_file, "RELEASE_BYTES", PAGE)
    monkeypatch.setattr(mailbox_file, "KEPT_BYTES", PAGE)
    monkeypatch.setattr(mailbox_file, "ROWS_AT_ONCE", 1)
    return Room(monkeypatch)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_written_where_there_is_no_room(seed: int, tmp_path: Path, room: Room) -> None:
    """Whatever comes and goes, whenever the disk is full, and also after the mailbox was opened again."""
    chance = random.Random(seed)
    box = Mailbox.create(tmp_path / "box", ID, 200, 9 * PAGE + 100, 7 * PAGE + 50)
    seq = accepted = 0
    for _ in range(600):
        room.is_full = chance.random() < 0.3
        match chance.randrange(20):
            case 0:
                box.close()
                box = Mailbox.open(tmp_path / "box", ID)
            case 1:
                box.finish([None] * box.depth)
            case n if n % 2:
                count = chance.choice((1, 1, 3))
                frames = [(seq + 1 + i, 0x52, bytes(chance.randrange(3 * PAGE)), 0) for i in range(count)]
                seq += count
                accepted += box.append_batch(7, frames)
            case _:
                count = min(box.depth, chance.choice((1, 1, 3)))
                box.finish([chance.choice((bytes(chance.randrange(2 * PAGE)), Failed("E", "x"))) for _ in range(count)])
    assert box.accepted == accepted > 50
    box.close()


def test_on_a_full_disk_frames_are_refused_and_replies_not_kept(tmp_path: Path, room: Room) -> None:
    """A few find room, which they have had from the start; what is accepted gets its outcome."""
    box = Mailbox.create(tmp_path / "box", ID, 10, 9 * PAGE, 9 * PAGE)
    room.is_full = True
    assert not box.is_cramped
    assert box.append_batch(7, [(1, 0x52, b"a", 0), (2, 0x52, b"b", 0), (3, 0x52, b"c", 0)]) == 3
    assert box.append_batch(7, [(4, 0x52, bytes(2 * PAGE), 0)]) == 0 and box.is_cramped
    box.finish([b"reply"])
    box.finish([Failed("KeyError", "x"), DeadLetter("crash")])
    assert box.recall(7).finished == [(1, ReplyLost()), (2, Failed("", "")), (3, DeadLetter(""))]
    statistics = box.statistics()
    assert (statistics.processed, statistics.failed, statistics.dead_lettered) == (1, 1, 1)
    room.is_full = False
    assert box.append_batch(7, [(4, 0x52, bytes(2 * PAGE), 0)]) == 1 and not box.is_cramped
    box.finish([b"reply"])
    assert box.recall(7).finished[-1] == (4, b"reply")
    box.close()


def test_on_a_full_disk_no_file_is_made(tmp_path: Path, room: Room) -> None:
    """Nothing is left of the attempt."""
    room.is_full = True
    with pytest.raises(OSError, match="No space left on device"):
        Mailbox.create(tmp_path / "box", ID, 10, 100, 100)
    assert list(tmp_path.iterdir()) == []
