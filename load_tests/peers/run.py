"""A comparison: each peer in each round, in processes of its own, in alternating order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nyx_plugins.load_tests.keeper import Work, WorkFailed, kept

from .results import Comparison
from .roster import Entry

MEASURE = "nyx_plugins.load_tests.peers.measure:measure"


def schedule(entries: Sequence[Entry], rounds: int) -> Iterator[tuple[int, Entry]]:
    """Yield (round, peer): each is the first of a round in turn."""
    for number in range(rounds):
        first = number % len(entries)
        for entry in (*entries[first:], *entries[:first]):
            yield number + 1, entry


def compare(entries: Sequence[Entry], rounds: int, seconds: float, note: Callable[[str], None]) -> Comparison:
    """Measure each peer ``rounds`` times, ``seconds`` for each figure; one that fails is not tried again."""
    comparison = Comparison()
    for entry in entries:
        if reason := entry.missing():
            comparison.failures[entry.key] = reason
    for number, entry in schedule(entries, rounds):
        if entry.key not in comparison.failures:
            note(f"round {number} of {rounds}: {entry.title}")
            _measure(comparison, number, entry, seconds)
    return comparison


def _measure(comparison: Comparison, number: int, entry: Entry, seconds: float) -> None:
    windows = comparison.windows.get(entry.key, {})
    arguments = {
        "peer": entry.function,
        "windows": windows,
        "largest_window": entry.largest_window,
        "seconds": seconds,
    }
    try:
        found: dict[str, Any] = kept(Work(MEASURE, arguments, entry.timeout_s))
    except WorkFailed as failure:
        comparison.failures[entry.key] = str(failure)
    else:
        comparison.windows[entry.key] = found["windows"]
        comparison.add(number, entry.key, found["values"])
