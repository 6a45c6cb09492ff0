"""The frames of a client that are under way: when they were due and sent, and what becomes of them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from nyx_plugins import DispatchTimeout, FateUnknown, NyxPluginError, OutcomeKind, Receipt

from .phase import Phase
from .recorder import Spans, Tally

clock = time.monotonic_ns


class _Sent(NamedTuple):
    """When a frame was due and was sent, and the others of its list."""

    due: int
    at: int
    others: Sequence[Receipt] = ()


class Underway:
    """Counts. Outcomes are stamped where they arrive, in the session's thread, and counted when there is time."""

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._in_lists = phase.mode == "closed"
        self._waits = phase.when_full == "wait" and phase.call != "request"
        self._frames: dict[Receipt, _Sent] = {}
        self._landings: deque[tuple[int, Receipt]] = deque()
        self._wanted = 0
        self._wake = threading.Event()
        self._outcome: defaultdict[str, Spans] = defaultdict(Spans)
        self._service: defaultdict[str, Spans] = defaultdict(Spans)
        self._counts: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._landed: Counter[int] = Counter()
        self._sent: Counter[int] = Counter()
        self._loss = ""
        self._size = 0
        self.frames = 0

    def __len__(self) -> int:
        return self._size

    # Sending.

    def add(self, entries: Sequence[Receipt | NyxPluginError], due: Sequence[int], sent: int) -> int:
        """Take note of frames that were sent; returns how many of them were refused at once."""
        self.frames += len(entries)
        self._sent[(sent - self._phase.begin) // self._phase.interval] += len(entries)
        receipts: list[Receipt] = []
        times: list[int] = []
        for entry, intended in zip(entries, due, strict=True):
            receipt = entry.receipt if isinstance(entry, DispatchTimeout | FateUnknown) else entry
            if isinstance(receipt, Receipt):
                receipts.append(receipt)
                times.append(intended)
            else:
                self._refused(intended, entry)
        refused = len(entries) - len(receipts)
        if receipts:
            self._under_way(receipts, times, sent)
        return refused

    def answered(self, sent: int, error: NyxPluginError | None) -> None:
        """Take note of a request that has come to its end."""
        now = clock()
        self.frames += 1
        self._sent[(sent - self._phase.begin) // self._phase.interval] += 1
        if error is None:
            self._count("processed", "", now, sent, sent)
        else:
            self._refused(sent, error)

    def _under_way(self, receipts: list[Receipt], due: list[int], sent: int) -> None:
        self._size += len(receipts)
        if self._in_lists:
            # All were due when they were sent, and the next list follows when the last of this one is done.
            self._watch(receipts.pop(), _Sent(due[0], sent, receipts))
            return
        for receipt, intended in zip(receipts, due, strict=True):
            self._watch(receipt, _Sent(intended, sent))

    def _watch(self, receipt: Receipt, sent: _Sent) -> None:
        self._frames[receipt] = sent
        receipt.tell(partial(self._news, receipt))
        if receipt.done:
            # It may have been before anybody could be told; counted twice it is not.
            self._landings.append((clock(), receipt))

    def _refused(self, due: int, error: object) -> None:
        if self._waits and isinstance(error, DispatchTimeout):
            # Whoever waits for room is not refused: time was up before there was any.
            self._counts["unsent"] += self._is_measured(due)
        elif self._is_measured(due):
            self._counts["refused"] += 1
            self._refusals[type(error).__name__] += 1

    # What comes back.

    def _news(self, receipt: Receipt) -> None:
        if receipt.done:
            self._landings.append((clock(), receipt))
            if self._wanted and len(self._landings) >= self._wanted:
                self._wanted = 0
                self._wake.set()

    def take(self) -> None:
        """Count the outcomes that there are."""
        landings, frames = self._landings, self._frames
        while landings:
            at, receipt = landings.popleft()
            if (sent := frames.pop(receipt, None)) is not None:
                self._land(receipt, at, sent)

    def wait(self, landings: int, timeout_s: float) -> None:
        """Wait until so many outcomes (of lists, in a closed loop) are there that are not counted yet."""
        self._wake.clear()
        self._wanted = landings
        if len(self._landings) < landings:
            self._wake.wait(timeout_s)
        self._wanted = 0

    def _land(self, receipt: Receipt, at: int, sent: _Sent) -> None:
        self._settle(receipt, at, sent.due, sent.at)
        if sent.others:
            self._land_list(sent.others, at, sent.due, sent.at)

    def _land_list(self, others: Sequence[Receipt], at: int, due: int, sent: int) -> None:
        processed: Counter[str] = Counter()
        group_of = self._phase.groups.get
        for other in others:
            if not other.done:
                # That of another plugin, or of another instance.
                self._watch(other, _Sent(due, sent))
            elif other.error is None and other.result().kind is OutcomeKind.PROCESSED:
                processed[group_of(other.plugin_id, "")] += 1
            else:
                self._settle(other, at, due, sent)
        self._size -= processed.total()
        for group, frames in processed.items():
            self._count("processed", group, at, due, sent, frames)

    def _settle(self, receipt: Receipt, at: int, due: int, sent: int) -> None:
        self._size -= 1
        if receipt.error is None:
            kind = receipt.result().kind
            group = self._phase.groups.get(receipt.plugin_id, "")
            self._count("processed" if kind is OutcomeKind.PROCESSED else str(kind), group, at, due, sent)
        elif receipt.accepted is not False:
            self._counts["lost"] += self._is_measured(due)
            self._loss = f"{type(receipt.error).__name__}: {receipt.error}"
        else:
            self._refused(due, receipt.error)

    def _count(self, kind: str, group: str, at: int, due: int, sent: int, frames: int = 1) -> None:
        phase = self._phase
        self._landed[(at - phase.begin) // phase.interval] += frames
        if phase.measured <= due < phase.end:
            self._counts[kind] += frames
            self._outcome[group].add((at - due) // 1000, frames)
            if due != sent:
                self._service[group].add((at - sent) // 1000, frames)

    def _is_measured(self, due: int) -> bool:
        return self._phase.measured <= due < self._phase.end

    # The end.

    def tally(self, unsent: int, cpu_s: float, until: int, error: str = "") -> Tally:
        """Return what was counted; what has no outcome by now is unfinished."""
        self.take()
        for receipt, sent in self._frames.items():
            if self._is_measured(sent.due):
                self._leave((receipt, *sent.others))
        self._counts["unsent"] += unsent
        outcome = {group: spans.encoded() for group, spans in self._outcome.items()}
        service = {group: spans.encoded() for group, spans in self._service.items()}
        return Tally(
            {**self._counts, "offered": self._counts.total()},
            dict(self._refusals),
            outcome,
            # In a closed loop both are the same.
            service or outcome,
            dict(self._landed),
            dict(self._sent),
            self.frames,
            cpu_s,
            until,
            error,
            self._loss,
        )

    def _leave(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._counts["unsent" if self._waits and not receipt.accepted else "unfinished"] += 1
