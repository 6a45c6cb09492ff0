"""Plots over time: a column for each round, a row for each quantity, and a dashed line for each event."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from ..extra import needed
from ..result import Mark, Round
from ..variants import split
from .canvas import COLOURS, MUTED, legible, new_figure
from .lines import Line, LinesOf
from .scales import amount_axis

with needed():
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MAX_COLUMNS = 5
MAX_KINDS = 8
MAX_MARKS = 200
"""Events drawn of each round: more can't be told apart, and take minutes."""
MAX_LINES = 32
"""Of each panel, those of variants, which come one after the other, counted once."""
_STYLES: tuple[Any, ...] = ("-", "--", ":", "-.")
_NEAR = 0.04
_Styles = dict[str, tuple[str, Any]]
"""Colour and dashes by label."""


@attrs.frozen
class Row:
    """One quantity over time."""

    title: str
    unit: str
    lines: LinesOf
    least: float = 0
    """What its axis reaches at least, so that noise looks as small as it is."""


@attrs.frozen
class _Panel:
    row: Row
    one: Round
    lines: list[Line]
    more_lines: int
    """That are not drawn."""
    marks: tuple[Mark, ...]
    """Those that are drawn, in their order."""
    end_s: float


def shown_rounds(rounds: Sequence[Round]) -> Sequence[Round]:
    """Return the rounds that have a place beside each other: all, or the first ones and the last."""
    return rounds if len(rounds) <= MAX_COLUMNS else [*rounds[: MAX_COLUMNS - 1], rounds[-1]]


def timeline(rounds: Sequence[Round], rows: Iterable[Row]) -> Figure | None:
    """Draw ``rows`` over the time of each round, or return ``None`` where there is nothing to draw."""
    columns = shown_rounds(rounds)
    table = [[_panel(row, one) for one in columns] for row in rows]
    table = [panels for panels in table if any(panel.lines for panel in panels)]
    return _draw(table, _kinds(columns)) if table else None


def _panel(row: Row, one: Round) -> _Panel:
    lines = row.lines(one)
    labels = list(dict.fromkeys(line.label for line in lines))[:MAX_LINES]
    shown = [line for line in lines if line.label in labels]
    end = max([one.seconds, *(line.at_s[-1] for line in shown)])
    marks = [mark for mark in sorted(one.marks, key=lambda mark: mark.at_s) if 0 <= mark.at_s <= end]
    return _Panel(row, one, shown, len(lines) - len(shown), tuple(marks[:MAX_MARKS]), end)


def _draw(table: list[list[_Panel]], kinds: dict[str, str]) -> Figure:
    figure = new_figure(1.0 + 2.3 * len(table) + 0.16 * len(kinds))
    grid = figure.subplots(len(table), len(table[0]), sharex="col", sharey="row", squeeze=False)
    styles = _styles(panel for panels in table for panel in panels)
    for axes_row, panels in zip(grid, table, strict=True):
        for axes, panel in zip(axes_row, panels, strict=True):
            _fill(axes, panel, styles, kinds)
        _finish_row(axes_row[0], panels)
    for axes, panel in zip(grid[0], table[0], strict=True):
        axes.set_title(f"round {panel.one.number}", loc="left", pad=14 if kinds else None)
        _name_marks(axes, panel, kinds)
    for axes in grid[-1]:
        axes.set_xlabel("seconds since the round began" if len(grid[-1]) < 3 else "seconds")
    figure.align_ylabels()
    _legend(figure, styles)
    _explain(figure, kinds, list(_left_out(table)))
    return figure


def _fill(axes: Axes, panel: _Panel, styles: _Styles, kinds: dict[str, str]) -> None:
    for line in panel.lines:
        colour, dashes = styles[line.label]
        axes.plot(line.at_s, line.middle, color=colour, linestyle=dashes)
        if line.low:
            axes.fill_between(line.at_s, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
    for mark in panel.marks:
        axes.axvline(mark.at_s, color=MUTED, linestyle=(0, (3, 2)), linewidth=0.9)
    axes.set_xlim(0, panel.end_s)


def _finish_row(axes: Axes, panels: Sequence[_Panel]) -> None:
    """Scale the axis that the panels of a row share."""
    row = panels[0].row
    values = [value for panel in panels for line in panel.lines for value in (*line.middle, *line.low, *line.high)]
    amount_axis(axes, row.unit, values, row.least)
    axes.set_ylabel(row.title)


def _styles(panels: Iterable[_Panel]) -> _Styles:
    """Return colour and dashes for each label: the same in all panels."""
    labels = dict.fromkeys(line.label for panel in panels for line in panel.lines)
    count = len(COLOURS)
    return {label: (COLOURS[n % count], _STYLES[n // count % len(_STYLES)]) for n, label in enumerate(labels)}


def _legend(figure: Figure, styles: _Styles) -> None:
    handles = [Line2D([], [], color=colour, linestyle=dashes) for colour, dashes in styles.values()]
    figure.legend(handles, [legible(label) for label in styles], loc="outside upper left", ncols=4, frameon=False)


def kind_of(mark: Mark) -> str:
    """Return what happened, without numbers: each kill of a worker is of one kind. Variants are named as they begin."""
    what, variant = split(mark.what)
    return f"{variant} {what}" if variant and what == "begins" else re.sub(r"\s*\d+$", "", what)


def _kinds(rounds: Iterable[Round]) -> dict[str, str]:
    """Return a letter for each kind of event, in the order in which they happen."""
    kinds = dict.fromkeys(kind_of(mark) for one in rounds for mark in one.marks)
    return {kind: chr(ord("A") + n) for n, kind in enumerate(list(kinds)[:MAX_KINDS])}


def _name_marks(axes: Axes, panel: _Panel, kinds: dict[str, str]) -> None:
    """Write the letter of each event above it; those of events close to each other stand together."""
    near, places = axes.get_xlim()[1] * _NEAR, list[tuple[float, str]]()
    for mark in panel.marks:
        letter = kinds.get(kind_of(mark), "")
        if places and mark.at_s - places[-1][0] < near:
            at_s, letters = places.pop()
            places.append((at_s, letters if letter in letters else letters + letter))
        elif letter:
            places.append((mark.at_s, letter))
    for at_s, letters in places:
        axes.annotate(letters, (at_s, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", size=8)


def _left_out(table: Sequence[Sequence[_Panel]]) -> Iterator[str]:
    """Say what is not drawn."""
    marks = sum(len(panel.one.marks) - len(panel.marks) for panel in table[0])
    lines = sum(panel.more_lines for panels in table for panel in panels)
    if marks:
        yield f"{marks:,} more events are not drawn"
    if lines:
        yield f"{lines:,} more lines are not drawn"


def _explain(figure: Figure, kinds: dict[str, str], left_out: Sequence[str]) -> None:
    named = "; ".join(f"{letter} = {kind}" for kind, letter in kinds.items())
    told = [f"Events (dashed lines): {named}"] if kinds else []
    if told or left_out:
        figure.supxlabel(textwrap.fill(". ".join([*told, *left_out]), 130), size=9, x=0.01, ha="left")
