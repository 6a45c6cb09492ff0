"""The file of a mailbox: a single writer, who may be killed with ``kill -9`` at any instruction.

Every change writes its data where nothing committed lies, then the spare copy of the state, and last the commit word:
one 8-byte store that makes the spare copy the valid one. Who reopens the file sees all of an append or a finish, or
nothing. (Against a kill, that is: nothing is synced, so a file that must outlive the machine needs more.)

The file has room on the disk for what is in use, and little more. Where a full disk has none for a frame, that one is
not accepted; where it has none for a reply, the frame is processed and its reply is not kept.

Layout, little-endian. Frame ``i`` (its *ring index*: how many were accepted before it) has row ``i % capacity`` of
both tables. Byte ``p`` of a ring lies at ``p % size``. Positions of results only grow; those of headers begin again at
0 when the mailbox is empty.

============ =============== ==========================================================================================
offset       size            what
============ =============== ==========================================================================================
0            8               magic ``NYXMBOX1``, the last that `MailboxFile.create` writes
8            5 u64           version, plugin id, capacity, capacity_bytes, result_bytes
48           u64             commit word: the number of commits; its lowest bit selects the valid copy of the state
56           u64             frames claimed: rows of frames below it may hold it, or a part of it, already
64           u64             results claimed: result bytes below it may be written already
128, 256     12 u64 each     copies 0 and 1 of the state: accepted, finished, processed, failed, dead-lettered, bytes
                             processed, permission violations, restarts, peak depth, begin and end position of the
                             headers of unfinished frames, end position of the results
512          256 * 3 u64     sessions: session, last sequence number (0: no entry), ring index of its last frame;
                             written after the commit, and brought up to date by `MailboxFile.open`
6656         capacity        frames: session, sequence number, end position of the header (which begins where the one
             * 7 u64         before ends), frame type (lowest byte) and how often the frame was delivered to a worker
                             that ended (next byte), length of the data in the header, milliseconds of the wall clock
                             at which its time is over (0: never), check sum of its key (plus `KEYED`; 0: none)
then         capacity        results: kind (1 none, 2 reply, 3 failed, 4 dead letter, 5 reply lost), begin and end
             * 3 u64         position of its bytes
then         capacity_bytes  byte ring of headers
at the next  result_bytes    byte ring of results: the reply; u32 length of the error's type, type, text; the reason
8-byte step
============ =============== ==========================================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

import attrs

from ..config.errors import NyxPluginError
from .results import KINDS
from .ring_file import LastSequence, Pages, Ring, Table

MAGIC = int.from_bytes(b"NYXMBOX1", "little")
VERSION = 3
MAX_SESSIONS = 256
KEPT_BYTES = 1 << 14
"""For so many bytes of headers there is room on the disk at all times."""
ROWS_AT_ONCE = 256

_COMMIT, _FRAMES_CLAIMED, _RESULTS_CLAIMED = 48, 56, 64
_COPIES = (128, 256)
_SESSIONS, _FRAMES = 512, 6656
FRAME_WORDS = 7
RESULT_WORDS = 3
TYPE_MASK, DELIVERIES_SHIFT, MAX_DELIVERIES = 0xFF, 8, 0xFF
KEYED = 1 << 32


class MailboxCorrupt(NyxPluginError):
    """The file at ``path`` is no mailbox of this plugin, see ``reason``. Remove it: what it held can't be recovered."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"mailbox {path}: {reason}")


class Sizes(NamedTuple):
    """The sizes of a mailbox, each at least 1."""

    capacity: int
    capacity_bytes: int
    result_bytes: int

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        rows = 8 * (FRAME_WORDS + RESULT_WORDS) * self.capacity
        return _FRAMES + rows + _aligned(self.capacity_bytes) + _aligned(self.result_bytes)


@attrs.define
class State:
    """What a commit replaces, in the order of the file. Positions are those of the byte rings."""

    accepted: int = 0
    finished: int = 0
    processed: int = 0
    failed: int = 0
    dead_lettered: int = 0
    bytes_processed: int = 0
    permission_violations: int = 0
    restarts: int = 0
    peak: int = 0
    begin: int = 0
    end: int = 0
    result_end: int = 0

    @property
    def depth(self) -> int:
        """Frames accepted and not finished."""
        return self.accepted - self.finished


