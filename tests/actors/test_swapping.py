"""A swap within a plugin actor, with workers that say what the test lets them say, in any order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nyx_plugins.actors import lane as lane_module
from nyx_plugins.actors import messages as m
from nyx_plugins.actors import swapping as swapping_module
from nyx_plugins.actors.deaths import Cause, Death
from nyx_plugins.actors.lane import Lane
from nyx_plugins.actors.mailbox import DeadLetter
from nyx_plugins.actors.pace import Pace
from nyx_plugins.actors.retiring import Retiring
from nyx_plugins.actors.standing import Standing
from nyx_plugins.actors.swapping import Swapping, Switch
from nyx_plugins.actors.worker_link import Owner, WorkerPlan
from nyx_plugins.actors.workplace import Workplace
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import LimitSettings, Settings
from nyx_plugins.plugins.errors import SwapFailed
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker.answers import (
    Answer,
    Done,
    Emit,
    Emitted,
    Ready,
    Restored,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    Stopped,
)
from nyx_plugins.plugins.worker.answers import (
    SwapFailed as WorkerSwapFailed,
)
from nyx_plugins.plugins.worker.protocol import ProtocolError

OLD = Manifest(id=7, name="p", version="1.0", api_version=1, entry_point="plugin:P")
NEW = attrs.evolve(OLD, version="2.0")
SESSION = 5
KILLED = Death(Cause.SIGNAL, "was killed")


class Scripted:
    """A worker: it notes what it is told, and says what it is made to say."""

    def __init__(self, world: World, owner: Owner) -> None:
        self.pid = 0
        self.owner = owner
        self.plan: WorkerPlan
        self.told: list[str] = []
        self.frames: list[int] = []
        self.given: tuple[int, bytes | None] | None = None
        self.answers_waiting = 0
        self.is_alive = True
        world.workers.append(self)

    @property
    def version(self) -> str:
        """Of the plugin."""
        return self.plan.bundle

    def start(self, plan: WorkerPlan) -> None:
        """Begin."""
        self.plan = plan
        self.told.append("start")

    def serve(self, owner: Owner) -> None:
        """Tell another owner."""
        self.owner = owner

    def send_batch(self, first_index: int, frames: Any) -> None:
        """Take frames."""
        self.frames += range(first_index, first_index + len(frames))

    def send_stop(self) -> None:
        """Note it."""
        self.told.append("stop")

    def send_snapshot(self) -> None:
        """Note it."""
        self.told.append("snapshot")

    def send_restore(self, version: int, state: bytes | None) -> None:
        """Note it."""
        self.told.append("restore")
        self.given = version, state

    def answer(self, request_id: int, answer: Any) -> None:
        """Nothing is asked here."""

    def mark(self) -> tuple[int, int]:
        """It has always started the first of its frames."""
        return (self.frames[0], 1) if self.frames else (0, 0)

    def exceeded(self) -> None:
        """Nothing is too much."""

    def halt(self) -> None:
        """Do nothing more."""

    def kill(self) -> None:
        """End."""
        self.is_alive = False

    # What the test lets it do.

    def say(self, answer: Answer) -> None:
        """Say something, as long as it lives."""
        assert self.is_alive
        self.owner.from_worker(answer)

    def finish_one(self) -> None:
        """Process the first of its frames."""
        self.say(Done(self.frames.pop(0), [self.version.encode()]))

    def give_state(self, state: bytes = b"state") -> None:
        """Answer the question for its state."""
        self.told.remove("snapshot")
        self.say(SnapshotPart(state))
        self.say(SnapshotDone(3))

    def crash(self) -> None:
        """Die."""
        self.is_alive = False
        self.owner.worker_gone(KILLED)


class World:
    """A plugin actor without messages: it is home to lanes, and the stage of a swap."""

    def __init__(self, folder: Path, lanes: int) -> None:
        self.plan = m.StartPlugin(
            *(1, 7, OLD, Policy(), str(folder), "old", "", 100, 100_000, {}),
            *(Settings(limits=LimitSettings(snapshot_bytes=10)), None, None, (), 0, False),
        )
        self.folder = folder
        self.workers: list[Scripted] = []
        self.alarms: set[object] = set()
        self.outcomes: list[tuple[int, Any]] = []
        self.said: list[Any] = []
        self.results: list[Switch | NyxPluginError] = []
        self.standing = Standing()
        self.standing.has_been_ready = True
        self.ledger = self.foreman = self
        self.swapping: Swapping | None = None
        self.retiring: Retiring | None = None
        self.accepted = 0
        self.sent: dict[int, list[int]] = {}
        """The sequence numbers of each lane's frames."""
        self.lanes = [_Lane(self, number) for number in range(lanes)]
        for lane in self.lanes:
            lane.start()
            lane.worker.say(Ready())

    # What lanes need.

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = 0) -> None:
        """Nothing is watched."""

    def unwatch(self, fd: int) -> None:
        """Nothing was."""

    def alarm(self, name: object, after_s: float) -> None:
        """Note it."""
        self.alarms.add(name)

    def cancel_alarm(self, name: object) -> None:
        """Forget it."""
        self.alarms.discard(name)

    def hand_out(self, lane: Lane, batch: Any, then: Callable[[], None]) -> None:
        """Nothing has to be noted before."""
        then()

    def bury(self, reason: str, frames: Any) -> None:
        """It does not matter."""

    def await_answers(self) -> None:
        """Nobody is asked."""

    def settled(self, outcomes: Any) -> None:
        """Keep the outcomes in their order."""
        self.outcomes += outcomes[SESSION]

    def worker_said(self, message: Any, worker: Any, policy: Policy | None = None) -> None:
        """Keep it."""
        self.said.append(message)

    def worker_output(self, line: str) -> None:
        """It does not matter."""

    worker_denied = worker_misbehaved = worker_output

    def note_death(self, death: Death) -> None:
        """It does not matter."""

    def worker_dropped(self, worker: Any) -> None:
        """It does not matter."""

    def lane_ready(self, lane: Lane) -> None:
        """It does not matter."""

    def lane_failed(self, reason: str, error: Exception | None) -> None:
        """It does not happen."""
        raise AssertionError(reason)

    def lane_stopped(self, lane: Lane, error: str | None) -> None:
        """It does not happen."""
        raise AssertionError(error)

    def lane_crashed(self, lane: Lane, death: Death) -> None:
        """Start it again when the alarm comes."""
        lane.restart(0.1)
        if self.swapping is not None:
            self.swapping.lane_crashed(lane, death)

    def lane_went_on(self, lane: Lane) -> None:
        """Let the swap go on."""
        if self.swapping is not None:
            self.swapping.advance()

    # What a swap needs.

    def begin(self) -> None:
        """Begin with a swap."""
        order = m.SwapPlugin(9, NEW, Policy(), "", "new", 1.0)
        self.swapping = Swapping(self, self, self.lanes, order)
        self.swapping.begin()

    def adopt(self, plan: m.StartPlugin) -> None:
        """Start workers with this plan from now on."""
        self.retiring = Retiring(self, self.plan.policy, lambda: None)
        self.plan = plan

    def swapped(self, switch: Switch) -> None:
        """Keep the result, and retire the old ones."""
        self.swapping = None
        self.results.append(switch)
        assert self.retiring is not None
        self.retiring.begin(switch.retired)

    def swap_failed(self, error: NyxPluginError) -> None:
        """Keep the result."""
        self.swapping = None
        self.results.append(error)

    # What the test asks.

    def accept(self, lane: Lane, count: int = 1) -> None:
        """Accept frames for a lane."""
        seqs = range(self.accepted + 1, self.accepted + count + 1)
        self.accepted += lane.rack.data.accept(SESSION, [(seq, 0x52, b"h", 0) for seq in seqs])
        self.sent.setdefault(lane.number, []).extend(seqs)
        lane.pump()

    @property
    def standing_by(self) -> list[Scripted]:
        """The new version's workers, until they are in their place."""
        return [] if self.swapping is None else self.swapping.workers  # type: ignore[return-value]  # all are scripted


