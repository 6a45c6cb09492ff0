"""``python -m nyx_plugins.load_tests growth``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from nyx_plugins.load_tests.interruption import drawing
from nyx_plugins.load_tests.output import FolderPath
from nyx_plugins.load_tests.peers.document import Ending, begin, document
from nyx_plugins.load_tests.reading import FILE_NAME, read
from nyx_plugins.load_tests.result import Metric, write

from ..seconds import Seconds
from .points import Growth
from .sweeps import SWEEPS


@click.command()
@click.option("--sweep", "names", type=click.Choice(list(SWEEPS)), multiple=True, help="Only these.")
@click.option("--seconds", type=Seconds(0.1), default=2.0, show_default=True, help="For each point.")
@click.option("--again", is_flag=True, help="Measure nothing, and draw what is in the folder.")
@click.option("--output", type=FolderPath(), required=True, help="A folder.")
def growth(names: Sequence[str], seconds: float, again: bool, output: Path) -> None:
    """Measure and draw how cost grows with batches, frames, plugins, clients and mailboxes.

    A point that can't be measured is told and left out. Ctrl-C ends it early: what was measured is written and drawn
    all the same, and the exit code is 130 (143 after SIGTERM).
    """
    from .plots import draw  # drawing takes a second to import, and the help is read without

    output.mkdir(parents=True, exist_ok=True)
    sweeps = [SWEEPS[name] for name in names or SWEEPS]
    ending = Ending()
    metrics = _kept(output) if again else _measured(names or list(SWEEPS), seconds, output, ending)
    with drawing(output / FILE_NAME):
        for picture in () if ending.is_hurried else draw(metrics, sweeps, output):
            click.echo(str(picture))
    ending.exit()


def _kept(output: Path) -> Mapping[str, Metric]:
    rounds = read(output).rounds
    return rounds[0].metrics if rounds else {}


def _measured(names: Sequence[str], seconds: float, output: Path, ending: Ending) -> Mapping[str, Metric]:
    beginning, found = begin(), Growth()
    with ending:
        found.measure([SWEEPS[name] for name in names], seconds, lambda text: click.echo(text, err=True))
    for point, reason in found.failures.items():
        click.echo(f"{point}: {reason}", err=True)
    settings = {"seconds": seconds, "sweeps": list(names), "failures": found.failures}
    text = "How cost grows with batches, frames, plugins, clients and mailboxes."
    write(
        document("growth", text, beginning, ending, [found.metrics] if found.metrics else [], settings),
        output / FILE_NAME,
    )
    return found.metrics
