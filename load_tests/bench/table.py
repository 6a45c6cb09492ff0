"""The table of targets: for a terminal, and as Markdown with the machine's description."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from nyx_plugins.load_tests.result import Result

from .targets import Row, Verdict

HEADINGS = ("what", "target", "stretch", "measured", "ratio", "")
GIB = 1 << 30


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of one row."""
    target = row.target
    stretch = "" if target.stretch is None else target.text(target.stretch)
    measured = "-" if row.value is None else target.value_text(row.value, row.load)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    return target.what, target.text(target.limit), stretch, measured, ratio, verdict_text(row)


def verdict_text(row: Row) -> str:
    """Return the verdict, and what there is to say about it."""
    if row.reason:
        return f"{row.verdict}: {row.reason}"
    return f"{row.verdict}, stretch too" if row.stretch_met else str(row.verdict)


def as_table(rows: Sequence[Row]) -> Table:
    """Lay the rows out for a terminal."""
    table = Table(*HEADINGS[:2], box=SIMPLE_HEAD, show_edge=False)
    for heading in HEADINGS[2:]:
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows:
        table.add_row(*cells(row), style="red" if row.verdict is Verdict.NOT_MET else None)
    return table


def as_markdown(rows: Sequence[Row], result: Result) -> str:
    """Return a page with the table, and on which machine it was measured."""
    return "\n".join([*_head(result), *_lines(rows), ""])


def _head(result: Result) -> Iterator[str]:
    machine = result.machine
    yield "# Targets as measured"
    yield ""
    yield f"`make bench`, begun {result.started_at}, on {machine.cores} cores of {machine.processor}, "
    yield f"{machine.memory_bytes / GIB:.0f} GiB, {machine.kernel}, {machine.python}, load average before it "
    yield f"{machine.load_average:.1f}; " + ", ".join(f"{name} {text}" for name, text in result.versions.items()) + "."
    yield ""


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|" + "---|" * len(HEADINGS)
    for row in rows:
        yield "| " + " | ".join(cells(row)) + " |"
