"""Outcomes that a session may not know yet, kept aside before other frames take their places in a mailbox.

A mailbox has the outcomes of its last frames. Where several sessions send, a quick one can fill it again and again
while a slow one has not read its own outcomes: should the plugin actor end then, nobody else could tell them. Each
session says with its frames up to which number it knows all outcomes, so that few have to be kept: at most those for
which it still holds credit.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import attrs
import cbor2

from ..plugins.errors import JournalCorrupt, JournalFailed
from .journal import Journal
from .mailbox import Mailbox
from .results import KINDS, Result, decode_result, encode_result

# A journal is written anew when it has grown beyond this, in bytes, and most of it is not needed any more.
TIDY_BYTES = 1 << 20

Outcomes: TypeAlias = dict[int, Result]
"""By sequence number."""


@attrs.define(eq=False)
class _Laps:
    """The frames of one mailbox whose rows are there, in runs of one session each: end, session, last number."""

    start: int = 0
    runs: deque[tuple[int, int, int]] = attrs.field(factory=deque)


class OutcomeKeeper:
    """Of one plugin, for all its mailboxes; what is kept is in the file ``path``, which is made when it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._laps: dict[Mailbox, _Laps] = {}
        self._known: dict[int, int] = {}
        """Of each session that is there, up to which number it knows all outcomes."""
        self._kept: dict[int, Outcomes] = {}
        if path.exists():
            self._open()

    def _open(self) -> None:
        with contextlib.suppress(JournalFailed, JournalCorrupt):
            self._journal, payloads = Journal.open(self._path, durable=False)
            for payload in payloads:
                session, seq, kind, data = cbor2.loads(payload)
                self._kept.setdefault(session, {})[seq] = decode_result(kind, data)

    # Sessions.

    def join(self, session: int) -> None:
        """The session is there."""
        self._known.setdefault(session, 0)

    def leave(self, session: int) -> None:
        """Nobody will ask for its outcomes any more."""
        self._known.pop(session, None)
        if self._kept.pop(session, None):
            self._tidy()

    def forget_others(self) -> None:
        """Only those that have joined are there."""
        for session in self._kept.keys() - self._known.keys():
            del self._kept[session]

    def knows(self, session: int, until: int) -> None:
        """The session has all outcomes up to this number."""
        if until <= self._known.get(session, until):
            return
        self._known[session] = until
        kept = self._kept.get(session)
        if kept:
            for seq in [seq for seq in kept if seq <= until]:
                del kept[seq]
            self._tidy()

    def known_until(self, session: int) -> int:
        """Up to which number the session knows all outcomes, as far as it has said so."""
        return self._known.get(session, 0)

    def kept(self, session: int) -> list[tuple[int, Result]]:
        """What was kept aside for this session."""
        return sorted(self._kept.get(session, {}).items(), key=lambda outcome: outcome[0])

    # Mailboxes.

    def _laps_of(self, box: Mailbox) -> _Laps:
        """The first time, begin with the frames that the mailbox has already."""
        if box in self._laps:
            return self._laps[box]
        first = box.oldest_known
        laps = self._laps[box] = _Laps(first)
        for session, frames in groupby(box.origins(first, box.accepted - first), key=lambda origin: origin[0]):
            numbers = [seq for _, seq in frames]
            first += len(numbers)
            laps.runs.append((first, session, numbers[-1]))
        return laps

    def accepted(self, box: Mailbox, session: int, last: int) -> None:
        """The newest frames of a mailbox, behind `make_way`, are of this session, up to this number."""
        self._laps_of(box).runs.append((box.accepted, session, last))

    def make_way(self, box: Mailbox, count: int) -> None:
        """So many frames are about to be accepted: keep aside what would be lost with the rows that they take."""
        laps, limit = self._laps_of(box), min(box.accepted + count - box.capacity, box.finished)
        if laps.start >= limit:
            return
        lost: list[tuple[int, int, Result]] = []
        while laps.start < limit and laps.runs:
            end, session, last = laps.runs[0]
            stop = min(end, limit)
            if last > self._known.get(session, last):
                lost += self._unknown(box, laps.start, stop, session)
            laps.start = stop
            if stop == end:
                laps.runs.popleft()
        if lost:
            self._keep(lost)

    def close(self) -> None:
        """Let go of the file."""
        if self._journal is not None:
            self._journal.close()

    def _unknown(self, box: Mailbox, start: int, stop: int, session: int) -> Iterator[tuple[int, int, Result]]:
        known = self._known[session]
        for (_, seq), result in box.outcomes(start, stop - start):
            if seq > known:
                yield session, seq, result

    def _keep(self, outcomes: list[tuple[int, int, Result]]) -> None:
        for session, seq, result in outcomes:
            self._kept.setdefault(session, {})[seq] = result
        # Without a file they are lost with this process; that is no reason to end it.
        with contextlib.suppress(JournalFailed):
            if self._journal is None:
                self._journal = Journal.create(self._path, durable=False)
            self._journal.append(map(_payload, outcomes))

    def _tidy(self) -> None:
        if self._journal is not None and self._journal.size > TIDY_BYTES:
            left = [(session, seq, result) for session, kept in self._kept.items() for seq, result in kept.items()]
            with contextlib.suppress(JournalFailed):
                self._journal.rewrite(map(_payload, left))


def _payload(outcome: tuple[int, int, Result]) -> bytes:
    session, seq, result = outcome
    return cbor2.dumps((session, seq, KINDS[type(result)], encode_result(result)))
