"""What does not go together in a scenario: each rule looks at a few keys, and is left out where these have faults."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

import attrs

from nyx_plugins.config.checks import shown_key
from nyx_plugins.config.errors import Fault
from nyx_plugins.config.settings import MAX_PLUGIN_ID

from .bundles import MARGIN_S
from .payload import around
from .scenario import ORDERS, TRAFFIC, WORK, PluginGroup, Scenario

_OF_WORK = frozenset({"decode", "reply_bytes", "work", "work_us", "manifest"})
_DEFAULT = attrs.asdict(PluginGroup())

Rule: TypeAlias = Callable[[Scenario], Iterator[Fault]]


def contradictions(scenario: Scenario, broken: Collection[str], is_whole: bool) -> Iterator[Fault]:
    """Yield what does not go together, but for ``broken`` keys, which have faults of their own.

    Not ``is_whole`` is a scenario of which each variant changes something: most is seen in these only.
    """
    for keys, rule in (*_ALWAYS, *(_WHOLE if is_whole else ())):
        if not keys & set(broken):
            yield from rule(scenario)


def _lonely_ids(scenario: Scenario) -> Iterator[Fault]:
    for name, group in scenario.plugins.items():
        if group.id is not None and group.count > 1:
            yield Fault(f"plugins.{shown_key(name)}.id", f"is for a group of one plugin only, not of {group.count}")


def _shared_ids(scenario: Scenario) -> Iterator[Fault]:
    """Each plugin's id is that of its group, or counts on from ``first_id``."""
    taken: dict[int, str] = {}
    first = scenario.first_id
    for name, group in scenario.plugins.items():
        ids = range(first, first + group.count) if group.id is None else (group.id,)
        first += group.count
        if (at := next((each for each in ids if each in taken), None)) is not None:
            theirs = f"a plugin of the group {shown_key(taken[at])} has {at} already"
            own = "" if group.id is not None else "; without one, ids count on from first_id"
            yield Fault(f"plugins.{shown_key(name)}.id", f"must be nobody else's: {theirs}{own}")
        taken.update(dict.fromkeys(ids, name))


def _last_id(scenario: Scenario) -> Iterator[Fault]:
    before, last = 0, 0
    for group in scenario.plugins.values():
        before += group.count
        if group.id is None:
            last = scenario.first_id + before - 1
    if last > MAX_PLUGIN_ID:
        most = scenario.first_id - (last - MAX_PLUGIN_ID)
        why = f"ids count on from there, and the largest there is is {MAX_PLUGIN_ID:,}"
        yield Fault("first_id", f"must be at most {most:,} with {before:,} plugins ({why}), not {scenario.first_id:,}")


def _idle_keys(scenario: Scenario) -> Iterator[Fault]:
    """What is given and nobody would look at."""
    for name, group in scenario.plugins.items():
        key = f"plugins.{shown_key(name)}"
        given = {
            field.name for field in attrs.fields(PluginGroup) if getattr(group, field.name) != _DEFAULT[field.name]
        }
        if group.bundle != WORK:
            for each in sorted(given & _OF_WORK):
                yield Fault(f"{key}.{each}", f"is for plugins of the bundle {WORK!r}, not of {group.bundle!r}")
            continue
        if group.config:
            yield Fault(
                f"{key}.config", f"is not for plugins of the bundle {WORK!r}: these are configured by their group"
            )
        if group.work != "none" and not group.work_us:
            yield Fault(f"{key}.work_us", f"must be above 0 with work = {group.work!r}")
        if group.work == "none" and group.work_us:
            text = f"must be 0 or left out without work, not {group.work_us:g}; or set work = 'spin' or 'sleep'"
            yield Fault(f"{key}.work_us", text)


def _idle_options(scenario: Scenario) -> Iterator[Fault]:
    if scenario.driver == TRAFFIC and scenario.options:
        yield Fault("options", "is for a driver of one's own, and none is named (driver)")


