"""The chaos run itself: everything is started, troubled for a while, calmed down, drained, closed and judged."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from nyx_plugins import NyxPluginError, PluginSystem, Settings
from nyx_plugins.actors.processes import become_subreaper
from nyx_plugins.actors.service_file import Claim
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import PluginSettings, SupervisionSettings, SystemSettings
from nyx_plugins.load_tests.scratch import scratch

from . import plan
from .auditor import Auditor, totals_of
from .cast import CAST, GUEST, Part, make_bundles, settings_of
from .census import PLUGIN_ACTOR, ROLES, Census, descriptors
from .client import Client, Order, send_nothing_again
from .clients import GRACE_S, Clients
from .director import Director
from .killer import Killer
from .records import lines, turns, worker_files
from .remains import Before, remains
from .verdict import Diary, Evidence, Faults, Judge, Totals
from .witness import Witness

IDS = tuple(part.id for part in CAST)
EMBEDDED = 0
"""The number of the client inside this process."""
# A connection is made when there is something to say for the first time: one for each actor is none too many. A
# descriptor for each death would be hundreds.
FEW_DESCRIPTORS = len(CAST) + 3
SETTLE_S = 30.0
# How long it may take until all clients send; before that nobody is killed.
BEGIN_S = 60.0
# No shorter time is given to the last frames, in seconds: what was not waited for is no broken promise.
LEAST_DRAIN_S = 1.0
TOO_SHORT = "who was killed last has to come back, and what was not waited for would be called broken"
# How many plans for plugins are carried out at the same time, each for some of them.
DIRECTIONS = 3


@attrs.frozen
class Options:
    """What kind of run it is."""

    seed: int = 1
    seconds: float = 30.0
    clients: int = 3
    rate: float = 2000.0
    """Frames per second of each client."""
    roles: tuple[str, ...] = ROLES
    drain_s: float = 60.0
    sends_again: bool = True
    forges: bool = False


@attrs.frozen
class Report:
    """What came of it."""

    faults: Faults
    figures: Counter[str]
    kills: Counter[str]
    deeds: Counter[str]
    answers: int
    unanswered: int

    @property
    def passed(self) -> bool:
        """Whether everything was as promised."""
        return not self.faults


class Stage:
    """The folders of one run, and the system in them."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "h"
        self.service = self.home / "service"
        self.records, self.diaries, self.bundles = folder / "workers", folder / "clients", folder / "bundles"
        for path in (self.home, self.records, self.diaries, self.bundles):
            path.mkdir(mode=0o700)
        self.errors = folder / "errors"
        self.made = {part.id: make_bundles(part, self.bundles, self.records) for part in (*CAST, GUEST)}

    def settings(self) -> Settings:
        """Return settings with which nothing is given up, however often it is killed."""
        return Settings(
            system=SystemSettings(runtime_dir=str(self.home)),
            supervision=SupervisionSettings(max_restarts=1_000_000, backoff_initial_s=0.01, backoff_max_s=0.05),
            ceiling=Ceiling(write_paths=(str(self.records),)),
        )

    def plugin(self, part: Part) -> PluginSettings:
        """Say how a plugin is loaded."""
        return settings_of(part, self.made[part.id][0], self.records)

    def load(self, system: PluginSystem) -> None:
        """Load all plugins; raises what hinders one."""
        for result in system.load_many([self.plugin(part) for part in CAST]):
            if isinstance(result, NyxPluginError):
                raise result


