"""A session's side of one plugin: its route, its lease of credit, the frames under way. Not thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from ..plugins.errors import MailboxFull
from ..plugins.negotiation import Agreement
from .credit import Lease
from .departures import Departures
from .frames import NewFrame
from .messages import Batch, Extra, Route
from .receipt import Receipt
from .results import Outcomes, parts_of
from .runs import Run
from .stretch import Stretch
from .stretches import LEAST_FRAMES, OutOfOrder, Stretches
from .waiting import WaitingLine


class Channel:
    """Lives as long as its session, whatever becomes of the plugin, so that sequence numbers never repeat."""

    def __init__(self, plugin_id: int, max_header_bytes: int) -> None:
        self.plugin_id = plugin_id
        self.route: Route | None = None
        self.wants_credit = False
        self.waiting = WaitingLine()
        """Who waits for room."""
        self.last_of_other_rules = 0
        """Frames up to this number were checked by other rules for handshakes than those of now."""
        self._max_header_bytes = max_header_bytes
        self._lease: Lease | None = None
        self._last_seq = 0
        self._sent_seq = 0
        """The last that was ever sent."""
        self._dispatched = 0
        self.is_awaited = False
        """Whether somebody waits for the acceptance of a frame that is not sent yet."""
        self._unsent = Departures()
        self._unaccepted: dict[int, NewFrame] = {}
        self._extras: dict[int, Extra] = {}
        self._receipts: dict[int, Receipt] = {}
        self._stretches = Stretches()
        """Frames under way that are not looked at one by one, and are in neither of the two above."""
        self._is_orderly = True
        """Whether what came back lately came in the order in which it was sent."""
        self._of_old_lease: set[int] = set()

    @property
    def outstanding(self) -> int:
        """How many frames have neither outcome nor refusal."""
        return len(self._receipts) + self._stretches.outstanding

    @property
    def unsent_count(self) -> int:
        """How many frames wait for their turn to be sent."""
        return len(self._unsent)

    # Routes and credit.

    def open(self, route: Route) -> None:
        """Take over a new or changed route; frames that an earlier incarnation may have lost are sent again."""
        if self._lease is None:
            self._lease = Lease(route.capacity, route.capacity_bytes, self._max_header_bytes)
        if self.route is not None and self.route.epoch != route.epoch:
            self._send_again()
        self.route = route

    def change_rules(self) -> None:
        """What comes from now on is checked by other rules for handshakes."""
        self.last_of_other_rules = self._last_seq

    def rejoin(self) -> int:
        """The dispatcher is another, and what the last one had is lost: return the size of the lease.

        All that is not accepted is sent again, in order and ahead of new frames.
        """
        self.wants_credit = False
        self._send_again()
        return 0 if self._lease is None else self._lease.rejoin()

    def _send_again(self) -> None:
        self.is_awaited = True
        self._loosen()
        # Frames for an earlier incarnation are not for the present one.
        self._unsent.replace(sent for seq, sent in self._unaccepted.items() if seq not in self._of_old_lease)

    def close(self) -> list[Receipt]:
        """The plugin is gone: return the receipts of frames that were never sent. All others are `in_doubt`."""
        self.route = self._lease = None
        self.wants_credit = False
        self._loosen()
        unsent = [self._receipts[seq] for seq in self._unsent.seqs() if seq > self._sent_seq]
        for receipt in unsent:
            self._end(receipt.seq)
        self._unsent.replace(())
        self._of_old_lease.update(self._receipts)
        return unsent

    def in_doubt(self, until: int | None = None) -> list[Receipt]:
        """Return the receipts of frames, up to this number, that were sent to a plugin that is gone, in order."""
        seqs = sorted(seq for seq in self._of_old_lease if until is None or seq <= until)
        return [self._receipts[seq] for seq in seqs]

    def grant(self, frames: int) -> None:
        """Credit has come."""
        self.wants_credit = False
        if self._lease is not None:
            self._lease.grant(frames)

    def recall(self, frames: int) -> int:
        """Return how much credit goes back now; the rest follows with the outcomes.

        What is waited for is kept: a credit that goes round must not be passed on unused.
        """
        return 0 if self._lease is None else self._lease.recall(frames, reserved=len(self.waiting))

    def let_go(self) -> int:
        """Return what goes back because nothing more will be sent: all that is not spent."""
        return 0 if self._lease is None else self._lease.recall(self._lease.available)

    # Sending.

    def offer(
        self,
        frame_type: int,
        header: bytes,
        changed: threading.Condition,
        extra: Extra | None = None,
        agreement: Agreement | None = None,
        data_length: int = 0,
    ) -> Receipt:
        """Spend a credit and queue the frame; raises :class:`MailboxFull` when there is none."""
        assert self._lease is not None
        size = len(header)
        if not self._lease.spend(1, size):
            raise self.full()
        seq = self._last_seq = self._last_seq + 1
        frame = (seq, frame_type, header, data_length)
        self._unsent.add(frame)
        self._unaccepted[seq] = frame
        if extra is not None:
            self._extras[seq] = extra
        receipt = self._receipts[seq] = Receipt(self.plugin_id, seq, size, changed, agreement)
        return receipt

    def offer_run(self, run: Run, changed: threading.Condition) -> Stretch | None:
        """Spend what credits there are on the first frames, and queue those; none if their bytes are too many."""
        assert self._lease is not None
        sizes = [len(header) for header in run.headers[: self._lease.available]]
        if not sizes or not self._lease.spend(len(sizes), sum(sizes)):
            return None
        first = self._last_seq + 1
        self._last_seq += len(sizes)
        self._extras.update((first + place, extra) for place, extra in run.extras.items() if place < len(sizes))
        stretch = Stretch(first, run, sizes, changed)
        self._unsent.add_stretch(stretch)
        self._is_orderly = self._is_orderly or not self.outstanding
        if len(sizes) >= LEAST_FRAMES and self._is_orderly:
            self._stretches.add(stretch)
        else:
            self._add_each(stretch)
        return stretch

    def _add_each(self, stretch: Stretch) -> None:
        """Look at each frame by itself."""
        for seq in range(stretch.settled_until, stretch.stop):
            self._receipts[seq] = stretch.receipt(seq)
        for frame in stretch.rows():
            self._unaccepted[frame[0]] = frame

    def _loosen(self) -> None:
        """Look at each frame by itself from now on."""
        if not self._stretches:
            return
        for stretch in self._stretches.take_all():
            self._add_each(stretch)
        # Frames that were sent one by one meanwhile are behind those before them.
        _sort(self._receipts)
        _sort(self._unaccepted)

    def missing_credit(self) -> int:
        """How much credit others hold that this session could use and has not asked for yet."""
        assert self.route is not None and self._lease is not None
        return 0 if self.wants_credit else self.route.capacity - self._lease.size

    def take(self, most: int) -> Batch:
        """Take up to ``most`` frames to send."""
        assert self.route is not None
        taken = self._unsent.take(most)
        if taken.seqs and taken.seqs[0] <= self._sent_seq:
            # What has been accepted since is not sent again.
            taken = taken.only(lambda seq: seq > self._sent_seq or seq in self._unaccepted)
        self._count_sent(taken.seqs)
        is_awaited, self.is_awaited = self.is_awaited, self.is_awaited and bool(self._unsent)
        extras = {seq: self._extras[seq] for seq in taken.seqs if seq in self._extras} if self._extras else {}
        return Batch(self.plugin_id, self.route.epoch, taken.frames(), extras, self.settled_until, is_awaited)

    @property
    def settled_until(self) -> int:
        """Up to which number every frame has come to its end."""
        first = next(iter(self._receipts), self._last_seq + 1)
        return min(first, self._stretches.first or first) - 1

    @property
    def sent_seq(self) -> int:
        """The last sequence number that was ever sent."""
        return self._sent_seq

    @property
    def dispatched(self) -> int:
        """How many frames were sent and have not been refused."""
        return self._dispatched

    def _count_sent(self, seqs: list[int]) -> None:
        if seqs and seqs[-1] > self._sent_seq:
            is_new = seqs[0] > self._sent_seq
            self._dispatched += len(seqs) if is_new else sum(1 for seq in seqs if seq > self._sent_seq)
            self._sent_seq = seqs[-1]

    def _count_refused(self, seq: int) -> None:
        self._dispatched -= seq <= self._sent_seq

    def full(self) -> MailboxFull:
        """Say what there is no room for."""
        assert self.route is not None and self._lease is not None
        lease, route = self._lease, self.route
        if lease.available > 0:
            return MailboxFull(self.plugin_id, lease.outstanding_bytes, route.capacity_bytes, "bytes")
        lent = lease.size if lease.size < route.capacity else None
        return MailboxFull(self.plugin_id, lease.outstanding, route.capacity, lent=lent)

    # What comes back.

    def accept(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Mark frames as accepted; returns how many were not yet."""
        count, pop, receipts = 0, self._unaccepted.pop, self._receipts
        for first, last in ranges:
            count += self._accept_stretches(first, last + 1)
            if not self._unaccepted:
                continue
            known = [seq for seq in range(first, last + 1) if pop(seq, None) is not None]
            for seq in known:
                receipts[seq]._accept()
            self._forget_extras(known)
            count += len(known)
        return count

    def settle(self, outcomes: Outcomes) -> tuple[list[Receipt], int]:
        """Record outcomes; returns the receipts of those that were not known yet, and the credit to give back."""
        settled: list[Receipt] = []
        owed = self._settle_stretches(outcomes)
        if not self._receipts:
            return settled, owed
        pop, pop_unaccepted = self._receipts.pop, self._unaccepted.pop
        for seq, result in outcomes:
            receipt = pop(seq, None)
            if receipt is not None:
                pop_unaccepted(seq, None)
                receipt._settle(result)
                settled.append(receipt)
        self._forget_extras(receipt.seq for receipt in settled)
        return settled, owed + self._return(settled)

    def _accept_stretches(self, start: int, stop: int) -> int:
        try:
            count = self._stretches.accept(start, stop)
        except OutOfOrder:
            self._disorder()
            return 0
        if count:
            self._forget_extras(range(start, stop))
        return count

    def _settle_stretches(self, outcomes: Outcomes) -> int:
        """Record the outcomes of frames that are not looked at one by one; returns the credit to give back."""
        if not self._stretches:
            return 0
        count = size = 0
        try:
            for start, results, has_replies in parts_of(outcomes):
                news = self._stretches.settle(start, results, has_replies)
                count, size = count + news[0], size + news[1]
                self._forget_extras(range(start, start + len(results)))
        except OutOfOrder:
            self._disorder()
        return 0 if self._lease is None or not count else self._lease.settle(count, size)

    def _disorder(self) -> None:
        self._is_orderly = False
        self._loosen()

    def refuse(self, seq: int, error: BaseException) -> int | None:
        """Record a refusal; returns the credit to give back, or ``None`` where the frame has come to another end.

        What was sent again may be refused by who does not know that it is accepted: that stands. What was sent to a
        plugin that is gone may be known to be accepted, too: not here, but by its last words.
        """
        self._loosen()
        if seq not in self._unaccepted or seq in self._of_old_lease:
            return None
        receipt = self._end(seq)
        assert receipt is not None
        self._count_refused(seq)
        receipt._refuse(error)
        return self._return([receipt])

    def abandon(self) -> Iterator[Receipt]:
        """Give up everything under way."""
        self._loosen()
        yield from self._receipts.values()
        self._receipts.clear()
        self._unaccepted.clear()
        self._extras.clear()
        self._unsent.replace(())
        self._of_old_lease.clear()

    def forget(self, receipt: Receipt) -> None:
        """Wait for this frame no longer."""
        self._loosen()
        if receipt.seq in self._unaccepted:
            self._count_refused(receipt.seq)
        self._end(receipt.seq)
        self._of_old_lease.discard(receipt.seq)

    @property
    def unaccepted(self) -> int:
        """How many frames wait for acceptance, sent or not."""
        return len(self._unaccepted) + self._stretches.unaccepted

    def _end(self, seq: int) -> Receipt | None:
        self._unaccepted.pop(seq, None)
        if self._extras:
            self._extras.pop(seq, None)
        return self._receipts.pop(seq, None)

    def _forget_extras(self, seqs: Iterable[int]) -> None:
        if self._extras:
            for seq in seqs:
                self._extras.pop(seq, None)

    def _return(self, ended: list[Receipt]) -> int:
        if self._of_old_lease:
            old = self._of_old_lease.intersection(receipt.seq for receipt in ended)
            self._of_old_lease -= old
            ended = [receipt for receipt in ended if receipt.seq not in old]
        if self._lease is None or not ended:
            return 0
        return self._lease.settle(len(ended), sum([receipt.size for receipt in ended]))


def _sort(by_seq: dict[int, Any]) -> None:
    items = sorted(by_seq.items())
    by_seq.clear()
    by_seq.update(items)
