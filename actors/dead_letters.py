"""The dead letters of one plugin, in a journal that outlives the plugin and its actor: bounded, the oldest go first.

Their numbers ascend and are never used again. One process at a time has the journal open: a lock says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs

from ..plugins.errors import DeadLetterUnknown, JournalCorrupt, JournalFailed
from .journal import Journal, private_folder, set_aside
from .letter_book import CLAIM, DROP, LOST, DeadFrame, Letter, LetterBook, Operation, encoded

FOLDER = "dead-letters"
MAX_REASON = 1000
# The file may have this many bytes that are out of date before it is written anew.
STALE_BYTES = 1 << 18
# Somebody who only looks has the lock for milliseconds; where it was in vain, it is not tried again for a while.
PATIENCE_S = 0.2
IMPATIENT_S = 5.0


@attrs.frozen
class Bounds:
    """How many dead letters of a plugin are kept, and how many bytes of them; 0 of either: none."""

    letters: int
    bytes: int

    @property
    def keep_any(self) -> bool:
        """Whether any are kept."""
        return self.letters > 0 and self.bytes > 0


class DeadLetters:
    """The letters of ``plugin_id`` in the folder ``folder``; nothing is read or made before it is needed.

    ``incarnation`` tells one mailbox from another (0: nobody's, as for who only looks). ``tell`` is called with a
    sentence when a file that can't be used is set aside; without it that is :class:`JournalCorrupt`. Methods raise
    :class:`JournalFailed`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        plugin_id: int,
        bounds: Bounds,
        *,
        incarnation: int = 0,
        durable: bool = False,
        patience_s: float = PATIENCE_S,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.plugin_id = plugin_id
        self._path = Path(folder, f"{plugin_id}.journal")
        self._bounds = bounds
        self._incarnation = incarnation
        self._durable = durable
        self._tell = tell
        self._patience_s = patience_s
        self._not_before = 0.0
        self._book = LetterBook()
        self._journal: Journal | None = None
        self._lock = -1

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._opened().letters)

    @property
    def size(self) -> int:
        """How many bytes they count for."""
        return self._opened().size

    @property
    def lost(self) -> int:
        """How many had to go to make room for others, since the first."""
        return self._opened().lost

    def listed(self, after: int = 0, limit: int = 100) -> list[Letter]:
        """Return at most ``limit`` letters with numbers above ``after``, in ascending order."""
        ids = sorted(letter_id for letter_id in self._opened().letters if letter_id > after)
        return [self._book.letters[letter_id] for letter_id in ids[:limit]]

    def get(self, letter_id: int) -> Letter:
        """Return one letter; raises :class:`DeadLetterUnknown`."""
        self._check((letter_id,))
        return self._book.letters[letter_id]

    def add(self, frames: Sequence[DeadFrame], reason: str, at: float, plugin: str) -> None:
        """Keep ``frames`` (of one ring in the order of its indices), as far as the bounds allow, with one record.

        Those that were noted before its caller was killed are passed over.
        """
        if not self._bounds.keep_any:
            return
        new = self._opened(make=True).unnoted(frames)
        if not new:
            return
        first = self._book.next_id
        letters = [Letter(first + place, frame, reason[:MAX_REASON], at, plugin) for place, frame in enumerate(new)]
        self._record(self._fitting(letters))

    def reasons(self, ring: int) -> dict[int, str]:
        """Return, by index, why frames of this ring of the present mailbox were dead-lettered, as far as it is kept."""
        book = self._opened()
        mine = (letter for letter in book.letters.values() if letter.frame.ring == ring)
        # A later one goes before one of an earlier mailbox.
        return {each.frame.index: each.reason for each in mine if each.frame.index < book.marks.get(ring, 0)}

    def buried(self) -> set[tuple[int, int]]:
        """Return session and sequence number of the frames of the present mailbox that are among the letters."""
        book = self._opened()
        mine = (letter.frame for letter_id, letter in book.letters.items() if letter_id >= book.first_id)
        return {(frame.session, frame.seq) for frame in mine}

    def claim(self, frames: Iterable[tuple[int, int, int]]) -> None:
        """Note that letters are about to be accepted again, each as (letter, session, sequence number)."""
        claims = [[CLAIM, *frame] for frame in frames]
        if claims:
            self._record(claims)

    def claims(self) -> dict[int, tuple[int, int]]:
        """Return what was claimed and not dropped: whoever claimed it was killed between."""
        return dict(self._opened().claims)

    def release(self, ids: Iterable[int]) -> None:
        """Forget claims: nothing came of them. Claims are no more than notes, so this needs none."""
        for letter_id in ids:
            self._opened().claims.pop(letter_id, None)

    def drop(self, ids: Iterable[int] | None = None) -> int:
        """Remove letters (all of them for ``None``) and return how many.

        Raises :class:`DeadLetterUnknown`, and has then removed none.
        """
        dropped = sorted(self._opened().letters) if ids is None else sorted(set(ids))
        self._check(dropped)
        if dropped:
            self._record([[DROP, dropped]])
        return len(dropped)

    def sync(self) -> None:
        """Return once what was noted is on the disk."""
        if self._journal is not None:
            self._journal.sync()

    def close(self) -> None:
        """Let go of the file. The next call opens it again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        self._book = LetterBook()

    def __enter__(self) -> DeadLetters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, ids: Iterable[int]) -> None:
        missing = [letter_id for letter_id in ids if letter_id not in self._opened().letters]
        if missing:
            raise DeadLetterUnknown(self.plugin_id, missing[0])

    # What has to go.

    def _fitting(self, letters: list[Letter]) -> list[Operation]:
        """The operations that add ``letters``, and let go as many as the bounds demand."""
        gone = self._excess([*self._book.letters.values(), *letters])
        # The last one is noted in any case: it says how far the ring was noted.
        staying = [letter.operation() for letter in letters if letter.letter_id not in gone or letter is letters[-1]]
        return [*staying, [LOST, sorted(gone), self._book.lost + len(gone)]] if gone else staying

    def _excess(self, letters: list[Letter]) -> set[int]:
        """Those that have to go: what would not even fit alone, which costs no other its place, then the oldest."""
        gone = {letter.letter_id for letter in letters if letter.size > self._bounds.bytes}
        kept = sorted((letter.letter_id, letter.size) for letter in letters if letter.letter_id not in gone)
        size = sum(size for _, size in kept)
        for place, (letter_id, its_size) in enumerate(kept):
            if len(kept) - place <= self._bounds.letters and size <= self._bounds.bytes:
                break
            gone.add(letter_id)
            size -= its_size
        return gone

    # The file.

    def _record(self, operations: list[Operation]) -> None:
        assert self._journal is not None
        record = encoded(operations)
        if self._journal.size + len(record) > 2 * self._book.size + STALE_BYTES:
            self._journal.rewrite(self._book.everything())
        self._journal.append([record])
        for operation in operations:
            self._book.apply(operation)

    def _opened(self, make: bool = False) -> LetterBook:
        if self._journal is None and (make or self._path.exists()):
            private_folder(self._path.parent)
            self._take_lock()
            try:
                self._open()
            except BaseException:
                self.close()
                raise
        return self._book

    def _open(self) -> None:
        self._book = LetterBook()
        try:
            if self._path.exists():
                self._read()
        except JournalCorrupt as corrupt:
            if self._tell is None:
                raise
            self._tell(
                f"{corrupt}; it is kept as {set_aside(self._path)}, and its dead letters are not listed any more"
            )
            self._book = LetterBook(next_id=time.time_ns() // 1_000_000)
        if self._journal is None:
            self._journal = Journal.create(self._path, self._book.everything(), durable=self._durable)
        if self._incarnation and self._book.incarnation != self._incarnation:
            self._take_over()

    def _read(self) -> None:
        journal, payloads = Journal.open(self._path, durable=self._durable)
        try:
            for payload in payloads:
                self._book.take(payload)
        except ValueError as fault:
            journal.close()
            raise JournalCorrupt(str(self._path), str(fault)) from None
        self._journal = journal
        if journal.loss:
            self._say(journal.loss)

    def _say(self, text: str) -> None:
        if self._tell is not None:
            self._tell(text)
        else:
            # It is cut off even so, and who looks next finds nothing to be said.
            print(text, file=sys.stderr, flush=True)

    def _take_over(self) -> None:
        """Another mailbox is in use from now on: what is known of the rings of the last one means nothing."""
        book = attrs.evolve(self._book, incarnation=self._incarnation, first_id=self._book.next_id, marks={})
        self._record([book.head()])

    def _take_lock(self) -> None:
        """Have the folder's lock of this plugin, or raise :class:`JournalFailed` while somebody else keeps it."""
        name = str(self._path.with_suffix(".lock"))
        try:
            self._lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalFailed(name, error.strerror or str(error)) from None
        now = time.monotonic()
        deadline = now + (self._patience_s if now >= self._not_before else 0.0)
        while not self._try_lock():
            if time.monotonic() >= deadline:
                self._not_before = now + IMPATIENT_S
                self.close()
                raise JournalFailed(str(self._path), "another process has it in use", "try again once that has ended")
            time.sleep(0.01)

    def _try_lock(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
