"""An append-only file of records that outlives its writer: kill -9 at any instruction, and the end of the machine.

What was written since the last `Journal.sync` may be there, in part or not at all; the torn tail is recognised,
whatever it holds, and cut off. What was synced is there as it was, or the file is called corrupt: never is one thing
taken for another. Every call either has done all that it says or raises, and has then changed nothing.

Layout, little-endian: magic ``NYXJRNL1``, a u64 of salt, then one record after the other, each on an 8-byte step:

====== =======================================================================================
offset what
====== =======================================================================================
0      u32 length of the payload
4      u32 crc32 of salt, offset of the record, length, synced, payload and padding
8      u64 synced: all before this offset was synced when the record was written
16     the payload, and zeros up to the next 8-byte step
====== =======================================================================================

So a bad record is the torn tail, unless a good one behind it says that this place was synced already.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from ..plugins.errors import JournalCorrupt, JournalFailed

MAGIC = b"NYXJRNL1"
HEAD_BYTES = 16
RECORD_BYTES = 16
_RECORD = struct.Struct("<IIQ")
_SEED = struct.Struct("<QQIQ")
_STEP = 8


class Contents(NamedTuple):
    """What `scan` has found."""

    payloads: list[bytes]
    end: int
    """Offset behind the last good record; what follows is a torn tail."""


class Journal:
    """A journal that is open for writing. One thread at a time may use it.

    Without ``durable`` nothing is synced: it survives the death of processes, not that of the machine.
    """

    def __init__(self, path: str, descriptor: int, salt: int, end: int, durable: bool, synced: int) -> None:
        """Use `create` or `open`."""
        self.path = path
        self._fd = descriptor
        self._salt = salt
        self._end = end
        self._synced = synced
        self._durable = durable
        self._broken = ""
        self.loss = ""
        """What there is to say of a torn tail that was cut off."""

    @classmethod
    def create(cls, path: str | os.PathLike[str], payloads: Iterable[bytes] = (), *, durable: bool = True) -> Journal:
        """Make a journal with these records (mode 0600), in place of what is there; all or nothing, and synced.

        Raises :class:`JournalFailed`.
        """
        name = os.fspath(path)
        descriptor, salt, end = _replace(name, payloads, durable)
        return cls(name, descriptor, salt, end, durable, end * durable)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, durable: bool = True) -> tuple[Journal, list[bytes]]:
        """Open a journal, cut its torn tail off, and return it with its records.

        Raises :class:`JournalFailed` (there is none, it can't be read or written) and :class:`JournalCorrupt`.
        """
        name = os.fspath(path)
        descriptor = _opened(name)
        try:
            data = _content(name, descriptor)
            found = scan(name, data)
            journal = cls(name, descriptor, int.from_bytes(data[8:HEAD_BYTES], "little"), found.end, durable, 0)
            if found.end < len(data):
                journal._cut()
                journal.loss = _loss(name, len(data) - found.end)
            # What its writer had not synced is there now, and must be there tomorrow.
            journal.sync()
        except BaseException:
            os.close(descriptor)
            raise
        return journal, found.payloads

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._end

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be appended any more, before a :meth:`rewrite`."""
        return bool(self._broken)

    def append(self, payloads: Iterable[bytes]) -> None:
        """Write records behind the last one, with one call of the system; they are not synced yet.

        Raises :class:`JournalFailed`, and has then written nothing. After a failed sync, or where what was written in
        part could not be cut off again, it does so until `rewrite` has succeeded.
        """
        if self._broken:
            raise JournalFailed(self.path, self._broken)
        data = _encoded(payloads, self._salt, self._end, self._synced)
        try:
            _write(self._fd, data, self._end)
        except OSError as error:
            self._cut()
            raise JournalFailed(self.path, error.strerror or str(error)) from None
        self._end += len(data)

    def sync(self) -> None:
        """Return once all that was appended is on the disk; raises :class:`JournalFailed` where that can't be had.

        What was not synced may be lost then, even if a later sync would succeed: so none is tried.
        """
        if self._broken:
            raise JournalFailed(self.path, self._broken)
        if not self._durable or self._synced == self._end:
            return
        end = self._end
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._broken = f"it could not be synced: {error.strerror}"
            raise JournalFailed(self.path, self._broken) from None
        self._synced = end

    def undo(self) -> None:
        """Cut off what was appended and could not be synced, as far as that is possible."""
        self._end = self._synced
        self._cut()

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace all records by these, at once and synced; :class:`JournalFailed`, and the old ones are in place."""
        descriptor, self._salt, self._end = _replace(self.path, payloads, self._durable)
        os.close(self._fd)
        self._fd, self._synced, self._broken = descriptor, self._end * self._durable, ""

    def close(self) -> None:
        """Close the file, which stays. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._broken = "it is closed"

    def _cut(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError as error:
            self._broken = f"what was written in part could not be cut off: {error.strerror}"


def scan(path: str, data: bytes) -> Contents:
    """Read what a journal holds, up to its torn tail; raises :class:`JournalCorrupt` for any other damage."""
    if len(data) < HEAD_BYTES or data[:8] != MAGIC:
        raise JournalCorrupt(path, "it does not begin like a journal")
    salt = int.from_bytes(data[8:HEAD_BYTES], "little")
    payloads: list[bytes] = []
    at = HEAD_BYTES
    while (payload := _payload(data, salt, at)) is not None:
        payloads.append(payload)
        at += _size(len(payload))
    if (behind := _synced_behind(data, salt, at)) is not None:
        raise JournalCorrupt(path, f"the record at byte {at} is damaged, and was synced, as that at byte {behind} says")
    return Contents(payloads, at)


def set_aside(path: str | os.PathLike[str]) -> str:
    """Give a file that can't be used a name of its own, under which it is kept for good; return that name.

    Raises :class:`JournalFailed`.
    """
    name = os.fspath(path)
    new = f"{name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (f"{new}{f'-{n}' if n else ''}" for n in itertools.count())
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        os.rename(name, aside)
        _sync_folder(name)
    except OSError as error:
        raise JournalFailed(name, f"it can't be set aside: {error.strerror}") from None
    return aside


def private_folder(path: str | os.PathLike[str]) -> str:
    """Make a folder for journals if there is none (mode 0700), and return its path; raises :class:`JournalFailed`."""
    name = os.fspath(path)
    try:
        os.mkdir(name, 0o700)
        _sync_folder(name)
    except FileExistsError:
        if not os.path.isdir(name):
            raise JournalFailed(name, "it is no folder") from None
    except OSError as error:
        raise JournalFailed(name, error.strerror or str(error)) from None
    return name


def _loss(name: str, count: int) -> str:
    return (
        f"the last {count:,} bytes of journal {name} are no whole record, and were cut off: so ends a write that was"
        " broken off, of which nobody was told; but if they were damaged later, what was synced with them is lost"
    )


def _size(length: int) -> int:
    return RECORD_BYTES + -(-length // _STEP) * _STEP


def _checksum(salt: int, at: int, length: int, synced: int, padded: bytes) -> int:
    return crc32(padded, crc32(_SEED.pack(salt, at, length, synced)))


def _encoded(payloads: Iterable[bytes], salt: int, at: int, synced: int) -> bytes:
    chunks: list[bytes] = []
    for payload in payloads:
        padded = payload + bytes(-len(payload) % _STEP)
        chunks += (_RECORD.pack(len(payload), _checksum(salt, at, len(payload), synced, padded), synced), padded)
        at += RECORD_BYTES + len(padded)
    return b"".join(chunks)


def _payload(data: bytes, salt: int, at: int) -> bytes | None:
    """The record at this offset; ``None`` where there is no good one."""
    if at + RECORD_BYTES > len(data):
        return None
    length, checksum, synced = _RECORD.unpack_from(data, at)
    padded = data[at + RECORD_BYTES : at + _size(length)]
    if at + _size(length) > len(data) or _checksum(salt, at, length, synced, padded) != checksum:
        return None
    return padded[:length]


def _synced_behind(data: bytes, salt: int, bad: int) -> int | None:
    """Where a good record says that what lies at ``bad`` was synced before; ``None`` where none does."""
    words = memoryview(data)[: len(data) & -_STEP].cast("Q")
    for word in range(bad // _STEP + 1, len(words)):
        # Hardly ever does anything but a record have a number between these here.
        if bad < words[word] <= (at := (word - 1) * _STEP) and _payload(data, salt, at) is not None:
            return at
    return None


def _opened(name: str) -> int:
    try:
        # Without waiting for the other end, should somebody have put a pipe there.
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise JournalFailed(name, error.strerror or str(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JournalFailed(name, "it is no regular file")
    return descriptor


def _content(name: str, descriptor: int) -> bytes:
    try:
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise JournalFailed(name, error.strerror or str(error)) from None


def _replace(name: str, payloads: Iterable[bytes], durable: bool) -> tuple[int, int, int]:
    """Write a new file and put it in the place of the old one; return its descriptor, its salt and its size."""
    new = f"{name}.new"
    descriptor = -1
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        salt = int.from_bytes(os.urandom(8), "little")
        head = MAGIC + salt.to_bytes(8, "little")
        data = head + _encoded(payloads, salt, HEAD_BYTES, 0)
        _write(descriptor, data, 0)
        if durable:
            os.fsync(descriptor)
        os.replace(new, name)
        if durable:
            _sync_folder(name)
    except OSError as error:
        _discard(new, descriptor)
        raise JournalFailed(name, error.strerror or str(error)) from None
    return descriptor, salt, len(data)


def _write(descriptor: int, data: bytes, at: int) -> None:
    """Write all of it; OSError where there is no room for all."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest, at = rest[written:], at + written


def _discard(new: str, descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(new)


def _sync_folder(name: str) -> None:
    folder = os.open(os.path.dirname(name) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
