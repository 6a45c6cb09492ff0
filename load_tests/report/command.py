"""The command ``report``: a result that was kept becomes a page."""

from __future__ import annotations

from pathlib import Path

import click

from ..output import FolderPath
from ..reading import read
from . import write_report


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--output", type=FolderPath(), help="Folder for it; else that of RESULT.")
def report(result: Path, output: Path | None) -> None:
    """Draw the report of RESULT: a page that needs nothing else, and PNGs.

    RESULT is a result.json, or the folder that a run has written it into.
    """
    beside = result if result.is_dir() else result.parent
    click.echo(write_report(read(result), output or beside))
