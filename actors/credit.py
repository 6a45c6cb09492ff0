"""Leases of one plugin's mailbox room: who may send how many frames. The dispatcher's end, and a session's end.

A lease is a number of credits, spent or not; all leases together never exceed the capacity. Credits are neither lost
nor made: one is free, or in exactly one lease, from `Grant` until the session has returned it.

Rules of the ledger:

- A lone session gets the whole capacity when it attaches, each later one a fair share of it.
- A session that needs more wants more. Wants are served in order, and a session with a want left queues up again.
- While nobody waits, everybody keeps what it has. When someone waits below the fair share (the level up to which all
  demands can be met), that much is recalled from the largest leases above it.
- With more sessions demanding than credits, the share is one credit in turn: those who have held theirs longest give it
  back after use. A session must therefore spend a grant on what waits before it looks at the next directive, or
  reserve it (see `Lease.recall`).
- The lease of a detached session comes back when its outstanding frames, which still take room in the mailbox, are
  finished: by `CreditLedger.returned`, or all at once by `CreditLedger.drained`.
- A ledger that was lost is restored from its sessions: all credit is *unknown* at first, and each session that says how
  large its lease is takes that out of it. What is unknown is in nobody's lease and can't be lent. When every session
  that was there has said so or has gone, `CreditLedger.must_be_settled` is true: what is unknown then is free as soon
  as the frames that take room now are finished, which `CreditLedger.settled` tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs


@attrs.frozen
class Grant:
    """``session`` may send ``frames`` more."""

    session: int
    frames: int


@attrs.frozen
class Recall:
    """``session`` is to give back ``frames`` credits, unspent ones now and the rest as outcomes come in."""

    session: int
    frames: int


Directive: TypeAlias = Grant | Recall


@attrs.frozen
class CreditStatistics:
    """Credits of one plugin; ``capacity = leased + free + unknown``. ``waiting`` sessions want more."""

    capacity: int
    leased: int
    free: int
    sessions: int
    waiting: int
    unknown: int = 0


@attrs.define
class _Account:
    size: int = 0
    recalled: int = 0
    attached: bool = True

    @property
    def kept(self) -> int:
        """What remains when all that was recalled is back."""
        return self.size - self.recalled


class CreditLedger:
    """The dispatcher's account of all leases of one plugin. Every change returns the directives to send, in order."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._capacity = capacity
        # Both in order: of the last grant, and of the queue.
        self._accounts: dict[int, _Account] = {}
        self._wants: dict[int, int] = {}
        self._unknown = 0
        self._missing: set[int] = set()
        """Sessions that were there before, and have not said yet what their leases are."""

    @classmethod
    def restore(cls, capacity: int, sessions: Iterable[int]) -> CreditLedger:
        """Begin anew after the ledger was lost; ``sessions`` are there and will `rejoin`, or else are `detach`-ed."""
        ledger = cls(capacity)
        ledger._unknown = capacity
        ledger._missing.update(sessions)
        return ledger

    def rejoin(self, session: int, size: int, sends: bool = True) -> list[Directive]:
        """A session that was there before has this lease, spent or not. One that never was is left alone.

        Without any credit it wants its fair share, if it is going to send.
        """
        if session not in self._missing:
            return []
        self._missing.discard(session)
        size = max(0, min(size, self._unknown))
        self._unknown -= size
        self._accounts[session] = _Account(size)
        share = self._capacity // (len(self._attached()) + len(self._missing))
        return self._balance() if size or not sends else self.want(session, share)

    @property
    def must_be_settled(self) -> bool:
        """Whether nothing but frames of sessions that are gone can stand for the credit that is unknown."""
        return self._unknown > 0 and not self._missing

    def settled(self) -> list[Directive]:
        """All frames are finished that took room when `must_be_settled` became true: nothing is unknown any more."""
        self._unknown = 0
        return self._balance()

    def attach(self, session: int, sends: bool = True) -> list[Directive]:
        """Open a lease with the session's fair share, or an empty one if it is not going to send.

        Nothing happens if it is there already.
        """
        if session in self._accounts:
            return []
        self._accounts[session] = _Account()
        if not sends:
            return []
        return self.want(session, self._capacity // len(self._attached()))

    def want(self, session: int, frames: int) -> list[Directive]:
        """The session could use ``frames`` more than its lease; replaces what it wanted before (0: nothing any more).

        Nothing happens if it is not attached.
        """
        account = self._accounts.get(session)
        if account is None or not account.attached:
            return []
        if frames > 0:
            self._wants[session] = min(frames, self._capacity)
        else:
            self._wants.pop(session, None)
        return self._balance()

    def returned(self, session: int, frames: int) -> list[Directive]:
        """The session gave back ``frames`` credits, recalled or of its own accord; at most its lease is taken back."""
        account = self._accounts.get(session)
        if account is None:
            return []
        frames = max(0, min(frames, account.size))
        account.size -= frames
        account.recalled = max(0, account.recalled - frames)
        self._forget_if_done(session, account)
        return self._balance()

    def detach(self, session: int) -> list[Directive]:
        """The session is gone. Its lease stays taken until `returned` has brought it back, or `drained` is called."""
        # Those who wait may have waited for what it would say of its lease.
        self._missing.discard(session)
        account = self._accounts.get(session)
        if account is not None and account.attached:
            self._wants.pop(session, None)
            account.attached = False
            self._forget_if_done(session, account)
        return self._balance()

    def drained(self, session: int) -> list[Directive]:
        """No frame of a detached session is under way or in the mailbox any more: free its lease."""
        account = self._accounts.get(session)
        return [] if account is None or account.attached else self.returned(session, account.size)

    def lease(self, session: int) -> int:
        """The size of the session's lease, spent or not; 0 if it has none."""
        account = self._accounts.get(session)
        return 0 if account is None else account.size

    def statistics(self) -> CreditStatistics:
        """How the capacity is spread now."""
        leased = sum(account.size for account in self._accounts.values())
        sessions, waiting = len(self._attached()), len(self._wants)
        return CreditStatistics(self._capacity, leased, self._free(), sessions, waiting, self._unknown)

    def _free(self) -> int:
        return self._capacity - self._unknown - sum(account.size for account in self._accounts.values())

    def _attached(self) -> dict[int, _Account]:
        return {session: account for session, account in self._accounts.items() if account.attached}

    def _forget_if_done(self, session: int, account: _Account) -> None:
        if not account.attached and not account.size:
            del self._accounts[session]

    def _balance(self) -> list[Directive]:
        if not self._wants:
            return []
        attached = self._attached()
        gone = sum(account.size for account in self._accounts.values() if not account.attached)
        pool = self._capacity - self._unknown - gone
        share = _fair_level((account.kept + self._wants.get(session, 0) for session, account in attached.items()), pool)
        level = max(1, share)
        moves: list[Directive] = [*self._grant(level)]
        if self._missing:
            # What they have is not known, and so neither is who has too much.
            return moves
        shortage = self._entitled(level) - sum(account.recalled for account in attached.values())
        moves += self._recall(level, shortage, in_turn=share < 1)
        return moves

    def _grant(self, level: int) -> Iterable[Grant]:
        """Serve the queue from what is free: everyone up to the level, then what can't be divided one by one."""
        free = self._free()
        for to_level in (True, False):
            for session, want in list(self._wants.items()):
                account = self._accounts[session]
                frames = min(want, free, level - account.kept if to_level else 1)
                if frames > 0:
                    free -= frames
                    self._lend(session, account, frames, want - frames)
                    yield Grant(session, frames)

    def _lend(self, session: int, account: _Account, frames: int, still_wanted: int) -> None:
        account.size += frames
        self._accounts[session] = self._accounts.pop(session)
        del self._wants[session]
        if still_wanted:
            self._wants[session] = still_wanted

    def _entitled(self, level: int) -> int:
        """What those who wait miss to the level."""
        waiting = ((want, self._accounts[session].kept) for session, want in self._wants.items())
        return sum(max(0, min(want, level - kept)) for want, kept in waiting)

    def _recall(self, level: int, shortage: int, in_turn: bool) -> Iterable[Recall]:
        """Cut the largest leases until the shortage is covered; ``in_turn``: then single ones, longest held first."""
        attached = self._attached()
        height = _cut_height([account.kept for account in attached.values()], level, shortage)
        for floor in (height, 0) if in_turn else (height,):
            for session, account in attached.items():
                frames = min(account.kept - floor, shortage)
                if frames > 0:
                    shortage -= frames
                    account.recalled += frames
                    yield Recall(session, frames)


def _fair_level(demands: Iterable[int], pool: int) -> int:
    """The largest whole level such that all demands, cut to it, fit into the pool; the pool if they fit uncut."""
    ordered = sorted(demands)
    rest = pool
    for place, demand in enumerate(ordered):
        level = rest // (len(ordered) - place)
        if demand > level:
            return level
        rest -= demand
    return pool


def _cut_height(leases: list[int], level: int, shortage: int) -> int:
    """The largest height from ``level`` on such that leases cut to it free the shortage; the level if none does."""
    low, high = level, max(leases, default=level)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(max(0, lease - middle) for lease in leases) >= shortage:
            low = middle
        else:
            high = middle - 1
    return low


class Lease:
    """A session's end of its lease for one plugin: what it may still send, and what it owes.

    Besides credits it counts the header bytes that are outstanding, so that a lease can't take more than its share of
    the mailbox's ``capacity_bytes``; but one frame of up to ``max_frame`` bytes is always allowed. (Where this is used,
    shares may add up to more than ``capacity_bytes``, and the mailbox has the last word.)
    """

    __slots__ = (
        "_available",
        "_capacity",
        "_capacity_bytes",
        "_limit",
        "_max_frame",
        "_outstanding",
        "_outstanding_bytes",
        "_owed",
    )

    def __init__(self, capacity: int, capacity_bytes: int, max_frame: int) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._max_frame = max_frame
        self._available = 0
        self._outstanding = 0
        self._outstanding_bytes = 0
        self._owed = 0
        self._resized()

    def _resized(self) -> None:
        """The size has changed, and with it how many bytes may be outstanding."""
        self._limit = self.byte_limit(self._max_frame)

    @property
    def available(self) -> int:
        """Credits that can be spent."""
        return self._available

    @property
    def outstanding(self) -> int:
        """Credits spent on frames that are not settled."""
        return self._outstanding

    @property
    def outstanding_bytes(self) -> int:
        """Header bytes of the frames that are not settled."""
        return self._outstanding_bytes

    @property
    def owed(self) -> int:
        """How many credits are still to go back to the ledger."""
        return self._owed

    @property
    def size(self) -> int:
        """Credits in the lease, spent or not."""
        return self._available + self._outstanding

    def byte_limit(self, max_frame: int) -> int:
        """How many header bytes may be outstanding, if the largest frame takes ``max_frame``."""
        return max(max_frame, self._capacity_bytes * self.size // self._capacity)

    def grant(self, n: int) -> None:
        """Add ``n`` credits. Spend or reserve them for what waits before the next directive is handled."""
        self._available += n
        self._resized()

    def recall(self, n: int, reserved: int = 0) -> int:
        """Owe ``n`` credits more, at most all, and return how many to give back now; the rest follows as frames settle.

        ``reserved`` available credits are kept for frames that are about to be sent, so that a credit that goes round
        is not passed on unused; call with 0 credits when they are not needed any more. A session with nothing to send
        may call this unasked, for its available credits.
        """
        self._owed = min(self._owed + n, self.size)
        now = min(self._owed, max(0, self._available - reserved))
        self._owed -= now
        self._available -= now
        self._resized()
        return now

    def spend(self, n: int = 1, n_bytes: int = 0) -> bool:
        """Spend ``n`` credits on frames of ``n_bytes`` in all, and say whether there were enough of both."""
        n_bytes += self._outstanding_bytes
        if n > self._available or n_bytes > self._limit:
            return False
        self._available -= n
        self._outstanding += n
        self._outstanding_bytes = n_bytes
        return True

    def rejoin(self) -> int:
        """The ledger was lost: nothing is owed to the one that is to be restored, and this is the size to tell it."""
        self._owed = 0
        return self.size

    def settle(self, n: int = 1, n_bytes: int = 0) -> int:
        """``n`` frames of ``n_bytes`` in all were refused or are finished: return how many credits to give back now.

        ValueError for more than is outstanding.
        """
        if n > self._outstanding or n_bytes > self._outstanding_bytes:
            out = f"{self._outstanding} of {self._outstanding_bytes} bytes are outstanding"
            raise ValueError(f"{n} frames of {n_bytes} bytes settled, but {out}")
        now = min(n, self._owed)
        self._owed -= now
        self._outstanding -= n
        self._outstanding_bytes -= n_bytes
        self._available += n - now
        if now:
            self._resized()
        return now
