"""What is measured besides the peers: functions that run in processes of their own, and return figures by name."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from nyx_plugins import FrameType, NyxPluginError, PluginHeader, PluginSettings, PluginSystem, Receipt
from nyx_plugins.load_tests import recovery
from nyx_plugins.load_tests.chaos.census import PLUGIN_ACTOR, WORKER, Census
from nyx_plugins.load_tests.five_figures import MIB, answer_all, load_echoes, proportional_set_size, timed, unload_all
from nyx_plugins.load_tests.library import load
from nyx_plugins.load_tests.peers.ours import write_bundle
from nyx_plugins.load_tests.peers.thespian_actors import ThespianDispatcherPeer
from nyx_plugins.load_tests.peers.work import frames
from nyx_plugins.load_tests.run import COMPLETED, run

from .targets import OURS, THESPIAN

Thing = TypeVar("Thing")

TIMEOUT_S = 60.0
STRESS_BYTES = 512
STRESS_FRAMES = 100
STRESS_PLUGINS = 10
STRESS_WINDOWS = (10, 100, 500)
REPEATS = 3
PLUGINS = 100
LIST = 256
CAPACITY = 8192
LISTS_UNDER_WAY = 16
CRASHES = 20


def stress(directory: Path) -> dict[str, float]:
    """The reference's stress test: ten plugins, a hundred frames of 512 bytes for each in turn, all processed."""
    with takers(directory, STRESS_PLUGINS) as system:
        made = frames(STRESS_FRAMES, STRESS_BYTES)
        mixed = [
            (FrameType.DATA, PluginHeader(plugin_id, 0, each))
            for each in made
            for plugin_id in range(1, STRESS_PLUGINS + 1)
        ]

        def once() -> None:
            check(system.dispatch_many(mixed, timeout=TIMEOUT_S))
            system.drain(TIMEOUT_S)

        once()
        return {f"{OURS} stress": len(mixed) / min(timed(once) for _ in range(REPEATS))}


def thespian_stress(directory: Path) -> dict[str, float]:
    """The same through an actor that hands frames to ten others, at its best window."""
    peer = ThespianDispatcherPeer(STRESS_BYTES)
    peer.start(directory)
    count = STRESS_FRAMES * STRESS_PLUGINS
    best = min(peer.pipeline(count, window) for window in STRESS_WINDOWS)
    peer.stop()
    return {f"{THESPIAN} stress": count / best}


def crowd(directory: Path) -> dict[str, float]:
    """A hundred plugins: until all have answered, what they take, and until all are gone."""
    ids = range(1, PLUGINS + 1)
    with PluginSystem() as system:

        def load_and_ask() -> None:
            load_echoes(system, PLUGINS)
            answer_all(system, ids)

        ready_s = timed(load_and_ask)
        census = Census(system.host_pid)
        taken = proportional_set_size([*census.of(PLUGIN_ACTOR), *census.of(WORKER)])
        unload_s = timed(lambda: unload_all(system, ids))
    return {"ready_100": ready_s, "pss": taken / PLUGINS / MIB, "unload_100": unload_s}


def total(directory: Path, seconds: float = 2.0) -> dict[str, float]:
    """A hundred plugins are there: lists of frames for one of them, and for each in turn."""
    with takers(directory, PLUGINS) as system:
        everybody = range(1, PLUGINS + 1)
        stream(system, everybody, seconds / 4)
        return {"total_1": stream(system, [1], seconds), "total_100": stream(system, everybody, seconds)}


def crash(directory: Path) -> dict[str, float]:
    """Kill a worker again and again: the median time until the plugin is ready again."""
    [times] = recovery.measure([recovery.MEASUREMENTS[WORKER]], CRASHES)
    return {"crash": statistics.median(times.seconds) * 1000}


def spin(directory: Path) -> dict[str, float]:
    """The harness' scenario of noisy neighbours: what one that spins adds to the others' p99, and at which rate."""
    metrics = scenario("noisy_neighbour")
    added_us = metrics["p99_us [spins]"] - metrics["p99_us [quiet]"]
    return {"spin_added": added_us / 1000, "spin_rate": metrics["rate_per_s [spins]"]}


def flood(directory: Path) -> dict[str, float]:
    """The harness' scenario of a flood: what grows most of processes, files and sockets."""
    growth = [value for name, value in scenario("flood").items() if name.endswith("_growth_bytes")]
    return {"flood_growth": max(growth) / MIB}


# What they are made of.


def scenario(name: str) -> dict[str, float]:
    """Run one round of a scenario of the harness; return its metrics."""
    result = run(load(name, {"rounds": 1}))
    if result.ended != COMPLETED:
        raise RuntimeError(f"{name}: {result.ended}")
    return {key: metric.value for key, metric in result.rounds[0].metrics.items()}


@contextmanager
def takers(directory: Path, plugins: int) -> Iterator[PluginSystem]:
    """Give a system with so many plugins, from id 1 on, which decode what they get."""
    bundle = write_bundle(directory / "taker")
    wanted = [PluginSettings(bundle, id=number, capacity=CAPACITY) for number in range(1, plugins + 1)]
    with PluginSystem() as system:
        check(system.load_many(wanted))
        yield system


def stream(system: PluginSystem, ids: Sequence[int], seconds: float) -> float:
    """Send lists of frames for one plugin each, to these in turn; return frames per second, all processed."""
    made = frames(LIST)
    lists = cycle([[(FrameType.DATA, PluginHeader(plugin_id, 0, each)) for each in made] for plugin_id in ids])
    pending, sent, begun = deque[Receipt](), 0, time.perf_counter()
    while time.perf_counter() < begun + seconds:
        pending.append(check(system.dispatch_many(next(lists), wait=False))[-1])
        sent += LIST
        if len(pending) >= LISTS_UNDER_WAY:
            pending.popleft().outcome(TIMEOUT_S)
    system.drain(TIMEOUT_S)
    return sent / (time.perf_counter() - begun)


def check(results: Sequence[Thing | NyxPluginError]) -> list[Thing]:
    """Return the results; raises the first error."""
    found = list[Thing]()
    for result in results:
        if isinstance(result, NyxPluginError):
            raise result
        found.append(result)
    return found
