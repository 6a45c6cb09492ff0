"""The removal of what plugins leave: at once, or by a remover, which is there only while it is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.actors import messages as m
from nyx_plugins.actors import removal as module
from nyx_plugins.actors import remover
from nyx_plugins.actors._thespian import Address, no_address
from nyx_plugins.actors.removal import AT_ONCE, FOLDER, Removal
from nyx_plugins.actors.remover import Remover
from nyx_plugins.config.settings import Settings, SystemSettings

HOST_PID = 4711


class Root:
    """Stands for the supervisor."""

    def __init__(self, directory: Path, transport: str = "unix") -> None:
        settings = Settings(system=SystemSettings(transport=transport))
        self.boot = m.Boot(settings, str(directory), None, HOST_PID)
        self.created: list[Address] = []
        self.sent: list[m.RemoveAll] = []
        self.stopped: list[Address] = []

    def create(self, actor: type) -> Address:
        """Note that a remover is wanted."""
        assert actor is Remover
        self.created.append(object())
        return self.created[-1]

    def send(self, target: Address, message: m.RemoveAll) -> None:
        """Note it."""
        assert target is self.created[-1]
        self.sent.append(message)

    def stop_child(self, child: Address) -> None:
        """Note it."""
        self.stopped.append(child)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return what stands for a supervisor."""
    return Root(tmp_path)


@pytest.fixture
def removal(root: Root) -> Removal:
    """Return its removal."""
    return Removal(root)  # type: ignore[arg-type]  # no more of it is needed


def full(path: Path, files: int) -> Path:
    """Make a folder with so many files."""
    path.mkdir()
    for number in range(files):
        (path / str(number)).touch()
    return path


def test_what_is_small_is_removed_at_once(root: Root, removal: Removal, tmp_path: Path) -> None:
    """No remover is started for it, and none for what is not there."""
    removal.remove(full(tmp_path / "small", AT_ONCE))
    removal.remove(tmp_path / "missing")
    assert (list(tmp_path.iterdir()), root.created) == ([], [])


def test_a_large_file_is_not_small(root: Root, removal: Removal, tmp_path: Path) -> None:
    """The kernel may take as long for it as for many."""
    large = full(tmp_path / "large", 0)
    (large / "file").write_bytes(b"x" * (16384 * (AT_ONCE + 1)))
    removal.remove(large)
    assert len(root.created) == 1


def test_what_is_large_is_out_of_the_way_at_once(root: Root, removal: Removal, tmp_path: Path) -> None:
    """Its name is free when the call returns; one remover gets all of it, and ends when it has done the last."""
    for number in (1, 2):
        removal.remove(full(tmp_path / "large", AT_ONCE + 1))
        assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["1", "2"][:number]
        assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    assert root.sent == [m.RemoveAll(str(tmp_path / FOLDER), number, HOST_PID) for number in (1, 2)]
    removal.done(m.AllRemoved(1))
    assert root.stopped == []
    removal.done(m.AllRemoved(2))
    assert root.stopped == root.created


def test_a_remover_that_ends_has_a_successor(root: Root, removal: Removal, tmp_path: Path) -> None:
    """It gets the same folder, and with it what the one before has left."""
    removal.remove(full(tmp_path / "one", AT_ONCE + 1))
    assert not removal.remover_exited(object())
    assert removal.remover_exited(root.created[0])
    removal.remove(full(tmp_path / "two", AT_ONCE + 1))
    assert len(root.created) == 2


def test_another_file_system_is_no_obstacle(removal: Removal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be moved is removed where it is."""

    def refuse(path: Path, target: Path) -> None:
        raise OSError

    monkeypatch.setattr(module, "set_aside", refuse)
    removal.remove(full(tmp_path / "large", AT_ONCE + 1))
    assert not (tmp_path / "large").exists()


def test_where_there_are_no_processes_nothing_is_put_off(tmp_path: Path) -> None:
    """On the transport inline there is nobody to hold up but the caller."""
    root = Root(tmp_path, "inline")
    Removal(root).remove(full(tmp_path / "large", AT_ONCE + 1))  # type: ignore[arg-type]  # no more of it is needed
    assert (list(tmp_path.iterdir()), root.created) == ([], [])


class TriedRemover(Remover):
    """A remover without a transport."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[m.AllRemoved] = []
        self.due: list[Any] = []

    def send(self, target: Address, message: m.AllRemoved) -> None:
        """Note it."""
        self.told.append(message)

    def alarm(self, name: object, after_s: float) -> None:
        """Note it, for :meth:`run`."""
        self.due.append(name)

    def run(self) -> int:
        """Let all alarms come; returns how many."""
        count = 0
        while self.due:
            self.on_alarm(self.due.pop())
            count += 1
        return count


def test_a_remover_looks_up_in_between(tmp_path: Path) -> None:
    """It does some steps at a time, looks for what has come meanwhile, and tells once that it is done."""
    tried = TriedRemover()
    full(tmp_path / "1", 3 * remover._STEPS)
    tried.receive(m.RemoveAll(str(tmp_path), 1, os.getpid()), no_address())
    tried.on_alarm(tried.due.pop())
    full(tmp_path / "2", 1)
    tried.receive(m.RemoveAll(str(tmp_path), 2, os.getpid()), no_address())
    assert tried.run() >= 3
    assert (tried.told, list(tmp_path.iterdir())) == ([m.AllRemoved(2)], [])


def test_what_cant_be_removed_stays_and_holds_up_nothing(tmp_path: Path) -> None:
    """The rest goes, and the remover comes to an end."""
    tried = TriedRemover()
    (tmp_path / "1").touch()
    full(tmp_path / "2", 1)
    tried.receive(m.RemoveAll(str(tmp_path), 2, os.getpid()), no_address())
    tried.run()
    assert (tried.told, [path.name for path in tmp_path.iterdir()]) == ([m.AllRemoved(2)], ["1"])
