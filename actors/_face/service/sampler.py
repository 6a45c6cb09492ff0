"""``Sampler``: looks at a running system again and again, and works out what has changed between two looks."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import attrs

from ..actors.events import DispatchStats, PluginStats
from ..actors.processes import children
from ..actors.system import PluginInfo
from ..config.errors import NyxPluginError
from ..plugins.errors import SystemStopped
from .meter import Meter
from .snapshot import PluginSample, ProcessSample, Rates, Snapshot
from .usage import read_usage, seconds_since_boot

PATIENCE_S = 1.0
"""How long a look waits for the statistics of all plugins together."""
ASKERS = 4
MIN_INTERVAL_S = 0.001
AT_REST = "registered"


class Sampled(Protocol):
    """What is looked at: a ``PluginSystem``, embedded or connected."""

    @property
    def host_pid(self) -> int:
        """The process above all others of the system."""

    def plugins(self) -> list[PluginInfo]:
        """All registered plugins, in ascending order of their ids."""

    def plugin_stats(self, plugin_id: int) -> PluginStats:
        """One plugin's counters."""

    def dispatch_stats(self) -> DispatchStats:
        """The dispatcher's counters."""


@attrs.frozen
class _Seen:
    """What the next look is compared with."""

    at_s: float
    stats: PluginStats


class Sampler:
    """Looks at ``system`` when :meth:`sample` is called, and never of its own accord. Thread-safe.

    Rates and CPU percentages are those between two calls, so each reader has a sampler of its own.
    """

    def __init__(self, system: Sampled, clock: Callable[[], float] = time.monotonic) -> None:
        self._system = system
        self._clock = clock
        self._lock = threading.Lock()
        self._questions = _Questions(system)
        self._meter = Meter(clock)
        self._seen: dict[int, _Seen] = {}

    def sample(self) -> Snapshot:
        """Look now. A plugin that does not answer is in it with its problem, and holds up none of the others.

        Raises :class:`SystemStopped`, and :class:`DispatchTimeout` when the system itself does not answer.
        """
        with self._lock:
            infos = self._system.plugins()
            answers = self._questions.ask([info.plugin_id for info in infos if info.state != AT_REST])
            dispatch = self._system.dispatch_stats()
            self._meter.begin()
            plugins = tuple(self._plugin(info, answers.get(info.plugin_id, "")) for info in infos)
            processes = self._processes(plugins)
            self._meter.end()
            self._forget_all_but({plugin.info.plugin_id for plugin in plugins if plugin.stats is not None})
            host = self._system.host_pid
            return Snapshot(time.time(), _age_s(host), host, processes, dispatch, plugins)

    def close(self) -> None:
        """Ask no more. Idempotent."""
        self._questions.close()

    def _plugin(self, info: PluginInfo, answer: PluginStats | str) -> PluginSample:
        if isinstance(answer, str):
            return PluginSample(info, None, answer, None, None)
        usage = self._meter.read(("plugin", info.plugin_id), self._pids(answer))
        return PluginSample(info, answer, "", self._rates(info.plugin_id, answer), usage)

    def _pids(self, stats: PluginStats) -> tuple[int, ...]:
        """The plugin actor first: what its worker used is its own once that has ended. On inline there are neither."""
        pids = (stats.actor_pid, stats.worker_pid)
        return tuple(pid for pid in pids if pid is not None and pid != self._system.host_pid)

    def _rates(self, plugin_id: int, stats: PluginStats) -> Rates | None:
        before, now_s = self._seen.get(plugin_id), self._clock()
        self._seen[plugin_id] = _Seen(now_s, stats)
        return None if before is None else rates_between(before.stats, stats, now_s - before.at_s)

    def _processes(self, plugins: Iterable[PluginSample]) -> tuple[ProcessSample, ...]:
        of_plugins = {pid for plugin in plugins if plugin.stats for pid in self._pids(plugin.stats)}
        samples = []
        for pid in _system_pids(self._system.host_pid, of_plugins):
            process = read_usage(pid)
            usage = self._meter.read(("process", pid), (pid,))
            if process is not None and usage is not None:
                samples.append(ProcessSample(pid, process.name, usage))
        return tuple(samples)

    def _forget_all_but(self, plugin_ids: set[int]) -> None:
        self._seen = {plugin_id: seen for plugin_id, seen in self._seen.items() if plugin_id in plugin_ids}


class _Questions:
    """Asks many plugins at the same time; one that has not answered yet is not asked again meanwhile."""

    def __init__(self, system: Sampled) -> None:
        self._system = system
        self._pool = ThreadPoolExecutor(ASKERS, "nyx-plugins-sampler")
        self._pending: dict[int, Future[PluginStats]] = {}

    def ask(self, plugin_ids: list[int]) -> dict[int, PluginStats | str]:
        """The statistics of each plugin, or in one sentence why there are none."""
        for plugin_id in plugin_ids:
            if plugin_id not in self._pending:
                self._pending[plugin_id] = self._pool.submit(self._system.plugin_stats, plugin_id)
        wait([self._pending[plugin_id] for plugin_id in plugin_ids], PATIENCE_S)
        return {plugin_id: self._answer(plugin_id) for plugin_id in plugin_ids}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, plugin_id: int) -> PluginStats | str:
        if not self._pending[plugin_id].done() or self._pending[plugin_id].cancelled():
            return f"its plugin actor has not answered within {PATIENCE_S:g} s"
        try:
            return self._pending.pop(plugin_id).result()
        except SystemStopped:
            raise
        except NyxPluginError as error:
            return str(error)


def rates_between(before: PluginStats, after: PluginStats, seconds: float) -> Rates | None:
    """The rates from one look to the next; ``None`` within a millisecond, or when the plugin is another by now."""
    if seconds < MIN_INTERVAL_S or after.accepted < before.accepted:
        return None
    return Rates(
        (after.accepted - before.accepted) / seconds,
        max(0, after.processed - before.processed) / seconds,
        max(0, after.failed - before.failed) / seconds,
    )


def _system_pids(host_pid: int, of_plugins: set[int]) -> list[int]:
    """The host and what is below it, apart from what belongs to plugins; on inline, this process alone."""
    found = [host_pid]
    if host_pid == os.getpid():
        return found
    for pid in found:
        found += [child for child in children(pid) if child not in of_plugins and child not in found]
    return found


def _age_s(pid: int) -> float:
    process = read_usage(pid)
    with contextlib.suppress(OSError):
        return 0.0 if process is None else max(0.0, seconds_since_boot() - process.started_s)
    return 0.0
