"""Parts of a file that is mapped into memory and has one writer: byte rings, tables, and the two kinds of store.

What is written with `Pages.put` may be half there after a kill; `Pages.store` is all or nothing, and so commits.

A file begins without room on the disk, and gets it as it is used: one that is never filled takes little. To touch a
place that has no room yet would end the process (SIGBUS) where the disk is full: it is reserved before.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import sys
from array import array

# Pages are given back in no smaller portions, in bytes.
RELEASE_BYTES = 1 << 16
# What the system says where the disk, or this user's part of it, is full. Other errors say nothing about that.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Pages:
    """The mapped file. Every change to it is made by `store` or `put`, in the order of the calls."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Map ``size`` bytes; the descriptor may be closed afterwards."""
        self._fd = os.dup(descriptor) if descriptor >= 0 else -1
        self._map = mmap.mmap(descriptor, size)
        self._bytes = memoryview(self._map)
        self._words = self._bytes[: size & ~7].cast("Q")

    def reserve(self, start: int, stop: int) -> bool:
        """Have room on the disk from offset ``start`` to ``stop``, for good; false where there is none."""
        if self._fd >= 0 and start < stop:
            try:
                os.posix_fallocate(self._fd, start, stop - start)
            except OSError as error:
                return error.errno not in _NO_ROOM
        return True

    def blank(self, start: int, stop: int) -> bool:
        """The same for what is to be discarded again, of which nothing is in use: it is zeros then.

        To give back what `reserve` has got costs a file system that is on a disk a hundred times as much.
        """
        try:
            return self._fd < 0 or os.pwrite(self._fd, bytes(stop - start), start) == stop - start
        except OSError as error:
            return error.errno not in _NO_ROOM

    def store(self, offset: int, word: int) -> None:
        """Write a u64 as one aligned 8-byte store (``struct.pack_into`` is not one: it clears the target first)."""
        self._words[offset >> 3] = word

    def put(self, offset: int, data: bytes) -> None:
        """Write ``data``, not atomically."""
        self._bytes[offset : offset + len(data)] = data

    def words(self, offset: int, count: int) -> list[int]:
        """The ``count`` u64 at ``offset``, which is a multiple of 8."""
        return self._words[offset >> 3 : (offset >> 3) + count].tolist()

    def get(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes."""
        return self._bytes[offset : offset + length].tobytes()

    def read(self, offset: int, length: int) -> bytes:
        """The same of the file, also where it has no room on the disk: these are zeros. Without a file, nothing."""
        return os.pread(self._fd, length, offset) if self._fd >= 0 else b""

    def discard(self, start: int, stop: int) -> None:
        """Give the memory of the whole pages from offset ``start`` to ``stop`` back, where the file system can."""
        start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = stop // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0 and sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_REMOVE, start, length)

    def close(self) -> None:
        """Unmap; harmless when done before. Any other use raises ValueError from then on."""
        self._words.release()
        self._bytes.release()
        self._map.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Ring:
    """A circular area of ``size`` bytes at offset ``start``; byte ``position`` lies at ``position % size`` of it."""

    def __init__(self, pages: Pages, start: int, size: int, kept: int = 0) -> None:
        """The pages of the first ``kept`` bytes are never given back."""
        self._pages = pages
        self._start = start
        self._kept = start + kept
        self.size = size
        self.stop = start + -(-size // 8) * 8
        self._released = 0
        self._reserved_from = self._reserved_to = 0

    def reserve(self, position: int, length: int) -> bool:
        """Have room on the disk for ``length`` bytes from ``position`` on, of which none is in use; false without."""
        end = position + length
        if (self._reserved_from <= position and end <= self._reserved_to) or not length:
            return True
        at, count = position % self.size, min(length, self.size)
        start, head = self._start + at, min(count, self.size - at)
        if not self._pages.blank(start, start + head):
            return False
        if head < count and not self._pages.blank(self._start, self._start + count - head):
            return False
        if not self._reserved_from <= position <= self._reserved_to:
            self._reserved_from = position
        # The last page is there as a whole.
        last = (end - 1) % self.size
        self._reserved_to = end + min(-(self._start + last + 1) % mmap.PAGESIZE, self.size - 1 - last)
        self._reserved_from = max(self._reserved_from, self._reserved_to - self.size)
        return True

    def put(self, position: int, data: bytes) -> None:
        """Write ``data`` from ``position`` on; of more than the ring holds, the last ``size`` bytes."""
        at = position % self.size
        if at + len(data) <= self.size:
            self._pages.put(self._start + at, data)
            return
        surplus = max(0, len(data) - self.size)
        at = (position + surplus) % self.size
        split = surplus + self.size - at
        self._pages.put(self._start + at, data[surplus:split])
        if split < len(data):
            self._pages.put(self._start, data[split:])

    def get(self, position: int, length: int) -> bytes:
        """A copy of ``length`` bytes (at most ``size``) from ``position`` on."""
        at = position % self.size
        if at + length <= self.size:
            return self._pages.get(self._start + at, length)
        head = self.size - at
        return self._pages.get(self._start + at, head) + self._pages.get(self._start, length - head)

    def may_release(self, end: int) -> bool:
        """Whether `release` could do anything, if the ring is written up to position ``end``."""
        return not 0 <= end - self._released < RELEASE_BYTES

    def release(self, begin: int, end: int) -> None:
        """Only positions ``begin`` to ``end`` are in use: give back the pages of those before, once they are enough."""
        if self.may_release(begin):
            # Where the ring has come round, the places of earlier positions are in use again.
            self._discard(max(self._released if self._released <= begin else 0, end - self.size), begin)
            self._reserved_from = max(self._reserved_from, begin)
            # What is behind the end may have the places that were given back.
            self._reserved_to = min(self._reserved_to, end)
            at = begin % self.size
            # The next time from the page on that is only in part out of use now.
            self._released = begin - min(at, (self._start + at) % mmap.PAGESIZE)

    def _discard(self, begin: int, end: int) -> None:
        start = self._start + begin % self.size
        stop = start + end - begin
        self._pages.discard(max(start, self._kept), min(stop, self.stop))
        self._pages.discard(self._kept, stop - self.size)


class Table:
    """A row of ``width`` u64 for each of the last ``rows`` indices; index ``i`` has row ``i % rows``."""

    def __init__(self, pages: Pages, start: int, width: int, rows: int) -> None:
        self._pages = pages
        self._start = start
        self._row = 8 * width
        self._packed = struct.Struct(f"={width}Q")
        self._rows = rows
        self._ring = Ring(pages, start, self._row * rows)
        self.stop = self._ring.stop

    def reserve(self, rows: int) -> bool:
        """Have room on the disk for the first ``rows`` rows, for good; false where there is none."""
        return self._pages.reserve(self._start, self._start + self._row * rows)

    def put(self, index: int, words: array[int]) -> None:
        """Write rows from ``index`` on: their words, one after the other."""
        self._ring.put(self._row * index, words.tobytes())

    def packed(self, *words: int) -> bytes:
        """What :meth:`put_row` writes for the words of one row; OverflowError for a number that is no u64."""
        try:
            return self._packed.pack(*words)
        except struct.error as error:
            raise OverflowError(str(error)) from None

    def put_row(self, index: int, row: bytes) -> None:
        """Write one row."""
        self._pages.put(self._start + self._row * (index % self._rows), row)

    def get_row(self, index: int) -> tuple[int, ...]:
        """The words of one row."""
        return self._packed.unpack(self._pages.get(self._start + self._row * (index % self._rows), self._row))

    def store(self, index: int, place: int, word: int) -> None:
        """Write one word of the row of ``index``, as one store."""
        self._pages.store(self._start + self._row * (index % self._rows) + 8 * place, word)

    def get(self, index: int, count: int) -> array[int]:
        """The words of ``count`` rows (at most ``rows``) from ``index`` on."""
        return array("Q", self._ring.get(self._row * index, self._row * count))


class LastSequence:
    """A table of the last sequence number of each session: ``places`` entries, the least recently used going first.

    An entry is three u64: session, last sequence number (0: no entry), index of the last use.
    """

    ENTRY = 24

    def __init__(self, pages: Pages, start: int, places: int) -> None:
        self._pages = pages
        self._start = start
        words = pages.words(start, 3 * places)
        entries = zip(words[2::3], words[::3], words[1::3], range(places), strict=True)
        used = sorted(entry for entry in entries if entry[2])
        self._last = {session: last for _, session, last, _ in used}
        self._places = {session: place for _, session, _, place in used}
        self._free = sorted(set(range(places)).difference(self._places.values()), reverse=True)

    def last(self, session: int) -> int:
        """The last sequence number noted for ``session``; 0 when there is none."""
        return self._last.get(session, 0)

    def known(self) -> dict[int, int]:
        """The last sequence number of each session."""
        return dict(self._last)

    def note(self, session: int, last: int, index: int) -> None:
        """Note that the frame at ``index`` is from ``session``, with sequence number ``last`` (from 1)."""
        known = self._last.pop(session, 0)
        offset = self._start + self.ENTRY * (self._places[session] if known else self._admit(session))
        if not known:
            # While its sequence number is 0 the entry does not count: a kill leaves no mixture of two sessions.
            self._pages.store(offset + 8, 0)
            self._pages.store(offset, session)
        self._pages.store(offset + 16, index)
        self._pages.store(offset + 8, last)
        self._last[session] = last

    def _admit(self, session: int) -> int:
        if not self._free:
            oldest = next(iter(self._last))
            del self._last[oldest]
            self._free.append(self._places.pop(oldest))
        self._places[session] = place = self._free.pop()
        return place
