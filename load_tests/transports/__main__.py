"""Run as ``python -m nyx_plugins.load_tests.transports``. The exit code is 1 when a target is missed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import click
from rich.console import Console

from nyx_plugins.load_tests.keeper import WorkFailed

from . import report
from .bases import BASES
from .keeper import Request, measured
from .measure import MEASUREMENTS
from .results import Results, Verdict, verdicts

ROUNDS = 5
EXIT_NOT_MET = 1


def schedule(rounds: int, bases: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield (round, measurement, base) such that the bases alternate, and each is the first of a round in turn."""
    for number in range(rounds):
        first = number % len(bases)
        for name in MEASUREMENTS:
            for base in (*bases[first:], *bases[:first]):
                yield number + 1, name, base


def run(rounds: int, bases: Sequence[str], quick: bool, note: Callable[[str], None]) -> Results:
    """Measure everything on every base, in every round; what fails is part of the results."""
    results = Results()
    for number, name, base in schedule(rounds, bases):
        note(f"round {number} of {rounds}: {name}, {base}")
        measurement = MEASUREMENTS[name]
        try:
            results.add(base, measured(Request(name, base, measurement.count(base, quick))))
        except WorkFailed as failure:
            note(f"failed: {failure}")
            results.add_failure(base, measurement.keys, str(failure))
    return results


def show(results: Results, bases: Sequence[str], judged: Sequence[Verdict]) -> None:
    """Print the tables."""
    console = Console()
    console.print(report.figures_table(results, bases), "")
    if len(bases) > 1:
        console.print(report.ratios_table(results, bases), "")
    console.print(report.targets_table(judged))
    for line in report.failures(results, bases):
        console.print(line, markup=False)


@click.command()
@click.option("--base", "bases", type=click.Choice(BASES), multiple=True, default=BASES, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), help=f"How often.  [default: {ROUNDS}, and 1 with --quick]")
@click.option(
    "--quick",
    is_flag=True,
    help="Small counts (5 actors, not 100), and one round: to see that it runs. Speed is not judged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def main(bases: Sequence[str], rounds: int | None, quick: bool, as_json: bool) -> None:
    """Compare Thespian's system bases with ours, in alternating rounds."""
    bases = tuple(dict.fromkeys(bases))
    results = run(rounds or (1 if quick else ROUNDS), bases, quick, lambda text: click.echo(text, err=True))
    judged = list(verdicts(results, quick))
    if as_json:
        click.echo(json.dumps(report.document(results, bases, judged)))
    else:
        show(results, bases, judged)
    if any(verdict.met is False for verdict in judged):
        click.get_current_context().exit(EXIT_NOT_MET)


if __name__ == "__main__":
    main()
