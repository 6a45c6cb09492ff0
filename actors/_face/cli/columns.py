"""The columns of ``top``: what each shows of a plugin, how it is sorted, and which are left out first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from rich.text import Text

from ..service.snapshot import PluginSample
from .failure import one_line
from .fields import quantile
from .tables import STATE_STYLES, seconds, size

BAR_CELLS = 8
NAME_CELLS = 24
GAP = 2
_EIGHTHS = " ▏▎▍▌▋▊▉"


@attrs.frozen
class Column:
    """One column; ``rank`` says how early it goes when there is too little room (0: never)."""

    key: str
    heading: str
    show: Callable[[PluginSample], Text]
    value: Callable[[PluginSample], Any]
    rank: int
    is_figure: bool = True


def mailbox_bar(depth: int, capacity: int, cells: int = BAR_CELLS) -> Text:
    """Return a bar that is as full as the mailbox, in green, yellow from half on, and red from nine tenths on."""
    share = min(1.0, depth / capacity) if capacity else 0.0
    eighths = max(round(share * cells * 8), 1 if depth else 0)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text(bar, _fill_style(share)).append("·" * (cells - len(bar)), "bright_black")


def fitting(columns: Sequence[Column], samples: Sequence[PluginSample], width: int) -> list[tuple[Column, int]]:
    """Return the columns that fit into ``width`` cells, each with its width; the first always does."""
    widths = {column.key: _width(column, samples) for column in columns}
    shown = list(columns)
    while len(shown) > 1 and sum(widths[column.key] + GAP for column in shown) - GAP > width:
        shown.remove(max(shown, key=lambda column: column.rank))
    return [(column, widths[column.key]) for column in shown]


def sort(samples: Sequence[PluginSample], key: str, reverse: bool) -> list[PluginSample]:
    """Return the plugins in the order of a column: texts and ids ascending, figures the largest first, then by id."""
    column = next(column for column in COLUMNS if column.key == key)
    descending = column.is_figure and key != "id"
    by_id = sorted(samples, key=lambda sample: sample.info.plugin_id)
    return sorted(by_id, key=column.value, reverse=descending != reverse)


def _width(column: Column, samples: Sequence[PluginSample]) -> int:
    return max(len(column.heading) + 1, *(column.show(sample).cell_len for sample in samples), 0)


def _fill_style(share: float) -> str:
    return "red" if share >= 0.9 else "yellow" if share >= 0.5 else "green"


def _name(sample: PluginSample) -> Text:
    name = Text(one_line(sample.info.name))
    name.truncate(NAME_CELLS, overflow="ellipsis")
    return name


def _state(sample: PluginSample) -> Text:
    return Text(one_line(sample.state), STATE_STYLES.get(sample.state, ""))


def _mailbox(sample: PluginSample) -> Text:
    if sample.stats is None:
        return Text("-")
    depth, capacity = sample.stats.in_mailbox, sample.stats.capacity
    return mailbox_bar(depth, capacity).append(f" {_count(depth)}/{_count(capacity)}")


def _fill(sample: PluginSample) -> float:
    return sample.stats.in_mailbox / sample.stats.capacity if sample.stats else -1.0


def _counter(name: str) -> tuple[Callable[[PluginSample], Text], Callable[[PluginSample], int]]:
    def value(sample: PluginSample) -> int:
        return -1 if sample.stats is None else int(getattr(sample.stats, name))

    def show(sample: PluginSample) -> Text:
        count = value(sample)
        return Text("-") if count < 0 else Text(_count(count), "red" if count else "bright_black")

    return show, value


def _p99(sample: PluginSample) -> float | None:
    return None if sample.stats is None else quantile(sample.stats.latency, 0.99)


def _rate_in(sample: PluginSample) -> float | None:
    return None if sample.rates is None else sample.rates.accepted_per_s


def _rate_out(sample: PluginSample) -> float | None:
    return None if sample.rates is None else sample.rates.processed_per_s + sample.rates.failed_per_s


def _cpu(sample: PluginSample) -> float | None:
    return None if sample.usage is None else sample.usage.cpu_percent


def _memory(sample: PluginSample) -> float | None:
    return None if sample.usage is None else float(sample.usage.memory_bytes)


def _shown(
    measure: Callable[[PluginSample], float | None], form: Callable[[float], str]
) -> tuple[Callable[[PluginSample], Text], Callable[[PluginSample], float]]:
    def show(sample: PluginSample) -> Text:
        found = measure(sample)
        return Text("-") if found is None else Text(form(found))

    def value(sample: PluginSample) -> float:
        found = measure(sample)
        return -1.0 if found is None else found

    return show, value


def rate(per_s: float) -> str:
    """Return frames per second: 0, 0.3, 12, 1,234."""
    return f"{per_s:.1f}" if 0 < per_s < 9.95 else f"{per_s:,.0f}"


def _count(count: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= limit:
            return f"{count / (1000 if unit == 'k' else limit):.3g}{unit}"
    return str(count)


COLUMNS = (
    Column("id", "id", lambda sample: Text(str(sample.info.plugin_id)), lambda sample: sample.info.plugin_id, 0),
    Column("plugin", "plugin", _name, lambda sample: sample.info.name, 1, is_figure=False),
    Column("state", "state", _state, lambda sample: sample.state, 2, is_figure=False),
    Column("in", "in/s", *_shown(_rate_in, rate), 4),
    Column("out", "out/s", *_shown(_rate_out, rate), 9),
    Column("mailbox", "mailbox", _mailbox, _fill, 5, is_figure=True),
    Column("p99", "p99", *_shown(_p99, seconds), 8),
    Column("failed", "failed", *_counter("failed"), 11),
    Column("dead", "dead", *_counter("dead_lettered"), 10),
    Column("denied", "denied", *_counter("permission_violations"), 12),
    Column("restarts", "restarts", *_counter("restarts"), 6),
    Column("cpu", "cpu", *_shown(_cpu, lambda percent: f"{percent:.0f}%"), 7),
    Column("memory", "memory", *_shown(_memory, size), 3),
)