_state_words = attrgetter(*(field.name for field in attrs.fields(State)))
_STATE = struct.Struct(f"<{len(attrs.fields(State))}Q")


class MailboxFile:
    """A mailbox's file, mapped: its parts, its state, and the commit. See the module for the layout."""

    def __init__(self, pages: Pages, sizes: Sizes) -> None:
        """Use `create` or `open`."""
        self._pages = pages
        self.sizes = sizes
        self._commits, self.frames_claimed, self.results_claimed = pages.words(_COMMIT, 3)
        self.state = State(*pages.words(_COPIES[self._commits & 1], _STATE.size // 8))
        self.sessions = LastSequence(pages, _SESSIONS, MAX_SESSIONS)
        self.frames = Table(pages, _FRAMES, FRAME_WORDS, sizes.capacity)
        self.results = Table(pages, self.frames.stop, RESULT_WORDS, sizes.capacity)
        self.header_bytes = Ring(pages, self.results.stop, sizes.capacity_bytes, KEPT_BYTES)
        self.result_bytes = Ring(pages, self.header_bytes.stop, sizes.result_bytes)
        self._rows = 0

    @classmethod
    def create(cls, path: str | os.PathLike[str], sizes: Sizes, plugin_id: int) -> MailboxFile:
        """Create the file with mode 0600; OSError if it exists or there is no room for it.

        A kill on the way leaves no file of that name.
        """
        if min(sizes) < 1:
            raise ValueError(f"sizes must be at least 1, got {sizes}")
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))
        unfinished = f"{os.fspath(path)}.new"
        try:
            with _descriptor(unfinished, os.O_CREAT | os.O_TRUNC) as descriptor:
                os.ftruncate(descriptor, sizes.file_bytes)
                pages = Pages(descriptor, sizes.file_bytes)
            file = cls._begin(pages, sizes, plugin_id)
            os.rename(unfinished, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise
        return file

    @classmethod
    def _begin(cls, pages: Pages, sizes: Sizes, plugin_id: int) -> MailboxFile:
        """Fill a file of zeros, with room on the disk for a few frames: whatever comes, these find some."""
        try:
            _need(pages.reserve(0, _FRAMES))
            for place, word in enumerate((VERSION, plugin_id, *sizes), 1):
                pages.store(8 * place, word)
            pages.store(0, MAGIC)
            file = cls(pages, sizes)
            _need(file.reserve(1, 0, min(KEPT_BYTES, sizes.capacity_bytes)))
        except OSError:
            pages.close()
            raise
        return file

    @classmethod
    def open(cls, path: str | os.PathLike[str], plugin_id: int) -> MailboxFile:
        """Open the file as its last writer left it; OSError if there is none, `MailboxCorrupt` if it can't be used."""
        with _descriptor(path) as descriptor:
            size = os.fstat(descriptor).st_size
            if size <= _FRAMES:
                raise MailboxCorrupt(os.fspath(path), f"{size} bytes are too few")
            pages = Pages(descriptor, size)
        try:
            file = cls(pages, _read_sizes(pages, plugin_id, size))
            _check(file)
        except ValueError as fault:
            pages.close()
            raise MailboxCorrupt(os.fspath(path), str(fault)) from None
        file._catch_up()
        return file

    def close(self) -> None:
        """Unmap the file, which stays."""
        self._pages.close()

    @property
    def oldest_known(self) -> int:
        """Ring index of the oldest frame whose row is surely not overwritten."""
        return max(0, self.frames_claimed - self.sizes.capacity)

    def reserve(self, count: int, position: int, length: int) -> bool:
        """Have room on the disk for ``count`` more frames and their results, and for headers; false if there is none.

        What is kept of replies and the like is apart from that: see `Ring.reserve`.
        """
        rows = self.state.accepted + count
        has_rows = rows <= self._rows or self._reserve_rows(rows)
        return has_rows and self.header_bytes.reserve(position, length)

    def _reserve_rows(self, rows: int) -> bool:
        if self._rows < self.sizes.capacity:
            wanted = min(rows + ROWS_AT_ONCE, self.sizes.capacity)
            if not (self.frames.reserve(wanted) and self.results.reserve(wanted)):
                return False
            self._rows = wanted
        return True

    def claim_frames(self, stop: int) -> None:
        """Call before writing rows of frames below ``stop``."""
        if stop > self.frames_claimed:
            self.frames_claimed = stop
            self._pages.store(_FRAMES_CLAIMED, stop)

    def claim_results(self, stop: int) -> None:
        """Call before writing result bytes below position ``stop``."""
        if stop > self.results_claimed:
            self.results_claimed = stop
            self._pages.store(_RESULTS_CLAIMED, stop)

    def commit(self) -> None:
        """Make `state`, and what was written before, valid."""
        self._commits += 1
        self._pages.put(_COPIES[self._commits & 1], _STATE.pack(*_state_words(self.state)))
        self._pages.store(_COMMIT, self._commits)

    def release(self) -> None:
        """Give back the pages of headers and results that nobody will read again."""
        state = self.state
        self.header_bytes.release(state.begin, state.end)
        if self.oldest_known < state.finished and self.result_bytes.may_release(state.result_end):
            self.result_bytes.release(self.results.get(self.oldest_known, 1)[1], state.result_end)

    def _catch_up(self) -> None:
        """Note the session of the last frame, in case that the writer was killed between commit and note."""
        last = self.state.accepted - 1
        if last >= self.oldest_known:
            session, seq = self.frames.get(last, 1)[:2]
            if seq > self.sessions.last(session):
                self.sessions.note(session, seq, last)


def _need(has_room: bool) -> None:
    if not has_room:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


@contextlib.contextmanager
def _descriptor(path: str | os.PathLike[str], flags: int = 0) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_sizes(pages: Pages, plugin_id: int, file_bytes: int) -> Sizes:
    magic, version, owner, *rest = pages.words(0, 6)
    sizes = Sizes(*rest)
    if magic != MAGIC:
        raise ValueError("it does not begin like a mailbox")
    if version != VERSION:
        raise ValueError(f"its version is {version}, not {VERSION}")
    if owner != plugin_id:
        raise ValueError(f"it belongs to plugin {owner}, not {plugin_id}")
    if min(sizes) < 1 or sizes.file_bytes != file_bytes:
        raise ValueError(f"{file_bytes} bytes do not fit {sizes}")
    return sizes


def _check(file: MailboxFile) -> None:
    """ValueError when what is committed contradicts itself."""
    state, capacity = file.state, file.sizes.capacity
    if state.processed + state.failed + state.dead_lettered != state.finished or not 0 <= state.depth <= capacity:
        raise ValueError("its counters contradict each other")
    if not state.accepted <= file.frames_claimed <= state.finished + capacity:
        raise ValueError("its rows contradict its counters")
    rows = file.frames.get(state.finished, state.depth)
    if any(word >> 2 * DELIVERIES_SHIFT for word in rows[3::FRAME_WORDS]):
        raise ValueError("it holds frames of an unknown type")
    _check_edges("headers", [state.begin, *rows[2::FRAME_WORDS], state.end])
    if state.end - state.begin > file.sizes.capacity_bytes:
        raise ValueError("its headers are longer than it has room for")
    _check_results(file)


def _check_results(file: MailboxFile) -> None:
    first = file.oldest_known
    count = file.state.finished - first
    rows = file.results.get(first, count)
    pairs = zip(rows[1::RESULT_WORDS], rows[2::RESULT_WORDS], strict=True)
    edges = [edge for pair in pairs for edge in pair]
    _check_edges("results", [*edges, file.state.result_end, file.results_claimed])
    if not set(rows[::RESULT_WORDS]) <= set(KINDS.values()):
        raise ValueError("it holds results of an unknown kind")


def _check_edges(what: str, edges: list[int]) -> None:
    if edges != sorted(edges):
        raise ValueError(f"its {what} overlap")
