"""The registry by itself, told what the other actors tell it, in orders that running systems seldom meet."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginNotRegistered, RegistryFailed
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.registrations import Registrations
from nyx_plugins.actors.registry import Registry

ROW = m.Registration(7, "geo", "1.4", "ab", "ready", frozenset({"control"}), frozenset({"control"}))


class Probe(Registry):
    """Keeps what it would send."""

    def __init__(
        self, path: Path, restarted: bool = False, loaded: tuple[tuple[int, m.Registration], ...] = ()
    ) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any]] = []
        self.alarms: list[object] = []
        self.tell(m.StartRegistry(str(path), "dispatcher", os.getpid(), restarted, loaded))
        self.sent.clear()

    def send(self, address: str, message: Any) -> None:
        """Send nothing."""
        self.sent.append((address, message))

    def alarm(self, name: object, after_s: float) -> None:
        """Wait for nothing."""
        self.alarms.append(name)

    def tell(self, message: Any) -> None:
        """Receive a message."""
        self.receive(message, "supervisor")

    def told(self, kind: type) -> list[Any]:
        """List what was sent, of one kind."""
        return [message for _, message in self.sent if isinstance(message, kind)]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Probe]:
    """Return a registry that knows one plugin."""
    probe = Probe(tmp_path / "registry.sqlite")
    probe.tell(m.Register(1, ROW))
    probe.sent.clear()
    yield probe
    probe.on_exit()


def test_what_a_swap_asks_again_after_the_end_of_its_plugin_changes_nothing(registry: Probe) -> None:
    """The one that was asked first may have ended before it did: the next one is asked for the end first."""
    registry.tell(m.Unregister(1, 7))
    registry.tell(m.ReplaceRegistration(2, attrs.evolve(ROW, version="1.5")))
    assert registry.told(m.PluginUnregistered)
    assert not registry.told(m.RegistrationReplaced)
    registry.tell(m.ListRegistrations(1, "asker"))
    assert registry.told(m.Reply)[-1].value == ()


def change(granted: bool, asked_at: float = 0.0) -> m.ChangePermission:
    """Make a question."""
    return m.ChangePermission(1, "asker", 7, "control", granted, asked_at=asked_at)


def in_force(registry: Probe) -> bool:
    """Whether the dispatcher was told last that the permission is granted."""
    return "control" in registry.told(m.PermissionsChanged)[-1].permissions


def test_a_copy_of_a_grant_does_not_undo_what_was_revoked_since(registry: Probe) -> None:
    """Its sender was answered long ago; the copy is answered, and changes nothing."""
    asked_at = time.monotonic()
    registry.tell(change(True))
    registry.tell(change(False))
    registry.tell(change(True, asked_at))
    assert len(registry.told(m.PermissionsChanged)) == 3
    assert not in_force(registry)


def test_a_copy_is_done_if_nothing_was_changed_since(registry: Probe) -> None:
    """The question was lost with the registry that it was sent to."""
    registry.tell(change(True))
    registry.tell(change(False, time.monotonic()))
    assert not in_force(registry)


def test_another_registry_knows_what_was_changed(registry: Probe, tmp_path: Path) -> None:
    """It is written down with the change, as the copy comes because of its restart."""
    asked_at = time.monotonic()
    registry.tell(change(True))
    registry.tell(change(False))
    registry.on_exit()
    second = Probe(tmp_path / "registry.sqlite", restarted=True)
    second.tell(change(True, asked_at))
    assert not in_force(second)
    second.on_exit()


def test_a_copy_of_a_grant_is_not_for_who_is_loaded_since(registry: Probe) -> None:
    """Another plugin has the same id by now; what may have been lost on its way to the first is not said to be done."""
    asked_at = time.monotonic()
    registry.tell(m.Unregister(1, 7))
    registry.tell(m.Register(2, attrs.evolve(ROW, granted=frozenset())))
    registry.tell(change(True, asked_at))
    assert not in_force(registry)
    assert isinstance(registry.told(m.Reply)[-1].error, PluginNotRegistered)


class FullDisk:
    """A connection to a database that can be read while there is no room for a commit."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.is_full = True

    def execute(self, statement: str, *values: Any) -> Any:
        """Find out at the last moment, as SQLite does."""
        if self.is_full and statement == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return self._database.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.fixture
