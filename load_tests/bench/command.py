"""``python -m nyx_plugins.load_tests bench``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from nyx_plugins.load_tests.interruption import drawing
from nyx_plugins.load_tests.output import FolderPath
from nyx_plugins.load_tests.peers.document import Beginning, Ending, begin, document
from nyx_plugins.load_tests.printing import full_width_console
from nyx_plugins.load_tests.reading import FILE_NAME
from nyx_plugins.load_tests.report import write_report
from nyx_plugins.load_tests.result import Check, Result, write

from ..seconds import Seconds
from .jobs import SECONDS, Bench
from .table import as_markdown, as_table
from .targets import Row, Verdict, judge_all

EXIT_NOT_MET = 1
PAGE = "targets.md"


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=Seconds(0.01), default=SECONDS, show_default=True, help="For each figure.")
@click.option("--output", type=FolderPath(), help="Write result and report there.")
def bench(rounds: int, seconds: float, output: Path | None) -> None:
    """Measure what is to be reached, against others in the same run; the exit code is 1 when something is not.

    Ctrl-C ends it early: what was measured is printed and written all the same, and the exit code is 130 (143 after
    SIGTERM).
    """
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    beginning, ending, subject = begin(), Ending(), Bench(seconds=seconds)
    with ending:
        subject.run(rounds, lambda text: click.echo(text, err=True))
    rows = judge_all(subject.figures(), subject.reasons)
    full_width_console().print(as_table(rows))
    if output is not None:
        save(output, rows, result_of(subject, rows, beginning, ending, rounds), is_drawn=not ending.is_hurried)
    ending.exit(EXIT_NOT_MET if any(row.verdict is Verdict.NOT_MET for row in rows) else 0)


def result_of(subject: Bench, rows: Sequence[Row], beginning: Beginning, ending: Ending, rounds: int) -> Result:
    """Return all figures of all rounds, and the targets as checks; the settings tell why one was not measured."""
    comparison = subject.comparison
    settings = {"rounds": rounds, "windows": comparison.windows, "missing": subject.reasons}
    text = "What this runtime is to reach, against others in the same run."
    return document("bench", text, beginning, ending, comparison.rounds, settings, list(checks(rows)))


def checks(rows: Sequence[Row]) -> Iterator[Check]:
    """Yield a check for each target, but for those that a peer is missing for: what is to be reached is our own."""
    for row in rows:
        if row.verdict is not Verdict.NOT_MEASURED:
            target = row.target
            unit = "x" if target.over else target.unit
            yield Check(target.what, target.text(target.limit), row.judged, unit, row.verdict is Verdict.MET)


def save(output: Path, rows: Sequence[Row], result: Result, *, is_drawn: bool = True) -> None:
    """Write the result, its report and the table into a folder."""
    write(result, output / FILE_NAME)
    (output / PAGE).write_text(as_markdown(rows, result), encoding="utf-8")
    if is_drawn:
        with drawing(output / FILE_NAME):
            write_report(result, output)
