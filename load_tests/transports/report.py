"""What is printed: tables for people, a document for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from rich.box import SIMPLE_HEAD
from rich.table import Table

from .bases import TCP
from .results import QUANTITIES, TARGETS, Results, Samples, Verdict

_WORDS = {True: "yes", False: "[red]NO[/]", None: ""}


def figures_table(results: Results, bases: Sequence[str]) -> Table:
    """Lay out each figure of each base: the median of all rounds, with the lowest and the highest."""
    table = Table("median (lowest to highest)", box=SIMPLE_HEAD, show_edge=False)
    for base in bases:
        table.add_column(base, justify="right")
    for key, quantity in QUANTITIES.items():
        cells = (cell(results.samples(key, base), quantity.decimals) for base in bases)
        table.add_row(quantity.title, *cells)
    return table


def cell(samples: Samples, decimals: int) -> str:
    """Write the samples of one figure."""
    if samples.median is None:
        return "failed" if samples.failures else ""
    median, lowest, highest = (
        f"{value:,.{decimals}f}" for value in (samples.median, min(samples.values), max(samples.values))
    )
    spread = "" if len(samples.values) == 1 else f" ({lowest} to {highest})"
    rounds = len(samples.values) + len(samples.failures)
    return f"{median}{spread}" + (f", failed in {len(samples.failures)} of {rounds}" if samples.failures else "")


def ratios_table(results: Results, bases: Sequence[str]) -> Table:
    """Lay out the medians of the other bases as factors of TCP's."""
    others = [base for base in bases if base != TCP]
    table = Table(f"against {TCP}", box=SIMPLE_HEAD, show_edge=False)
    for base in others:
        table.add_column(base, justify="right")
    for key, quantity in QUANTITIES.items():
        if key not in TARGETS or TARGETS[key].relative:
            table.add_row(quantity.title, *(_factor(results.ratio(key, base)) for base in others))
    return table


def targets_table(verdicts: Sequence[Verdict]) -> Table:
    """Lay out what ``unix`` was to reach, and whether it did."""
    table = Table("target", box=SIMPLE_HEAD, show_edge=False)
    for heading in ("limit", "value"):
        table.add_column(heading, justify="right")
    table.add_column("met")
    for verdict in verdicts:
        value = _factor(verdict.value) if verdict.target.relative else _plain(verdict)
        table.add_row(QUANTITIES[verdict.key].title, str(verdict.target), value, _WORDS[verdict.met])
    return table


def failures(results: Results, bases: Sequence[str]) -> Iterator[str]:
    """Say once for each base and reason why figures are missing."""
    seen = set()
    for key, quantity in QUANTITIES.items():
        for base in bases:
            for reason in results.samples(key, base).failures:
                if (base, reason) not in seen:
                    seen.add((base, reason))
                    yield f"{base}, {quantity.title}: failed: {reason}"


def document(results: Results, bases: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return all samples, ratios and verdicts, as values that JSON knows."""
    return {
        "figures": [
            {"figure": key, "base": base, "median": samples.median, **attrs.asdict(samples)}
            for key in QUANTITIES
            for base in bases
            for samples in [results.samples(key, base)]
        ],
        "ratios": [
            {"figure": key, "base": base, "ratio": results.ratio(key, base)}
            for key in QUANTITIES
            for base in bases
            if base != TCP
        ],
        "targets": [attrs.asdict(verdict) for verdict in verdicts],
    }


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def _plain(verdict: Verdict) -> str:
    return "" if verdict.value is None else f"{verdict.value:,.{QUANTITIES[verdict.key].decimals}f}"
