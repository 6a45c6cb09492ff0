"""The commands that run scenarios, and tell which there are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nyx_plugins.cli.failure import EXIT_STOPPED, Failure, exit_code_of, failure_of
from nyx_plugins.config.errors import Fault, NyxPluginError

from . import library
from .errors import ScenarioError
from .interruption import Interruption, Stop, answered, code_after, drawing
from .output import FOLDER, FolderPath, output_folder
from .printing import full_width_console, print_result
from .reading import FILE_NAME
from .seconds import Seconds

if TYPE_CHECKING:
    from .result import Result

EXIT_NOT_MET = 1
HEARD = b"interrupted: what was measured is written; press again, and what is measured just now is lost\n"


@click.command("list")
def list_scenarios() -> None:
    """List the scenarios that come with the package."""
    table = Table("scenario", "rounds", "s each", "what it is", box=SIMPLE_HEAD, show_edge=False)
    for name in library.shipped():
        scenario = library.load(name).scenario
        seconds = scenario.warm_up_s + scenario.duration_s
        parts = max(1, len(scenario.variants))
        table.add_row(name, str(scenario.rounds), f"{parts * seconds:g}", scenario.description)
    Console().print(table)


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a scenario as it is written: a beginning for one of your own."""
    click.echo(library.path_of(name).read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key: plugins.work.count=10.")
@click.option("--rounds", type=click.IntRange(1), help="How often.  [default: what the scenario says]")
@click.option("--seconds", type=Seconds(0.001), help="How long is measured, each time.  [default: likewise]")
@click.option("--connect", metavar="DIR", type=click.Path(path_type=Path), help="Load the service that runs in DIR.")
@click.option("--output", metavar="DIR", type=FolderPath(), help=f"[default: {FOLDER}/NAME-TIME]")
@click.option("--no-report", is_flag=True, help="Write the result, and draw nothing.")
@click.option("--no-progress", is_flag=True, help="Print lines instead of a bar.")
def run(
    name: str,
    settings: Sequence[str],
    rounds: int | None,
    seconds: float | None,
    connect: Path | None,
    output: Path | None,
    no_report: bool,
    no_progress: bool,
) -> None:
    """Run a scenario, by its name or from a file, and write what it has measured: as JSON, and as a page with plots.

    Exit code 1 says that a limit was not met, 2 that the scenario can't be used or that something broke the run off,
    3 that no system is there, or is there any more, 130 that Ctrl-C has ended the run (143: SIGTERM, 129: SIGHUP).
    These end a run early, and what was measured is written in any case; a second one breaks off what is measured just
    then, and keeps earlier rounds.
    """
    from .progress import display
    from .report import write_report
    from .result import write
    from .run import attempt

    given = {"rounds": rounds, "duration_s": seconds}
    changes = library.changes_of(settings) | {key: value for key, value in given.items() if value is not None}
    if connect is not None and "settings" in changes:
        # A service keeps its own.
        raise ScenarioError("--set", [Fault("settings", "is for a system of the run's own: no --connect with it")])
    plan = library.load(name, changes)
    with output_folder(output, plan.scenario.name) as folder:
        with _stoppable() as stop, display(not no_progress) as shown:
            result, error = attempt(plan, connect=connect, stop=stop, show=shown)
            if error is not None and not result.rounds:
                raise broken_off(error)
            try:
                write(result, folder / FILE_NAME)
            except OSError:
                # The disk may be full; then there are the figures at least.
                print_result(result, full_width_console())
                raise
        print_result(result, full_width_console())
        click.echo(f"result: {folder / FILE_NAME}")
        if stop.is_set() and not result.rounds:
            no_report = True
        if stop.is_hurried and not no_report:
            click.echo(f"no report is drawn now: nyx-plugins-load report {folder} does it", err=True)
        elif not no_report:
            click.echo("drawing the report", err=True)
            with drawing(folder / FILE_NAME):
                click.echo(f"report: {write_report(result, folder)}")
        _exit(result, error, stop)


def broken_off(error: NyxPluginError) -> Failure:
    """Return how a run fails that an error has broken off, in whichever round: 3 without a system, and 2 otherwise.

    1 and 4, which other commands have, would say something else here.
    """
    return failure_of(error) if exit_code_of(error) == EXIT_STOPPED else Failure(str(error))


def _exit(result: Result, error: NyxPluginError | None, stop: Stop) -> None:
    context = click.get_current_context()
    if result.ended == "interrupted":
        context.exit(code_after(stop.number))
    if error is not None:
        raise broken_off(error)
    if result.ended != "completed":
        raise Failure(result.ended)
    if not all(check.met for check in result.checks):
        context.exit(EXIT_NOT_MET)


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """Let the first Ctrl-C (SIGTERM, SIGHUP) end a run early, and say so at once, and a second one break it off."""
    stop = Stop()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise Interruption(number)
        stop.number = number
        stop.set()
        # Past everything that may hold a lock just now; a bar that is drawn on this line comes again.
        os.write(2, (b"\r\x1b[2K" if os.isatty(2) else b"") + HEARD)

    with answered(on_signal):
        yield stop
