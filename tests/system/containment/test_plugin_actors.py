"""Plugin actors that are killed: what is lost, and who goes on."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.config.settings import SupervisionSettings
from nyx_plugins.plugins.errors import PluginFailed

from .conftest import NUMBERS, SETTINGS, data, outcomes, processed, send


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_kill_9_of_a_plugin_actor_loses_no_accepted_frame(
    system: PluginSystem, fault: Callable[..., Path], census: Callable[..., Any], wait_event: Callable[..., Any]
) -> None:
    """The Supervisor restarts it; its mailbox, its counters and its pause survive, and receipts get their outcomes."""
    system.load(fault("crashing_plugin"))
    assert outcomes(send(system, 1, b"1", b"2")) == processed(b"1", b"2")
    system.pause(1)
    receipts = send(system, 1, *NUMBERS)
    with system.subscribe() as events:
        os.kill(census(system).plugin_actor(1), signal.SIGKILL)
        seen = wait_event(events, "restarted", 1)
        assert (seen[0].kind, seen[0].reason, seen[-1].reason) == ("crashed", "plugin actor ended", "plugin actor")
        assert not any(receipt.done for receipt in receipts)
        later = send(system, 1, b"later")
        system.resume(1)
    assert outcomes(receipts + later) == processed(*NUMBERS, b"later")
    stats = system.plugin_stats(1)
    assert (stats.accepted, stats.processed, stats.in_mailbox) == (53, 53, 0)
    assert system.dispatch_stats().frames_dispatched == 53


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_kill_9_of_a_plugin_actor_dead_letters_exactly_the_frame_in_hand(
    system: PluginSystem,
    journaled: Callable[..., Any],
    plugin_id: int,
    census: Callable[..., Any],
    plugin_log: Any,
    ends: Callable[..., Any],
) -> None:
    """With the actor dies its worker; the frame in its hand is suspect, those behind it run once, in order."""
    journal = journaled(system, "spinning_plugin")
    receipts = send(system, plugin_id, b"1", b"crash", b"2", b"3")
    plugin_log.wait_for("spinning")
    worker = ends([census(system).worker(plugin_id)])
    os.kill(census(system).plugin_actor(plugin_id), signal.SIGKILL)
    assert worker.still_there(30.0) == []
    assert [kind for kind, _ in outcomes(receipts)] == ["processed", "dead_lettered", "processed", "processed"]
    assert journal() == [b"1", b"crash", b"2", b"3"]


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_a_plugin_actor_killed_again_and_again_loses_and_doubles_nothing(
    make_system: Callable[..., PluginSystem],
    journaled: Callable[..., Any],
    plugin_id: int,
    census: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """Frames sent while the plugin actor is killed three times: each has one outcome and was handled at most once."""
    quick = SupervisionSettings(max_restarts=10, backoff_initial_s=0.0)
    system = make_system(attrs.evolve(SETTINGS, supervision=quick))
    journal = journaled(system, "crashing_plugin")
    frames = iter(b"%d" % number for number in itertools.count())
    sent: list[bytes] = []
    receipts: list[Any] = []
    with system.subscribe() as events:
        for _ in range(3):
            some = list(itertools.islice(frames, 300))
            sent += some
            receipts += system.dispatch_many(data(plugin_id, *some), wait=False)
            os.kill(census(system).plugin_actor(plugin_id), signal.SIGKILL)
            wait_event(events, "restarted", plugin_id)
        seen = [receipt.outcome(30.0) for receipt in receipts]
    kinds = [str(outcome.kind) for outcome in seen]
    # Whatever was in hand when its actor was killed is suspect: at most one frame for each kill.
    assert kinds.count("processed") >= len(sent) - 3
    assert set(kinds) <= {"processed", "dead_lettered"}
    handled = set(journal())
    assert journal() == [frame for frame in sent if frame in handled]
    assert handled >= {frame for frame, kind in zip(sent, kinds, strict=True) if kind == "processed"}
    stats = system.plugin_stats(plugin_id)
    assert stats.accepted == len(sent) == stats.processed + stats.dead_lettered
    assert kinds.count("dead_lettered") == stats.dead_lettered


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_a_plugin_whose_actor_ends_too_often_is_failed_and_its_frames_have_outcomes(
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    census: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """Past the intensity the plugin is failed, with an event; what its mailbox held is dead-lettered."""
    system = make_system(attrs.evolve(SETTINGS, supervision=SupervisionSettings(max_restarts=1, within_s=3600)))
    system.load(fault("crashing_plugin"))
    system.pause(1)
    receipts = send(system, 1, *NUMBERS)
    with system.subscribe() as events:
        os.kill(census(system).plugin_actor(1), signal.SIGKILL)
        wait_event(events, "restarted", 1)
        os.kill(census(system).plugin_actor(1), signal.SIGKILL)
        assert "plugin actor not restarted" in wait_event(events, "failed", 1)[-1].reason
    assert [kind for kind, _ in outcomes(receipts)] == ["dead_lettered"] * len(NUMBERS)
    stats = system.plugin_stats(1)
    assert (stats.state, stats.dead_lettered, stats.in_mailbox) == ("failed", len(NUMBERS), 0)
    with pytest.raises(PluginFailed):
        system.dispatch(*data(1, b"late")[0])
    assert system.plugin_info(1).state == "failed"
    system.unload(1)
    system.load(fault("raising_plugin"))
    assert outcomes(send(system, 1, b"again")) == processed(b"again")
