"""A comparison: each peer in each round, in processes of its own, in alternating order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from nyx_plugins.load_tests.forecast import Forecast
from nyx_plugins.load_tests.keeper import Work, WorkFailed, kept

from .measure import SIZES, Task
from .results import Comparison
from .roster import Entry

STARTING_S = 2.0
MEASURE = "nyx_plugins.load_tests.peers.measure:measure"


def schedule(entries: Sequence[Entry], rounds: int) -> Iterator[tuple[int, Entry]]:
    """Yield (round, peer): each is the first of a round in turn."""
    for number in range(rounds):
        first = number % len(entries)
        for entry in (*entries[first:], *entries[:first]):
            yield number + 1, entry


def compare(
    comparison: Comparison, entries: Sequence[Entry], rounds: int, seconds: float, note: Callable[[str], None]
) -> None:
    """Measure each peer ``rounds`` times, ``seconds`` for each figure; one that fails twice is not tried again."""
    for entry in entries:
        if reason := entry.missing():
            comparison.leave_out(entry.key, reason)
    steps = list(schedule(entries, rounds))
    forecast = Forecast([expected_s(seconds, SIZES)] * len(steps))
    for number, entry in steps:
        if comparison.is_given_up(entry.key):
            forecast.skip()
            continue
        note(forecast.step(f"round {number} of {rounds}: {entry.title}"))
        measure_once(comparison, number, entry, seconds, SIZES)


def expected_s(seconds: float, sizes: Sequence[int]) -> float:
    """Return about how long a peer takes in a round: to start and end, one frame at a time, and each discipline."""
    return STARTING_S + seconds * (2 + 2.5 * (1 + len(sizes)))


def measure_once(comparison: Comparison, number: int, entry: Entry, seconds: float, sizes: Sequence[int]) -> None:
    """Measure one peer in one round, and add what comes of it."""
    windows = comparison.windows.get(entry.key, {})
    task = Task(entry.function, seconds, windows, entry.largest_window, sizes)
    try:
        found: dict[str, Any] = kept(Work(MEASURE, attrs.asdict(task), entry.timeout_s))
    except WorkFailed as failure:
        comparison.fail(entry.key, str(failure))
    else:
        comparison.windows[entry.key] = found["windows"]
        comparison.add(number, entry.key, found["values"])
