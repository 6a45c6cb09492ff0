"""One plugin actor in a simulated world, and what it tells its supervisor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.actors import lane
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.plugin_actor import PluginActor
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy

from .door import kernel_of, start_actor
from .run import SETTINGS
from .truth import Truth
from .worker import Link
from .world import Process, World

MANIFEST = Manifest(id=1, name="p", version="1.0", api_version=1, entry_point="plugin:P")
STEPS = 1000


class Alone:
    """The actor, and what it has told its supervisor."""

    def __init__(self, world: World, folder: Path, instances: int) -> None:
        self.world = world
        self.told: list[Any] = []
        self._supervisor = world.start("supervisor", lambda message, _: self.told.append(message))
        self._process = start_actor(world, PluginActor, self._supervisor.pid)
        self.tell(
            m.StartPlugin(
                *(1, 1, MANIFEST, Policy(), str(folder), str(folder), "", 8, 1 << 16, {}),
                *(SETTINGS, self._supervisor.address, self._supervisor.address, (), self._supervisor.pid, False),
                instances=instances,
            )
        )

    def tell(self, message: Any) -> None:
        """Let it take a message now, before anything else happens."""
        self.world.run(self._process, lambda: self._process.take(message, self._supervisor.address))
        assert not self.world.crashes

    def scale(self, instances: int) -> None:
        """Ask it to have so many workers."""
        self.tell(m.ScalePlugin(1, self._supervisor.address, 1, instances))

    def until(self, done: Callable[[], bool]) -> None:
        """Let things happen until this is so."""
        for _ in range(STEPS):
            if done():
                return
            assert self.world.step()
        assert done()

    def heard(self, kind: type) -> int:
        """How often it has told this."""
        return sum(isinstance(message, kind) for message in self.told)

    @property
    def workers(self) -> list[Process]:
        """Those that live, oldest first."""
        return self.world.living("worker")


@contextmanager
def alone(folder: Path, instances: int) -> Iterator[Alone]:
    """Start a plugin actor, and wait until it is ready."""
    world = World(1)
    with kernel_of(world, {"WorkerLink": Link}):
        Link.world, Link.runs = world, Truth(world)
        actor = Alone(world, folder, instances)
        actor.until(lambda: actor.heard(m.PluginStarted) == 1)
        yield actor
        for process in list(world.processes.values()):
            world.kill(process)


def test_a_plugin_is_up_again_when_the_lane_that_crashed_is_not_needed_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is scaled down while the worker that came after the crash is not ready yet: nobody waits for that one."""
    monkeypatch.setattr(lane, "check_copy", lambda *_: None)
    with alone(tmp_path, instances=2) as actor:
        actor.world.kill(actor.workers[1])
        actor.until(lambda: len(actor.workers) == 2)
        assert actor.heard(m.PluginStarted) == 1
        actor.scale(1)
        actor.until(lambda: actor.heard(m.PluginStarted) == 2)
        assert len(actor.workers) == 1


def test_a_lane_that_is_needed_again_before_its_worker_has_stopped_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who scales up at once after scaling down is answered once all workers are there, and none is missing."""
    monkeypatch.setattr(lane, "check_copy", lambda *_: None)
    with alone(tmp_path, instances=2) as actor:
        stopping = actor.workers[1]
        actor.scale(1)
        actor.scale(2)
        actor.until(lambda: actor.heard(m.Reply) == 2)
        assert not stopping.alive
        assert len(actor.workers) == 2
