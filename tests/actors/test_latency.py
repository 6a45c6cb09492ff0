"""Latencies: each frame is measured once, from its own batch's arrival to its outcome."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.latency import BOUNDS, LatencyHistogram, LatencyMeter


def test_frames_of_a_batch_are_measured_from_its_arrival() -> None:
    """Outcomes that arrive in pieces are counted with the time of their own batch."""
    meter = LatencyMeter(0)
    meter.arrived(3, 10.0)
    meter.arrived(5, 10.5)
    meter.finished(2, 10.001)
    meter.finished(5, 10.6)
    found = meter.histogram()
    assert found.count == 5
    assert found.counts[BOUNDS.index(0.001)] + found.counts[BOUNDS.index(0.0025)] == 2
    assert found.counts[BOUNDS.index(1.0)] == 1
    assert found.counts[BOUNDS.index(0.1)] + found.counts[BOUNDS.index(0.25)] == 2
    assert found.sum_s == pytest.approx(2 * 0.001 + 0.6 + 2 * 0.1)


def test_frames_from_before_are_not_measured() -> None:
    """A plugin actor that took over a mailbox does not know when its first frames came."""
    meter = LatencyMeter(4)
    meter.finished(3, 1.0)
    meter.arrived(6, 2.0)
    meter.finished(6, 2.0)
    assert meter.histogram().count == 2


def test_quantiles_are_upper_bounds() -> None:
    """The bucket in which the share is reached names the time; beyond the last bound it is infinite."""
    assert LatencyHistogram().quantile(0.5) is None
    counts = [0] * (len(BOUNDS) + 1)
    counts[3], counts[-1] = 9, 1
    found = LatencyHistogram(counts=tuple(counts))
    assert (found.quantile(0.0), found.quantile(0.9), found.quantile(0.99)) == (BOUNDS[3], BOUNDS[3], math.inf)
    with pytest.raises(ValueError, match="from 0 to 1, not 2"):
        found.quantile(2)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 60))))
def test_every_frame_is_measured_once(steps: list[tuple[int, int]]) -> None:
    """However arrivals and outcomes alternate, the count is that of the outcomes."""
    meter = LatencyMeter(0)
    accepted = finished = 0
    for now, (arriving, finishing) in enumerate(steps):
        accepted += arriving
        meter.arrived(accepted, float(now))
        finished = min(accepted, finished + finishing)
        meter.finished(finished, now + 0.5)
    assert meter.histogram().count == finished