class _Lane(Lane):
    worker: Any


class _Workplace(Workplace):
    def new_worker(self, owner: Owner, standby: bool = False) -> Scripted:
        if standby:
            self.standby_mark.touch()
        return Scripted(self._home, owner)  # type: ignore[arg-type]  # it is a World


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every copy of a bundle for what it was, and every worker for as fast as any other."""
    monkeypatch.setattr(Pace, "frames", 3)
    monkeypatch.setattr(lane_module, "Workplace", _Workplace)
    for module in (lane_module, swapping_module):
        monkeypatch.setattr(module, "check_copy", lambda *_: None)


@contextmanager
def a_world(lanes: int = 1) -> Iterator[World]:
    """Make a plugin with so many lanes."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), lanes)
        yield world
        for lane in world.lanes:
            lane.close()


def test_the_steps_of_a_swap() -> None:
    """Start beside the old one, finish what is in hand, move the state, switch, and only then give out frames."""
    with a_world() as world:
        [lane] = world.lanes
        old = lane.worker
        world.accept(lane, 2)
        world.begin()
        [new] = world.standing_by
        assert (new.plan.standby, new.told, old.frames) == (True, ["start"], [0, 1])
        new.say(Ready())
        world.accept(lane)
        assert (old.frames, old.told) == ([0, 1], ["start"])
        old.finish_one()
        old.finish_one()
        assert (old.told, new.told, old.frames) == (["start", "snapshot"], ["start"], [])
        old.give_state()
        assert new.given == (3, b"state")
        assert new.frames == []
        new.say(Restored())
        assert (lane.worker, new.frames, old.told) == (new, [2], ["start", "stop"])
        [switch] = world.results
        assert isinstance(switch, Switch)
        assert (switch.state_carried, switch.pause_s >= 0) == (True, True)
        old.say(Stopped(None))
        assert not old.is_alive
        new.finish_one()
        assert [result for _, result in world.outcomes] == [b"old/bundle", b"old/bundle", b"new/bundle"]


