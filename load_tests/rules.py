"""What the fields of a result may hold: checks that list all faults, and the same as JSON Schema for other readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from nyx_plugins.config import checks
from nyx_plugins.config.errors import Fault

LARGEST = 1e18
"""Of any figure: beyond it nothing is drawn, and nothing is that large."""
LONGEST_S = 1e9
MOST = 2**63 - 1


class Rule(checks.Check):
    """A check that has ``schema`` besides: what JSON Schema can say of it."""

    def __init__(self, find: Callable[[Any], Iterable[Fault]], schema: Mapping[str, Any]) -> None:
        super().__init__(find)
        self.schema = schema


def _number(low: float, high: float) -> Rule:
    return Rule(checks.number(low, high).faults, {"minimum": low, "maximum": high})


def _whole(low: int, high: int) -> Rule:
    return Rule(checks.whole(low, high).faults, {"minimum": low, "maximum": high})


def _each(rule: Rule) -> Rule:
    return Rule(checks.each(rule).faults, {"items": rule.schema})


def _time_reason(value: object) -> str | None:
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return None
    return f"must be a time as ISO 8601 has it, 2026-01-02T03:04:05+00:00, not {checks.shown(value)}"


def _is_percentile(name: object) -> bool:
    try:
        return isinstance(name, str) and math.isfinite(level := float(name)) and 0 <= level <= 100
    except ValueError:
        return False


def _percentile_faults(value: object) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        return
    for name, item in value.items():
        if not _is_percentile(name):
            yield Fault(checks.shown_key(name), "must be a percentile from 0 to 100, '99.9' for example")
        if item is not None:
            yield from duration_us.faults(item, checks.shown_key(name))


# Times may be a little before the round began: the first look is.
moment_s = _number(-LONGEST_S, LONGEST_S)
duration_s = _number(0, LONGEST_S)
duration_us = _number(0, LARGEST)
amount = _number(-LARGEST, LARGEST)
amount_or_none = Rule(checks.optional(amount).faults, amount.schema)
count = _whole(0, MOST)
position = _whole(1, MOST)
moments = _each(moment_s)
amounts = _each(amount)
durations_s = _each(duration_s)
counts = _each(count)
percentiles = Rule(_percentile_faults, {"propertyNames": {"pattern": r"^[0-9]+(\.[0-9]+)?$"}})
time = Rule(checks.check(_time_reason).faults, {"format": "date-time"})


def over_time(at_s: tuple[float, ...], **columns: tuple[Any, ...]) -> Iterator[Fault]:
    """Yield the faults of what goes along with ``at_s``: as many values, and times that do not go back."""
    for name, values in columns.items():
        if len(values) != len(at_s):
            yield Fault(name, f"must have as many values as at_s has times ({len(at_s):,}), not {len(values):,}")
    for index, (earlier, later) in enumerate(pairwise(at_s)):
        if later < earlier:
            yield Fault(f"at_s[{index + 1}]", f"must not be before the time before it ({earlier:g}), but is {later:g}")
            return
