"""The command ``chaos``: a run by its seed, and what it proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click

from nyx_plugins.load_tests.seconds import Number, Seconds

from .census import ROLES
from .run import LEAST_DRAIN_S, TOO_SHORT, Options, Report, Run

EXIT_BROKEN = 1
MOST_RATE = 10_000_000
FIGURES = ("offered", "processed", "failed", "dead_lettered", "refused", "untold", "handled again")


@click.command()
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Decides who is killed, and when.")
@click.option("--seconds", default=30.0, show_default=True, type=Seconds(0.1), help="Of trouble.")
@click.option("--clients", default=3, show_default=True, type=click.IntRange(1, 32), help="Processes that send.")
@click.option("--rate", default=2000.0, show_default=True, type=Number(1, MOST_RATE), help="Frames/s of each client.")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), default=ROLES, help="Kill only these.")
@click.option(
    "--drain",
    default=60.0,
    show_default=True,
    type=Seconds(LEAST_DRAIN_S, TOO_SHORT),
    help="Seconds for the last frames; what has no outcome then is called broken.",
)
@click.option("--without-redelivery", is_flag=True, help="Let sessions not send again what was lost: has to fail.")
@click.option("--forge-duplicate", is_flag=True, help="Let a client send one frame twice: has to fail.")
def chaos(
    seed: int,
    seconds: float,
    clients: int,
    rate: float,
    roles: tuple[str, ...],
    drain: float,
    without_redelivery: bool,
    forge_duplicate: bool,
) -> None:
    """Kill random processes of a system under load, and prove from everybody's books that nothing was lost.

    Exit code 0 says that every promise was kept, 1 that one was not.
    """
    options = Options(seed, seconds, clients, rate, roles, drain, not without_redelivery, forge_duplicate)
    report = Run(options, lambda text: click.echo(text, err=True)).report()
    for line in told(report):
        click.echo(line)
    click.echo(closing_line(options, report))
    if not report.passed:
        click.get_current_context().exit(EXIT_BROKEN)


def told(report: Report) -> Iterator[str]:
    """Yield what happened, and what is wrong."""
    yield f"killed: {_list(report.kills)}"
    yield f"done: {_list(report.deeds)}"
    yield f"counters asked {report.answers:,} times, and {report.unanswered:,} times in vain"
    yield f"books: {_list(report.figures)}"
    yield from (f"BROKEN: {fault}" for fault in report.faults)


def closing_line(options: Options, report: Report) -> str:
    """Say it all in one line."""
    figures = ", ".join(f"{report.figures[name]:,} {name.replace('_', '-')}" for name in FIGURES)
    verdict = "every promise kept" if report.passed else f"{sum(report.faults.counts.values()):,} BROKEN"
    return f"chaos seed {options.seed}, {options.seconds:g} s: {report.kills.total():,} killed; {figures}; {verdict}"


def _list(figures: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(figures.items())) or "nothing"