def test_all_lanes_switch_at_one_boundary() -> None:
    """Nobody's state is asked for before all have nothing in hand, and nobody gets frames before all are restored."""
    with a_world(lanes=2) as world:
        first, second = world.lanes
        old = [lane.worker for lane in world.lanes]
        world.accept(second)
        world.begin()
        new = world.standing_by
        for worker in new:
            worker.say(Ready())
        world.accept(first)
        assert [worker.told for worker in old] == [["start"]] * 2
        old[1].finish_one()
        for worker in old:
            worker.give_state()
        new[0].say(Restored())
        assert [worker.frames for worker in (*old, *new)] == [[], [], [], []]
        assert first.worker is old[0]
        new[1].say(Restored())
        assert ([first.worker, second.worker], new[0].frames) == (new, [0])


FAILURES: list[tuple[str, Callable[[World, Scripted, Scripted], None], str]] = [
    ("start", lambda world, old, new: new.say(StartFailed("ValueError", "no")), "ValueError: no"),
    ("start", lambda world, old, new: new.crash(), "was killed"),
    ("start", lambda world, old, new: world.swapping.on_alarm(), "was not ready within 1 s"),  # type: ignore[union-attr]
    ("snapshot", lambda world, old, new: old.say(WorkerSwapFailed("snapshot", "E", "t")), "E: t"),
    ("snapshot", lambda world, old, new: old.crash(), "was killed"),
    ("snapshot", lambda world, old, new: world.swapping.on_alarm(), "had not taken over"),  # type: ignore[union-attr]
    ("restore", lambda world, old, new: new.say(WorkerSwapFailed("restore", "E", "t")), "E: t"),
    ("restore", lambda world, old, new: new.crash(), "was killed"),
    ("restore", lambda world, old, new: world.swapping.abandon("it was unloaded"), "it was unloaded"),  # type: ignore[union-attr]
]


