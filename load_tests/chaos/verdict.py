"""The proof: from what clients and workers wrote down, and the plugins' own counters, whether all promises were kept.

Pure. Every accepted frame has exactly one outcome; none but a suspect one is handled more than once, and a suspect one
no more often than its plugin allows; order holds; the counters say what the books say.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from .busy_plugin import RAISE
from .cast import Order, Part
from .fates import Fate, Fates
from .records import DATA, REPLY_LOST, WRONG_REPLY, Line, Told, Turn

MOST_EXAMPLES = 3
CAUSES = frozenset({"crash", "deadline", "unloaded", "failed plugin", "quarantined", "expired"})
"""Why a frame may be dead-lettered."""
SUSPECT = frozenset({"crash", "deadline"})


@attrs.frozen
class Diary:
    """What one client wrote down; ``killed`` if it did not get to its end."""

    client: int
    lines: Iterable[Line]
    killed: bool = False


@attrs.frozen
class Totals:
    """What a plugin's counters say at the end."""

    accepted: int
    processed: int
    failed: int
    dead_lettered: int
    in_mailbox: int

    @property
    def balanced(self) -> bool:
        """Whether each accepted frame is somewhere, and nowhere twice."""
        return self.accepted == self.processed + self.failed + self.dead_lettered + self.in_mailbox


@attrs.frozen
class Closed:
    """A time in which data frames for a plugin were not permitted: from one answer to the next question."""

    plugin: int
    from_ns: int
    to_ns: int


@attrs.frozen
class Evidence:
    """All that was written down, and the counters after everything was drained."""

    cast: Sequence[Part]
    diaries: Sequence[Diary]
    workers: Mapping[int, Sequence[Iterable[Turn]]]
    """Of each plugin, in the order in which they were started."""
    totals: Mapping[int, Totals]
    closed: Sequence[Closed] = ()


@attrs.define
class Faults:
    """What is wrong, by kind: how often, and a few examples."""

    counts: Counter[str] = attrs.field(factory=Counter)
    _examples: dict[str, list[str]] = attrs.field(factory=dict)

    def note(self, kind: str, where: str) -> None:
        """Add one."""
        self.counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(where)

    def add(self, other: Faults) -> None:
        """Add those of somebody else."""
        for kind, times in other.counts.items():
            self.counts[kind] += times
            self._examples[kind] = [*self._examples.get(kind, ()), *other._examples[kind]][:MOST_EXAMPLES]

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __iter__(self) -> Iterator[str]:
        for kind, times in self.counts.items():
            yield f"{kind}: {times:,} times, such as {'; '.join(self._examples[kind])}"


class Judge:
    """Reads the evidence once; then ``faults`` and ``figures`` say what was found."""

    def __init__(self, evidence: Evidence) -> None:
        self.faults = Faults()
        self.figures: Counter[str] = Counter()
        self._evidence = evidence
        self._fates: dict[tuple[int, int], Fates] = {}
        for diary in evidence.diaries:
            self._read_diary(diary)
        for part in evidence.cast:
            self._read_workers(part, evidence.workers.get(part.id, ()))
            self._judge(part)

    # Reading.

    def _read_diary(self, diary: Diary) -> None:
        for line in diary.lines:
            if line.told is Told.LEFT:
                continue
            where = f"plugin {line.plugin} client {diary.client} frame {line.number}"
            fates = self._fates.setdefault((line.plugin, diary.client), Fates(diary.killed))
            if line.told is Told.OFFERED:
                if not fates.offer(line):
                    self.faults.note("a client's numbers have gaps", where)
            elif line.number not in fates or not fates.tell(line):
                self.faults.note(f"a client was told {line.told.name} of a frame that was none, or had ended", where)
            elif line.told is not Told.REFUSED and self._was_closed(line, fates.offered_ns(line.number)):
                self.faults.note("accepted while its permission was revoked", where)

    def _was_closed(self, line: Line, offered_ns: int) -> bool:
        return line.rank == DATA and any(
            closed.plugin == line.plugin and closed.from_ns <= offered_ns and line.time_ns <= closed.to_ns
            for closed in self._evidence.closed
        )

    def _read_workers(self, part: Part, workers: Sequence[Iterable[Turn]]) -> None:
        orderly = Orderly(part)
        last: dict[int, Turn] = {}
        streams = [_numbered(number, turns) for number, turns in enumerate(workers)]
        for _, worker, turn in heapq.merge(*streams):
            where = f"plugin {part.id} client {turn.client} frame {turn.number} worker {worker}"
            fates = self._fates.get((part.id, turn.client))
            if fates is None or turn.number not in fates:
                self.faults.note("handled, and nobody has sent it", where)
                continue
            for fault in orderly.faults_of(worker, turn):
                self.faults.note(fault, where)
            (fates.begin if turn.begun else fates.end)(turn.number)
            last[worker] = turn
        for turn in last.values():
            self._fates[part.id, turn.client].be_last(turn.number)
        self.figures["workers"] += len(workers)

    # Judging.

    def _judge(self, part: Part) -> None:
        ledger = Ledger()
        for (plugin, client), fates in self._fates.items():
            if plugin == part.id:
                for number, fate in fates:
                    ledger.add(fate)
                    for fault in faults_of(fate, part):
                        self.faults.note(fault, f"plugin {plugin} client {client} frame {number}: {fate}")
        self.figures += ledger.figures
        if ledger.suspects > (workers := len(self._evidence.workers.get(part.id, ()))):
            self.faults.note("more suspects than workers", f"plugin {part.id}: {ledger.suspects:,} of {workers:,}")
        totals = self._evidence.totals.get(part.id)
        if not part.stays:
            return
        if totals is None:
            self.faults.note("a plugin's counters are not known", f"plugin {part.id}")
            return
        for fault in ledger.contradictions(totals):
            self.faults.note("the counters say something else than the books", f"plugin {part.id}: {fault}")