class Run:
    """One run, from the first process to the verdict; once ``stop`` is set, there is no more trouble."""

    def __init__(self, options: Options, note: Callable[[str], None], stop: threading.Event | None = None) -> None:
        self._options, self._note, self._stop = options, note, stop or threading.Event()
        self._faults = Faults()
        self._totals: dict[int, Totals] = {}
        self._stop_embedded = threading.Event()

    def report(self) -> Report:
        """Do all of it."""
        become_subreaper()
        with scratch("nc-") as folder:
            stage, before = Stage(folder), Before.now()
            self._perform(stage)
            for left in remains(before, stage.home):
                self._faults.note("something is left", left)
            return self._judge(stage)

    def _perform(self, stage: Stage) -> None:
        with ExitStack() as stack:
            self._witness = stack.enter_context(Witness(self._faults))
            claim = stack.enter_context(_claimed(stage.service))
            system = PluginSystem(stage.settings())
            stack.callback(self._close, system)
            system.publish(claim)
            stage.load(system)
            self._census = Census(system.host_pid)
            self._clients = Clients(lambda number: self._order(number, stage), stage.errors)
            stack.callback(self._clients.abandon)
            if not self._options.sends_again:
                stack.callback(send_nothing_again())
            self._trouble(system, stage)

    def _trouble(self, system: PluginSystem, stage: Stage) -> None:
        options = self._options
        held = {role: descriptors(pid) for role, pid in self._census.lasting.items()}
        embedded = threading.Thread(target=self._embedded, args=(system, stage), daemon=True)
        with PluginSystem.connect(stage.service, streams=(), sends=False) as other:
            self._auditor = Auditor(other, IDS, self._faults)
            self._director = Director(system, self._faults, stage.plugin(GUEST), stage.made)
            self._killer = Killer(plan.strikes(options.seed, options.roles), self._census, self._clients)
            for _ in range(options.clients):
                self._clients.start()
            if not self._clients.await_all(BEGIN_S):
                self._faults.note("clients did not begin to send", f"within {BEGIN_S:g} s")
            for thread in (embedded, self._auditor, self._killer):
                thread.start()
            for first in range(DIRECTIONS):
                self._director.follow(plan.deeds(options.seed, list(self._director.kinds), IDS[first::DIRECTIONS]))
            self._wait(system)
            self._calm(system, embedded)
            self._auditor.end()
        self._look(system, held)

    def _embedded(self, system: PluginSystem, stage: Stage) -> None:
        try:
            Client(system, self._order(EMBEDDED, stage)).run(self._stop_embedded)
        except Exception as error:
            self._faults.note("the embedded client failed", repr(error))

    def _order(self, number: int, stage: Stage) -> Order:
        options = self._options
        return Order(
            number,
            options.seed,
            str(stage.service),
            str(stage.diaries / str(number)),
            (*IDS, GUEST.id),
            options.rate,
            options.drain_s,
            options.sends_again,
            options.forges and number == EMBEDDED,
        )

    def _wait(self, system: PluginSystem) -> None:
        end = time.monotonic() + self._options.seconds
        while (left := end - time.monotonic()) > 0 and system.stopped is None and not self._stop.is_set():
            self._stop.wait(min(left, 1.0))
        self._note(f"calming down; killed so far: {dict(self._killer.kills)}")
        if system.stopped is not None:
            self._faults.note("the system stopped", str(system.stopped))

    # The end.

    def _calm(self, system: PluginSystem, embedded: threading.Thread) -> None:
        self._killer.end()
        self._director.end()
        for error in (self._killer.error, self._director.error):
            if error is not None:
                self._faults.note("the run itself failed", repr(error))
        if system.stopped is None:
            self._director.calm(IDS)
        self._stop_embedded.set()
        for fault in self._clients.finish(self._options.drain_s):
            self._faults.note("a client failed", fault)
        embedded.join(self._options.drain_s + GRACE_S)

    def _look(self, system: PluginSystem, held: dict[str, list[str]]) -> None:
        """Take the last figures: of the plugins, and of the processes that last."""
        if system.stopped is not None:
            return
        deadline = time.monotonic() + self._options.drain_s
        for plugin in IDS:
            try:
                self._totals[plugin] = _final(system, plugin, deadline)
            except NyxPluginError as error:
                self._faults.note("a plugin does not tell its counters", f"plugin {plugin}: {error}")
        if len(actors := self._census.of(PLUGIN_ACTOR)) != len(IDS):
            self._faults.note("plugins and plugin actors are not one to one", str(actors))
        for role, before in held.items():
            for more in self._kept(role, before):
                self._faults.note("descriptors are kept", f"{role}: {more}")

    def _kept(self, role: str, before: list[str]) -> list[str]:
        """Return the descriptors of a process beyond those that it had; the last connections are let go of soon."""
        deadline = time.monotonic() + SETTLE_S
        while len(now := descriptors(self._census.lasting[role])) > len(before) + FEW_DESCRIPTORS:
            if time.monotonic() > deadline:
                return [link for link in now if link not in before]
            time.sleep(0.05)
        return []

    def _close(self, system: PluginSystem) -> None:
        report = system.close()
        if report.killed or report.left:
            self._faults.note("some had to be killed at the end", str(report))

    def _judge(self, stage: Stage) -> Report:
        self._witness.hear(_text(stage.errors))
        for line in filter(None, self._witness.lines):
            self._note(f"heard: {line}")
        judge = Judge(evidence := _evidence(stage, self._totals, self._director, self._clients))
        judge.faults.add(self._faults)
        judge.figures["clients"] = len(evidence.diaries)
        return Report(
            judge.faults,
            judge.figures,
            self._killer.kills,
            self._director.done,
            self._auditor.answers,
            self._auditor.unanswered,
        )


def _evidence(stage: Stage, totals: dict[int, Totals], director: Director, clients: Clients) -> Evidence:
    killed = {member.order.number for member in clients.everybody if member.killed}
    diaries = [
        Diary(int(path.name), lines(path.read_bytes()), int(path.name) in killed)
        for path in sorted(stage.diaries.iterdir())
    ]
    workers = {
        plugin: [turns(path.read_bytes()) for path in files] for plugin, files in worker_files(stage.records).items()
    }
    return Evidence((*CAST, GUEST), diaries, workers, totals, director.closed)


def _final(system: PluginSystem, plugin: int, deadline: float) -> Totals:
    """Return a plugin's counters once its mailbox is empty, or when time is up."""
    while True:
        totals = totals_of(system.plugin_stats(plugin))
        if not totals.in_mailbox or time.monotonic() > deadline:
            return totals
        time.sleep(0.05)


@contextmanager
def _claimed(path: Path) -> Iterator[Claim]:
    claim = Claim(path)
    try:
        yield claim
    finally:
        claim.release()
        (path / "service.lock").unlink()
        path.rmdir()


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
