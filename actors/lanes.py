"""All lanes of a plugin actor: which frames go to which, and what they come to together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import attrs

from ..plugins.errors import MailboxFailed
from ..plugins.sdk import CONTROL_FRAME
from . import messages as m
from .balance import lane_of, runs
from .events import InstanceStats
from .frames import NewFrame, seqs_of
from .held import NOTHING_HELD, Held
from .home import Home
from .lane import Lane
from .lane_files import CONTROL, DATA, lanes_on_disk, read_assigned, write_assigned
from .latency import LatencyHistogram, total
from .mailbox import MailboxStatistics
from .outcome_keeper import OutcomeKeeper
from .results import Recalled
from .tray import Tray

Share = tuple[Tray | None, Sequence[NewFrame]]
"""Frames, and the tray that gets them; ``None`` where the disk has no room for it."""


class Intake(NamedTuple):
    """What became of frames that arrived: their sequence numbers."""

    known: list[int]
    """Accepted, now or before."""
    refused: list[int]
    """There was no room for them."""
    again: list[int]
    """Not newer than what was accepted of this session before: they were accepted, or refused and nobody said so."""


class Lanes:
    """The capacity is that of all mailboxes together, so that no lane has too little while there is room."""

    def __init__(self, home: Home, keeper: OutcomeKeeper) -> None:
        self._home = home
        self._plan = home.plan
        self.keeper = keeper
        self._directory = Path(home.plan.directory)
        self.assigned = read_assigned(self._directory)
        """Among how many lanes frames are spread; those after these are kept for their counters."""
        self.is_recovered = self.assigned > 0
        if not self.is_recovered:
            self.assigned = home.plan.instances
            write_assigned(self._directory, self.assigned)
        self._lanes: list[Lane] = []
        self.are_cramped = False
        """Whether the disk had no room for some of the frames that came last."""
        self._open(max(self.assigned, lanes_on_disk(self._directory)))

    def _open(self, count: int) -> None:
        for number in range(len(self._lanes), count):
            self._lanes.append(Lane(self._home, number))

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def __len__(self) -> int:
        return len(self._lanes)

    def __getitem__(self, number: int) -> Lane:
        return self._lanes[number]

    @property
    def active(self) -> list[Lane]:
        """Those that get frames."""
        return self._lanes[: self.assigned]

    @property
    def working(self) -> list[Lane]:
        """Those that need a worker: the active ones, and others as long as they hold frames."""
        return [lane for lane in self._lanes if self.is_needed(lane)]

    def is_needed(self, lane: Lane) -> bool:
        """Whether the lane has to have a worker."""
        return lane.number < self.assigned or lane.rack.depth > 0

    @property
    def is_ready(self) -> bool:
        """Whether every active lane has a worker that is ready."""
        return all(lane.is_ready and not lane.is_stopping for lane in self.active)

    @property
    def is_under_way(self) -> bool:
        """Whether any worker has frames in hand."""
        return any(lane.rack.is_under_way for lane in self._lanes)

    @property
    def are_quick(self) -> bool:
        """Whether all that is in the mailboxes will be done in a moment."""
        for lane in self._lanes:  # noqa: SIM110 - with each message: all() takes two calls more
            if not lane.is_quick:
                return False
        return True

    @property
    def depth(self) -> int:
        """Frames without outcome."""
        return sum(tray.box.depth for tray in self._trays())

    def pump(self) -> None:
        """Give the workers what they may have in hand."""
        for lane in self._lanes:
            lane.pump()

    def note_violations(self, count: int) -> None:
        """Count violations of permissions."""
        self._lanes[0].rack.data.box.note_violations(count)

    def _trays(self) -> list[Tray]:
        return [tray for lane in self._lanes for tray in lane.rack.trays]

    def spread(self, count: int) -> None:
        """Spread frames among so many lanes from now on. What any lane knows of a session, all know from now on.

        Raises :class:`MailboxFailed`; they are spread as before then.
        """
        try:
            self._open(count)
            self._share_knowledge()
            write_assigned(self._directory, count)
        except OSError as error:
            raise _failed(self._plan, error) from None
        self.assigned = count

    def _share_knowledge(self) -> None:
        for flag in sorted({flag for lane in self._lanes for flag in lane.rack.by_flag}):
            last: dict[int, int] = {}
            for lane in self._lanes:
                for session, seq in lane.rack.tray(flag).box.last_seqs().items():
                    last[session] = max(seq, last.get(session, 0))
            for lane in self._lanes:
                lane.rack.tray(flag).box.note_last_seqs(last)

    # Accepting.

    def accept(self, message: m.Enqueue) -> Intake:
        """Take what is not known yet, as far as there is room."""
        intake = Intake([], [], [])
        self.are_cramped = False
        shares = self._shares(message)
        for tray, frames in shares:
            if tray is None:
                intake.refused.extend(seqs_of(frames))
                continue
            fresh = self._fresh(tray, message.session, frames)
            room = self._take(tray, message.session, fresh, message.extras) if fresh else 0
            seqs, old = seqs_of(frames), len(frames) - len(fresh)
            intake.again.extend(seqs[:old])
            intake.known.extend(seqs[old : old + room])
            intake.refused.extend(seqs[old + room :])
        return intake if len(shares) == 1 else Intake(*map(sorted, intake))

    def _take(self, tray: Tray, session: int, frames: Sequence[NewFrame], extras: Mapping[int, m.Extra]) -> int:
        self.keeper.make_way(tray.box, len(frames))
        room = tray.accept(session, frames, extras, self._beside(tray))
        self.are_cramped |= tray.box.is_cramped
        if room:
            self.keeper.accepted(tray.box, session, seqs_of(frames)[room - 1])
        return room

    def check(self, message: m.Enqueue) -> Intake:
        """Tell the frames that were accepted before from those that were not; take none."""
        again: list[int] = []
        refused: list[int] = []
        for tray, frames in self._shares(message):
            seqs = seqs_of(frames)
            count = 0 if tray is None else len(frames) - len(self._fresh(tray, message.session, frames))
            again += seqs[:count]
            refused += seqs[count:]
        return Intake([], sorted(refused), sorted(again))

    @staticmethod
    def _fresh(tray: Tray, session: int, frames: Sequence[NewFrame]) -> Sequence[NewFrame]:
        last = tray.box.last_seq(session)
        return frames if seqs_of(frames)[0] > last else [frame for frame in frames if frame[0] > last]

    def _beside(self, tray: Tray) -> Held:
        if len(self._lanes) == 1 and len(self._lanes[0].rack.trays) == 1:
            return NOTHING_HELD
        held = self.held()
        return Held(held.frames - tray.box.depth, held.bytes - tray.box.bytes_held)

    def held(self) -> Held:
        """Frames and header bytes without outcome."""
        boxes = [tray.box for tray in self._trays()]
        return Held(sum(box.depth for box in boxes), sum(box.bytes_held for box in boxes))

    def _shares(self, message: m.Enqueue) -> list[Share]:
        """Which tray gets which frames, in their order; control frames have trays of their own."""
        frames = message.frames
        if CONTROL_FRAME not in frames.types:
            return self._spread(message, DATA, frames)
        control = [frame for frame in frames if frame[1] == CONTROL_FRAME]
        data = [frame for frame in frames if frame[1] != CONTROL_FRAME]
        return self._spread_control(message, control) + (self._spread(message, DATA, data) if data else [])

    def _spread_control(self, message: m.Enqueue, frames: Sequence[NewFrame]) -> list[Share]:
        """The first ones need mailboxes that are not there yet."""
        try:
            return self._spread(message, CONTROL, frames)
        except OSError:
            self.are_cramped = True
            return [(None, frames)]

    def _spread(self, message: m.Enqueue, flag: int, frames: Sequence[NewFrame]) -> list[Share]:
        if self.assigned == 1:
            return [(self._lanes[0].rack.tray(flag), frames)]
        if self._plan.balance == "least_loaded":
            return self._level(message.session, flag, frames)
        by_key, extras = self._plan.balance == "by_key", message.extras
        shares: dict[int, list[NewFrame]] = defaultdict(list)
        for frame in frames:
            key = extras[frame[0]].key if by_key and frame[0] in extras else None
            shares[lane_of(frame[0], key, self.assigned)].append(frame)
        return [(self._lanes[number].rack.tray(flag), share) for number, share in shares.items()]

    def _level(self, session: int, flag: int, frames: Sequence[NewFrame]) -> list[Share]:
        """What any lane knows goes to the one that knows the most; the rest in runs to those that are emptiest."""
        knowing = max((lane.rack.tray(flag) for lane in self._lanes), key=lambda tray: tray.box.last_seq(session))
        last = knowing.box.last_seq(session)
        count = sum(frame[0] <= last for frame in frames)
        shares: list[Share] = [(knowing, frames[:count])] if count else []
        for number, share in runs([lane.rack.depth for lane in self.active], len(frames) - count):
            shares.append((self._lanes[number].rack.tray(flag), frames[count : count + share]))
            count += share
        return shares

    def note_deliveries(self, session: int, counts: Mapping[int, int]) -> None:
        """Frames of a session, by sequence number, were in the hand of a worker that ended as often as this."""
        for box in (tray.box for tray in self._trays()):
            for index, (owner, seq) in enumerate(box.origins(box.finished, box.depth), box.finished):
                for _ in range(counts.get(seq, 0) if owner == session else 0):
                    box.note_delivery(index)

    # What they come to.

    def recall(self, session: int) -> Recalled:
        """What is known of a session's frames."""
        parts = [tray.box.recall(session) for tray in self._trays()]
        outcomes = dict(self.keeper.kept(session))
        outcomes.update(outcome for part in parts for outcome in part.finished)
        finished = sorted(outcomes.items(), key=lambda outcome: outcome[0])
        return Recalled(finished, sorted(seq for part in parts for seq in part.unfinished))

    def was_accepted(self, session: int, seq: int) -> bool:
        """Whether a frame is in a mailbox, or was."""
        known = self.recall(session)
        return seq in known.unfinished or any(seq == finished for finished, _ in known.finished)

    def accepted(self) -> Mapping[object, int]:
        """How many frames each mailbox has accepted."""
        return {id(tray): tray.box.accepted for tray in self._trays()}

    def finished(self) -> Mapping[object, int]:
        """How many frames of each mailbox have outcomes."""
        return {id(tray): tray.box.finished for tray in self._trays()}

    def statistics(self) -> MailboxStatistics:
        """All counters, summed; the peak is that of all together."""
        parts = [attrs.astuple(tray.box.statistics()) for tray in self._trays()]
        together = MailboxStatistics(*map(sum, zip(*parts, strict=True)))
        peak = max(tray.box.peak_depth for tray in self._trays())
        return attrs.evolve(together, peak=peak, capacity=self._plan.capacity, capacity_bytes=self._plan.capacity_bytes)

    def instances(self) -> tuple[InstanceStats, ...]:
        """What each active lane has done."""
        return tuple(map(_instance, self.active))

    def latency(self) -> LatencyHistogram:
        """How long all frames took."""
        return total([tray.latency.histogram() for tray in self._trays()])


def open_lanes(home: Home, keeper: OutcomeKeeper) -> Lanes:
    """Open the lanes as they were left, or make them; raises :class:`MailboxFailed` where their files can't be."""
    try:
        return Lanes(home, keeper)
    except OSError as error:
        raise _failed(home.plan, error) from None


def _failed(plan: m.StartPlugin, error: OSError) -> MailboxFailed:
    return MailboxFailed(plan.plugin_id, plan.directory, error.strerror or str(error))


def _instance(lane: Lane) -> InstanceStats:
    parts = [tray.box.statistics() for tray in lane.rack.trays]
    processed = sum(part.processed + part.failed for part in parts)
    pid = (lane.worker.pid or None) if lane.worker is not None else None
    return InstanceStats("ready" if lane.is_ready else "restarting", pid, lane.rack.depth, processed, lane.restarts)
