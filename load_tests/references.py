"""What a scenario points at: events at plugins, limits at metrics. Seen in its tables, whatever else is wrong there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from nyx_plugins.config import checks
from nyx_plugins.config.errors import Fault

from .measures import measured
from .scenario import OF_PLUGINS, ORDERS, TRAFFIC, WORK, merged
from .variants import split

Table: TypeAlias = Mapping[str, Any]

_OF_THE_WHOLE = frozenset({"name", "description", "rounds", "limits", "variants"})
_METRICS = ("metric", "over", "minus")


def parts_of(table: Table) -> dict[str, Table]:
    """Return the variants of a scenario as scenarios, by name; itself, without a name, if it has none."""
    common = {key: value for key, value in table.items() if key != "variants"}
    return {name: merged(common, over) for name, over in _variants(table).items()} or {"": table}


def _variants(table: Table) -> dict[str, Table]:
    found = table.get("variants")
    items = found.items() if isinstance(found, Mapping) else ()
    return {name: over for name, over in items if isinstance(over, Mapping)}


def _tables(value: object) -> Iterator[tuple[int, Table]]:
    """Yield those items of a list that are tables, with their places."""
    for number, item in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(item, Mapping):
            yield number, item


# Events.


def event_faults(table: Table) -> Iterator[Fault]:
    """Yield which events of a scenario without variants are for plugins that there are not."""
    groups = table.get("plugins", {})
    for number, event in _tables(table.get("events")):
        # Others are of the system, whatever the group.
        if isinstance(groups, Mapping) and event.get("role") in (None, *OF_PLUGINS):
            yield from _target(event, groups, f"events[{number}]")


def _target(event: Table, groups: Table, key: str) -> Iterator[Fault]:
    name = event.get("group", WORK)
    if not isinstance(name, str):
        return
    if name not in groups:
        known = ", ".join(groups) or "none"
        yield Fault(f"{key}.group", f"must be one of the groups of plugins ({known}), not {name!r}")
    elif isinstance(group := groups[name], Mapping):
        yield from _member(event, group, key)


def _member(event: Table, group: Table, key: str) -> Iterator[Fault]:
    number, count, bundle = event.get("number", 1), group.get("count", 1), group.get("bundle", WORK)
    if isinstance(number, int) and isinstance(count, int) and 1 <= count < number:
        yield Fault(f"{key}.number", f"must be at most {count}, the number of plugins, not {number}")
    if event.get("do") in ORDERS and bundle != WORK:
        yield Fault(f"{key}.do", f"{event['do']!r} is for plugins of the bundle {WORK!r}, not of {bundle!r}")


# Limits.


def limit_faults(table: Table) -> Iterator[Fault]:
    """Yield which limits are for metrics that there will not be."""
    parts = parts_of(table)
    for number, limit in _tables(table.get("limits")):
        for key in _METRICS:
            name = limit.get(key)
            if isinstance(name, str) and name and (why := _unknown(name, parts)):
                yield Fault(f"limits[{number}].{key}", why)


def _unknown(name: str, parts: Mapping[str, Table]) -> str | None:
    metric, variant = (name, "") if "" in parts else split(name)
    known = measured(parts.get(variant) or next(iter(parts.values())))
    if known is not None and metric not in known:
        near = checks.suggestion(metric, known)
        return f"must be a metric that is measured, not {metric!r}{near}; docs/load-tests.md has all of them"
    if variant not in parts:
        there = ", ".join(f"'{metric} [{each}]'" for each in parts)
        return f"must name a variant that there is ({there}), not {name!r}"
    return None


def without_lost_limits(table: Table, before: Table) -> Table:
    """Return a scenario without the limits for variants that it had ``before``, and has no more."""
    gone = _variants(before).keys() - _variants(table).keys()
    limits = table.get("limits")
    if not gone or not isinstance(limits, list):
        return table
    return {**table, "limits": [limit for limit in limits if not _is_for(limit, gone)]}


def _is_for(limit: object, variants: set[str]) -> bool:
    names = [limit.get(key) for key in _METRICS] if isinstance(limit, Mapping) else []
    return any(isinstance(name, str) and split(name)[1] in variants for name in names)


# Variants.


def variant_faults(table: Table) -> Iterator[Fault]:
    """Yield what a variant can't have of its own."""
    for name, over in _variants(table).items():
        for key in sorted(_OF_THE_WHOLE & over.keys()):
            where = f"variants.{checks.shown_key(name)}.{key}"
            yield Fault(where, "is of the whole scenario, and looked at in no variant: set it outside of them")


# Rates.


def rate_faults(table: Table) -> Iterator[Fault]:
    """Yield which rates nobody would look at: those of closed loops only."""
    variants, parts = _variants(table), parts_of(table)
    heirs = [part for name, part in parts.items() if "rate" not in variants.get(name, {})]
    if heirs and all(map(_is_idle, heirs)):
        yield _idle("rate", table["rate"])
    for name, over in variants.items():
        if "rate" in over and _is_idle(parts[name]):
            yield _idle(f"variants.{checks.shown_key(name)}.rate", over["rate"])


def _is_idle(part: Table) -> bool:
    is_closed = part.get("mode", "closed") == "closed" and part.get("driver", TRAFFIC) == TRAFFIC
    return is_closed and bool(part.get("rate", 0) != 0)


def _idle(key: str, rate: object) -> Fault:
    reason = f"must be 0 or left out with mode 'closed', in which it is not looked at, not {checks.shown(rate)}"
    return Fault(key, f"{reason}; or set mode = 'open'")
