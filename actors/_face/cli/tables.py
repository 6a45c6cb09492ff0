"""Tables and lines for people: plain, aligned, and safe to print whatever a plugin calls itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from .failure import one_line

STATE_STYLES = {
    "ready": "green",
    "starting": "cyan",
    "draining": "cyan",
    "paused": "yellow",
    "restarting": "yellow",
    "failed": "red",
    "quarantined": "red",
    "registered": "dim",
}
# What is not a terminal is given as much room as it needs: programs cut for themselves.
_FILE_WIDTH = 200


def console() -> Console:
    """Return a console for standard output."""
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, _FILE_WIDTH)
    return made


def table(*columns: str | tuple[str, JustifyMethod]) -> Table:
    """Return an empty table; a column is a heading, or a heading and where its cells are aligned."""
    made = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    pairs: list[tuple[str, JustifyMethod]] = [(item, "left") if isinstance(item, str) else item for item in columns]
    is_tall = any("\n" in heading for heading, _ in pairs)
    for heading, justify in pairs:
        made.add_column(heading, justify=justify, overflow="fold", vertical="bottom" if is_tall else "top")
    return made


def natural_width(made: Table) -> int:
    """Return how many cells the table takes when nothing in it is folded."""
    return Console(width=1000).measure(made).maximum


def numbers(*headings: str) -> Iterable[tuple[str, JustifyMethod]]:
    """Return columns of figures."""
    return [(heading, "right") for heading in headings]


def cell(value: object) -> Text:
    """Return plain text for a cell: control characters are escaped, and nothing in it is markup."""
    return Text(one_line(str(value)))


def state_cell(state: str) -> Text:
    """Return a state in its colour."""
    return Text(one_line(state), style=STATE_STYLES.get(state, ""))


def add(rows: Table, *cells: object) -> None:
    """Add a row; figures get separators for thousands."""
    rows.add_row(*(item if isinstance(item, Text) else cell(shown(item)) for item in cells))


def shown(value: object) -> str:
    """Return a value as people read it: 1,234 for a number, - for none."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def seconds(value: float | None) -> str:
    """Return a short time in the unit that suits it; - for none."""
    if value is None:
        return "-"
    # What would be rounded to a thousand has the next unit.
    for limit, factor, unit in ((0.9995e-3, 1e6, "µs"), (0.9995, 1e3, "ms"), (600.0, 1.0, "s")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return duration(value)


def duration(value: float) -> str:
    """Return a long time in its two largest units: ``3d 4h``, ``5m 06s``."""
    minutes, secs = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {secs:02}s" if minutes else f"{secs}s"


def size(value: float | None) -> str:
    """Return a number of bytes in the unit that suits it; - for none."""
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"


def joined(names: Sequence[Any] | frozenset[str]) -> str:
    """Return names in order, or - for none."""
    return ", ".join(sorted(map(str, names))) or "-"
