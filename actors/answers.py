"""What a plugin actor owes the sessions: acceptances and outcomes, in messages of which only so many are under way.

Thespian keeps what a receiver does not take, and when that is much it does little else. A session that does not keep
up therefore gets its answers later and many at a time; how many there can be, its credit limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from . import messages as m
from ._thespian import Address
from .results import NoReplies, Outcomes, Result

ANSWERS = "answers"
WINDOW = 64
# So many messages are confirmed together: where an answer is one message, this costs little.
CONFIRMED_TOGETHER = 16
MESSAGE_OUTCOMES = 1024

Ranges = tuple[tuple[int, int], ...]


@attrs.define(eq=False)
class _Line:
    """One session: what waits for it, and the messages that it has not confirmed."""

    address: Address
    ranges: list[tuple[int, int]] = attrs.field(factory=list)
    outcomes: list[tuple[int, Result]] = attrs.field(factory=list)
    silent: NoReplies | None = None
    """Frames that have outcomes before all of these, none of which has a reply."""
    sent: int = 0
    under_way: int = 0
    to_confirm: int = 0
    """How many of its messages ask for a confirmation that has not come."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.ranges or self.silent or self.outcomes)

    def add(self, outcomes: Outcomes) -> None:
        """Put outcomes behind those that wait."""
        joined = joined_silence(self.silent, outcomes) if not self.outcomes else None
        if joined is None:
            self.outcomes += outcomes
        else:
            self.silent = joined

    def next_outcomes(self) -> Outcomes:
        """Take as many as go with one message."""
        if self.silent is not None:
            taken, self.silent = self.silent, None
            return taken
        some, self.outcomes = self.outcomes[:MESSAGE_OUTCOMES], self.outcomes[MESSAGE_OUTCOMES:]
        return tuple(some)


class Answers:
    """Of one plugin, to every session that is there."""

    def __init__(self, plugin_id: int, source: Address, send: Callable[[Address, Any], None]) -> None:
        self._plugin_id = plugin_id
        self._source = source
        self._send = send
        self._lines: dict[int, _Line] = {}
        self.is_timed = False
        """Whether :meth:`release` is going to be called."""

    def join(self, session: int, address: Address) -> bool:
        """Answer this session from now on; returns whether it is new."""
        is_new = session not in self._lines
        self._lines.setdefault(session, _Line(address))
        return is_new

    def leave(self, session: int) -> None:
        """Nobody waits there any more."""
        self._lines.pop(session, None)

    def accepted(self, session: int, seqs: Sequence[int], at_once: bool = True) -> None:
        """These frames are in the mailbox; who is not told at once is with the next outcomes, or by :meth:`release`."""
        line = self._lines.get(session)
        if seqs and line is not None:
            line.ranges += ranges_of(seqs)
            if at_once:
                self._flush(line, WINDOW)

    @property
    def are_held(self) -> bool:
        """Whether acceptances wait that could be told."""
        for line in self._lines.values():  # noqa: SIM110 - with each message: any() takes two calls more
            if line.ranges and line.under_way < WINDOW:
                return True
        return False

    def release(self) -> None:
        """Tell the acceptances that have waited for outcomes."""
        self.is_timed = False
        for line in self._lines.values():
            self._flush(line, WINDOW)

    def settled(self, session: int, outcomes: Outcomes) -> None:
        """These frames have their outcomes."""
        line = self._lines.get(session)
        if outcomes and line is not None:
            line.add(outcomes)
            self._flush(line, WINDOW)

    def acknowledge(self, session: int) -> None:
        """The session has read another ``CONFIRMED_TOGETHER`` messages."""
        line = self._lines.get(session)
        if line is not None:
            line.under_way = max(0, line.under_way - CONFIRMED_TOGETHER)
            line.to_confirm = max(0, line.to_confirm - 1)
            self._flush(line, WINDOW)

    def send_all(self) -> None:
        """Send what waits, however much is under way, and ask for a confirmation of the last of it."""
        for line in self._lines.values():
            self._flush(line, window=None)
            if line.sent % CONFIRMED_TOGETHER:
                line.sent += CONFIRMED_TOGETHER - line.sent % CONFIRMED_TOGETHER - 1
                self._post(line, m.Settled, ())

    @property
    def sessions(self) -> list[int]:
        """All that are answered."""
        return list(self._lines)

    @property
    def unconfirmed(self) -> list[int]:
        """The sessions that have not read all that they were asked to confirm."""
        return [session for session, line in self._lines.items() if line.to_confirm]

    def _flush(self, line: _Line, window: int | None) -> None:
        while not line.is_empty and (window is None or line.under_way < window):
            ranges, line.ranges = tuple(line.ranges), []
            if outcomes := line.next_outcomes():
                self._post(line, m.Settled, outcomes, ranges)
            else:
                self._post(line, m.Accepted, ranges)

    def _post(self, line: _Line, kind: type[m.Accepted | m.Settled], *what: Any) -> None:
        line.sent += 1
        line.under_way += 1
        confirm_to = None if line.sent % CONFIRMED_TOGETHER else self._source
        line.to_confirm += confirm_to is not None
        self._send(line.address, kind(self._plugin_id, what[0], confirm_to, *what[1:]))


def joined_silence(before: NoReplies | None, outcomes: Outcomes) -> NoReplies | None:
    """Put outcomes behind others without replies, if they have none either and follow in number; else ``None``."""
    if not isinstance(outcomes, NoReplies):
        return None
    if before is None:
        return outcomes
    return NoReplies(before.seqs.start, outcomes.seqs.stop) if outcomes.seqs.start == before.seqs.stop else None


def ranges_of(seqs: Sequence[int]) -> Ranges:
    """Write ascending sequence numbers as (first, last) ranges."""
    if seqs[-1] - seqs[0] == len(seqs) - 1:
        return ((seqs[0], seqs[-1]),)
    ranges: list[tuple[int, int]] = []
    for seq in seqs:
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return tuple(ranges)