def disk(registry: Probe) -> FullDisk:
    """Fill the disk on which the registry is."""
    assert registry._rows is not None
    full = FullDisk(registry._rows._db)
    registry._rows._db = full  # type: ignore[assignment]  # it has what is used of one
    return full


def listed(registry: Probe) -> tuple[m.Registration, ...]:
    """List all rows."""
    registry.tell(m.ListRegistrations(1, "asker"))
    rows: tuple[m.Registration, ...] = registry.told(m.Reply)[-1].value
    return rows


def test_on_a_full_disk_what_is_asked_for_is_refused(registry: Probe, disk: FullDisk) -> None:
    """Nothing has changed then, nobody was told that it had, and it can be done once there is room."""
    registry.tell(change(False))
    assert isinstance(registry.told(m.Reply)[-1].error, RegistryFailed)
    registry.tell(m.Register(2, attrs.evolve(ROW, plugin_id=8)))
    [refused] = registry.told(m.StepFailed)
    assert refused.load_id == 2 and "database or disk is full; nothing was changed" in str(refused.error)
    assert listed(registry) == (ROW,) and not registry.told(m.PermissionsChanged)
    disk.is_full = False
    registry.tell(change(False))
    assert not in_force(registry)


def test_on_a_full_disk_a_row_at_rest_stays(tmp_path: Path) -> None:
    """Whoever unloads it is told."""
    with contextlib.closing(Registrations(str(tmp_path / "r.sqlite"))) as rows:
        rows.add(ROW)
    probe = Probe(tmp_path / "r.sqlite")
    assert probe._rows is not None
    probe._rows._db = FullDisk(probe._rows._db)  # type: ignore[assignment]
    probe.tell(m.ForgetRegistration(1, "asker", 7, number=3))
    [answer] = probe.told(m.Forgotten)
    assert answer.number == 3 and isinstance(answer.error, RegistryFailed)
    assert [row.plugin_id for row in listed(probe)] == [7]
    probe.on_exit()


def test_on_a_full_disk_what_has_happened_is_written_later(
    registry: Probe, disk: FullDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The registry goes on, answers, says so once, and has written it before it does anything else."""
    registry.tell(m.NoteState(7, "failed"))
    registry.tell(m.NoteState(7, "paused"))
    registry.tell(m.Unregister(1, 7))
    assert registry.told(m.PluginUnregistered) and listed(registry) == (ROW,)
    assert capsys.readouterr().err.count("is written when there is room again") == 1
    registry.on_alarm("owed")
    registry.tell(m.Register(2, ROW))
    assert isinstance(registry.told(m.StepFailed)[0].error, RegistryFailed)
    disk.is_full = False
    registry.tell(m.Register(3, ROW))
    assert [told.load_id for told in registry.told(m.PluginRegistered)] == [3]
    registry.on_alarm("owed")
    assert capsys.readouterr().err.endswith("registry.sqlite is written again\n")


def test_on_a_full_disk_another_registry_starts(
    tmp_path: Path, registry: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is told of plugins that are loaded is written later too."""
    restore, tried = Registrations.restore, []

    def fail_once(rows: Registrations, loaded: Any) -> None:
        tried.append(loaded)
        if len(tried) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        restore(rows, loaded)

    monkeypatch.setattr(Registrations, "restore", fail_once)
    paused = attrs.evolve(ROW, state="paused")
    probe = Probe(tmp_path / "registry.sqlite", restarted=True, loaded=((1, paused),))
    assert listed(probe) == (ROW,) and probe.alarms == ["owed"]
    probe.on_alarm("owed")
    assert listed(probe) == (paused,)
    probe.on_exit()
