"""Figures with their units, and what rounds say together."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from nyx_plugins.load_tests.amounts import digits, figure, percent
from nyx_plugins.load_tests.result import Better, Result
from nyx_plugins.load_tests.summary import summaries


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (61_234.4, "frames/s", "61,234 frames/s"),
        (0, "frames/s", "0 frames/s"),
        (500.0, "us", "500 µs"),
        (1250, "us", "1.25 ms"),
        (2.5, "s", "2.50 s"),
        (12.34, "ms", "12.3 ms"),
        (0.25, "us", "0.250 µs"),
        (700, "bytes", "700 bytes"),
        (3.25 * 1024**2, "bytes", "3.25 MiB"),
        (-2 * 1024**2, "bytes", "-2 MiB"),
        (0.004, "x", "0.004 x"),
        (math.nan, "s", "-"),
    ],
)
def test_a_figure_has_few_digits_and_a_unit(value: float, unit: str, text: str) -> None:
    """Large ones get commas, times and sizes the unit that keeps them short, and nothing that is no number a dash."""
    assert figure(value, unit) == text


def test_numbers_and_shares_are_short() -> None:
    """Whole numbers have no decimals; a share of less than a tenth has one."""
    assert (digits(10), digits(99.95), digits(1.5), digits(-1234.5)) == ("10", "100.0", "1.50", "-1,234")
    assert (percent(0.006), percent(0.12), percent(12)) == ("0.6 %", "12 %", "1,200 %")


def test_a_summary_has_the_middle_and_the_spread(forge: Callable[..., Result]) -> None:
    """Each metric keeps its values in the order of the rounds; a spread around zero is none."""
    rounds = forge(rounds=3, bare=True).rounds
    first, *_, last = summaries(rounds)
    assert first.values == tuple(one.metrics["throughput"].value for one in rounds)
    assert (first.name, first.unit, first.better) == ("throughput", "frames/s", Better.HIGHER)
    assert first.low <= first.median <= first.high
    assert first.spread == pytest.approx((first.high - first.low) / first.median)
    assert (last.name, last.spread) == ("memory_growth", None)
    assert summaries(()) == ()
