"""Lines of a plot over time: single ones, and many that are bundled into their middle and their range."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from ..extra import needed
from ..result import ProcessUsage, Round
from .roles import by_role

with needed():
    import numpy as np

MAX_SINGLE = 4
_SINGLE = 1

Points = tuple[Sequence[float], Sequence[float]]
"""Times, and what there was at each."""


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
    found: dict[str, list[tuple[str, Points]]] = {}
    for series in one.series:
        if series.unit == unit and series.at_s:
            stem = re.sub(r"\s*\d+", "", series.name)
            found.setdefault(stem, []).append((series.name, (series.at_s, series.values)))
    return [line for stem, members in found.items() for line in _single_or_bundled(stem, members)]


def memory_lines(one: Round) -> list[Line]:
    """Return the memory of each role's processes."""
    return [bundled(_count(role, len(those)), map(_memory, those)) for role, those in _with_memory(one).items()]


def growth_lines(one: Round) -> list[Line]:
    """Return how far each role's processes have grown since their first look."""
    return [bundled(_count(role, len(those)), map(_growth, those)) for role, those in _with_memory(one).items()]


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


def _single_or_bundled(stem: str, members: list[tuple[str, Points]]) -> Iterable[Line]:
    if len(members) > MAX_SINGLE:
        yield bundled(_count(stem, len(members)), (points for _, points in members))
    else:
        yield from (bundled(name, [points]) for name, points in members)


def _count(what: str, count: int) -> str:
    return what if count == _SINGLE else f"{what} ({count}: median, range)"


def _with_memory(one: Round) -> dict[str, list[ProcessUsage]]:
    found = {role: [each for each in those if each.pss_bytes] for role, those in by_role(one.processes).items()}
    return {role: those for role, those in found.items() if those}


def _memory(process: ProcessUsage) -> Points:
    return process.at_s, process.pss_bytes


def _growth(process: ProcessUsage) -> Points:
    return process.at_s, [value - process.pss_bytes[0] for value in process.pss_bytes]


LinesOf = Callable[[Round], list[Line]]
