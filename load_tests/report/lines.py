"""Lines of a plot over time: single ones, and many that are bundled into their middle and their range."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from ..extra import needed
from ..result import ProcessUsage, Round
from ..variants import split
from .roles import by_role

with needed():
    import numpy as np

MAX_SINGLE = 4
_SINGLE = 1

Points = tuple[Sequence[float], Sequence[float]]
"""Times, and what there was at each."""
_Members = dict[tuple[str, str], list[tuple[str, Points]]]
"""By what they have in common and their variant: a name and points each."""


@attrs.frozen
class Line:
    """One line, with the range around it where it stands for several."""

    label: str
    at_s: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def series_lines(one: Round, unit: str) -> list[Line]:
    """Return what a round has over time in ``unit``; series that differ in their numbers only are bundled."""
    members: _Members = {}
    for series in one.series:
        if series.unit == unit and series.at_s:
            name, variant = split(series.name)
            found = members.setdefault((_stem(name), variant), [])
            found.append((name, (series.at_s, series.values)))
    return _lines(members, MAX_SINGLE)


def memory_lines(one: Round) -> list[Line]:
    """Return the memory of each role's processes."""
    return _process_lines(one, lambda process: process.pss_bytes)


def growth_lines(one: Round) -> list[Line]:
    """Return how far each role's processes have grown since their first look."""
    return _process_lines(one, lambda process: [value - process.pss_bytes[0] for value in process.pss_bytes])


def _process_lines(one: Round, values: Callable[[ProcessUsage], Sequence[float]]) -> list[Line]:
    members: _Members = {}
    for (role, variant), those in by_role(one.processes).items():
        members[role, variant] = [(role, (process.at_s, values(process))) for process in those if process.pss_bytes]
    return _lines({key: found for key, found in members.items() if found}, _SINGLE)


def _lines(members: _Members, single: int) -> list[Line]:
    """Return lines with the same label, and so the same colour, in each variant: these come one after the other."""
    most: dict[str, int] = {}
    for (stem, _), found in members.items():
        most[stem] = max(most.get(stem, 0), len(found))
    lines = []
    for (stem, _), found in members.items():
        if most[stem] > single:
            label = f"{stem} (up to {most[stem]}: median, range)"
            lines.append(bundled(label, [points for _, points in found]))
        else:
            lines += [bundled(name, [points]) for name, points in found]
    return lines


def _stem(name: str) -> str:
    return re.sub(r"\s*\d+", "", name) or name


def bundled(label: str, members: Iterable[Points]) -> Line:
    """Return the median of several lines, and their range, at all the times of any."""
    lines = list(members)
    at_s = np.unique(np.concatenate([np.asarray(times, float) for times, _ in lines]))
    if len(lines) == _SINGLE:
        return Line(label, tuple(lines[0][0]), tuple(map(float, lines[0][1])))
    rows = np.vstack([np.interp(at_s, times, values, left=np.nan, right=np.nan) for times, values in lines])
    columns = np.ma.masked_invalid(rows)
    return Line(label, *(tuple(map(float, part)) for part in (at_s, *_ranges(columns))))


def _ranges(columns: Any) -> tuple[Sequence[float], ...]:
    middle: Any = np.ma.median  # it has no type
    return middle(columns, axis=0), columns.min(axis=0), columns.max(axis=0)


LinesOf = Callable[[Round], list[Line]]
