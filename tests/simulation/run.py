"""One run: a system, a program of what is done to it, and the checks."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from nyx_plugins.actors import messages as m
from nyx_plugins.actors import questions
from nyx_plugins.actors.backlog import KeptFrame
from nyx_plugins.actors.dead_letter_info import DeadLetterContent
from nyx_plugins.actors.inheritance import FOLDER
from nyx_plugins.actors.inquiries import Inquiry
from nyx_plugins.actors.segments import Segments
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.supervisor import Supervisor
from nyx_plugins.config.settings import Durability, LimitSettings, PluginSettings, Settings, SystemSettings
from nyx_plugins.plugins.errors import AlreadyLoaded, PluginNotLoaded

from . import invariants
from .client import Asked, Client
from .disk import Crew
from .door import kernel_of, lose_what_is_not_synced, start_actor
from .program import Do, Op
from .truth import BY_KEY, DEPENDENT, IDEMPOTENT, MAX_DELIVERIES, Truth, watched
from .worker import PROVIDER, Link
from .world import Process, Violation, World

SETTLE_STEPS = 40_000
SETTLE_S = 120.0
PLUGINS = (1, 2, 3)
LOADS = 4
"""So often is a plugin loaded that is to finish what was left: workers may fail to start."""
SETTINGS = Settings(
    system=SystemSettings(require_enforcement="cooperative", state_dir="/state"),
    limits=LimitSettings(mailbox_bytes=1 << 16, max_reply_bytes=1 << 12, wall_time_s=1.0),
)


class Failure(AssertionError):
    """A run that broke a promise."""


class Run:
    """One system in one world."""

    def __init__(self, world: World, folder: Path, bundles: Path, durable: Collection[int]) -> None:
        self.world = world
        self.truth = Truth(world)
        self.clients: list[Client] = []
        self.bundles = bundles
        self.truth.durable = durable
        self.runtime_dir = self._folder = folder
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        self.letters: list[list[DeadLetterContent]] = []
        """Of each plugin, in the end."""
        self._booted = False
        self.changes = 0
        """How often somebody has asked to change a permission."""
        self.grants: dict[tuple[int, str], list[Asked]] = defaultdict(list)
        self.loads: dict[int, list[Asked]] = defaultdict(list)
        """All that were asked for."""
        self.mortal = ("worker", "plugin", "client", "loader", "registry", "guard", "dispatcher")
        self.host: Process
        self.supervisor: Process
        self._boot()

    def _boot(self) -> None:
        self._booted = False
        self.truth.systems += 1
        self.runtime_dir = self._folder / f"runtime-{self.truth.systems}"
        self.runtime_dir.mkdir()
        self.host = self.world.start("host", self._from_supervisor)
        self.supervisor = start_actor(self.world, Supervisor)
        boot = m.Boot(SETTINGS, str(self.runtime_dir), str(self.state_dir), os.getpid())
        self.world.post(self.host, self.supervisor.address, boot)

    def _from_supervisor(self, message: Any, sender: Any) -> None:
        match message:
            case m.Booted():
                self._booted = True
            case m.BootFailed():
                raise Violation(f"the system did not start: {message.reason}")

    # Steps.

    def steps(self, count: int, impatience: float = 0.0) -> None:
        """Let so many things happen, with the checks after each."""
        for _ in range(count):
            if not self.world.step(impatience):
                return
            invariants.check_step(self)

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Let things happen until it is done; a violation if that takes for ever."""
        deadline = self.world.now + SETTLE_S
        for _ in range(SETTLE_STEPS):
            if done():
                return
            if not self.world.step() or self.world.now > deadline:
                break
            invariants.check_step(self)
        if not done():
            raise Violation(f"it never comes that {what}: {self.describe()}")

    # The program.

    def begin(self) -> None:
        """Wait until the system is there, with its first client."""
        self.until(lambda: self._booted, "the system has started")
        client = self.join()
        self.until(lambda: client.usable, "the first client is attached")

    def reboot(self, machine: bool) -> None:
        """Kill everything at once, perhaps with the ``machine``, and start the next system on what is left."""
        everybody = list(self.world.processes.values())
        self.world.random.shuffle(everybody)
        for process in everybody:
            self.world.kill(process)
        if machine:
            lose_what_is_not_synced(self.world)
        self.truth.restarted()
        self.grants.clear()
        self.loads.clear()
        self._boot()
        self.begin()

    def perform(self, program: Sequence[Op], then: Callable[[Run], None]) -> None:
        """Boot, do everything, let it settle, unload, stop."""
        self.begin()
        for op in program:
            self.world.note(f"### {op}")
            Do[op.name](self, op)
            self.steps(op.steps, op.impatience)
        then(self)
        self.settle()
        invariants.check_settled(self)
        self.end()

    def join(self) -> Client:
        """Start another client."""
        client = Client(self.world, self.truth, len(self.clients), self.supervisor.address, SETTINGS)
        self.clients.append(client)
        return client

    def client(self, number: int) -> Client | None:
        """One of the clients that can do something."""
        usable = [client for client in self.clients if client.usable]
        return usable[number % len(usable)] if usable else None

    def plugin_settings(self, plugin_id: int, capacity: int, broken: bool) -> PluginSettings:
        """What is to be loaded."""
        config = {"broken": True} if broken else {}
        durability: Durability = "disk" if plugin_id in self.truth.durable else "memory"
        bundle = str(self.bundles / str(plugin_id))
        return PluginSettings(bundle, capacity=capacity, config=config, durability=durability)

    # The end.

    def settle(self) -> None:
        """Nothing is done to it any more: all that was asked for and sent comes to its end."""
        for process in self.world.processes.values():
            process.bomb, process.stalled = None, False
        self.until(lambda: self.is_whole, "all actors that it needs are there")
        manager = self.manager()
        # What somebody who has left had asked for is done first: a pause must not come after what ends all pauses.
        self.until(
            lambda: not any(c.open_questions for c in self.listening()) and not self.world.busy,
            "every question is answered",
        )
        self._load_what_is_left(manager)
        for plugin_id in PLUGINS:
            self._resume(manager, plugin_id)
        self.until(
            lambda: (
                not any(c.open_questions or c.open_frames for c in self.listening())
                and not self.world.busy
                and not self.has_work
            ),
            "every frame has its end",
        )
        listed = [manager.ask(questions.letters_behind(plugin_id, ())) for plugin_id in PLUGINS]
        self.until(lambda: not manager.open_questions and not self.world.busy, "dead letters are listed")
        self.letters = [asked.inquiry.result() for asked in listed if asked is not None and not self.stopped]

    def _load_what_is_left(self, manager: Client) -> None:
        """Give the frames that the last system has left somebody to finish them."""
        for plugin_id in [plugin_id for plugin_id in self.truth.durable if self.kept(plugin_id)]:
            settings = self.plugin_settings(plugin_id, capacity=8, broken=False)
            for _ in range(LOADS):
                asked = manager.ask(questions.load(SETTINGS, [settings]))
                self.until(lambda: not manager.open_questions, "what is left on the disk is loaded")
                if asked is None or self.stopped or isinstance(asked.inquiry.result()[0], AlreadyLoaded):
                    break

    def kept(self, plugin_id: int) -> list[KeptFrame]:
        """Return the frames of a plugin that are on the disk without an outcome."""
        folder = self.state_dir / FOLDER / str(plugin_id)
        return list(Segments(folder).read().frames.values()) if folder.is_dir() else []

    def _resume(self, manager: Client, plugin_id: int) -> None:
        """Let a plugin go on, as soon as it is there again."""

        def done(inquiry: Inquiry) -> None:
            if isinstance(inquiry._error, PluginNotLoaded) and inquiry._error.state in ("starting", "restarting"):
                self._resume(manager, plugin_id)

        manager.ask(questions.pause(SETTINGS, plugin_id, False), done)

    def listening(self) -> list[Client]:
        """The clients that wait for answers."""
        return [client for client in self.clients if client.lives]

    def manager(self) -> Client:
        """Somebody who can ask; a new client if there is none."""
        client = self.client(0)
        if client is None:
            client = self.join()
            self.until(lambda: client.usable or self.stopped, "a new client is attached")
        return client

    @property
    def has_work(self) -> bool:
        """Whether a plugin that works has frames without an outcome, also those of senders who are gone."""
        plugins = [] if self.stopped else self.supervisor.actor._roster.plugins.values()
        at_work = {plugin.life.directory for plugin in plugins if plugin.life.stage is Stage.READY}
        return any(ring.depth and os.path.dirname(path) in at_work for path, ring in self.truth.rings.items())

    @property
    def is_whole(self) -> bool:
        """Whether all essential actors are there, or the system has given up."""
        return self.stopped or all(self.world.living(role) for role in ("dispatcher", "registry", "guard"))

    @property
    def stopped(self) -> bool:
        """Whether the system has stopped of its own accord."""
        return bool(self.supervisor.actor._stopped)

    def end(self) -> None:
        """Unload everything: nothing is left. Then stop."""
        manager = self.manager()
        for plugin_id in PLUGINS:
            manager.ask(questions.unload(SETTINGS, plugin_id, 1.0))
        self.until(lambda: not manager.open_questions and not self.world.busy, "everything is unloaded")
        invariants.check_empty(self)
        stop = manager.ask(questions.stop(SETTINGS, 1.0))
        self.until(lambda: stop is None or stop.inquiry.done, "the system has stopped")

    def describe(self) -> str:
        """What has not come to its end, for whoever reads of a failure."""
        lines = []
        for client in self.listening():
            for asked in client.open_questions:
                lines.append(f"client {client.number} has no answer about {asked.ask.what}")
            for frame in client.open_frames:
                key = client.key(frame)
                entry = self.truth.accepted.get(key) if key else None
                really = "not accepted" if entry is None else f"accepted, {entry.outcome or 'unfinished'}"
                lines.append(f"client {client.number} waits for {key or 'room'}: {frame.receipt} (really: {really})")
        return "\n  ".join(lines[:8]) or "(nothing is open)"


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="nyxsim", dir=base))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_bundles(folder: Path) -> Path:
    """Write the bundles that runs load: workers are simulated, so that there is nothing in them."""
    for plugin_id, version in itertools.product(PLUGINS, ("", "b")):
        bundle = folder / f"{plugin_id}{version}"
        bundle.mkdir(parents=True)
        (bundle / "plugin.py").write_text(f"# {version}")
        (bundle / "plugin.toml").write_text(
            f'id = {plugin_id}\nname = "p{plugin_id}"\nversion = "1.{plugin_id}.{len(version)}"\napi_version = 1\n'
            'entry_point = "plugin:P"\npermissions = ["data_access", "control", "error_reporting", "inter_plugin"]\n'
            + (f"idempotent = true\nmax_deliveries = {MAX_DELIVERIES}\n" if plugin_id in IDEMPOTENT else "")
            + ('instances = 2\nbalance = "by_key"\n' if plugin_id in BY_KEY else "")
            + (f'[optional]\n{PROVIDER} = ">=1"\n' if plugin_id in DEPENDENT else "")
        )
    return folder


def run(
    seed: int,
    program: Sequence[Op],
    bundles: Path,
    trace: Callable[[str], None] | None = None,
    then: Callable[[Run], None] = lambda _: None,
    durable: Collection[int] = (),
) -> Run:
    """Perform a program under the schedule of this seed, and ``then`` this; raises :class:`Failure`.

    Frames of the plugins ``durable`` outlive the system.
    """
    with _folder() as folder:
        here = World(seed, trace)
        with kernel_of(here, {"WorkerLink": Link, "Crew": Crew, "LEAST_FRAMES": 2}):
            try:
                this = Run(here, folder, bundles, durable)
                Crew.world = Link.world = here
                Link.runs = this.truth
                with watched(this.truth):
                    this.perform(program, then)
            except Violation as violation:
                raise Failure(f"seed {seed}, after {here.steps} steps: {violation}") from None
            finally:
                _release(here)
        return this


def _release(world: World) -> None:
    world.current = None
    for process in list(world.processes.values()):
        process.bomb = None
        if process.alive:
            # What has been found is told; what a worker does last is of no interest any more.
            with contextlib.suppress(Violation):
                process.on_killed()
