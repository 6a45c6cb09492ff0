"""``python -m nyx_plugins.load_tests peers``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from nyx_plugins.load_tests.output import FolderPath
from nyx_plugins.load_tests.reading import FILE_NAME
from nyx_plugins.load_tests.result import write

from ..seconds import Seconds
from . import table
from .document import Ending, begin, result_of
from .results import Comparison
from .roster import ENTRIES, OURS, PEERS
from .run import compare

WIDTH = 132
"""So many columns the tables need; a narrower terminal wraps their lines, which is better than to wrap each cell."""


@click.command()
@click.option("--peer", "names", type=click.Choice(list(PEERS)), multiple=True, help="Only these, and ours.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=Seconds(0.01), default=0.5, show_default=True, help="For each figure.")
@click.option("--output", type=FolderPath(), help="Write result.json into this folder.")
def peers(names: Sequence[str], rounds: int, seconds: float, output: Path | None) -> None:
    """Do the same work with other systems, and print how they compare.

    Ctrl-C ends it early: what was measured is printed and written all the same, and the exit code is 130 (143 after
    SIGTERM).
    """
    entries = [entry for entry in ENTRIES if not names or entry.key in (OURS, *names)]
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    begun, ending, comparison = begin(), Ending(), Comparison()
    with ending:
        compare(comparison, entries, rounds, seconds, lambda text: click.echo(text, err=True))
    console = Console()
    if console.width < WIDTH:
        console.width = WIDTH
    console.print(table.figures_table(comparison, entries), "")
    console.print(table.figures_table(comparison, entries, table.COSTS), "")
    console.print(table.features_table(entries), "")
    for line in table.notes(comparison, entries):
        console.print(line, markup=False, highlight=False)
    if output is not None:
        write(
            result_of(comparison, begun, ending, {"seconds": seconds, "peers": [entry.key for entry in entries]}),
            output / FILE_NAME,
        )
    ending.exit()
