"""Byte rings and their pages, and the table of sessions, killed at every store."""

from __future__ import annotations

import errno
import mmap
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nyx_plugins.actors import ring_file
from nyx_plugins.actors.ring_file import LastSequence, Pages, Ring, Table

PAGE = mmap.PAGESIZE


def _pages(path: Path, size: int) -> Pages:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, size)
    pages = Pages(descriptor, size)
    os.close(descriptor)
    return pages


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """Eight pages of zeros."""
    pages = _pages(tmp_path / "pages", 8 * PAGE)
    yield pages
    pages.close()


@pytest.mark.parametrize(
    ("position", "data", "stored"),
    [
        (0, b"abc", b"abc....."),
        (8, b"abc", b"abc....."),
        (6, b"abcd", b"cd....ab"),
        (3, b"12345678", b"67812345"),
        (0, b"0123456789", b"89234567"),
        (6, b"0123456789abcdefghi", b"ibcdefgh"),
    ],
)
def test_ring_wraps(pages: Pages, position: int, data: bytes, stored: bytes) -> None:
    """What reaches the end of a ring goes on at its beginning, and of too much only the last bytes stay."""
    ring = Ring(pages, 16, 8)
    pages.put(16, b"." * 8)
    ring.put(position, data)
    assert pages.get(16, 8) == stored
    assert pages.get(0, 16) == bytes(16) and pages.get(24, 8) == bytes(8)
    kept = min(len(data), 8)
    assert ring.get(position + len(data) - kept, kept) == data[len(data) - kept :]


def test_table_rows(pages: Pages) -> None:
    """Rows are found by index as long as no later one has taken their place."""
    table = Table(pages, 64, 2, 3)
    table.put(1, array("Q", [1, 10, 2, 20, 3, 30]))
    assert table.get(1, 3).tolist() == [1, 10, 2, 20, 3, 30]
    table.put(4, array("Q", [4, 40]))
    assert table.get(2, 3).tolist() == [2, 20, 3, 30, 4, 40]
    assert table.stop == 64 + 48


@settings(deadline=None, max_examples=100)
@given(
    start=st.integers(0, PAGE // 8).map(lambda n: n * 8),
    size=st.integers(1, 6 * PAGE),
    steps=st.lists(st.tuples(st.integers(0, 3 * PAGE), st.integers(0, 4 * PAGE)), max_size=12),
)
def test_released_pages(
    tmp_path_factory: pytest.TempPathFactory, start: int, size: int, steps: list[tuple[int, int]]
) -> None:
    """Release gives back all whole pages out of use since the last time, and never a byte that is in use."""
    pages = _pages(tmp_path_factory.mktemp("pages") / "pages", 8 * PAGE)
    pages.put(0, b"#" * (8 * PAGE))
    ring = Ring(pages, start, size)
    begin = end = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring_file, "RELEASE_BYTES", 1)
        for add, remove in steps:
            add = min(add, size - (end - begin))
            ring.put(end, b"x" * add)
            end += add
            begin = min(begin + remove, end)
            ring.release(begin, end)
            assert ring.get(begin, end - begin) == b"x" * (end - begin)
    assert set(pages.get(0, start)) | set(pages.get(start + size, 8 * PAGE - start - size)) <= {ord("#")}
    pages.close()


def test_released_pages_leave_no_gaps(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that was in part in use at one release is given back at the next."""
    monkeypatch.setattr(ring_file, "RELEASE_BYTES", 1)
    ring = Ring(pages, 104, 5 * PAGE)
    ring.put(0, b"x" * 5 * PAGE)
    for begin in (*range(0, 5 * PAGE, 1000), 5 * PAGE):
        ring.release(begin, 5 * PAGE)
    given_back = [not any(pages.get(page * PAGE, PAGE)) for page in range(1, 5)]
    assert given_back in ([True] * 4, [False] * 4), "all, or none where the file system can't"


def test_sessions_survive_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while one session takes the place of another, the table has the one, the other or neither: no mixture."""
    pages = _pages(tmp_path / "pages", PAGE)
    table = LastSequence(pages, 8, 2)
    table.note(70, 7, 0)
    table.note(80, 8, 1)
    table.note(70, 9, 2)
    before = pages.get(0, PAGE)
    stores: list[tuple[int, int]] = []
    monkeypatch.setattr(pages, "store", lambda offset, word: stores.append((offset, word)))
    table.note(90, 5, 3)
    for count in range(len(stores) + 1):
        killed = _pages(tmp_path / f"killed{count}", PAGE)
        killed.put(0, before)
        for offset, word in stores[:count]:
            killed.store(offset, word)
        survivor = LastSequence(killed, 8, 2)
        known = {session: survivor.last(session) for session in (70, 80, 90)}
        assert known[70] == 9
        assert (known[80], known[90]) in ((8, 0), (0, 0), (0, 5))
    assert (known[80], known[90]) == (0, 5)


def test_room_is_asked_for_page_by_page(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each page, again for what was given back, and on both sides of the ring's end."""
    asked: list[tuple[int, int]] = []
    blank = Pages.blank
    monkeypatch.setattr(Pages, "blank", lambda pages, *place: asked.append(place) or blank(pages, *place))
    monkeypatch.setattr(ring_file, "RELEASE_BYTES", PAGE)
    ring = Ring(pages, PAGE + 16, 4 * PAGE - 32, kept=PAGE)
    for position, length, places in (
        (0, 100, [(PAGE + 16, PAGE + 116)]),
        (100, PAGE - 116, []),
        (PAGE - 16, 1, [(2 * PAGE, 2 * PAGE + 1)]),
        (PAGE - 15, 2 * PAGE, [(2 * PAGE + 1, 4 * PAGE + 1)]),
        (4 * PAGE - 42, 20, [(5 * PAGE - 26, 5 * PAGE - 16), (PAGE + 16, PAGE + 26)]),
        (4 * PAGE - 22, 5, []),
        (0, 0, []),
        (200, 10, [(PAGE + 216, PAGE + 226)]),
    ):
        assert ring.reserve(position, length) and asked == places
        asked.clear()


def test_what_a_ring_keeps_is_not_given_back(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a full disk, that is what it can go on with."""
    monkeypatch.setattr(ring_file, "RELEASE_BYTES", PAGE)
    ring = Ring(pages, 0, 8 * PAGE, kept=2 * PAGE)
    pages.put(0, b"\1" * 8 * PAGE)
    ring.release(5 * PAGE, 6 * PAGE)
    assert [pages.get(n * PAGE, 1) for n in range(8)] == [b"\1", b"\1", b"\0", b"\0", b"\0", b"\1", b"\1", b"\1"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EOPNOTSUPP])
def test_a_full_disk_is_told_from_one_that_does_not_know(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where a file system can't say whether it has room, it is taken to have some."""

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    monkeypatch.setattr(os, "pwrite", fail)
    assert pages.reserve(0, 1) == pages.blank(0, 1) == (code == errno.EOPNOTSUPP)
    assert pages.reserve(1, 1)


def test_a_part_of_the_room_is_not_enough(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may be full in the midst of it."""
    monkeypatch.setattr(os, "pwrite", lambda *_: 4095)
    assert not pages.blank(0, 4096) and not Ring(pages, 0, 8192).reserve(0, 4096)
