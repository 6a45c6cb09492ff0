"""Counting what became of frames, and how long it took: cheap for each frame, exact in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

import attrs
from hdrh.histogram import HdrHistogram

from .result import Latency

K = TypeVar("K")

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
PERCENTILES = ("50", "75", "90", "95", "99", "99.9", "99.99")
# Finer than the three digits of the histogram, and bounded: 4,096 values for each doubling.
_BITS = 12


class Spans:
    """Durations, each counted under its value in microseconds, which loses nothing that three digits would show."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, us: int, times: int = 1) -> None:
        """Count one, or several that are the same; a negative one (the clocks were read the other way round) is 0."""
        if us >> _BITS:
            shift = us.bit_length() - _BITS
            us = (us >> shift << shift) if us > 0 else 0
        self.counts[us] += times

    def encoded(self) -> str:
        """Return all of them as an HdrHistogram."""
        histogram = empty()
        for us, count in self.counts.items():
            histogram.record_value(max(LOWEST_US, us), count)
        return _text(histogram)


def empty() -> HdrHistogram:
    """Return a histogram with nothing in it."""
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)


def merge(encoded: Iterable[str]) -> HdrHistogram:
    """Return one histogram of several."""
    merged = empty()
    for text in encoded:
        merged.decode_and_add(text)
    return merged


def latency(histogram: HdrHistogram) -> Latency | None:
    """Return what a histogram says; ``None`` for an empty one."""
    if not histogram.get_total_count():
        return None
    percentiles = histogram.get_percentile_to_value_dict([float(name) for name in PERCENTILES])
    return Latency(
        histogram.get_total_count(),
        float(histogram.get_min_value()),
        float(histogram.get_mean_value()),
        float(histogram.get_max_value()),
        {name: float(percentiles[float(name)]) for name in PERCENTILES},
        _text(histogram),
    )


def _text(histogram: HdrHistogram) -> str:
    encoded: bytes = histogram.encode()
    return encoded.decode("ascii")


@attrs.frozen
class Tally:
    """What one client, or all of them, has counted in one phase."""

    counts: Mapping[str, int]
    """Of frames that were due within the measured time: ``offered``, ``processed``, ``failed``, ``dead_lettered``,
    ``refused``, ``lost``, ``unfinished`` and ``unsent``."""
    refusals: Mapping[str, int]
    """By cause."""
    outcome: Mapping[str, str]
    service: Mapping[str, str]
    """Latencies by group of plugins, as histograms: from the intended time of sending, and from the actual one."""
    landed: Mapping[int, int]
    """Frames that came to their outcome, by the interval since the phase began, warm-up and all."""
    sent: Mapping[int, int]
    """Frames that were sent, likewise."""
    frames: int
    """Frames that were sent, warm-up and all."""
    cpu_s: float
    """What the client has used from the beginning to the end of the measured time."""
    until: int
    """When it stopped sending, at the latest at the end of the measured time (monotonic nanoseconds)."""
    error: str = ""
    """What ended it early."""
    loss: str = ""
    """By what the last of the lost frames was lost."""


def added(tallies: Iterable[Tally]) -> Tally:
    """Return what several clients have counted together."""
    each = list(tallies)
    return Tally(
        _sum(tally.counts for tally in each),
        _sum(tally.refusals for tally in each),
        _merged(tally.outcome for tally in each),
        _merged(tally.service for tally in each),
        _sum(tally.landed for tally in each),
        _sum(tally.sent for tally in each),
        sum(tally.frames for tally in each),
        sum(tally.cpu_s for tally in each),
        max(tally.until for tally in each),
        "; ".join(sorted({tally.error for tally in each if tally.error})),
        next((tally.loss for tally in each if tally.loss), ""),
    )


def _merged(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    by_group: dict[str, list[str]] = {}
    for table in tables:
        for group, text in table.items():
            by_group.setdefault(group, []).append(text)
    return {group: _text(merge(texts)) for group, texts in by_group.items()}


def _sum(tables: Iterable[Mapping[K, int]]) -> dict[K, int]:
    total: Counter[K] = Counter()
    for table in tables:
        total.update(table)
    return dict(total)
