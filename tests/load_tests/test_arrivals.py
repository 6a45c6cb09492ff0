"""When frames are due: the same times for the same seed, at the rate that was asked for, and none is skipped."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.load_tests.arrivals import NS, Due, constant, phase_of, poisson, spread


def test_constant_arrivals_keep_their_rate_for_ever() -> None:
    """Nothing drifts: after a million frames at three per second the next is due exactly when it should be."""
    assert next(islice(constant(3.0), 1_000_000, None)) == 1_000_000 * NS // 3
    gaps = {after - before for before, after in pairwise(islice(constant(1000.0, 0.25), 100))}
    assert gaps == {NS // 1000}


def test_poisson_arrivals_have_their_rate_and_their_spread() -> None:
    """Of exponentially distributed times the mean and the standard deviation are the same."""
    times = list(islice(poisson(1000.0, 7), 100_000))
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert times == sorted(times)
    assert mean == pytest.approx(NS / 1000, rel=0.02) and deviation == pytest.approx(mean, rel=0.02)


def test_a_seed_decides_all_times() -> None:
    """Two runs with one seed are the same, two seeds are not."""
    first, again, other = (list(islice(poisson(50.0, seed), 100)) for seed in ("1:1:0", "1:1:0", "1:1:1"))
    assert first == again != other
    assert 0 <= phase_of("a") < 1 and phase_of("a") == phase_of("a") != phase_of("b")


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=40), st.integers(1, 50))
def test_every_frame_is_due_once_however_late_somebody_looks(looks: list[int], most: int) -> None:
    """What was late is not skipped: all that was taken and what is left are all that was ever due, in order."""
    begin, end = 500, 2500
    everything = list(range(begin, end, 10))
    due = Due(iter(range(0, 10_000, 10)), begin, end)
    taken: list[int] = []
    for now in sorted(looks):
        some = due.take(now, most)
        assert len(some) <= most and all(at <= now for at in some)
        taken += some
    assert taken == everything[: len(taken)]
    assert due.next == (everything[len(taken)] if len(taken) < len(everything) else None)
    assert due.rest(begin, end) == len(everything) - len(taken)
    assert due.next is None


def test_what_is_left_counts_from_when_measuring_began_to_when_it_ended() -> None:
    """Frames of the warm-up are not counted, nor those after an interruption."""
    assert Due(iter(range(0, 1000, 10)), 0, 900).rest(100, 300) == 20


def test_frames_are_spread_evenly_by_weight() -> None:
    """A plugin with twice the weight gets every second frame, not two in a row."""
    assert spread({1: 2, 2: 1, 3: 1}) == [1, 2, 3, 1]
    assert sorted(spread({1: 3, 2: 5})) == [1] * 3 + [2] * 5
