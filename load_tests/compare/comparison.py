"""``compare``: metric by metric, what became better, what became worse, and what can't be told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from statistics import median

import attrs

from ..errors import NothingToCompare
from ..result import Better, Result
from ..summary import Summary, summaries
from .notes import notes
from .ratio import Ratio, of_rounds
from .side import Side, sides

Reckon = Callable[[Sequence[float], Sequence[float]], Ratio | None]


class Verdict(StrEnum):
    """What the interval says about a metric."""

    WORSE = "worse"
    """All of it is beyond the allowed regression."""
    BETTER = "better"
    """All of it is on the good side of 1."""
    SAME = "no regression"
    """None of it is beyond the allowed regression."""
    UNCLEAR = "can't be told"
    """It reaches over the allowed regression: more rounds would tell."""
    NO_RATIO = "no ratio"
    """Too few rounds, or a figure that was zero."""


@attrs.frozen
class Row:
    """One metric of both sides."""

    metric: str
    unit: str
    better: Better
    base: float
    """Median of the rounds."""
    candidate: float
    ratio: Ratio | None
    verdict: Verdict


@attrs.frozen
class Comparison:
    """One scenario of both sides."""

    scenario: str
    rounds: tuple[int, int]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    broken: tuple[str, ...]
    """Limits that the first side had met, and the second has not."""

    @property
    def worse(self) -> bool:
        """Whether anything got worse than allowed."""
        return bool(self.broken) or any(row.verdict is Verdict.WORSE for row in self.rows)


def compare(
    base: Sequence[Result],
    candidate: Sequence[Result],
    max_regression: float,
    metrics: Sequence[str] = ("*",),
    reckon: Reckon = of_rounds,
) -> tuple[Comparison, ...]:
    """Compare scenario by scenario; ``max_regression`` is a share of one, ``metrics`` are patterns of names.

    Raises :class:`NothingToCompare` where the sides have no scenario in common, or no metric that was asked for.
    """
    first, second = sides(base), sides(candidate)
    both = [scenario for scenario in first if scenario in second]
    if not both:
        raise NothingToCompare(f"the first side has results of {_named(first)}, and the second of {_named(second)}")
    for name, side in (("first", first), ("second", second)):
        if not any(side[scenario].rounds for scenario in both):
            raise NothingToCompare(f"the {name} side has no rounds: nothing was measured there")
    judge = _Judge(max_regression, tuple(metrics), reckon)
    comparisons = tuple(judge.compare(scenario, first[scenario], second[scenario]) for scenario in both)
    if not any(comparison.rows for comparison in comparisons):
        raise NothingToCompare(f"both sides together have no metric like {' or '.join(map(repr, metrics))}")
    return comparisons


def left_out(base: Sequence[Result], candidate: Sequence[Result]) -> tuple[str, ...]:
    """Return the scenarios that one side only has."""
    return tuple(sorted(sides(base).keys() ^ sides(candidate).keys()))


def _named(found: Mapping[str, Side]) -> str:
    return ", ".join(sorted(found)) or "nothing"


@attrs.frozen
class _Judge:
    max_regression: float
    metrics: tuple[str, ...]
    reckon: Reckon

    def compare(self, scenario: str, base: Side, candidate: Side) -> Comparison:
        later = {summary.name: summary for summary in summaries(candidate.rounds)}
        chosen = [summary for summary in summaries(base.rounds) if self._is_chosen(summary.name)]
        return Comparison(
            scenario,
            (len(base.rounds), len(candidate.rounds)),
            tuple(self._row(each, later[each.name]) for each in chosen if _is_alike(each, later.get(each.name))),
            tuple(notes(base, candidate)),
            tuple(_broken(base, candidate)),
        )

    def _is_chosen(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.metrics)

    def _row(self, base: Summary, candidate: Summary) -> Row:
        ratio = self.reckon(base.values, candidate.values)
        middles = median(base.values), median(candidate.values)
        return Row(base.name, base.unit, base.better, *middles, ratio, self._verdict(ratio, base.better))

    def _verdict(self, ratio: Ratio | None, better: Better) -> Verdict:
        if ratio is None:
            return Verdict.NO_RATIO
        # As factors by which it got worse, whichever direction that is.
        low, high = (ratio.low, ratio.high) if better is Better.LOWER else (2 - ratio.high, 2 - ratio.low)
        allowed = 1 + self.max_regression
        if low > allowed:
            return Verdict.WORSE
        if high < 1:
            return Verdict.BETTER
        return Verdict.SAME if high <= allowed else Verdict.UNCLEAR


def _is_alike(base: Summary, candidate: Summary | None) -> bool:
    """Return whether both sides have a metric, and mean the same by it."""
    return candidate is not None and (base.unit, base.better) == (candidate.unit, candidate.better)


def _broken(base: Side, candidate: Side) -> Iterator[str]:
    met = {check.what for result in base.results for check in result.checks if check.met}
    # What was not measured is neither met nor broken: a note tells.
    measured = (check for result in candidate.results for check in result.checks if check.measured is not None)
    missed = (check for check in measured if not check.met)
    yield from dict.fromkeys(f"{check.what} ({check.limit})" for check in missed if check.what in met)
