"""Comparisons on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nyx_plugins.cli.failure import escaped

from ..amounts import counted, figure
from .comparison import Comparison, Row, Verdict
from .ratio import LEVEL

_STYLES = {Verdict.WORSE: "bold red", Verdict.BETTER: "green", Verdict.UNCLEAR: "yellow"}
_FAR = 1000


def show(comparisons: Iterable[Comparison], out: Console, sides: tuple[str, str], max_regression: float) -> None:
    """Print a table for each scenario, and below it what makes it doubtful."""
    for comparison in comparisons:
        out.print(_table(comparison, sides))
        for note in comparison.notes:
            out.print(Text(escaped(f"note: {note}"), style="yellow"), soft_wrap=True)
        for limit in comparison.broken:
            out.print(Text(escaped(f"not met any more: {limit}"), style="bold red"), soft_wrap=True)
    out.print(_closing(max_regression), soft_wrap=True, style="dim", highlight=False)


def _table(comparison: Comparison, sides: tuple[str, str]) -> Table:
    first, second = comparison.rounds
    title = Text(f"{comparison.scenario}: {counted(first, 'round')}, then {second}", style="bold")
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, title=title, title_justify="left")
    table.add_column("metric", overflow="fold")
    for head in (*sides, "ratio", f"{LEVEL:.0%} interval"):
        table.add_column(head, justify="right", overflow="fold")
    table.add_column("better", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for row in comparison.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str | Text, ...]:
    ratio = row.ratio
    return (
        Text(escaped(row.metric)),
        Text(escaped(figure(row.base, row.unit))),
        Text(escaped(figure(row.candidate, row.unit))),
        "-" if ratio is None else _times(ratio.value),
        "-" if ratio is None else f"{_times(ratio.low)} - {_times(ratio.high)}",
        row.better.value,
        Text(row.verdict.value, style=_STYLES.get(row.verdict, "")),
    )


def _times(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < _FAR else "far"


def _closing(max_regression: float) -> str:
    return (
        f"The ratio is the second side's figure over the first's. Worse: all of the interval is more than "
        f"{max_regression:.1%} on the bad side of 1. Can't be told: it reaches over that, so measure more rounds."
    )
