"""Loading and unloading again and again leaves nothing behind: no process, no descriptor, no file, no memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginInfo, PluginSystem
from nyx_plugins.actors.processes import await_ends, watch_ends
from nyx_plugins.config.settings import PluginSettings

IDS = range(1, 11)
ROUNDS = 20
MIB = 1 << 20


def cycle(system: PluginSystem, use: bool) -> None:
    """Load ten plugins at once, use them if told to, and unload them."""
    results = system.load_many([PluginSettings("builtin:echo", id=number, capacity=4) for number in IDS])
    assert [result.plugin_id if isinstance(result, PluginInfo) else result for result in results] == list(IDS)
    if use:
        receipts = [system.dispatch(0x52, PluginHeader(number, 0, b"%d" % number)) for number in IDS]
        assert [receipt.outcome(30.0).reply for receipt in receipts] == [b"%d" % number for number in IDS]
    with ThreadPoolExecutor(len(IDS)) as pool:
        list(pool.map(system.unload, IDS))
    assert system.loaded_plugins() == []


def descriptors(pids: list[int]) -> dict[int, int]:
    """Count the descriptors of each process."""
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in pids}


def grown_beyond(before: dict[int, int], pids: list[int]) -> dict[int, int]:
    """Return who holds more descriptors than before, as soon as nobody does, or after half a minute.

    A connection is made when there is something to say for the first time, so that three more say nothing; a
    descriptor per load would make hundreds.
    """
    deadline = time.monotonic() + 30.0
    while True:
        after = descriptors(pids)
        grown = {pid: after[pid] - before[pid] for pid in pids if after[pid] > before[pid] + 3}
        if not grown or time.monotonic() > deadline:
            return grown
        os.sched_yield()


def private_bytes(pid: int) -> int:
    """Read how much memory a process has for itself."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(fields[name].split()[0]) * 1024 for name in ("Private_Clean", "Private_Dirty"))


@pytest.mark.timeout(180)  # two hundred plugins start
@pytest.mark.needs_worker(reason="processes and their descriptors are counted")
def test_two_hundred_loads_and_unloads_leave_nothing(
    system: PluginSystem, census: Callable[..., Any], runtime_base: Path
) -> None:
    """After 200 of them the same processes hold the same descriptors and files as after the first ten."""
    who = census(system)
    permanent = [os.getpid(), *who.permanent]
    for _ in range(2):
        cycle(system, use=True)
    settled(who)
    before = descriptors(permanent)
    memory = {pid: private_bytes(pid) for pid in permanent}
    for number in range(ROUNDS):
        cycle(system, use=number % 5 == 0)
    settled(who)
    assert grown_beyond(before, permanent) == {}
    assert set(who.everyone) <= set(permanent)
    assert [path for path in runtime_base.glob("*/plugins/**/*")] == []
    grown = {pid: private_bytes(pid) - memory[pid] for pid in permanent}
    assert {pid: size for pid, size in grown.items() if size > 4 * MIB} == {}
    stats = system.dispatch_stats()
    assert stats.plugins_loaded == stats.plugins_unloaded == len(IDS) * (ROUNDS + 2)


def settled(who: Any) -> None:
    """Wait until all processes are gone that have nothing more to do, and their parents have taken note of it."""
    while left := set(who.everyone) - set(who.permanent):
        assert await_ends(watch_ends(left), 30.0) == []
