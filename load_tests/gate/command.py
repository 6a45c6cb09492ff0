"""The command ``gate``: whether the present state is slower than a base revision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import attrs
import click
from rich.console import Console

from nyx_plugins.cli.failure import Failure

from .. import library
from ..amounts import figure
from ..compare.comparison import Comparison, compare
from ..compare.ratio import of_pairs
from ..compare.share import share
from ..compare.table import show
from ..errors import RunFailed
from ..output import FolderPath
from ..printing import full_width_console
from ..result import Result
from ..scratch import scratch
from ..seconds import Seconds
from .checkout import checkout_of, commit_of, worktree
from .confirm import confirmed, doubtful, is_blind
from .layout import Build, lay_out
from .turns import Plan, Turn, runner, turns

EXIT_WORSE = 1
SCENARIOS = ("throughput", "latency")
METRICS = ("processed_per_s*", "p50_us*", "p99_us*", "system_cpu_us_per_frame*", "memory_bytes*")
AGAIN = "again"
"""Below the folder of results, those of the second series."""
BLIND = "nothing could be judged: {pairs} pairs are too few to tell any metric on this machine; give more (--pairs)"
TOLD = 3
"""Metrics of each run that are printed at once."""


@click.command()
@click.option("--base", required=True, metavar="REVISION", help="What to compare with: a commit, a branch, a tag.")
@click.option("--scenario", "scenarios", multiple=True, default=SCENARIOS, show_default=True, help="Run these.")
@click.option("--pairs", default=5, show_default=True, type=click.IntRange(2, 100), help="Runs of each side.")
@click.option("--seconds", default=3.0, show_default=True, type=Seconds(0.1), help="Measured in each run.")
@click.option("--max-regression", callback=share, default="10%", show_default=True, help="How much worse is allowed.")
@click.option("--metric", "metrics", multiple=True, default=METRICS, show_default=True, help="Judge these (patterns).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the scenarios.")
@click.option("--own-load-tests", is_flag=True, help="Measure the base with its own load tests, not with ours.")
@click.option("--keep", metavar="DIR", type=FolderPath(), help="Keep the results there.")
def gate(
    base: str,
    scenarios: Sequence[str],
    pairs: int,
    seconds: float,
    max_regression: float,
    metrics: Sequence[str],
    settings: Sequence[str],
    own_load_tests: bool,
    keep: Path | None,
) -> None:
    """Run scenarios on a base revision and on the present state of this checkout by turns, and compare the pairs.

    What looks worse is measured again, by as many pairs, and counts if it is worse again. Exit code 1 says that the
    present state is worse than allowed, 2 that it could not be measured, or that nothing could be judged. Nothing of
    the base is left behind.
    """
    for name in scenarios:
        # What can't be used is found out before anything is checked out.
        library.load(name, library.changes_of(settings) | {"rounds": 1, "duration_s": seconds})
    plan = Plan(tuple(scenarios), pairs, seconds, tuple(settings))
    out = full_width_console()
    with _place(keep) as folder, _builds(base, own_load_tests) as builds:
        series = _Series(builds, max_regression, metrics, out)
        done, comparisons = series.measure(plan, folder)
        scenarios = doubtful(comparisons, done)
        if not scenarios and is_blind(comparisons):
            raise Failure(BLIND.format(pairs=pairs))
        if not scenarios:
            return
        out.print(f"\n{', '.join(scenarios)}: something looks worse; the same once more, since chance does that too")
        _, again = series.measure(attrs.evolve(plan, scenarios=scenarios), folder / AGAIN)
    _exit(confirmed(comparisons, again), out)


@attrs.frozen
class _Series:
    """What is the same in each series of pairs."""

    builds: tuple[Build, Build]
    max_regression: float
    metrics: Sequence[str]
    out: Console

    def measure(self, plan: Plan, folder: Path) -> tuple[list[Turn], tuple[Comparison, ...]]:
        """Run all pairs, and show how they compare."""
        done = [_told(turn, self.metrics, self.out) for turn in _run(plan, *self.builds, folder)]
        comparisons = judged(done, self.max_regression, self.metrics)
        self.out.print()
        show(comparisons, self.out, ("base", "present"), self.max_regression)
        return done, comparisons


def _exit(worse: Sequence[str], out: Console) -> None:
    for text in worse:
        out.print(f"worse in both series: {text}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    if worse:
        click.get_current_context().exit(EXIT_WORSE)
    out.print("nothing is worse in both series: it was chance")


def _run(plan: Plan, base: Build, present: Build, folder: Path) -> Iterator[Turn]:
    try:
        yield from turns(plan, base, present, folder, runner(plan))
    except RunFailed as error:
        # The exit code of a regression would be a lie.
        raise Failure(str(error)) from error


def judged(done: Sequence[Turn], max_regression: float, metrics: Sequence[str]) -> tuple[Comparison, ...]:
    """Compare pair by pair: the results of both sides are in the order of their pairs."""
    in_order = sorted(done, key=lambda turn: turn.pair)
    base, present = (_results(in_order, name) for name in ("base", "present"))
    return compare(base, present, max_regression, metrics, of_pairs)


def _results(done: Sequence[Turn], name: str) -> list[Result]:
    return [turn.result for turn in done if turn.build.name == name]


def _told(turn: Turn, metrics: Sequence[str], out: Console) -> Turn:
    found = turn.result.rounds[0].metrics if turn.result.rounds else {}
    judged = [name for name in found if any(fnmatchcase(name, pattern) for pattern in metrics)][:TOLD]
    figures = [f"{name} {figure(found[name].value, found[name].unit)}" for name in judged]
    told = f"{turn.scenario}, pair {turn.pair}, {turn.build.name}: {', '.join(figures)}"
    out.print(told, highlight=False, markup=False, soft_wrap=True)
    return turn


@contextmanager
def _builds(base: str, own_load_tests: bool) -> Iterator[tuple[Build, Build]]:
    root = checkout_of(Path.cwd())
    commit = commit_of(root, base)
    with scratch("nyx-gate-", ignore_errors=True) as temporary:
        place = temporary.resolve()
        with worktree(root, commit, place / "checkout") as checkout:
            harness = None if own_load_tests else root
            yield (
                lay_out("base", checkout, place / "base", harness),
                lay_out("present", root, place / "present"),
            )


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """Give a folder for results: that which keeps them, or one that goes again."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise Failure(f"{keep} is not empty: results of an earlier run would be mixed with those of this one")
        yield keep
        return
    with scratch("nyx-gate-results-", ignore_errors=True) as folder:
        yield folder
