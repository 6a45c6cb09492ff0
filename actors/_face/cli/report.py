"""The result of a replay, as one JSON object and as tables."""

from __future__ import annotations

from typing import Any

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table

from ..actors.events import DispatchStats, PluginStats
from .replay import Replayed

SHOWN_CLOSES = 20


@attrs.frozen
class PluginReport:
    """One plugin after a replay."""

    plugin_id: int
    name: str
    stats: PluginStats


@attrs.frozen
class Report:
    """A replay that ran to its end, and the statistics read after it."""

    replayed: Replayed
    plugins: tuple[PluginReport, ...]
    dispatch: DispatchStats
    seconds: float


def as_json(report: Report) -> dict[str, Any]:
    """Return plain data; counters have the names that the reference gives them."""
    replayed = report.replayed
    return {
        "stream_frames": replayed.stream_frames,
        "not_plugin_frames": replayed.not_plugin_frames,
        "plugin_frames": replayed.plugin_frames,
        "accepted": replayed.accepted,
        "refused": replayed.refused,
        "dispatch_errors": report.dispatch.dispatch_errors,
        "close_owed": [close_fields(close) for close in replayed.close_owed],
        "plugins": {str(item.plugin_id): {"name": item.name, **attrs.asdict(item.stats)} for item in report.plugins},
        "dispatch": attrs.asdict(report.dispatch),
        "seconds": round(report.seconds, 3),
    }


def close_fields(close: bytes) -> dict[str, int]:
    """Take a CLOSE's payload apart: code (u16) and id (u32)."""
    return {"code": int.from_bytes(close[:2], "big"), "id": int.from_bytes(close[2:], "big")}


def print_report(report: Report, console: Console) -> None:
    """Print the tables."""
    replayed, stats = report.replayed, report.dispatch
    _print_line(
        console,
        f"{replayed.stream_frames:,} stream frames in {report.seconds:.2f} s: {replayed.not_plugin_frames:,} not for "
        f"plugins, {replayed.accepted:,} accepted, {sum(replayed.refused.values()):,} refused.",
    )
    _print_table(console, "Outcomes by plugin", _plugin_table(report))
    if replayed.refused:
        _print_table(console, "Refused frames by cause", _refusal_table(replayed))
    if replayed.close_owed:
        _print_table(console, "CLOSEs owed to the peer", _close_table(replayed))
    _print_line(
        console,
        f"\nDispatcher: {stats.plugins_loaded:,} plugins loaded, {stats.plugins_unloaded:,} unloaded, "
        f"{stats.frames_dispatched:,} frames dispatched, {stats.dispatch_errors:,} refused.",
    )


def _print_line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_table(console: Console, heading: str, table: Table) -> None:
    table.box, table.show_edge, table.padding = SIMPLE_HEAD, False, (0, 1, 0, 0)
    _print_line(console, f"\n{heading}:")
    console.print(table)


def _plugin_table(report: Report) -> Table:
    table = Table()
    for heading in ("id", "plugin", "state", "processed", "failed", "dead\nletters", "bytes", "denied", "restarts"):
        justify: JustifyMethod = "left" if heading in ("plugin", "state") else "right"
        table.add_column(heading, justify=justify, overflow="fold", vertical="bottom")
    for item in report.plugins:
        stats = item.stats
        figures = (
            stats.processed,
            stats.failed,
            stats.dead_lettered,
            stats.bytes_processed,
            stats.permission_violations,
            stats.restarts,
        )
        table.add_row(str(item.plugin_id), item.name, stats.state, *(f"{figure:,}" for figure in figures))
    return table


def _refusal_table(replayed: Replayed) -> Table:
    table = Table("cause")
    table.add_column("frames", justify="right")
    for cause, count in sorted(replayed.refused.items()):
        table.add_row(cause, f"{count:,}")
    return table


def _close_table(replayed: Replayed) -> Table:
    table = Table("code", "id")
    for close in replayed.close_owed[:SHOWN_CLOSES]:
        fields = close_fields(close)
        table.add_row(f"0x{fields['code']:02x}", str(fields["id"]))
    if len(replayed.close_owed) > SHOWN_CLOSES:
        table.add_row("...", f"and {len(replayed.close_owed) - SHOWN_CLOSES:,} more")
    return table
