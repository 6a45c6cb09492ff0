"""What a snapshot is to Prometheus: families of metrics, named and with units by its conventions."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.utils import floatToGoString

from .. import __version__
from ..actors.events import DispatchStats, PluginStats
from ..actors.latency import LatencyHistogram
from .snapshot import PluginSample, ProcessSample, Snapshot

STATES = ("registered", "starting", "ready", "paused", "restarting", "failed", "quarantined", "draining")
_PLUGIN = ("plugin_id", "plugin")
_INSTANCE = (*_PLUGIN, "instance")
_PROCESS = ("pid", "process")

Read = Callable[[PluginStats], float]

# Name without prefix, what it is, and where it stands. A unit is the last word of a name.
_COUNTERS: tuple[tuple[str, str, Read], ...] = (
    ("frames_accepted", "Frames that a mailbox has taken.", lambda s: s.accepted),
    ("frames_processed", "Frames whose handler has returned.", lambda s: s.processed),
    ("frames_failed", "Frames whose handler has raised.", lambda s: s.failed),
    ("frames_dead_lettered", "Accepted frames that no handler has seen to its end.", lambda s: s.dead_lettered),
    ("processed_bytes", "Header and data bytes of the frames that handlers have seen.", lambda s: s.bytes_processed),
    ("permission_violations", "Frames refused by permissions or by the policy.", lambda s: s.permission_violations),
    ("violations", "What workers tried beyond their bounds, since their plugin actor began.", lambda s: s.violations),
    ("restarts", "Workers started again.", lambda s: s.restarts),
    ("dead_letters_lost", "Dead letters that had to go or could not be kept.", lambda s: s.dead_letters_lost),
)
_GAUGES: tuple[tuple[str, str, Read], ...] = (
    ("mailbox_frames", "Accepted frames that have no outcome yet.", lambda s: s.in_mailbox),
    ("mailbox_peak_frames", "The most frames that were ever in the mailbox.", lambda s: s.peak),
    ("mailbox_capacity_frames", "The frames that the mailbox has room for.", lambda s: s.capacity),
    ("mailbox_bytes", "The bytes that frames in the mailbox take.", lambda s: s.bytes_held),
    ("mailbox_capacity_bytes", "The bytes that the mailbox has room for.", lambda s: s.capacity_bytes),
    ("dead_letters", "Dead letters that are kept.", lambda s: s.dead_letters),
)


def families(snapshot: Snapshot, events: Mapping[str, int], events_dropped: int) -> Iterator[Metric]:
    """Everything that is known, family by family; a plugin without statistics has only its state."""
    yield from _of_system(snapshot)
    yield from _of_dispatcher(snapshot.dispatch)
    yield _counter("events", "What happened to plugins, by kind.", ("event",), [((k,), n) for k, n in events.items()])
    yield _counter("events_dropped", "Events and emitted frames lost on their way to here.", (), [((), events_dropped)])
    yield from _of_plugins(snapshot.plugins)
    yield from _of_processes(snapshot.processes)


def _of_system(snapshot: Snapshot) -> Iterator[Metric]:
    build = InfoMetricFamily("nyx_plugins_build", "What runs here.")
    build.add_metric((), {"version": __version__, "python": platform.python_version()})
    yield build
    yield _gauge("uptime_seconds", "Since the host process started.", (), [((), snapshot.uptime_s)])


def _of_dispatcher(stats: DispatchStats) -> Iterator[Metric]:
    yield _counter("plugins_loaded", "Plugins loaded since the start.", (), [((), stats.plugins_loaded)])
    yield _counter("plugins_unloaded", "Plugins unloaded since the start.", (), [((), stats.plugins_unloaded)])
    yield _counter("dispatched_frames", "Frames accepted for any plugin.", (), [((), stats.frames_dispatched)])
    yield _counter("dispatch_errors", "Frames refused for any cause.", (), [((), stats.dispatch_errors)])
    causes = [((cause,), count) for cause, count in sorted(stats.refused.items())]
    yield _counter("refused_frames", "Frames refused, by cause.", ("cause",), causes)


def _of_plugins(plugins: Iterable[PluginSample]) -> Iterator[Metric]:
    plugins = tuple(plugins)
    answered = [(_labels(plugin), plugin.stats) for plugin in plugins if plugin.stats is not None]
    yield _info(plugins)
    yield _states(plugins)
    has_stats = [(_labels(plugin), float(plugin.stats is not None)) for plugin in plugins]
    yield _gauge("plugin_up", "Whether the plugin actor answers (1) or not (0).", _PLUGIN, has_stats)
    for name, text, read in _COUNTERS:
        yield _counter(name, text, _PLUGIN, [(labels, read(stats)) for labels, stats in answered])
    for name, text, read in _GAUGES:
        yield _gauge(name, text, _PLUGIN, [(labels, read(stats)) for labels, stats in answered])
    yield from _of_instances(answered)
    yield _latencies([(labels, stats.latency) for labels, stats in answered])
    used = [(_labels(plugin), plugin.usage) for plugin in plugins if plugin.usage is not None]
    cpu = [(labels, usage.cpu_s) for labels, usage in used]
    yield _counter("plugin_cpu_seconds", "CPU time of plugin actor and workers.", _PLUGIN, cpu)
    memory = [(labels, float(usage.memory_bytes)) for labels, usage in used]
    yield _gauge("plugin_memory_bytes", "Memory of plugin actor and worker.", _PLUGIN, memory)


def _of_instances(answered: Iterable[tuple[tuple[str, ...], PluginStats]]) -> Iterator[Metric]:
    each = [((*labels, str(i)), one) for labels, stats in answered for i, one in enumerate(stats.instances)]
    ready = [(labels, float(one.state == "ready")) for labels, one in each]
    depth = [(labels, float(one.depth)) for labels, one in each]
    seen = [(labels, float(one.processed)) for labels, one in each]
    restarts = [(labels, float(one.restarts)) for labels, one in each]
    yield _gauge("instance_up", "Whether the instance is ready (1) or not (0).", _INSTANCE, ready)
    yield _gauge("instance_mailbox_frames", "Accepted frames of the instance without outcome.", _INSTANCE, depth)
    yield _counter("instance_seen_frames", "Frames that its handlers have seen to their end.", _INSTANCE, seen)
    yield _counter("instance_restarts", "Workers of the instance started again.", _INSTANCE, restarts)


def _of_processes(processes: Iterable[ProcessSample]) -> Iterator[Metric]:
    used = [((str(process.pid), process.name), process.usage) for process in processes]
    cpu = [(labels, usage.cpu_s) for labels, usage in used]
    yield _counter("process_cpu_seconds", "CPU time of the system's own processes.", _PROCESS, cpu)
    memory = [(labels, float(usage.memory_bytes)) for labels, usage in used]
    yield _gauge("process_memory_bytes", "Memory of the system's own processes.", _PROCESS, memory)


def _info(plugins: Iterable[PluginSample]) -> Metric:
    family = InfoMetricFamily("nyx_plugins_plugin", "Version and content of a plugin.", labels=_PLUGIN)
    for plugin in plugins:
        family.add_metric(_labels(plugin), {"version": plugin.info.version, "digest": plugin.info.digest})
    return family


def _states(plugins: Iterable[PluginSample]) -> Metric:
    family = StateSetMetricFamily("nyx_plugins_plugin_state", "The state of a plugin.", labels=_PLUGIN)
    for plugin in plugins:
        family.add_metric(_labels(plugin), {state: state == plugin.state for state in (*STATES, plugin.state)})
    return family


def _latencies(items: Iterable[tuple[tuple[str, ...], LatencyHistogram]]) -> Metric:
    name, text = "nyx_plugins_frame_latency_seconds", "From a frame's acceptance to its outcome."
    family = HistogramMetricFamily(name, text, labels=_PLUGIN, unit="seconds")
    for labels, latency in items:
        bounds = [*map(floatToGoString, latency.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(latency.counts), strict=True)), latency.sum_s)
    return family


Values = Iterable[tuple[tuple[str, ...], float]]


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = CounterMetricFamily(f"nyx_plugins_{name}", text, labels=labels, unit=_unit(name))
    for names, value in values:
        family.add_metric(names, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(f"nyx_plugins_{name}", text, labels=labels, unit=_unit(name))
    for names, value in values:
        family.add_metric(names, value)
    return family


def _unit(name: str) -> str:
    last = name.rpartition("_")[2]
    return last if last in {"bytes", "seconds", "frames"} else ""


def _labels(plugin: PluginSample) -> tuple[str, ...]:
    return str(plugin.info.plugin_id), plugin.info.name
