"""All lanes of a plugin: every frame is accepted once, wherever it goes, however their number changes."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nyx_plugins.actors import messages as m
from nyx_plugins.actors.balance import lane_of
from nyx_plugins.actors.frames import Frames
from nyx_plugins.actors.home import Home
from nyx_plugins.actors.lanes import Lanes
from nyx_plugins.actors.outcome_keeper import OutcomeKeeper
from nyx_plugins.actors.ring_file import Ring
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy

CAPACITY = 12
MANIFEST = Manifest(id=1, name="a", version="1.0.0", api_version=1, entry_point="a:A")
SESSIONS = st.integers(1, 3)


@attrs.define
class Actor:
    """As much of a plugin actor as lanes need that have no worker."""

    plan: m.StartPlugin

    def cancel_alarm(self, name: object) -> None:
        """No alarm is ever set."""


def plan(directory: str, instances: int, balance: str) -> m.StartPlugin:
    """Return what a plugin actor is told."""
    return m.StartPlugin(
        load_id=1,
        plugin_id=1,
        manifest=MANIFEST,
        policy=Policy(),
        directory=directory,
        bundle_directory=directory,
        digest="",
        capacity=CAPACITY,
        capacity_bytes=10_000,
        config={},
        settings=Settings(),
        guard=None,
        dispatcher=None,
        sessions=(),
        host_pid=0,
        paused=False,
        instances=instances,
        balance=balance,
    )


class Spreading(RuleBasedStateMachine):
    """Frames of three sessions are sent, and sent again; some are finished; lanes and actors come and go."""

    @initialize(instances=st.integers(1, 4), balance=st.sampled_from(["round_robin", "least_loaded", "by_key"]))
    def begin(self, instances: int, balance: str) -> None:
        """Start."""
        self.directory = tempfile.mkdtemp()
        self.balance = balance
        self.plan = plan(self.directory, instances, balance)
        self.lanes = self._open(instances)
        self.sent = {1: 0, 2: 0, 3: 0}
        self.extras: dict[tuple[int, int], m.Extra] = {}
        self.types: dict[tuple[int, int], int] = {}
        self.accepted: set[tuple[int, int]] = set()
        self.refused: set[tuple[int, int]] = set()

    def _open(self, instances: int) -> Lanes:
        home = cast("Home", Actor(attrs.evolve(self.plan, instances=instances)))
        return Lanes(home, OutcomeKeeper(Path(self.directory, "outcomes")))

    def _send(self, session: int, seqs: list[int]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        frames = tuple((seq, self.types[session, seq], b"h%d" % seq, 1) for seq in seqs)
        extras = {seq: self.extras[session, seq] for seq in seqs if (session, seq) in self.extras}
        known, refused, again = self.lanes.accept(m.Enqueue(session, Frames.of(frames), extras))
        assert sorted(known + refused + again) == seqs
        assert (known, again) == (sorted(known), sorted(again))
        return {(session, seq) for seq in known + again}, {(session, seq) for seq in refused}

    @rule(
        session=SESSIONS, data=st.lists(st.tuples(st.sampled_from([0x51, 0x52, 0x53]), st.integers(-1, 3)), min_size=1)
    )
    def send(self, session: int, data: list[tuple[int, int]]) -> None:
        """New frames, of any type and key: those that find room are accepted."""
        first = self.sent[session] + 1
        self.sent[session] += len(data)
        for seq, (kind, key) in enumerate(data, first):
            self.types[session, seq] = kind
            if key >= 0:
                self.extras[session, seq] = m.Extra(key=key)
        room = CAPACITY - self.lanes.depth
        known, refused = self._send(session, list(range(first, first + len(data))))
        assert len(known) == min(room, len(data))
        self.accepted |= known
        self.refused |= refused

    @precondition(lambda self: any(seq for _, seq in self.accepted))
    @rule(data=st.data(), count=st.integers(1, 5))
    def send_again(self, data: st.DataObject, count: int) -> None:
        """What was accepted is known, and not accepted again."""
        session, seq = data.draw(st.sampled_from(sorted(self.accepted)))
        seqs = sorted(other for owner, other in self.accepted if owner == session and other >= seq)[:count]
        before = self.lanes.statistics().accepted
        known, refused = self._send(session, seqs)
        assert (known, refused) == ({(session, seq) for seq in seqs}, set())
        assert self.lanes.statistics().accepted == before

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Some lane's worker has done some of its frames."""
        lane = data.draw(st.sampled_from(range(len(self.lanes))))
        for tray in self.lanes[lane].rack.trays:
            tray.finish([None] * data.draw(st.integers(0, tray.box.depth)))

    @rule(count=st.integers(1, 5))
    def scale(self, count: int) -> None:
        """Frames are spread among another number of lanes; by key, only when all are empty."""
        if self.balance == "by_key":
            for lane in self.lanes:
                for tray in lane.rack.trays:
                    tray.finish([None] * tray.box.depth)
        self.lanes.spread(count)
        assert len(self.lanes.active) == count

    @rule(instances=st.integers(1, 4))
    def take_over(self, instances: int) -> None:
        """Another plugin actor goes on with what is there, whatever it was told to have."""
        before = (self.lanes.statistics(), self.lanes.assigned)
        self._close()
        self.lanes = self._open(instances)
        assert (self.lanes.statistics(), self.lanes.assigned) == before
        assert self.lanes.is_recovered

    @invariant()
    def every_frame_is_in_one_lane(self) -> None:
        """All that was accepted, nothing twice, and never more than there is room for."""
        stats = self.lanes.statistics()
        assert stats.accepted == len(self.accepted)
        assert stats.in_mailbox == self.lanes.depth <= CAPACITY
        assert stats.peak <= CAPACITY

    @invariant()
    def keys_have_lanes_of_their_own(self) -> None:
        """By key, the unfinished frames of a key, of one class, are all in one lane, and in order."""
        if self.balance != "by_key":
            return
        where: dict[Any, set[int]] = {}
        for lane in self.lanes:
            for tray in lane.rack.trays:
                origins = tray.box.origins(tray.box.finished, tray.box.depth)
                for session in (1, 2, 3):
                    seqs = [seq for owner, seq in origins if owner == session]
                    assert seqs == sorted(seqs)
                for origin in origins:
                    if origin in self.extras:
                        where.setdefault(self.extras[origin].key, set()).add(lane.number)
        assert all(len(lanes) == 1 for lanes in where.values())

    def _close(self) -> None:
        for lane in self.lanes:
            lane.close()
        self.lanes.keeper.close()

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "lanes"):
            self._close()
            shutil.rmtree(self.directory)


Spreading.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestSpreading = Spreading.TestCase


def test_a_full_disk_is_the_reason_only_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one lane had no room for on the disk says nothing of frames that another has no room for later."""
    home = cast("Home", Actor(plan(str(tmp_path), 2, "by_key")))
    lanes = Lanes(home, OutcomeKeeper(tmp_path / "outcomes"))
    key_of = {lane_of(1, key, 2): key for key in range(16)}
    seqs = itertools.count(1)

    def send(lane: int, header_bytes: int) -> bool:
        seq = next(seqs)
        frames = Frames.of(((seq, 0x52, bytes(header_bytes), 1),))
        intake = lanes.accept(m.Enqueue(1, frames, {seq: m.Extra(key=key_of[lane])}))
        return intake.known == [seq]

    with monkeypatch.context() as full:
        full.setattr(Ring, "reserve", lambda ring, position, length: False)
        assert not send(0, 9_000) and lanes.are_cramped
    assert send(1, 9_000) and not lanes.are_cramped
    for lane in (0, 1):
        assert not send(lane, 2_000) and not lanes.are_cramped
    for lane in lanes:
        lane.close()
    lanes.keeper.close()
