"""One picture of ``top``: lines of text that fill a terminal of any size, made of a snapshot and a view. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs
from rich.text import Text

from ..service.snapshot import PluginSample, Snapshot
from .columns import COLUMNS, GAP, Column, fitting, rate, sort
from .failure import one_line
from .tables import STATE_STYLES, duration, size
from .view import View

HELP = "q quit   1-9 s sort   r reverse   arrows PgUp PgDn scroll"
EVENT_LINES = 6
# Rows that are shown before any line is given to events.
LEAST_ROWS = 6
EVENT_STYLES = {
    "crashed": "red",
    "failed": "red",
    "quarantined": "red",
    "violation": "yellow",
    "restarted": "yellow",
    "ready": "green",
}


@attrs.frozen
class EventLine:
    """One event at the bottom: when it came, as text, and what it says."""

    time: str
    kind: str
    text: str


@attrs.frozen
class Picture:
    """What is drawn, and what keys need to know of it."""

    lines: tuple[Text, ...]
    columns: tuple[str, ...]
    rows: int
    page: int


def draw(
    snapshot: Snapshot, view: View, width: int, height: int, events: Sequence[EventLine] = (), problem: str = ""
) -> Picture:
    """Return exactly ``height`` lines of at most ``width`` cells."""
    room = _rooms(len(snapshot.plugins), height)
    samples = sort(snapshot.plugins, view.sort, view.reverse)
    columns = fitting(COLUMNS, samples, width)
    view = view.within(len(samples), room.rows)
    shown = samples[view.first : view.first + room.rows]
    body = [*_head(snapshot), Text(), *_table(shown, columns, view)]
    if not samples:
        body.append(Text("No plugins are loaded: 'nyx-plugins load BUNDLE' loads one.", "bright_black"))
    foot = [*_event_lines(events, room.events), _last_line(view, room.rows, len(samples), problem)]
    lines = [*body, *[Text()] * max(0, height - len(body) - len(foot)), *foot]
    # Of a terminal that is too small for all, the plugins get what there is.
    kept = lines if len(lines) <= height else lines[max(0, min(3, len(lines) - height)) :][:height]
    names = tuple(column.key for column, _ in columns)
    return Picture(tuple(_cut(line, width) for line in kept), names, len(samples), max(1, room.rows))


def table_alone(snapshot: Snapshot, view: View, width: int) -> list[Text]:
    """Return head and table, as many lines as there are; columns that don't fit into ``width`` are left out."""
    samples = sort(snapshot.plugins, view.sort, view.reverse)
    columns = fitting(COLUMNS, samples, width)
    return [*_head(snapshot), Text(), *_table(samples, columns, view)]


@attrs.frozen
class _Rooms:
    """How many lines plugins and events get."""

    rows: int
    events: int


def _rooms(plugins: int, height: int) -> _Rooms:
    # Two lines of head, a blank one, the headings, and the last line.
    free = max(1, height - 5)
    events = max(0, min(EVENT_LINES + 2, free - min(max(plugins, 1), LEAST_ROWS)))
    events = events if events >= 3 else 0
    return _Rooms(max(1, free - events), max(0, events - 2))


def _head(snapshot: Snapshot) -> list[Text]:
    used = [process.usage for process in snapshot.processes]
    used += [sample.usage for sample in snapshot.plugins if sample.usage is not None]
    cpu = [usage.cpu_percent for usage in used if usage.cpu_percent is not None]
    memory = sum(usage.memory_bytes for usage in used)
    rates = [sample.rates for sample in snapshot.plugins if sample.rates is not None]
    first = Text.assemble(("nyx-plugins", "bold"), f"  up {duration(snapshot.uptime_s)}  host {snapshot.host_pid}  ")
    first.append_text(_states(snapshot.plugins))
    second = Text.assemble(
        *(_figure(rate(sum(item.accepted_per_s for item in rates)), "frames/s in")),
        *(_figure(rate(sum(item.processed_per_s + item.failed_per_s for item in rates)), "out")),
        *(_figure(f"{snapshot.dispatch.frames_dispatched:,}", "accepted")),
        *(_figure(f"{snapshot.dispatch.dispatch_errors:,}", "refused")),
        *(_figure(f"{sum(cpu):.0f}%" if cpu else "-", "cpu")),
        *(_figure(size(memory), "memory")),
    )
    return [first, second]


def _figure(value: str, unit: str) -> tuple[tuple[str, str], str]:
    return (value, "bold"), f" {unit}  "


def _states(samples: Sequence[PluginSample]) -> Text:
    text = Text(f"{len(samples)} plugin{'' if len(samples) == 1 else 's'}")
    for number, (state, count) in enumerate(sorted(Counter(sample.state for sample in samples).items())):
        text.append(", " if number else ": ").append(f"{count} {one_line(state)}", STATE_STYLES.get(state, ""))
    return text


def _table(samples: Sequence[PluginSample], columns: Sequence[tuple[Column, int]], view: View) -> list[Text]:
    heading = Text(style="bold")
    for column, width in columns:
        marked = column.key == view.sort
        text = Text(column.heading + (_arrow(column, view) if marked else ""), "cyan" if marked else "")
        _append(heading, column, text, width)
    lines = [heading]
    for sample in samples:
        line = Text()
        for column, width in columns:
            _append(line, column, column.show(sample), width)
        if sample.stats is None and sample.problem:
            line.append(f"  {one_line(sample.problem)}", "red")
        lines.append(line)
    return lines


def _arrow(column: Column, view: View) -> str:
    is_descending = (column.is_figure and column.key != "id") != view.reverse
    return "▼" if is_descending else "▲"


def _append(line: Text, column: Column, text: Text, width: int) -> None:
    if line.plain:
        line.append(" " * GAP)
    blanks = " " * max(0, width - text.cell_len)
    if column.is_figure and column.key != "mailbox":
        line.append(blanks).append_text(text)
    else:
        line.append_text(text).append(blanks)


def _event_lines(events: Sequence[EventLine], lines: int) -> list[Text]:
    if not lines:
        return []
    shown = [_event_line(event) for event in list(events)[-lines:]] or [Text("none so far", "bright_black")]
    return [Text(), Text("events", "bold"), *shown, *[Text()] * (lines - len(shown))]


def _event_line(event: EventLine) -> Text:
    kind = Text(f"{one_line(event.kind):<9}", EVENT_STYLES.get(event.kind, ""))
    return Text.assemble((event.time, "bright_black"), "  ", kind, "  ", one_line(event.text))


def _last_line(view: View, page: int, rows: int, problem: str) -> Text:
    if problem:
        return Text(one_line(problem), "red")
    place = "" if rows <= page else f"   {view.first + 1}-{min(rows, view.first + page)} of {rows}"
    return Text(HELP + place, "bright_black")


def _cut(line: Text, width: int) -> Text:
    cut = line.copy()
    cut.rstrip()
    cut.truncate(max(1, width), overflow="ellipsis" if width > 1 else "crop")
    return cut
