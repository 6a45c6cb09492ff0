"""The commands that run scenarios, and tell which there are."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nyx_plugins.cli.failure import Failure
from nyx_plugins.config.errors import Fault

from . import library
from .errors import ScenarioError
from .printing import full_width_console, print_result

if TYPE_CHECKING:
    from .result import Result

EXIT_NOT_MET = 1
EXIT_INTERRUPTED = 130
RESULT = "result.json"
FOLDER = "load-test-results"


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
@click.option("--seconds", type=click.FloatRange(0.001), help="How long is measured, each time.  [default: likewise]")
@click.option("--connect", metavar="DIR", type=click.Path(path_type=Path), help="Load the service that runs in DIR.")
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help=f"[default: {FOLDER}/NAME-TIME]")
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

    Exit code 1 says that a limit was not met, 2 that the scenario can't be used or that something broke the run off.
    Ctrl-C ends a run early. What was measured is written in any case.
    """
    from .progress import display
    from .report import write_report
    from .result import write
    from .run import run as run_all

    given = {"rounds": rounds, "duration_s": seconds}
    changes = library.changes_of(settings) | {key: value for key, value in given.items() if value is not None}
    if connect is not None and "settings" in changes:
        # A service keeps its own.
        raise ScenarioError("--set", [Fault("settings", "is for a system of the run's own: no --connect with it")])
    plan = library.load(name, changes)
    folder = output or Path(FOLDER) / f"{plan.scenario.name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    with _stoppable() as stop, display(not no_progress) as shown:
        result = run_all(plan, connect=connect, stop=stop, show=shown)
    write(result, folder / RESULT)
    print_result(result, full_width_console())
    click.echo(f"result: {folder / RESULT}")
    if not no_report:
        click.echo(f"report: {write_report(result, folder)}")
    _exit(result)


def _exit(result: Result) -> None:
    context = click.get_current_context()
    if result.ended == "interrupted":
        context.exit(EXIT_INTERRUPTED)
    if result.ended != "completed":
        raise Failure(result.ended)
    if not all(check.met for check in result.checks):
        context.exit(EXIT_NOT_MET)


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """Let the first Ctrl-C (or SIGTERM) end a run early, and a second one break it off."""
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
