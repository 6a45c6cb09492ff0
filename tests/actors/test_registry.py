"""The registry by itself, told what the other actors tell it, in orders that running systems seldom meet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginNotRegistered
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.registry import Registry

ROW = m.Registration(7, "geo", "1.4", "ab", "ready", frozenset({"control"}), frozenset({"control"}))


class Probe(Registry):
    """Keeps what it would send."""

    def __init__(self, path: Path, restarted: bool = False) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any]] = []
        self.tell(m.StartRegistry(str(path), "dispatcher", os.getpid(), restarted))
        self.sent.clear()

    def send(self, address: str, message: Any) -> None:
        """Send nothing."""
        self.sent.append((address, message))

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
