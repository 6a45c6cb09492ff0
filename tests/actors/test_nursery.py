"""The nursery as its supervisor sees it: started, started again, and given up."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors import messages as m
from nyx_plugins.actors import plans
from nyx_plugins.actors.events import Event, EventKind
from nyx_plugins.actors.nursery import Nursery, is_wanted
from nyx_plugins.actors.processes import children
from nyx_plugins.config.settings import Settings, SupervisionSettings, SystemSettings

WAIT_S = 60.0


class Root:
    """Stands for the supervisor."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        # Not this process: then there would be no processes at all.
        self.boot = m.Boot(settings, str(directory), None, os.getppid())
        self.events: list[Event] = []
        self.alarms: list[tuple[object, float]] = []
        self._watchers: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = 0) -> None:
        """Keep it for :meth:`turn`."""
        self._watchers[fd] = watcher

    def unwatch(self, fd: int) -> None:
        """Forget it."""
        del self._watchers[fd]

    def turn(self) -> None:
        """Wait until something is ready, and say so."""
        [fd, *_], _, _ = select.select(list(self._watchers), [], [], WAIT_S)
        self._watchers[fd](select.EPOLLIN)

    def alarm(self, name: object, after_s: float) -> None:
        """Note it."""
        self.alarms.append((name, after_s))

    def publish(self, *events: Event) -> None:
        """Note them."""
        self.events += events


@pytest.fixture
def root(short_folder: Callable[[], Path]) -> Iterator[Root]:
    """Return what stands for a supervisor that lets a nursery end once; its nursery is killed in the end."""
    before = set(children(os.getpid()))
    supervision = SupervisionSettings(max_restarts=1)
    found = Root(short_folder(), Settings(supervision=supervision))
    yield found
    assert set(children(os.getpid())) == before


def test_a_nursery_that_ends_is_started_again_and_then_given_up(root: Root) -> None:
    """Each decision is an event with its reason; who comes after the last one finds none, and does without."""
    nursery = Nursery(root)
    nursery.start()
    assert plans.nursery(root.boot) == f"{root.boot.runtime_dir}/nursery"
    os.kill(nursery.pid, signal.SIGKILL)
    root.turn()
    assert root.alarms == [(("nursery", 0), 0.0)]
    assert root.events == [Event(EventKind.ACTOR_ENDED, None, "the nursery ended: it is started again in 0 s")]
    nursery.start_again()
    assert root.events[1] == Event(EventKind.ACTOR_RESTARTED, None, "the nursery is started again")
    os.kill(nursery.pid, signal.SIGKILL)
    root.turn()
    assert root.events[2].reason == (
        "the nursery ended: restarted 1 times within 60 s, workers are exec'ed from now on"
    )
    assert plans.nursery(root.boot) == ""


def test_a_nursery_that_is_ended_stays_so(root: Root) -> None:
    """It is gone at once, and what was due for it comes to nothing."""
    nursery = Nursery(root)
    nursery.start()
    nursery.end()
    nursery.end()
    nursery.start_again()
    assert plans.nursery(root.boot) == ""
    assert root.events == []


def test_whoever_wants_none_gets_none() -> None:
    """The setting, and the transport without processes."""
    assert not is_wanted(Settings(system=SystemSettings(fresh_interpreter=True)))
    assert not is_wanted(Settings(system=SystemSettings(transport="inline")))


def test_where_the_jail_lacks_a_layer_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that may fork has to be its plugin actor's child, which finds what it leaves behind."""
    monkeypatch.setattr("nyx_plugins.actors.nursery.unavailable", lambda: {"seccomp": "for the test"})
    assert not is_wanted(Settings())
    monkeypatch.setattr("nyx_plugins.actors.nursery.unavailable", dict)
    assert is_wanted(Settings())
