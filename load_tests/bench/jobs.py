"""What a bench does, in which order: jobs that give figures by name, each in processes of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import attrs

from nyx_plugins.load_tests.forecast import Forecast
from nyx_plugins.load_tests.keeper import Work, WorkFailed, kept
from nyx_plugins.load_tests.peers.results import ENOUGH_FAILURES, Comparison
from nyx_plugins.load_tests.peers.roster import PEERS
from nyx_plugins.load_tests.peers.run import expected_s, measure_once
from nyx_plugins.load_tests.result import Better, Metric

from .targets import OURS, RAY, THESPIAN, XOSCAR

PARTS = "nyx_plugins.load_tests.bench.parts"
COMPARED = (OURS, RAY, XOSCAR, THESPIAN)
LISTS = (256,)
SECONDS = 1.0
Note: TypeAlias = Callable[[str], None]


@attrs.frozen
class Part:
    """A function of :mod:`parts`, and the figures that it gives: their names, units and directions."""

    title: str
    function: str
    figures: Mapping[str, tuple[str, Better]]
    rounds: int = 3
    """In so many of the rounds it takes part."""
    timeout_s: float = 60.0
    expected_s: float = 8.0


@attrs.frozen
class Job:
    """Something to do in a round, if it is wanted still."""

    title: str
    expected_s: float
    is_wanted: Callable[[], bool]
    do: Callable[[], None]


_RATE = ("frames/s", Better.HIGHER)
_SECONDS = ("s", Better.LOWER)
_MIB = ("MiB", Better.LOWER)
_MS = ("ms", Better.LOWER)
PARTS_TO_DO = (
    Part("10 plugins, 100 frames for each", "stress", {f"{OURS} stress": _RATE}),
    Part("the same with Thespian TCP", "thespian_stress", {f"{THESPIAN} stress": _RATE}, timeout_s=100.0),
    Part("100 plugins", "crowd", {"ready_100": _SECONDS, "unload_100": _SECONDS, "pss": _MIB}),
    Part("100 plugins under load", "total", {"total_1": _RATE, "total_100": _RATE}),
    Part("crashes", "crash", {"crash": _MS}, rounds=1),
    Part("a plugin that spins", "spin", {"spin_added": _MS, "spin_rate": _RATE}, timeout_s=150.0, expected_s=60.0),
    Part("a flood of a minute", "flood", {"flood_growth": _MIB}, 1, 150.0, 75.0),
)


class Bench:
    """Collects figures, round by round."""

    def __init__(
        self, peers: Sequence[str] = COMPARED, parts: Sequence[Part] = PARTS_TO_DO, seconds: float = SECONDS
    ) -> None:
        self._seconds = seconds
        self._entries = [PEERS[key] for key in peers]
        self._parts = parts
        self.comparison = Comparison()
        """With the peers' figures, and in its rounds those of the parts too."""
        self.reasons: dict[str, str] = {}
        """Why figures are missing, of some rounds or of all: by their name, or by the first word of it."""
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def run(self, rounds: int, note: Note) -> None:
        """Do all, alternating; what fails is tried once more, in the next round."""
        self._leave_out_what_is_missing()
        steps = [(number, job) for number in range(1, rounds + 1) for job in self._turned(number)]
        forecast = Forecast([job.expected_s for _, job in steps])
        for number, job in steps:
            if not job.is_wanted():
                forecast.skip()
                continue
            note(forecast.step(f"round {number} of {rounds}: {job.title}"))
            job.do()
        self.reasons |= self.comparison.failures

    def _leave_out_what_is_missing(self) -> None:
        for entry in self._entries:
            if entry.missing():
                self.comparison.leave_out(entry.key, f"install the extra {entry.extra!r}")

    def _turned(self, number: int) -> Sequence[Job]:
        """Return the jobs of a round, each of which is the first one of a round in turn."""
        jobs = list(self._jobs(number))
        first = (number - 1) % len(jobs)
        return [*jobs[first:], *jobs[:first]]

    def _jobs(self, number: int) -> Iterator[Job]:
        for entry in self._entries:
            do = partial(measure_once, self.comparison, number, entry, self._seconds, LISTS)
            yield Job(entry.title, expected_s(self._seconds, LISTS), partial(self._is_compared, entry.key), do)
        for part in self._parts:
            # Later it is there only in case that it fails.
            expected = part.expected_s if number <= part.rounds else 0.0
            yield Job(part.title, expected, partial(self._is_open, part), partial(self._do, number, part))

    def _is_compared(self, peer: str) -> bool:
        return not self.comparison.is_given_up(peer)

    def _is_open(self, part: Part) -> bool:
        return self._done[part.function] < part.rounds and self._failed[part.function] < ENOUGH_FAILURES

    def _do(self, number: int, part: Part) -> None:
        try:
            found: Mapping[str, float] = kept(Work(f"{PARTS}:{part.function}", {}, part.timeout_s))
        except WorkFailed as failure:
            self.reasons |= dict.fromkeys(part.figures, str(failure))
            self._failed[part.function] += 1
            return
        self._done[part.function] += 1
        metrics = {name: Metric(found[name], *kind) for name, kind in part.figures.items()}
        self.comparison.add_metrics(number, metrics)

    def figures(self) -> dict[str, float]:
        """Return the median of each figure."""
        return self.comparison.medians()
