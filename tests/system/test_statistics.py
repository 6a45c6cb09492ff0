"""What a system says of its plugins: all of them, their latencies, their processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import FrameType, PluginHeader, PluginSystem
from nyx_plugins.actors.processes import descendants


def test_every_registered_plugin_is_listed(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """Listed in the order of their ids, with the state of each; an unloaded one is not."""
    assert system.plugins() == []
    for name, plugin_id in (("obedient_plugin", 9), ("obedient_plugin", 3)):
        system.load(fault(name, plugin_id=plugin_id))
    system.pause(9)
    assert [(info.plugin_id, info.state) for info in system.plugins()] == [(3, "ready"), (9, "paused")]
    assert system.plugins()[0] == system.plugin_info(3)
    system.unload(3)
    assert [info.plugin_id for info in system.plugins()] == [9]


def test_each_frame_with_an_outcome_has_its_latency(system: PluginSystem) -> None:
    """The histogram counts as many frames as have outcomes, whatever these are."""
    system.load("builtin:wordcount")
    frames = [
        (FrameType.DATA, PluginHeader(1001, 0, b"one two")),
        (FrameType.CONTROL, PluginHeader(1001, 0, b"nonsense")),
    ]
    system.dispatch_many(frames * 50)
    system.drain()
    stats = system.plugin_stats(1001)
    assert (stats.processed, stats.failed, stats.latency.count) == (50, 50, 100)
    assert 0 < stats.latency.sum_s < 100 * 60


@pytest.mark.needs_worker(reason="on inline there is one process only")
def test_statistics_name_the_processes_of_a_plugin(system: PluginSystem) -> None:
    """Both descend from the host, the worker as a child of the nursery."""
    system.load("builtin:echo")
    stats = system.plugin_stats(1002)
    assert {stats.worker_pid, stats.actor_pid} <= set(descendants(system.host_pid))
    assert stats.worker_pid not in descendants(stats.actor_pid)
    assert os.getpid() not in (stats.actor_pid, stats.worker_pid)
