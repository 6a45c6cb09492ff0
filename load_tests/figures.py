"""The figures of a round, made of what clients have counted and an observer has seen. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from .recorder import Tally, latency, merge
from .result import Better, Counts, Latency, Metric, ProcessUsage, Series
from .roles import PLUGIN_ACTOR, WORKER

CLIENT = "client"
_LATENCIES = {"p50_us": "50", "p90_us": "90", "p99_us": "99", "p99_9_us": "99.9"}
_COUNTS = tuple(attrs.fields_dict(Counts))


@attrs.frozen
class Window:
    """The measured time, in seconds since the round began; it is empty when the round ended before."""

    begin_s: float
    end_s: float

    @property
    def is_empty(self) -> bool:
        """Whether there is none of it."""
        return self.end_s <= self.begin_s

    @property
    def seconds(self) -> float:
        """How long it is; it can be divided by."""
        return max(1e-9, self.end_s - self.begin_s)


def counts_of(tally: Tally, unknown: int = 0) -> Counts:
    """Return the counts of frames, with those of clients that were lost."""
    counts = Counts(**{name: tally.counts.get(name, 0) for name in _COUNTS})
    return attrs.evolve(counts, offered=counts.offered + unknown, unknown=unknown)


def latencies_of(tally: Tally) -> dict[str, Latency]:
    """Return all latencies: of all frames, and of those of each group if there are several."""
    found: dict[str, Latency | None] = {}
    for name, groups in (("outcome", tally.outcome), ("service", tally.service)):
        found[name] = latency(merge(groups.values()))
        if len(groups) > 1:
            found |= {f"{name}.{group}": latency(merge([text])) for group, text in groups.items()}
    return {name: seen for name, seen in found.items() if seen is not None}


def throughput(tally: Tally, interval_s: float) -> tuple[Series, ...]:
    """Return frames sent and outcomes over time, each point in the middle of its interval."""
    return (_per_second("sent", tally.sent, interval_s), _per_second("outcomes", tally.landed, interval_s))


def _per_second(name: str, counted: Mapping[int, int], interval_s: float) -> Series:
    last = max(counted, default=-1)
    at_s = tuple(round((index + 0.5) * interval_s, 3) for index in range(last + 1))
    return Series(name, "frames/s", at_s, tuple(counted.get(index, 0) / interval_s for index in range(last + 1)))


def landed_within(tally: Tally, window: Window, interval_s: float) -> int:
    """Count the outcomes that came within the measured time, which begins and ends with an interval."""
    first, end = round(window.begin_s / interval_s), round(window.end_s / interval_s)
    return sum(count for index, count in tally.landed.items() if first <= index < end)


def metrics_of(
    tally: Tally,
    window: Window,
    interval_s: float,
    processes: Sequence[ProcessUsage],
    series: Sequence[Series],
    plugins: int,
) -> dict[str, Metric]:
    """Return all figures."""
    landed = landed_within(tally, window, interval_s)
    metrics = {"processed_per_s": Metric(landed / window.seconds, "frames/s", Better.HIGHER)}
    metrics |= _of_latencies(latencies_of(tally))
    metrics |= _of_counts(counts_of(tally))
    metrics |= dict(_of_processors(processes, window, landed))
    metrics |= dict(_of_memory(processes, series, window, plugins))
    return metrics


def _of_latencies(latencies: Mapping[str, Latency]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for name, seen in latencies.items():
        kind, _, group = name.partition(".")
        if kind == "outcome":
            values = {metric: seen.percentiles_us[p] for metric, p in _LATENCIES.items()} | {"max_us": seen.max_us}
            metrics |= {_named(metric, group): _less(value, "us") for metric, value in values.items()}
    return metrics


def _of_counts(counts: Counts) -> dict[str, Metric]:
    names = ("failed", "dead_lettered", "refused", "lost", "unfinished", "unsent")
    offered = max(1, counts.offered)
    return {f"{name}_share": _less(getattr(counts, name) / offered, "of offered") for name in names}


def _of_processors(processes: Iterable[ProcessUsage], window: Window, landed: int) -> Iterator[tuple[str, Metric]]:
    used: defaultdict[str, float] = defaultdict(float)
    busiest = 0.0
    for process in processes:
        cpu_s = grown(process.at_s, process.cpu_s, window)
        used[kind_of(process.role)] += cpu_s
        if process.role.startswith(CLIENT):
            busiest = max(busiest, cpu_s / window.seconds)
    yield "busiest_client_cores", _less(busiest, "cores")
    system = sum(cpu_s for kind, cpu_s in used.items() if kind != CLIENT)
    # Without any, nobody could look in time.
    if landed and system:
        yield "system_cpu_us_per_frame", _less(system / landed * 1e6, "us")
        for kind in (CLIENT, "dispatcher", PLUGIN_ACTOR, WORKER):
            yield f"cpu_us_per_frame.{kind.replace(' ', '_')}", _less(used[kind] / landed * 1e6, "us")


def _of_memory(
    processes: Iterable[ProcessUsage], series: Iterable[Series], window: Window, plugins: int
) -> Iterator[tuple[str, Metric]]:
    growth: dict[bool, list[float]] = {True: [0.0], False: [0.0]}
    total = of_plugins = 0.0
    for process in processes:
        is_client = process.role.startswith(CLIENT)
        growth[is_client].append(most_grown(process.at_s, process.pss_bytes, window))
        if not is_client:
            memory = at(process.at_s, process.pss_bytes, window.end_s)
            total += memory
            of_plugins += memory if kind_of(process.role) in (PLUGIN_ACTOR, WORKER) else 0
    yield "memory_bytes", _less(total, "bytes")
    yield "memory_bytes_per_plugin", _less(of_plugins / max(1, plugins), "bytes")
    yield "memory_growth_bytes", _less(max(growth[False]), "bytes")
    yield "client_memory_growth_bytes", _less(max(growth[True]), "bytes")
    for each in series:
        if each.name in ("files", "sockets"):
            yield f"{each.name}_growth_bytes", _less(most_grown(each.at_s, each.values, window), "bytes")
            yield f"{each.name}_bytes", _less(max(each.values, default=0.0), "bytes")


def kind_of(role: str) -> str:
    """Return a role without the number of who has it."""
    return next((kind for kind in (CLIENT, PLUGIN_ACTOR, WORKER) if role.startswith((kind, f"a {kind}"))), role)


def at(at_s: Sequence[float], values: Sequence[float], when_s: float) -> float:
    """Return the last value by then; 0 before the first, and after the last if it is long ago: it is gone."""
    place = bisect_right(at_s, when_s)
    return float(values[place - 1]) if place else 0.0


def grown(at_s: Sequence[float], values: Sequence[float], window: Window) -> float:
    """Return by how much something that only grows has grown within the measured time, between looks in a line."""
    if window.is_empty:
        return 0.0
    return _between(at_s, values, window.end_s) - _between(at_s, values, window.begin_s)


def _between(at_s: Sequence[float], values: Sequence[float], when_s: float) -> float:
    place = bisect_right(at_s, when_s)
    if not place or place == len(at_s):
        return float(values[max(0, place - 1)]) if values else 0.0
    share = (when_s - at_s[place - 1]) / (at_s[place] - at_s[place - 1])
    return values[place - 1] + (values[place] - values[place - 1]) * share


def most_grown(at_s: Sequence[float], values: Sequence[float], window: Window) -> float:
    """Return by how much something was more, at the most, than when the measured time began, or it was first seen."""
    begin = bisect_right(at_s, window.begin_s)
    base = values[max(0, begin - 1)] if values else 0.0
    return max([0.0, *(value - base for when, value in zip(at_s, values, strict=True) if when >= window.begin_s)])


def _less(value: float, unit: str) -> Metric:
    return Metric(value, unit, Better.LOWER)


def _named(metric: str, group: str) -> str:
    return f"{metric}.{group}" if group else metric
