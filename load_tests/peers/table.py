"""The comparison as tables for people: figures with their ratio to ours, and who guarantees what."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.box import SIMPLE_HEAD
from rich.table import Table

from .measure import PIPELINE, SIZES, batch_name, cost_name
from .results import QUANTITIES, Cell, Comparison
from .roster import OURS, TITLES, Entry

COLUMNS = ("call_p50_us", "call_p99_us", PIPELINE, *map(batch_name, SIZES))
COSTS = (cost_name(PIPELINE), *(cost_name(batch_name(size)) for size in SIZES))


def figures_table(comparison: Comparison, entries: Sequence[Entry], columns: Sequence[str] = COLUMNS) -> Table:
    """Lay out figures; :func:`notes` say why a peer has none."""
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    table.add_column("frames of 200 bytes\n(x: of ours)", no_wrap=True)
    for key in columns:
        table.add_column(f"{QUANTITIES[key].title}\n{QUANTITIES[key].unit}", justify="right", no_wrap=True)
    for entry in entries:
        cells = comparison.row(entry.key, columns)
        table.add_row(entry.title, *(cell_text(cell, entry.key == OURS) for cell in cells))
    return table


def cell_text(cell: Cell, is_ours: bool) -> str:
    """Return a figure, and how many times ours it is."""
    if cell.value is None:
        return "-"
    figure = f"{cell.value:,.0f}" if cell.value >= 100 else f"{cell.value:.3g}"
    return figure if is_ours or cell.ratio is None else f"{figure} ({ratio_text(cell.ratio)})"


def ratio_text(ratio: float) -> str:
    """Return a factor with two significant digits."""
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def features_table(entries: Sequence[Entry]) -> Table:
    """Lay out who guarantees what."""
    table = Table("peer", *TITLES.values(), box=SIMPLE_HEAD, show_edge=False)
    for entry in entries:
        table.add_row(entry.title, *map(str, attrs.astuple(entry.features)))
    return table


def notes(comparison: Comparison, entries: Sequence[Entry]) -> list[str]:
    """Say of each peer that failed why, and of the others which windows were best."""
    found = [f"{e.title}: {comparison.failures[e.key]}" for e in entries if e.key in comparison.failures]
    for entry in entries:
        if windows := comparison.windows.get(entry.key):
            told = ", ".join(f"{QUANTITIES[name].title} {window}" for name, window in windows.items())
            found.append(f"{entry.title}: messages under way: {told}")
    return found
