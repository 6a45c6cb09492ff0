"""The frames of a client that are under way: when they were due and sent, and what becomes of them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from functools import partial

from nyx_plugins import DispatchTimeout, NyxPluginError, Receipt

from .phase import Phase
from .recorder import Spans, Tally

clock = time.monotonic_ns


class Underway:
    """Counts. Outcomes are stamped where they arrive, in the session's thread, and counted when there is time."""

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._frames: dict[Receipt, tuple[int, int]] = {}
        self._landings: deque[tuple[int, Receipt]] = deque()
        self._wanted = 0
        self._wake = threading.Event()
        self._outcome: dict[str, Spans] = defaultdict(Spans)
        self._service: dict[str, Spans] = defaultdict(Spans)
        self._counts: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._landed: Counter[int] = Counter()
        self._sent: Counter[int] = Counter()
        self.frames = 0

    def __len__(self) -> int:
        return len(self._frames)

    # Sending.

    def add(self, entries: Sequence[Receipt | NyxPluginError], due: Sequence[int], sent: int) -> int:
        """Take note of frames that were sent; returns how many of them were refused at once."""
        self.frames += len(entries)
        self._sent[(sent - self._phase.begin) // self._phase.interval] += len(entries)
        refused = 0
        for entry, intended in zip(entries, due, strict=True):
            receipt = entry.receipt if isinstance(entry, DispatchTimeout) else entry
            if isinstance(receipt, Receipt):
                self._watch(receipt, intended, sent)
            else:
                refused += 1
                self._refused(intended, entry)
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

    def _watch(self, receipt: Receipt, due: int, sent: int) -> None:
        self._frames[receipt] = due, sent
        receipt.tell(partial(self._news, receipt))
        if receipt.done:
            # It may have been before anybody could be told; counted twice it is not.
            self._landings.append((clock(), receipt))

    def _refused(self, due: int, error: object) -> None:
        if self._is_measured(due):
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
            if (times := frames.pop(receipt, None)) is not None:
                self._land(receipt, at, *times)

    def wait(self, landings: int, timeout_s: float) -> None:
        """Wait until so many outcomes are there that are not counted yet."""
        self._wake.clear()
        self._wanted = landings
        if len(self._landings) < landings:
            self._wake.wait(timeout_s)
        self._wanted = 0

    def _land(self, receipt: Receipt, at: int, due: int, sent: int) -> None:
        if receipt.error is None:
            group = self._phase.groups.get(receipt.plugin_id, "")
            self._count(receipt.result().kind.value, group, at, due, sent)
        elif receipt.accepted:
            self._counts["lost"] += self._is_measured(due)
        else:
            self._refused(due, receipt.error)

    def _count(self, kind: str, group: str, at: int, due: int, sent: int) -> None:
        self._landed[(at - self._phase.begin) // self._phase.interval] += 1
        if self._is_measured(due):
            self._counts[kind] += 1
            self._outcome[group].add((at - due) // 1000)
            self._service[group].add((at - sent) // 1000)

    def _is_measured(self, due: int) -> bool:
        return self._phase.measured <= due < self._phase.end

    # The end.

    def tally(self, unsent: int, cpu_s: float, until: int, error: str = "") -> Tally:
        """Return what was counted; what has no outcome by now is lost."""
        self.take()
        self._counts["lost"] += sum(self._is_measured(due) for due, _ in self._frames.values())
        self._counts["unsent"] += unsent
        return Tally(
            {**self._counts, "offered": self._counts.total()},
            dict(self._refusals),
            {group: spans.encoded() for group, spans in self._outcome.items()},
            {group: spans.encoded() for group, spans in self._service.items()},
            dict(self._landed),
            dict(self._sent),
            self.frames,
            cpu_s,
            until,
            error,
        )