@pytest.mark.parametrize(("step", "fail", "reason"), FAILURES)
def test_a_failure_leaves_the_old_version(
    step: str, fail: Callable[[World, Scripted, Scripted], None], reason: str
) -> None:
    """Whatever fails, the new worker is gone with its mark, the old one goes on with what has come meanwhile."""
    with a_world() as world:
        [lane] = world.lanes
        old = lane.worker
        world.begin()
        [new] = world.standing_by
        if step != "start":
            new.say(Ready())
        if step == "restore":
            old.give_state()
        world.accept(lane)
        fail(world, old, new)
        [error] = world.results
        assert isinstance(error, SwapFailed)
        assert error.step == step
        assert reason in error.reason
        assert (new.is_alive, lane.is_held, swapping_module.ALARM in world.alarms) == (False, False, False)
        assert not (world.folder / "mark-0-standby").exists()
        if not old.is_alive:
            lane.on_alarm("restart")
            lane.worker.say(Ready())
        assert (lane.worker.plan.bundle, lane.worker.frames) == ("old/bundle", [0])


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    """State that comes after its swap was given up is let go; that of the next swap is the next."""
    with a_world() as world:
        old = world.lanes[0].worker
        world.begin()
        world.standing_by[0].say(Ready())
        assert world.swapping is not None
        world.swapping.on_alarm()
        world.begin()
        [new] = world.standing_by
        new.say(Ready())
        old.give_state(b"first")
        assert new.given is None
        old.give_state(b"second")
        assert new.given == (3, b"second")


@pytest.mark.parametrize(
    "answer", [SnapshotPart(b"x"), SnapshotDone(1), Restored(), WorkerSwapFailed("restore", "", "")]
)
def test_a_worker_that_was_not_asked_breaks_the_protocol(answer: Answer) -> None:
    """A worker that speaks of a swap when there is none, or the new one out of its turn, is ended by its link."""
    with a_world() as world:
        with pytest.raises(ProtocolError):
            world.lanes[0].worker.say(answer)
        world.begin()
        [new] = world.standing_by
        with pytest.raises(ProtocolError):
            new.say(answer)


@pytest.mark.parametrize(
    "answers", [[SnapshotPart(b"x" * 6)] * 2, [SnapshotDone(1)], [SnapshotPart(b"x"), SnapshotDone(None)]]
)
def test_a_state_has_a_size_and_a_version(answers: list[Answer]) -> None:
    """More state than the limit, none with a version, or some without, breaks the protocol."""
    with a_world() as world:
        old = world.lanes[0].worker
        world.begin()
        world.standing_by[0].say(Ready())
        for answer in answers[:-1]:
            old.say(answer)
        with pytest.raises(ProtocolError):
            old.say(answers[-1])


def test_what_a_new_version_emits_is_held_back() -> None:
    """It goes out after the switch; too much of it ends the swap."""
    emit = Emit((Emitted(0x52, 0, b"x"),))
    with a_world() as world:
        world.begin()
        [new] = world.standing_by
        new.say(emit)
        new.say(Ready())
        world.lanes[0].worker.give_state()
        assert world.said == []
        new.say(Restored())
        assert world.said == [emit]
        world.begin()
        world.standing_by[0].say(Emit((Emitted(0x52, 0, b"x" * (1 << 20 | 1)),)))
        assert isinstance(world.results[-1], SwapFailed)


# In any order.


def moves(world: World) -> list[Callable[[], None]]:
    """Everything that could happen next; what brings things on more often than what ends them."""
    found = [lambda lane=lane: world.accept(lane) for lane in world.lanes if world.accepted < 40]
    if world.swapping is None and (world.retiring is None or not world.retiring.workers):
        found += [world.begin] * 3
    for worker in [worker for worker in world.workers if worker.is_alive]:
        found += good_moves(worker) * 4
    found += [lambda lane=lane: fire(world, lane) for lane in world.lanes if ("restart", lane.number) in world.alarms]
    return found or [lambda: None]


