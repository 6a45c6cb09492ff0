"""The journal of one plugin's backlog in several files, so that what is out of date goes away by the file.

A file in which every frame has its outcome is removed once it is the oldest: later ones say what became of its frames.
Where one frame keeps many files, those that have no outcome are written anew, into one file.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..plugins.errors import JournalCorrupt, JournalFailed
from . import backlog
from .backlog import Backlog, FrameName, Holder
from .journal import Journal, private_folder, set_aside

# A file that has as many bytes is the last one no more.
SEGMENT_BYTES = 1 << 22
# With so many files, what is needed of them is written anew.
MAX_SEGMENTS = 16
_NAME = re.compile(r"(\d{12})\.journal")


class Segments:
    """The files of one plugin, in a folder of its own, which is made. Methods raise :class:`JournalFailed`.

    One thread at a time may use it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(private_folder(folder))
        self._journal: Journal | None = None
        self._holder: Holder | None = None
        self._numbers = self._found()
        self._needed: Counter[int] = Counter()
        """By file, how many of its frames have no outcome."""
        self._places: dict[FrameName, int] = {}
        self.losses: list[str] = []
        """What there is to say of torn tails, of those that were read last."""

    def read(self) -> Backlog:
        """Return what all files come to; raises :class:`JournalCorrupt` where one is damaged, or of another version."""
        found = Backlog()
        self.losses.clear()
        for path in map(self._path, self._numbers):
            journal, payloads = Journal.open(path)
            journal.close()
            self.losses += [journal.loss] if journal.loss else []
            try:
                found = backlog.read(payloads, found)
            except ValueError as fault:
                raise JournalCorrupt(str(path), str(fault)) from None
        return found

    def set_aside(self) -> list[str]:
        """Keep all files under other names; return these."""
        kept = [set_aside(self._path(number)) for number in self._numbers]
        self._numbers.clear()
        return kept

    def begin(self, found: Backlog) -> None:
        """Start a file with this backlog, at once and synced; the earlier files go."""
        assert found.holder is not None
        self._holder = found.holder
        earlier = list(self._numbers)
        self._start(_records(found))
        self._needed.clear()
        self._places.clear()
        self._need(found.frames)
        for number in earlier:
            self._remove(number)

    def append(self, payload: bytes, accepted: Iterable[FrameName], settled: Iterable[FrameName]) -> None:
        """Write and sync a record, which accepts some frames and says that others have their outcome.

        Raises :class:`JournalFailed`, and has then written nothing that will be read.
        """
        assert self._holder is not None
        if self._journal is None or self._journal.size >= SEGMENT_BYTES or self._journal.is_broken:
            self._next_file()
        assert self._journal is not None
        self._journal.append([payload])
        try:
            self._journal.sync()
        except JournalFailed:
            self._journal.undo()
            raise
        self._need(accepted)
        self._settle(settled)

    def remove(self) -> None:
        """Remove all files: no frame is left."""
        self.close()
        for number in list(self._numbers):
            self._remove(number)

    def close(self) -> None:
        """Close the last file; all stay."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _next_file(self) -> None:
        assert self._holder is not None
        if len(self._numbers) >= MAX_SEGMENTS:
            self.close()
            try:
                self.begin(self.read())
            except JournalCorrupt as corrupt:
                raise JournalFailed(corrupt.path, f"it is damaged: {corrupt.reason}") from None
        else:
            self._start([backlog.encoded([backlog.head(self._holder)])])
            self._remove_unneeded()

    def _start(self, payloads: Iterable[bytes]) -> None:
        number = 1 + max(self._numbers, default=0)
        journal = Journal.create(self._path(number), payloads)
        self.close()
        self._journal = journal
        self._numbers.append(number)

    def _need(self, names: Iterable[FrameName]) -> None:
        for name in names:
            self._places[name] = self._numbers[-1]
            self._needed[self._numbers[-1]] += 1

    def _settle(self, names: Iterable[FrameName]) -> None:
        for name in names:
            if (place := self._places.pop(name, None)) is not None:
                self._needed[place] -= 1
        self._remove_unneeded()

    def _remove_unneeded(self) -> None:
        while len(self._numbers) > 1 and not self._needed[self._numbers[0]]:
            del self._needed[self._numbers[0]]
            self._remove(self._numbers[0])

    def _remove(self, number: int) -> None:
        # One that can't be removed is found to be out of date by whoever reads it.
        with contextlib.suppress(OSError):
            os.unlink(self._path(number))
        self._numbers.remove(number)

    def _found(self) -> list[int]:
        try:
            names = os.listdir(self.folder)
        except OSError as error:
            raise JournalFailed(str(self.folder), error.strerror or str(error)) from None
        return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012}.journal"


def _records(found: Backlog) -> Iterator[bytes]:
    """Records that make a backlog like this one."""
    assert found.holder is not None
    yield backlog.encoded([backlog.head(found.holder)])
    for frame in found.frames.values():
        yield backlog.encoded([backlog.accept(frame.session, [frame])])
    for name, (ring, index) in found.in_hand.items():
        yield backlog.encoded([backlog.send(ring, index, [name])])
