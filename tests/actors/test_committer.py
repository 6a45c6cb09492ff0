"""Commits: grouped, in order, answered once they are on the disk; what can't be written is refused, or tried again."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from nyx_plugins.actors.committer import AGAIN_S, Commit, Committer
from nyx_plugins.plugins.errors import JournalFailed

FULL = JournalFailed("a.journal", "No space left on device")


class Disk:
    """Remembers what was written; is full as long as it is told to be."""

    def __init__(self) -> None:
        self.writes: list[list[Any]] = []
        self.is_full = False

    def write(self, operations: Sequence[Any], accepted: Sequence[Any], settled: Sequence[Any]) -> None:
        """Take a write, or fail."""
        if self.is_full:
            raise FULL
        self.writes.append([*operations])


class Actor:
    """Waits for the committer's thread when it is asked to."""

    def __init__(self) -> None:
        self.alarms: list[tuple[object, float]] = []
        self._watchers: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, watcher: Callable[[int], None]) -> None:
        """Remember whom to tell."""
        self._watchers[fd] = watcher

    def unwatch(self, fd: int) -> None:
        """Forget."""
        del self._watchers[fd]

    def alarm(self, name: object, after_s: float) -> None:
        """Remember the alarm."""
        self.alarms.append((name, after_s))

    def wait(self) -> None:
        """Wait until something is ready, and tell."""
        ready, _, _ = select.select(list(self._watchers), [], [], 30.0)
        for fd in ready:
            self._watchers[fd](select.EPOLLIN)


@pytest.fixture
def disk() -> Disk:
    """Return a disk."""
    return Disk()


@pytest.fixture
def actor() -> Actor:
    """Return an actor."""
    return Actor()


@pytest.fixture
def said() -> list[str]:
    """Return what the committer says of trouble."""
    return []


@pytest.fixture
def committer(disk: Disk, actor: Actor, said: list[str]) -> Iterator[Committer]:
    """Return a committer with a thread."""
    made = Committer(disk.write, said.append, actor)
    yield made
    made.close()


def commit(name: str, told: list[Any], must: bool = False) -> Commit:
    """A commit that tells when it is done."""
    return Commit([[name]], lambda error: told.append((name, error)), must=must)


def test_what_gathers_is_written_together(committer: Committer, disk: Disk, actor: Actor) -> None:
    """The first goes at once; those that come meanwhile share one write, and are answered in order."""
    told: list[Any] = []
    for name in "abc":
        committer.add(commit(name, told))
    committer.add(Commit([], lambda error: told.append("behind")))
    assert not committer.is_idle
    while len(told) < 4:
        actor.wait()
    assert disk.writes == [[["a"]], [["b"], ["c"]]]
    assert told == [("a", None), ("b", None), ("c", None), "behind"]
    assert committer.is_idle


def test_what_needs_no_write_waits_for_nothing_but_its_turn(committer: Committer, disk: Disk) -> None:
    """With nothing under way it is done at once."""
    told: list[Any] = []
    committer.add(Commit([], told.append))
    assert (told, disk.writes) == ([None], [])


def test_a_full_disk(committer: Committer, disk: Disk, actor: Actor, said: list[str]) -> None:
    """What may be refused is; what must be written is tried again, before what comes later; it is said once."""
    told: list[Any] = []
    disk.is_full = True
    committer.add(commit("must", told, must=True))
    actor.wait()
    committer.add(commit("may", told))
    actor.wait()
    assert (told, disk.writes) == ([("may", FULL)], [])
    assert said == [f"no frame can be made durable: {FULL}"]
    assert actor.alarms == [("commit", AGAIN_S)] * 2
    disk.is_full = False
    committer.again()
    actor.wait()
    committer.add(commit("later", told))
    actor.wait()
    assert told == [("may", FULL), ("must", None), ("later", None)]
    disk.is_full = True
    committer.add(commit("again", told))
    actor.wait()
    assert len(said) == 2


def test_without_a_thread(disk: Disk, said: list[str]) -> None:
    """Where nothing can be watched, it is written on the spot."""
    told: list[Any] = []
    committer = Committer(disk.write, said.append, None)
    committer.add(commit("a", told))
    committer.add(commit("b", told))
    assert told == [("a", None), ("b", None)]
    committer.close()


def test_the_end_waits_for_nothing(committer: Committer, disk: Disk, actor: Actor) -> None:
    """After its end nothing is answered any more."""
    told: list[Any] = []
    committer.add(commit("a", told))
    committer.add(commit("b", told))
    committer.close()
    committer.close()
    assert told == []
