"""Plugins whose workers break their bounds too often: they end, what was sent to them has its outcome, others go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import (
    PluginHeader,
    PluginNotFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginQuarantined,
    PluginSystem,
    SandboxViolation,
)
from nyx_plugins.config.settings import Settings, SupervisionSettings

pytestmark = pytest.mark.needs_worker(reason="a worker of its own is what can break the protocol")

DATA, CONTROL = 0x52, 0x53
BAD, NEIGHBOUR = 1, 1002
MOST = 1
# The first restart is immediate; the second would come long after the test.
SUPERVISION = SupervisionSettings(max_violations=MOST, backoff_initial_s=3600, backoff_max_s=3600)
SETTINGS = Settings(supervision=SUPERVISION)
RESTARTS = "[restart]\nmax_restarts = 1000\n"
GARBAGE = b"!" + bytes(4)
WAITING = 1000


def send(system: PluginSystem, plugin_id: int, *texts: bytes) -> list[Any]:
    """Send data frames; returns their receipts."""
    return system.dispatch_many([(DATA, PluginHeader(plugin_id, 0, text).encode()) for text in texts], timeout=30.0)


@pytest.fixture
def quarantined(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> PluginSystem:
    """Return a system in which one plugin is in quarantine and another is well; the frames of both are settled."""
    system = make_system(SETTINGS)
    system.load("builtin:echo")
    system.load(fault("plugin_that_scribbles_on_its_socket", RESTARTS, BAD), capacity=2 * WAITING)
    with system.subscribe() as events:
        send(system, BAD, GARBAGE)
        wait_event(events, "restarted", BAD)
        # More than the worker is given at a time, so that the last of them wait in the mailbox.
        system.pause(BAD)
        receipts = send(system, BAD, GARBAGE, *[b"waits"] * WAITING)
        assert system.plugin_stats(BAD).in_mailbox == len(receipts)
        system.resume(BAD)
        reason = wait_event(events, "quarantined", BAD)[-1].reason
    assert reason.startswith(f"more than {MOST} violations within 60 s, the last being 'worker protocol: message of 0")
    outcomes = [receipt.outcome(30.0) for receipt in receipts]
    assert (outcomes[-1].kind, outcomes[-1].reason) == ("dead_lettered", "quarantined")
    return system


def test_a_worker_that_breaks_the_protocol_too_often_is_quarantined(quarantined: PluginSystem) -> None:
    """Its worker is gone for good, each of its frames has an outcome, and the figures say why."""
    stats = quarantined.plugin_stats(BAD)
    assert (stats.state, stats.worker_pid, stats.in_mailbox) == ("quarantined", None, 0)
    assert stats.violations == MOST + 1
    assert stats.accepted == stats.processed + stats.dead_lettered
    assert quarantined.plugin_info(BAD).state == "quarantined"
    assert stats.permission_violations == 0


def test_a_quarantined_plugin_takes_no_frames_and_harms_nobody(quarantined: PluginSystem) -> None:
    """Senders are told the cause; it can't be resumed; its neighbour goes on."""
    with pytest.raises(PluginQuarantined, match=r"plugin 1 is quarantined: .*see its events and its log") as caught:
        quarantined.request(DATA, PluginHeader(BAD, 0, b"x"))
    assert caught.value.plugin_id == BAD
    with pytest.raises(PluginNotLoaded, match="'quarantined'"):
        quarantined.resume(BAD)
    assert send(quarantined, NEIGHBOUR, b"fine")[0].outcome(30.0).reply == b"fine"


def test_a_quarantined_plugin_can_be_unloaded_and_loaded_again(quarantined: PluginSystem, tmp_path: Path) -> None:
    """A new load begins with a clean record."""
    quarantined.unload(BAD)
    quarantined.load(tmp_path / f"plugin_that_scribbles_on_its_socket-{BAD}")
    assert send(quarantined, BAD, b"again")[0].outcome(30.0).reply == b"again"
    assert quarantined.plugin_stats(BAD).violations == 0


def test_frames_that_the_policy_denies_never_quarantine_the_plugin(make_system: Callable[..., PluginSystem]) -> None:
    """They are their sender's fault: they are refused and counted, however many there are."""
    system = make_system(SETTINGS)
    system.load("builtin:echo")
    for _ in range(5 * MOST):
        with pytest.raises(SandboxViolation):
            system.dispatch(CONTROL, PluginHeader(NEIGHBOUR, 0, b"SBX:OPEN /etc/passwd"))
    assert send(system, NEIGHBOUR, b"fine")[0].outcome(30.0).reply == b"fine"
    stats = system.plugin_stats(NEIGHBOUR)
    assert (stats.state, stats.permission_violations, stats.violations) == ("ready", 5 * MOST, 0)


def test_a_quarantined_plugin_can_be_reset(quarantined: PluginSystem) -> None:
    """It begins with a clean record and a worker that may be restarted, and its counters go on."""
    before = quarantined.plugin_stats(BAD)
    quarantined.reset(BAD)
    assert send(quarantined, BAD, b"again")[0].outcome(30.0).reply == b"again"
    after = quarantined.plugin_stats(BAD)
    assert (after.state, after.accepted, after.dead_lettered) == ("ready", before.accepted + 1, before.dead_lettered)
    assert quarantined.plugin_info(BAD).state == "ready"
    with pytest.raises(PluginNotFailed, match="'ready'"):
        quarantined.reset(BAD)
    with pytest.raises(PluginNotRegistered):
        quarantined.reset(4711)