def bad_moves(world: World) -> list[Callable[[], None]]:
    """What could go wrong next."""
    alive = [worker for worker in world.workers if worker.is_alive]
    found = [worker.crash for worker in alive]
    found += [lambda worker=worker: step(worker, "failed", FAILED) for worker in alive if worker.told[-1] == "restore"]
    return [*found, lambda: pause(world), *([world.swapping.on_alarm] if world.swapping is not None else [])]


FAILED = WorkerSwapFailed("restore", "E", "t")


def good_moves(worker: Scripted) -> list[Callable[[], None]]:
    """What this worker is expected to do next."""
    if worker.frames:
        return [worker.finish_one]
    match worker.told[-1]:
        case "start":
            return [lambda: step(worker, "ready", Ready())]
        case "snapshot":
            return [worker.give_state]
        case "restore":
            return [lambda: step(worker, "restored", Restored())]
        case "stop":
            return [lambda: step(worker, "stopped", Stopped(None))]
    return []


def step(worker: Scripted, told: str, answer: Answer) -> None:
    """Say something once."""
    worker.told.append(told)
    worker.say(answer)


def fire(world: World, lane: Lane) -> None:
    """Let the backoff of a lane be over."""
    world.alarms.discard(("restart", lane.number))
    lane.on_alarm("restart")


def pause(world: World) -> None:
    """Pause the plugin, or let it go on."""
    world.standing.is_paused = not world.standing.is_paused
    for lane in world.lanes:
        lane.pump()


def check(world: World) -> None:
    """No frame is in two hands, and a lane gives frames to its own worker only."""
    hands = [(worker, index) for worker in world.workers if worker.is_alive for index in worker.frames]
    for lane in world.lanes:
        mine = [index for worker, index in hands if worker is lane.worker]
        assert len(mine) == len(set(mine))
    assert all(any(worker is lane.worker for lane in world.lanes) for worker, _ in hands)
    versions = {lane.worker.plan.bundle for lane in world.lanes if lane.worker is not None}
    assert len(versions) <= 1


@settings(max_examples=80, deadline=None)
@given(lanes=st.integers(1, 3), data=st.data())
def test_whatever_happens_no_frame_is_lost_doubled_or_reordered(lanes: int, data: st.DataObject) -> None:
    """In any order of answers, deaths, alarms and pauses, each frame has one outcome, in order; no worker is left."""
    with a_world(lanes) as world:
        for _ in range(data.draw(st.integers(1, 80))):
            goes_wrong = data.draw(st.integers(0, 11)) == 11
            data.draw(st.sampled_from((bad_moves if goes_wrong else moves)(world)))()
            check(world)
        wind_up(world)
        seqs = [seq for seq, _ in world.outcomes]
        assert sorted(seqs) == list(range(1, world.accepted + 1))
        results = {result for _, result in world.outcomes if not isinstance(result, DeadLetter)}
        assert results <= {b"old/bundle", b"new/bundle"}
        for mine in world.sent.values():
            assert [seq for seq in seqs if seq in mine] == mine
        assert {id(worker) for worker in world.workers if worker.is_alive} == {id(lane.worker) for lane in world.lanes}
        assert list(world.folder.glob("*standby")) == []


def wind_up(world: World) -> None:
    """Let all that has begun come to its end."""
    if world.swapping is not None:
        world.swapping.abandon("it is over")
    if world.retiring is not None:
        world.retiring.end()
    world.standing.is_paused = False
    for lane in world.lanes:
        if ("restart", lane.number) in world.alarms:
            fire(world, lane)
        if not lane.is_ready:
            lane.worker.say(Ready())
        lane.pump()
        while lane.worker.frames:
            lane.worker.finish_one()
