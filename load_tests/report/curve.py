"""The percentiles of latencies as a curve: from the histogram, or from the few that a result names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from ..histograms import decoded
from ..result import Latency

POINTS_PER_DECADE = 24


@attrs.frozen
class Curve:
    """Latencies over percentiles, both rising."""

    percentiles: tuple[float, ...]
    """Below 100."""
    latencies_us: tuple[float, ...]


def curve(latency: Latency) -> Curve:
    """Return the curve as far as the number of frames carries it: one of 1,000 has no 99.99th percentile."""
    histogram = decoded(latency.histogram)
    if histogram is None:
        return _from(latency.percentiles_us)
    found: dict[float, float] = histogram.get_percentile_to_value_dict(_levels(latency.count))
    return Curve(tuple(found), tuple(found.values()))


def _levels(count: int) -> Sequence[float]:
    decades = math.log10(max(count, 1))
    steps = math.floor(decades * POINTS_PER_DECADE)
    return [100 * (1 - 10 ** (-step / POINTS_PER_DECADE)) for step in range(steps + 1)]


def _from(percentiles_us: Mapping[str, float]) -> Curve:
    pairs = sorted((float(name), value) for name, value in percentiles_us.items() if float(name) < 100)
    return Curve(tuple(level for level, _ in pairs), tuple(value for _, value in pairs))
