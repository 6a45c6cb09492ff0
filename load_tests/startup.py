"""The driver of ``startup``: plugins are loaded by one call, each answers a request, and all are unloaded."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from nyx_plugins import FrameType, NyxPluginError, OutcomeKind, PluginHeader
from nyx_plugins.config.errors import Fault
from nyx_plugins.service.usage import read_memory

from .errors import ScenarioError
from .figures import kind_of
from .payload import cbor_map
from .result import Better, Counts, Mark, Metric, Round
from .roles import PLUGIN_ACTOR, WORKER, roles
from .scene import Scene
from .stage import Stage, staged

TIMEOUT_S = 60.0
ASKERS = 4


def drive(scene: Scene) -> Round:
    """Do one round. Raises the :class:`NyxPluginError` of a plugin that can't be loaded or does not answer."""
    if not scene.scenario.plugins:
        raise ScenarioError(scene.scenario.name, [Fault("plugins", "must have a group, of what is started")])
    begun = time.monotonic()
    with staged(scene.scenario, scene.base, scene.connect, scene.show, sends=True) as stage:
        system_s = time.monotonic() - begun - stage.load_s
        asked = time.monotonic()
        answered = _ask_all(stage, scene.scenario.frame_bytes)
        ready_s = stage.load_s + time.monotonic() - asked
        count = len(stage.places)
        scene.show.phase(f"{count} plugins have answered after {ready_s:.2f} s; now they are unloaded")
        memory = _memory(stage)
        unload_s = stage.clear()
    metrics = {
        "system_s": Metric(system_s, "s", Better.LOWER),
        "load_s": Metric(stage.load_s, "s", Better.LOWER),
        "ready_s": Metric(ready_s, "s", Better.LOWER),
        "unload_s": Metric(unload_s, "s", Better.LOWER),
        "memory_bytes": Metric(sum(memory.values()), "bytes", Better.LOWER),
        "memory_bytes_per_plugin": Metric(_of_plugins(memory) / count, "bytes", Better.LOWER),
    }
    marks = (Mark(round(system_s, 3), "loading"), Mark(round(system_s + ready_s, 3), "all have answered"))
    return Round(scene.number, ready_s, Counts(count, answered, count - answered), metrics, marks=marks)


def _ask_all(stage: Stage, size: int) -> int:
    """Ask all at once; returns how many have answered."""
    data = cbor_map(size)
    frames = [(FrameType.DATA, PluginHeader(place.id, 0, data)) for place in stage.places]
    receipts = stage.system.dispatch_many(frames, timeout=TIMEOUT_S)
    for receipt in receipts:
        if isinstance(receipt, NyxPluginError):
            raise receipt
    kinds = [receipt.outcome(TIMEOUT_S).kind for receipt in receipts if not isinstance(receipt, NyxPluginError)]
    return kinds.count(OutcomeKind.PROCESSED)


def _memory(stage: Stage) -> dict[str, int]:
    """Return the memory of each process by its role, what they share counted once."""
    with ThreadPoolExecutor(ASKERS) as pool:
        asked = {place.label: pool.submit(stage.system.plugin_stats, place.id) for place in stage.places}
        stats = {label: answer.result() for label, answer in asked.items()}
    found = roles(stage.system.host_pid, stats)
    return {role: read_memory(pid) or 0 for pid, role in found.items()}


def _of_plugins(memory: dict[str, int]) -> int:
    return sum(held for role, held in memory.items() if kind_of(role) in (PLUGIN_ACTOR, WORKER))
