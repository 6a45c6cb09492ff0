"""Prints a result: a line for each variant, with the median of all rounds, and whether limits are met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nyx_plugins.cli.failure import escaped

from .amounts import figure
from .result import Metric, Result
from .summary import notes

# The figures that are printed, where there are any of them: name, heading, by what they are divided.
_COLUMNS = (
    ("rate_per_s", "rate", 1.0),
    ("processed_per_s", "frames/s", 1.0),
    ("p50_us", "p50", 1e3),
    ("p99_us", "p99", 1e3),
    ("p99_9_us", "p99.9", 1e3),
    ("max_us", "max", 1e3),
    ("refused_share", "refused", 1e-2),
    ("busiest_client_cores", "client", 1.0),
    ("system_cpu_us_per_frame", "CPU", 1.0),
)
_LEGEND = (
    "rate: frames/s that were to be sent; frames/s: processed; p50 to max: latency in ms; refused: % of those offered; "
    "client: cores that the busiest client used; CPU: us of the whole system for each frame"
)

_FULL_WIDTH = 140


def plain(text: str) -> str:
    """Return what a console shows as it is: names and units may be a driver's own."""
    return escape(escaped(text))


def full_width_console() -> Console:
    """Return a console for tables of figures, which are read as a whole: a file gets them in full width."""
    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, _FULL_WIDTH))


def print_result(result: Result, console: Console) -> None:
    """Print the figures, and what was asked of them."""
    if result.rounds:
        names = list(dict.fromkeys(name for each in result.rounds for name in each.metrics))
        by_variant = any(name.partition(" [")[0] == "processed_per_s" and " [" in name for name in names)
        has_traffic = "p50_us" in names or by_variant
        console.print(_by_variant(result, names) if has_traffic else _all(result, names))
        if has_traffic:
            console.print(_LEGEND, highlight=False, soft_wrap=True)
    for check in result.checks:
        verdict = "met" if check.met else "[red]NOT MET[/]"
        measured = "not measured" if check.measured is None else figure(check.measured, check.unit)
        text = plain(f"{check.what}: {measured} ({check.limit})")
        console.print(f"{text} {verdict}", highlight=False, soft_wrap=True)
    for text in notes(result):
        console.print(plain(f"note: {text}"), highlight=False, soft_wrap=True)
    if result.ended == "interrupted":
        console.print("interrupted", highlight=False)


def _by_variant(result: Result, names: Sequence[str]) -> Table:
    tags = list(dict.fromkeys(name.partition(" [")[1] + name.partition(" [")[2] for name in names))
    columns = [column for column in _COLUMNS if any(name.partition(" [")[0] == column[0] for name in names)]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("variant" if len(tags) > 1 else "scenario", overflow="fold")
    for _, heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for tag in tags:
        cells = [_cell(_median(result, name + tag), divided) for name, _, divided in columns]
        table.add_row(plain(tag.strip(" []") or result.scenario), *cells)
    return table


def _all(result: Result, names: Sequence[str]) -> Table:
    table = Table("figure", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("median", justify="right")
    table.add_column("unit")
    for name in names:
        seen = _median(result, name)
        if seen is not None:
            table.add_row(plain(name), f"{seen.value:,.4g}", plain(seen.unit))
    return table


def _median(result: Result, name: str) -> Metric | None:
    seen = [each.metrics[name] for each in result.rounds if name in each.metrics]
    if not seen:
        return None
    return Metric(statistics.median(metric.value for metric in seen), seen[0].unit, seen[0].better)


def _cell(seen: Metric | None, divided: float) -> str:
    if seen is None:
        return ""
    value = seen.value / divided
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
