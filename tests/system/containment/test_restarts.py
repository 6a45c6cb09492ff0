"""Who is started again, how soon, and when a plugin is given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.config.settings import SupervisionSettings
from nyx_plugins.plugins.errors import PluginFailed, PluginNotLoaded

from .conftest import NUMBERS, SETTINGS, data, outcomes, processed, send


@pytest.mark.parametrize(
    ("policy", "name", "restarted"),
    [
        ("permanent", "plugin_that_exits_cleanly", True),
        ("transient", "crashing_plugin", True),
        ("transient", "plugin_that_exits_cleanly", False),
        ("temporary", "crashing_plugin", False),
        ("temporary", "plugin_that_exits_cleanly", False),
    ],
)
def test_the_restart_policy_decides_who_is_started_again(
    policy: str,
    name: str,
    restarted: bool,
    shared: PluginSystem,
    fault: Callable[..., Path],
    plugin_id: int,
    wait_event: Callable[..., Any],
) -> None:
    """Permanent plugins are always restarted, transient ones after an abnormal end, temporary ones never."""
    shared.load(fault(name, f'[restart]\npolicy = "{policy}"\n', plugin_id))
    with shared.subscribe() as events:
        send(shared, plugin_id, b"crash")[0].outcome(30.0)
        last = wait_event(events, "restarted" if restarted else "failed", plugin_id)[-1]
    if restarted:
        assert outcomes(send(shared, plugin_id, b"on")) == processed(b"on")
    else:
        assert "exited with code" in last.reason
        assert shared.plugin_stats(plugin_id).state == "failed"


@pytest.mark.needs_worker(reason="inline has no backoff")
def test_restarts_back_off_and_end_at_the_intensity(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """The second restart waits backoff_initial_s, the third twice as long; past max_restarts the plugin is failed."""
    pauses = SupervisionSettings(max_restarts=3, within_s=3600, backoff_initial_s=0.3, jitter=0.0)
    system = make_system(attrs.evolve(SETTINGS, supervision=pauses))
    system.load(fault("crashing_plugin"))
    with system.subscribe() as events:
        for least in (0.0, 0.3, 0.6):
            sent = time.monotonic()
            send(system, 1, b"crash")
            assert [event.kind for event in wait_event(events, "restarted", 1)] == ["crashed", "restarted"]
            assert time.monotonic() - sent >= least
        waiting = send(system, 1, b"crash", b"never")
        assert [event.kind for event in wait_event(events, "failed", 1)] == ["crashed", "failed"]
    assert [receipt.outcome(30.0).kind for receipt in waiting] == ["dead_lettered"] * 2
    assert waiting[1].outcome(0).reason == "failed plugin"
    stats = system.plugin_stats(1)
    assert (stats.state, stats.restarts, stats.accepted, stats.dead_lettered) == ("failed", 3, 5, 5)


def test_a_failed_plugin_refuses_frames_and_can_be_replaced(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """What was given up says so to senders, leaves cleanly when it is unloaded, and its id can be loaded again."""
    bundle = fault("crashing_plugin", '[restart]\npolicy = "temporary"\n', plugin_id)
    shared.load(bundle)
    with shared.subscribe() as events:
        send(shared, plugin_id, b"crash")
        wait_event(events, "failed", plugin_id)
        with pytest.raises(PluginFailed, match=r"given up|exited with code 13"):
            shared.dispatch(*data(plugin_id, b"x")[0])
        shared.unload(plugin_id)
        wait_event(events, "unloaded", plugin_id)
    shared.load(bundle)
    assert outcomes(send(shared, plugin_id, b"again")) == processed(b"again")


@pytest.mark.needs_worker(reason="inline has no backoff")
def test_frames_for_a_plugin_that_waits_for_its_restart_are_kept(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """While a plugin is restarting its mailbox accepts; all is processed in order once it is back."""
    pauses = SupervisionSettings(backoff_initial_s=0.3, jitter=0.0)
    system = make_system(attrs.evolve(SETTINGS, supervision=pauses))
    system.load(fault("crashing_plugin"))
    with system.subscribe() as events:
        send(system, 1, b"crash")
        wait_event(events, "restarted", 1)
        send(system, 1, b"crash")
        wait_event(events, "crashed", 1)
        receipts = send(system, 1, *NUMBERS)
        assert system.is_plugin_loaded(1)
        assert outcomes(receipts) == processed(*NUMBERS)


@pytest.mark.needs_worker(reason="inline has no backoff")
def test_a_plugin_that_waits_for_its_restart_says_so(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """It can't be paused; the error does not claim that it is not loaded, and it can be unloaded."""
    shared.load(fault("crashing_plugin", plugin_id=plugin_id))
    with shared.subscribe() as events:
        for kind in ("restarted", "crashed"):
            send(shared, plugin_id, b"crash")
            wait_event(events, kind, plugin_id)
    with pytest.raises(PluginNotLoaded, match=rf"^plugin {plugin_id} is being restarted: .* or unload it$"):
        shared.pause(plugin_id)
    shared.unload(plugin_id)
