"""A plugin's lanes in a world without processes, with workers that follow a script."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins.actors import lane as lane_module
from nyx_plugins.actors import messages as m
from nyx_plugins.actors import swapping as swapping_module
from nyx_plugins.actors.deaths import Cause, Death
from nyx_plugins.actors.lane import Lane
from nyx_plugins.actors.pace import Pace
from nyx_plugins.actors.retiring import Retiring
from nyx_plugins.actors.standing import Standing
from nyx_plugins.actors.swapping import Swapping, Switch
from nyx_plugins.actors.worker import Owner, WorkerPlan
from nyx_plugins.actors.workplace import Workplace
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import LimitSettings, Settings
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker.answers import Answer, Done, Ready, Restored, SnapshotDone, SnapshotPart, StateTaken

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

    def take_over(self) -> None:
        """Take the state, and be ready."""
        self.told.append("restored")
        self.say(StateTaken())
        self.say(Restored())

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
        self.deaths: list[Death] = []
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

    def hand_out(self, number: int, batch: Any, then: Callable[[], None]) -> None:
        """Nothing has to be noted before."""
        then()

    def bury(self, reason: str, frames: Any) -> None:
        """It does not matter."""

    def await_answers(self) -> None:
        """Nobody is asked."""

    is_on_disk = is_host_gone = False

    def suspect(self, tray: Any, count: int, then: Callable[[], None]) -> None:
        """It does not happen."""
        raise AssertionError(count)

    def after(self, then: Callable[[], None]) -> None:
        """It is."""
        then()

    def settled(self, outcomes: Any, then: Callable[[], None] | None = None) -> None:
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

    def lane_ready(self) -> None:
        """It does not matter."""

    def lane_failed(self, reason: str, error: Exception | None) -> None:
        """It does not happen."""
        raise AssertionError(reason)

    def lane_stopped(self, number: int, error: str | None) -> None:
        """It does not happen."""
        raise AssertionError(error)

    def lane_crashed(self, number: int, death: Death) -> None:
        """Start it again when the alarm comes."""
        self.deaths.append(death)
        lane = self.lanes[number]
        lane.restart(0.1)
        if self.swapping is not None:
            self.swapping.lane_crashed(lane, death)

    def lane_went_on(self) -> None:
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


def step(worker: Scripted, told: str, answer: Answer) -> None:
    """Say something once."""
    worker.told.append(told)
    worker.say(answer)
