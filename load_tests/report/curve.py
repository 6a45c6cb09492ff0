"""The percentiles of latencies as a curve: from the histogram, or from the few that a result names."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import attrs

from ..extra import needed
from ..result import Latency

with needed():
    from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException
    from hdrh.histogram import HdrHistogram

_UNREADABLE = (
    *(HdrCookieException, HdrHistogramSettingsException, HdrLengthException),
    *(ValueError, RuntimeError, zlib.error),
)
POINTS_PER_DECADE = 24


@attrs.frozen
class Curve:
    """Latencies over percentiles, both rising."""

    percentiles: tuple[float, ...]
    """Below 100."""
    latencies_us: tuple[float, ...]


def curve(latency: Latency) -> Curve:
    """Return the curve as far as the number of frames carries it: one of 1,000 has no 99.99th percentile."""
    histogram = _decoded(latency.histogram)
    if histogram is None:
        return _from(latency.percentiles_us)
    found: dict[float, float] = histogram.get_percentile_to_value_dict(_levels(latency.count))
    return Curve(tuple(found), tuple(found.values()))


def _levels(count: int) -> Sequence[float]:
    decades = math.log10(max(count, 1))
    steps = math.floor(decades * POINTS_PER_DECADE)
    return [100 * (1 - 10 ** (-step / POINTS_PER_DECADE)) for step in range(steps + 1)]


def _from(percentiles_us: Mapping[str, float]) -> Curve:
    pairs = sorted((_level(name), value) for name, value in percentiles_us.items() if 0 <= _level(name) < 100)
    return Curve(tuple(level for level, _ in pairs), tuple(value for _, value in pairs))


def _level(name: str) -> float:
    """Return the percentile of that name; one that is no number is none, and left out."""
    try:
        return float(name)
    except ValueError:
        return math.nan


def _decoded(text: str) -> HdrHistogram | None:
    """Return the histogram, or ``None`` where there is none that can be read."""
    try:
        return HdrHistogram.decode(text) if text else None
    except _UNREADABLE:
        return None