def _numbered(worker: int, turns: Iterable[Turn]) -> Iterator[tuple[int, int, Turn]]:
    for turn in turns:
        yield turn.time_ns, worker, turn


class Orderly:
    """Whether a plugin's workers took frames in order, one at a time."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._newest: dict[tuple[int, int, int], int] = {}
        self._under_way: dict[int, Turn] = {}
        self._worker = 0

    def faults_of(self, worker: int, turn: Turn) -> Iterator[str]:
        """Yield what is wrong with the next record."""
        if not self._part.spread and worker < self._worker:
            yield "two workers of one instance at the same time"
        self._worker = max(worker, self._worker)
        before = self._under_way.pop(worker, None)
        if turn.begun:
            self._under_way[worker] = turn
            yield from self._disorder(turn)
        if (before is not None) == turn.begun or (before and before[1:-1] != turn[1:-1]):
            yield "a worker does two frames at the same time, or ends what it has not begun"

    def _disorder(self, turn: Turn) -> Iterator[str]:
        order = self._part.order
        if order is Order.NONE:
            return
        line = (turn.client, turn.rank, turn.key if order is Order.KEY else 0)
        if turn.number < self._newest.get(line, 0):
            yield f"out of order ({order.value})"
        self._newest[line] = max(turn.number, self._newest.get(line, 0))


def faults_of(fate: Fate, part: Part) -> Iterator[str]:
    """Yield what is wrong with what became of one frame."""
    if fate.told is Told.REFUSED and fate.begun:
        yield "refused, and handled"
    if fate.told is Told.UNKNOWN or (fate.untold and not fate.killed):
        yield "no outcome"
    if fate.begun > part.deliveries:
        yield f"handled more than {part.deliveries}x"
    if fate.begun > 1 and fate.last < fate.begun - 1:
        yield "handled again without being suspect"
    if fate.told in (Told.PROCESSED, Told.FAILED):
        yield from _finished_badly(fate)
    if fate.told is Told.DEAD_LETTERED:
        yield from _buried_badly(fate, part)


def _finished_badly(fate: Fate) -> Iterator[str]:
    if not fate.ended:
        yield "an outcome, and not handled to its end"
    if fate.cause == WRONG_REPLY:
        yield "processed with the reply to another frame"
    # A worker that dies takes along what its handlers returned or raised: they have run, and that is all that is known.
    if fate.cause != REPLY_LOST and (fate.told is Told.FAILED) != (fate.wish == RAISE):
        yield "an outcome that is not what its handler did"


def _buried_badly(fate: Fate, part: Part) -> Iterator[str]:
    if fate.cause not in CAUSES:
        yield "dead-lettered for no known cause"
    if fate.begun and not fate.last:
        yield "dead-lettered, and its worker went on"
    elif fate.begun and fate.cause == "expired" and part.deliveries == 1:
        yield "dead-lettered as expired, and handled"


@attrs.define
class Ledger:
    """What the books say of one plugin; what killed clients did not hear leaves some of it open."""

    figures: Counter[str] = attrs.field(factory=Counter)
    accepted: int = 0
    finished: int = 0
    buried: int = 0
    maybe_accepted: int = 0
    """Offered by clients that were killed, and not seen since: accepted and buried, or never accepted."""
    maybe_buried: int = 0
    """Handled to their end, and then suspect because their worker got no further."""
    suspects: int = 0
    """Dead-lettered because a worker died over them: each worker can do so over one."""

    def add(self, fate: Fate) -> None:
        """Enter one frame."""
        self.figures["offered"] += 1
        self.figures["untold" if fate.untold else fate.told.name.lower()] += 1
        self.figures["handled again"] += max(0, fate.begun - 1)
        if fate.told in (Told.REFUSED, Told.DEAD_LETTERED):
            self.figures[f"{fate.told.name.lower()}: {fate.cause}"] += 1
        self.suspects += fate.told is Told.DEAD_LETTERED and fate.cause in SUSPECT
        if fate.accepted or fate.begun:
            self.accepted += 1
            self._enter_end(fate)
        elif fate.told is Told.OFFERED:
            self.maybe_accepted += 1

    def _enter_end(self, fate: Fate) -> None:
        if fate.told is Told.DEAD_LETTERED or (fate.untold and not fate.ended):
            self.buried += 1
        else:
            self.finished += 1
            self.maybe_buried += bool(fate.untold and fate.last)

    def contradictions(self, totals: Totals) -> Iterator[str]:
        """Yield what the plugin's counters say and can't be."""
        if not totals.balanced or totals.in_mailbox:
            yield f"{totals} after the end"
        yield from _outside("accepted", totals.accepted, self.accepted, self.accepted + self.maybe_accepted)
        finished = totals.processed + totals.failed
        yield from _outside("finished", finished, self.finished - self.maybe_buried, self.finished)
        most = self.buried + self.maybe_buried + self.maybe_accepted
        yield from _outside("dead-lettered", totals.dead_lettered, self.buried, most)


def _outside(what: str, found: int, least: int, most: int) -> Iterator[str]:
    if not least <= found <= most:
        expected = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        yield f"{found:,} {what}, where the books say {expected}"
