"""The command ``compare``: whether the second result is worse than the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from nyx_plugins.cli.failure import Failure

from ..printing import full_width_console
from ..reading import read_all
from .comparison import Verdict, left_out
from .comparison import compare as compare_results
from .share import share
from .table import show

EXIT_WORSE = 1


def names(first: Path, second: Path) -> tuple[str, str]:
    """Return what the sides are called: as their files, or where these are called alike, as the folders around them."""
    paths = first.absolute(), second.absolute()
    for one, other in zip((paths[0], *paths[0].parents), (paths[1], *paths[1].parents), strict=False):
        if one.name != other.name:
            return one.name or "first", other.name or "second"
    return "first", "second"


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--max-regression", callback=share, default="10%", show_default=True, help="How much worse is allowed.")
@click.option("--metric", "metrics", multiple=True, metavar="PATTERN", help="Compare only these: --metric 'p99*'.")
def compare(first: Path, second: Path, max_regression: float, metrics: Sequence[str]) -> None:
    """Compare the results in SECOND with those in FIRST, metric by metric.

    Each is a result.json, or a folder with any number of them: rounds of the same scenario count together.

    Exit code 1 says that a metric is worse than allowed, all of its interval, or that a limit is not met any more;
    2 that nothing could be compared.
    """
    base, candidate = read_all(first), read_all(second)
    comparisons = compare_results(base, candidate, max_regression, metrics or ("*",))
    out = full_width_console()
    show(comparisons, out, names(first, second), max_regression)
    for scenario in left_out(base, candidate):
        out.print(f"note: {scenario} is on one side only, and left out", style="yellow", markup=False)
    if any(comparison.worse for comparison in comparisons):
        click.get_current_context().exit(EXIT_WORSE)
    if all(row.verdict is Verdict.NO_RATIO for comparison in comparisons for row in comparison.rows):
        raise Failure("nothing could be compared: a ratio takes two rounds on each side, and figures above zero")