def _lengths(scenario: Scenario) -> Iterator[Fault]:
    """A plugin is given the time that its handler needs, and some besides, under the operator's ceiling."""
    ceiling = scenario.system_settings().ceiling.wall_time_s
    most = max(0.0, ceiling - MARGIN_S)
    why = f"(settings.ceiling.wall_time_s is {ceiling:g}, and {MARGIN_S:g} s of it are spare)"
    groups = {name: group for name, group in scenario.plugins.items() if _is_timed(group)}
    for number, event in enumerate(scenario.events):
        if event.do in ORDERS and event.group in groups and event.lasts_s > most:
            yield Fault(f"events[{number}].for_s", f"must be at most {most:g} {why}, not {event.lasts_s:g}")
    for name, group in groups.items():
        if group.work_us > most * 1e6:
            text = f"must be at most {most * 1e6:,g} {why}, not {group.work_us:,g}"
            yield Fault(f"plugins.{shown_key(name)}.work_us", text)


def _is_timed(group: PluginGroup) -> bool:
    """Return whether its time is reckoned: its manifest may say another one."""
    sandbox = group.manifest.get("sandbox")
    return group.bundle == WORK and not (isinstance(sandbox, Mapping) and "wall_time_s" in sandbox)


def _untimely_events(scenario: Scenario) -> Iterator[Fault]:
    for number, event in enumerate(scenario.events):
        if event.at_s >= scenario.duration_s:
            limit = f"must be before the measured time ends (duration_s is {scenario.duration_s:g})"
            yield Fault(f"events[{number}].at_s", f"{limit}, not {event.at_s:g}; or leave it out: --set 'events=[]'")
        if event.at_s < -scenario.warm_up_s:
            limit = f"must be in the warm-up (warm_up_s is {scenario.warm_up_s:g}) if it is less than 0"
            yield Fault(f"events[{number}].at_s", f"{limit}, not {event.at_s:g}")


def _rate(scenario: Scenario) -> Iterator[Fault]:
    if scenario.mode == "open" and not scenario.rate:
        yield Fault("rate", "is needed with mode 'open', and must be above 0")


def _batch(scenario: Scenario) -> Iterator[Fault]:
    if scenario.mode == "closed" and scenario.call != "request" and scenario.batch > scenario.window:
        limit = f"must be at most window ({scenario.window:,}) with mode 'closed'"
        yield Fault("batch", f"{limit}, not {scenario.batch:,}")


def _requests(scenario: Scenario) -> Iterator[Fault]:
    if scenario.mode == "open" and scenario.call == "request":
        yield Fault("call", "must be 'many' or 'one' with mode 'open': a request waits")


def _mode(scenario: Scenario) -> Iterator[Fault]:
    if scenario.driver == TRAFFIC and scenario.mode == "none":
        yield Fault("mode", "must be 'open' or 'closed', unless there is a driver")


def _receivers(scenario: Scenario) -> Iterator[Fault]:
    if scenario.driver == TRAFFIC and not any(group.weight for group in scenario.plugins.values()):
        yield Fault("plugins", "must have a group that gets frames")


def _frames(scenario: Scenario) -> Iterator[Fault]:
    yield from frame_faults(scenario, scenario.system_settings().limits.max_header_bytes)


def frame_faults(scenario: Scenario, max_header_bytes: int) -> Iterator[Fault]:
    """Yield the fault of frames that a system with this limit refuses."""
    largest_id = max([scenario.first_id, *(group.id or 0 for group in scenario.plugins.values())])
    most = max_header_bytes - around(largest_id, scenario.frame_bytes)
    if not scenario.capture and scenario.frame_bytes > most:
        limit = f"must be at most {most:,} (settings.limits.max_header_bytes is {max_header_bytes:,})"
        yield Fault("frame_bytes", f"{limit}, not {scenario.frame_bytes:,}: the system would refuse every frame")


_ALWAYS: tuple[tuple[frozenset[str], Rule], ...] = ((frozenset({"plugins"}), _lonely_ids),)
_WHOLE: tuple[tuple[frozenset[str], Rule], ...] = (
    (frozenset({"plugins", "events", "settings"}), _lengths),
    (frozenset({"events", "warm_up_s", "duration_s"}), _untimely_events),
    (frozenset({"mode", "rate"}), _rate),
    (frozenset({"mode", "call", "batch", "window"}), _batch),
    (frozenset({"mode", "call"}), _requests),
    (frozenset({"driver", "mode"}), _mode),
    (frozenset({"driver", "plugins"}), _receivers),
    (frozenset({"plugins", "first_id"}), _shared_ids),
    (frozenset({"plugins", "first_id"}), _last_id),
    (frozenset({"plugins"}), _idle_keys),
    (frozenset({"driver", "options"}), _idle_options),
    (frozenset({"capture", "frame_bytes", "settings"}), _frames),
)
