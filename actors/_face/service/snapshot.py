"""One look at a running system, as frozen values and as JSON."""

from __future__ import annotations

from typing import Any

import attrs

from ..actors.events import DispatchStats, PluginStats
from ..actors.latency import LatencyHistogram
from ..actors.system import PluginInfo

QUANTILES = (0.5, 0.95, 0.99)


@attrs.frozen
class Usage:
    """What one or more processes use together."""

    cpu_s: float
    """CPU seconds so far; never less than in the look before, whatever was restarted."""
    cpu_percent: float | None
    """Since the look before, where 100 is one core; ``None`` in the first."""
    memory_bytes: int
    """A page shared by N processes counts as 1/N, where the kernel tells; read anew every few looks."""


@attrs.frozen
class Rates:
    """Frames per second since the look before."""

    accepted_per_s: float
    processed_per_s: float
    failed_per_s: float


@attrs.frozen
class PluginSample:
    """One plugin; whoever has no ``stats`` has a ``problem``, unless it is at rest."""

    info: PluginInfo
    stats: PluginStats | None
    problem: str
    rates: Rates | None
    usage: Usage | None
    """Of its plugin actor and its worker; ``None`` when no plugin actor runs, as on ``inline``."""

    @property
    def state(self) -> str:
        """The state as its plugin actor knows it, or else as the registry does."""
        return self.info.state if self.stats is None else self.stats.state


@attrs.frozen
class ProcessSample:
    """One process of the system itself: the host, and the actors that belong to no plugin."""

    pid: int
    name: str
    usage: Usage


@attrs.frozen
class Snapshot:
    """A system at one time; ``time_s`` counts from 1970, ``uptime_s`` from the start of the host."""

    time_s: float
    uptime_s: float
    host_pid: int
    processes: tuple[ProcessSample, ...]
    dispatch: DispatchStats
    plugins: tuple[PluginSample, ...]


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as JSON has it: tables, lists, strings, numbers and ``None``."""
    return {
        "time_s": snapshot.time_s,
        "uptime_s": snapshot.uptime_s,
        "host_pid": snapshot.host_pid,
        "processes": [attrs.asdict(process) for process in snapshot.processes],
        "dispatch": attrs.asdict(snapshot.dispatch),
        "plugins": [_plugin(plugin) for plugin in snapshot.plugins],
    }


def _plugin(plugin: PluginSample) -> dict[str, Any]:
    return {
        **_info(plugin.info),
        "state": plugin.state,
        "problem": plugin.problem,
        "stats": None if plugin.stats is None else _stats(plugin.stats),
        "rates": None if plugin.rates is None else attrs.asdict(plugin.rates),
        "usage": None if plugin.usage is None else attrs.asdict(plugin.usage),
    }


def _info(info: PluginInfo) -> dict[str, Any]:
    return {
        "plugin_id": info.plugin_id,
        "name": info.name,
        "version": info.version,
        "digest": info.digest,
        "requested": sorted(info.requested),
        "permissions": sorted(info.permissions),
        "capacity": info.capacity,
        "signed_by": info.signed_by,
    }


def _stats(stats: PluginStats) -> dict[str, Any]:
    quantiles_s = {f"{q:g}": _quantile_s(stats.latency, q) for q in QUANTILES}
    latency = {"count": stats.latency.count, "sum_s": stats.latency.sum_s, "quantiles_s": quantiles_s}
    return {**attrs.asdict(stats, filter=lambda field, _: field.name != "latency"), "latency": latency}


def _quantile_s(latency: LatencyHistogram, q: float) -> float | None:
    """Where it is beyond the last bound, that bound: JSON knows no infinity."""
    seconds = latency.quantile(q)
    return None if seconds is None else min(seconds, latency.bounds[-1])
