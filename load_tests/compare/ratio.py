"""How many times as large one side's figures are as the other's, and how sure that is.

Figures of repeated rounds vary by factors, not by amounts, so that everything is reckoned with their logarithms: the
ratio is that of the geometric means, and its interval is Student's, which stays honest with as few as two rounds (a
bootstrap of five values is too narrow). It supposes that rounds are independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from ..extra import needed

LEVEL = 0.95
"""How often the interval has the true ratio in it."""
FEWEST = 2
"""Rounds of each side without which there is no interval."""


@attrs.frozen
class Ratio:
    """The second side's figures over the first side's."""

    value: float
    low: float
    high: float


def of_rounds(base: Sequence[float], candidate: Sequence[float]) -> Ratio | None:
    """Return the ratio of independent rounds (Welch), or ``None`` where there is none.

    There is none for too few rounds, and for figures that are not all above zero.
    """
    if min(len(base), len(candidate)) < FEWEST or not _positive([*base, *candidate]):
        return None
    logs = _logs(base), _logs(candidate)
    middle = _mean(logs[1]) - _mean(logs[0])
    variances = [_variance(side) / len(side) for side in logs]
    if not sum(variances):
        return _ratio(middle, 0)
    weights = sum(variance**2 / (len(side) - 1) for variance, side in zip(variances, logs, strict=True))
    return _ratio(middle, _reach(sum(variances), sum(variances) ** 2 / weights))


def of_pairs(base: Sequence[float], candidate: Sequence[float]) -> Ratio | None:
    """Return the ratio of rounds that were measured in pairs, one right after the other, or ``None`` likewise."""
    if len(base) != len(candidate) or len(base) < FEWEST or not _positive([*base, *candidate]):
        return None
    logs = [later - earlier for earlier, later in zip(_logs(base), _logs(candidate), strict=True)]
    variance = _variance(logs) / len(logs)
    return _ratio(_mean(logs), _reach(variance, len(logs) - 1) if variance else 0)


def _ratio(middle: float, reach: float) -> Ratio:
    return Ratio(_power(middle), _power(middle - reach), _power(middle + reach))


def _power(logarithm: float) -> float:
    # Two rounds that have nothing to do with each other reach far beyond what a float holds.
    return math.exp(min(logarithm, 700.0))


def _reach(variance: float, freedom: float) -> float:
    """Return how far the interval reaches to each side."""
    with needed():
        from scipy import special  # it takes half a second, and the help is read without
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(variance)


def _positive(values: Sequence[float]) -> bool:
    return all(value > 0 for value in values)


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    middle = _mean(values)
    return math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
