"""Whether the limits of a scenario are met by what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from .amounts import figure
from .measures import unit_of
from .result import Check, Metric, Round
from .scenario import Limit, Plan
from .variants import split


def checks(limits: Sequence[Limit], rounds: Sequence[Round]) -> tuple[Check, ...]:
    """Judge each limit by the median of all rounds; one whose metric was not measured is not met."""
    return tuple(_check(limit, [round.metrics for round in rounds]) for limit in limits)


def judged(plan: Plan) -> tuple[Limit, ...]:
    """Return the limits that hold for so many plugins."""
    return tuple(limit for limit in plan.scenario.limits if _plugins(plan, limit) >= limit.from_plugins)


def left_out(plan: Plan) -> Iterator[str]:
    """Say which do not."""
    for limit in plan.scenario.limits:
        if (count := _plugins(plan, limit)) < limit.from_plugins:
            what = limit.what or _in_words(limit)
            yield f"{what}: not judged, as its limit is for {limit.from_plugins:,} plugins or more, not for {count:,}"


def _plugins(plan: Plan, limit: Limit) -> int:
    part = plan.parts.get(split(limit.metric)[1]) or next(iter(plan.parts.values()))
    return sum(group.count for group in part.plugins.values())


def _check(limit: Limit, rounds: Sequence[Mapping[str, Metric]]) -> Check:
    names = [name for name in (limit.metric, limit.over, limit.minus) if name]
    complete = [metrics for metrics in rounds if all(name in metrics for name in names)]
    what = limit.what or _in_words(limit)
    unit = "x" if limit.over else next((metrics[limit.metric].unit for metrics in complete), unit_of(limit.metric))
    if not complete:
        return Check(what, _limit(limit, unit), None, unit, False)
    measured = statistics.median(_value(limit, metrics) for metrics in complete)
    return Check(what, _limit(limit, unit), measured, unit, _is_met(limit, measured))


def _value(limit: Limit, metrics: Mapping[str, Metric]) -> float:
    value = metrics[limit.metric].value
    if limit.minus:
        value -= metrics[limit.minus].value
    # Of nothing, anything is many times as much.
    return value / max(1e-9, metrics[limit.over].value) if limit.over else value


def _is_met(limit: Limit, measured: float) -> bool:
    if limit.at_least is not None:
        return measured >= limit.at_least
    assert limit.at_most is not None
    return measured <= limit.at_most


def _limit(limit: Limit, unit: str) -> str:
    sign, value = (">=", limit.at_least) if limit.at_least is not None else ("<=", limit.at_most)
    if unit in ("bytes", "us") and value is not None:
        return f"{sign} {figure(value, unit)}"
    return f"{sign} {value:,g}{unit}" if unit == "x" else f"{sign} {value:,g} {unit}".rstrip()


def _in_words(limit: Limit) -> str:
    over = f" / {limit.over}" if limit.over else ""
    minus = f" - {limit.minus}" if limit.minus else ""
    return limit.metric + minus + over
