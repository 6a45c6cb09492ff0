"""Workers come from the nursery, and what happens when that is killed, or is not wanted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Settings
from nyx_plugins.actors.processes import parent, process_name
from nyx_plugins.config.sandbox import Ceiling, SandboxOverride
from nyx_plugins.config.settings import PluginSettings, SystemSettings

ECHO, OTHER = 1, 2
DATA = 0x52


def ask(system: PluginSystem, plugin_id: int, data: bytes) -> bytes | None:
    """Send one frame to the echo plugin, and return the reply."""
    reply = system.request(DATA, PluginHeader(plugin_id, 0, data))
    return reply


@pytest.mark.needs_worker(reason="there are no processes")
def test_a_killed_nursery_costs_no_accepted_frame(
    make_system: Callable[..., PluginSystem], census: Callable[..., Any]
) -> None:
    """Its workers end with it; the next one brings up others, which do what was accepted meanwhile."""
    system = make_system()
    system.load("builtin:echo", plugin_id=ECHO)
    with system.subscribe() as events:
        system.pause(ECHO)
        receipts = system.dispatch_many([(DATA, PluginHeader(ECHO, 0, b"%d" % number)) for number in range(20)])
        worker = system.plugin_stats(ECHO).worker_pid
        os.kill(census(system).nursery, signal.SIGKILL)
        kinds = {"actor_ended", "actor_restarted", "crashed", "restarted", "ready"}
        while kinds:
            event = events.get(30.0)
            assert event is not None, kinds
            kinds.discard(str(event.kind))  # type: ignore[union-attr]  # no frames are emitted
        system.resume(ECHO)
        assert [receipt.outcome(30.0).reply for receipt in receipts] == [b"%d" % number for number in range(20)]
    stats = system.plugin_stats(ECHO)
    assert stats.worker_pid != worker
    assert parent(stats.worker_pid) == census(system).nursery


@pytest.mark.needs_worker(reason="there are no processes")
def test_a_plugin_that_may_start_programs_is_its_plugin_actors_child(
    make_system: Callable[..., PluginSystem],
) -> None:
    """And so ends what it leaves behind with its plugin actor, while others come from the nursery."""
    system = make_system(Settings(ceiling=Ceiling(subprocesses=True)))
    override = SandboxOverride(subprocesses=True)
    wanted = [PluginSettings("builtin:echo", id=ECHO, sandbox=override), PluginSettings("builtin:echo", id=OTHER)]
    system.load_many(wanted)
    assert _parents(system) == {ECHO: "nyx-PluginActor", OTHER: "nyx-Nursery"}


@pytest.mark.needs_worker(reason="there are no processes")
def test_without_a_nursery_each_worker_is_an_interpreter_of_its_own(
    make_system: Callable[..., PluginSystem], runtime_base: Path
) -> None:
    """With ``fresh_interpreter`` none is forked, and all work."""
    system = make_system(Settings(system=SystemSettings(fresh_interpreter=True, runtime_dir=str(runtime_base))))
    system.load_many([PluginSettings("builtin:echo", id=plugin_id) for plugin_id in (ECHO, OTHER)])
    assert _parents(system) == {ECHO: "nyx-PluginActor", OTHER: "nyx-PluginActor"}
    assert ask(system, OTHER, b"there?") == b"there?"


def _parents(system: PluginSystem) -> dict[int, str]:
    workers = {plugin_id: system.plugin_stats(plugin_id).worker_pid for plugin_id in (ECHO, OTHER)}
    return {plugin_id: process_name(parent(pid or 0)) for plugin_id, pid in workers.items()}
