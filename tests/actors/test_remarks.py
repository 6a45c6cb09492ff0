"""What a plugin actor tells the guard: nothing is lost with a guard that ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.actors import messages as m
from nyx_plugins.actors import remarks
from nyx_plugins.actors.remarks import Remarks
from nyx_plugins.config import Settings
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy

MANIFEST = Manifest(id=7, name="p", version="1.0", api_version=1, entry_point="plugin:P")


class Probe(Remarks):
    """Keeps what it would send, and to whom."""

    def __init__(self, directory: Path) -> None:
        self.sent: list[tuple[Any, Any]] = []
        plan = m.StartPlugin(
            load_id=1,
            plugin_id=7,
            manifest=MANIFEST,
            policy=Policy(),
            directory=str(directory),
            bundle_directory=str(directory),
            digest="",
            capacity=10,
            capacity_bytes=10_000,
            config={},
            settings=Settings(),
            guard="first guard",
            dispatcher=None,
            sessions=(),
            host_pid=os.getpid(),
            paused=False,
        )
        super().__init__(plan, "actor", lambda to, message: self.sent.append((to, message)), lambda *_: None)

    def numbers(self, guard: str) -> list[int]:
        """The reports that this guard has got, since the last time."""
        found = [message.number for to, message in self.sent if to == guard]
        self.sent.clear()
        return found


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Return the remarks of a plugin whose worker has tried three things."""
    probe = Probe(tmp_path)
    for _ in range(3):
        probe.violated("it")
    assert probe.numbers("first guard") == [1, 2, 3]
    return probe


def test_the_next_guard_is_told_what_the_one_before_it_has_not_confirmed(probe: Probe) -> None:
    """What was counted is not told again; what is new goes to the new one only."""
    probe.violation_seen(1)
    probe.violation_seen(3)
    probe.guard_changed("second guard")
    assert probe.numbers("second guard") == [2]
    probe.violated("it")
    assert probe.numbers("second guard") == [4]
    probe.violation_seen(2)
    probe.violation_seen(4)
    probe.guard_changed("third guard")
    assert probe.sent == []


def test_no_more_than_so_many_reports_are_kept(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first."""
    monkeypatch.setattr(remarks, "MAX_UNSEEN", 5)
    for _ in range(10):
        probe.violated("it")
    probe.sent.clear()
    probe.guard_changed("second guard")
    assert probe.numbers("second guard") == [9, 10, 11, 12, 13]
