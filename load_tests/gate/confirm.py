"""Alarms that are true: what looks worse is measured a second time, and counts if it is worse again. Pure.

Dozens of metrics are judged, each with an interval that is wrong once in twenty times, on either side: on a noisy
machine a build that is compared with itself would look worse in one of them in every fourth run. That the same metric
does so twice in a row, in series that have nothing to do with each other, is chance in one of hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..compare.comparison import Comparison, Verdict
from .turns import Turn


def alarms(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], str]:
    """Return what is worse: in words, by scenario and metric or limit."""
    return {(scenario, what): text for scenario, what, text in _alarms(comparisons)}


def _alarms(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, str, str]]:
    for comparison in comparisons:
        for row in comparison.rows:
            if row.verdict is Verdict.WORSE and row.ratio is not None:
                yield comparison.scenario, row.metric, f"{row.metric} is {row.ratio.value:.3f} times as much"
        for limit in comparison.broken:
            yield comparison.scenario, limit, f"not met any more: {limit}"


def is_blind(comparisons: Sequence[Comparison]) -> bool:
    """Return whether no metric could be judged: each interval reaches over what is allowed, or there is none."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    return all(row.verdict in (Verdict.UNCLEAR, Verdict.NO_RATIO) for row in rows)


def doubtful(comparisons: Sequence[Comparison], done: Sequence[Turn]) -> tuple[str, ...]:
    """Return the scenarios, as they were asked for, in which something is worse."""
    names = {scenario for scenario, _ in alarms(comparisons)}
    return tuple(dict.fromkeys(turn.scenario for turn in done if turn.result.scenario in names))


def confirmed(first: Sequence[Comparison], second: Sequence[Comparison]) -> list[str]:
    """Return what is worse in both series, with the figures of the second one."""
    before, again = alarms(first), alarms(second)
    return [f"{key[0]}: {text}" for key, text in again.items() if key in before]
