"""What a bench does, in which order: jobs that give figures by name, each in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import attrs

from nyx_plugins.load_tests.keeper import Work, WorkFailed, kept
from nyx_plugins.load_tests.peers.results import Comparison
from nyx_plugins.load_tests.peers.roster import PEERS
from nyx_plugins.load_tests.peers.run import measure_once
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
    Part("a plugin that spins", "spin", {"spin_added": _MS, "spin_rate": _RATE}, rounds=1, timeout_s=120.0),
    Part("a flood of a minute", "flood", {"flood_growth": _MIB}, rounds=1, timeout_s=150.0),
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
        """Why figures are missing: by their name, or by the first word of it."""

    def run(self, rounds: int, note: Note) -> None:
        """Do all, alternating."""
        self._leave_out_what_is_missing()
        for number in range(1, rounds + 1):
            jobs = list(self._jobs(number))
            first = (number - 1) % len(jobs)
            for title, job in (*jobs[first:], *jobs[:first]):
                note(f"round {number} of {rounds}: {title}")
                job()
        self.reasons |= self.comparison.failures

    def _leave_out_what_is_missing(self) -> None:
        for entry in self._entries:
            if entry.missing():
                self.comparison.failures[entry.key] = f"install the extra {entry.extra!r}"

    def _jobs(self, number: int) -> Iterator[tuple[str, Callable[[], None]]]:
        for entry in self._entries:
            if entry.key not in self.comparison.failures:
                yield entry.title, partial(measure_once, self.comparison, number, entry, self._seconds, LISTS)
        for part in self._parts:
            if number <= part.rounds and not set(part.figures) & set(self.reasons):
                yield part.title, partial(self._do, number, part)

    def _do(self, number: int, part: Part) -> None:
        try:
            found: Mapping[str, float] = kept(Work(f"{PARTS}:{part.function}", {}, part.timeout_s))
        except WorkFailed as failure:
            self.reasons |= dict.fromkeys(part.figures, str(failure))
            return
        metrics = {name: Metric(found[name], *kind) for name, kind in part.figures.items()}
        self.comparison.add_metrics(number, metrics)

    def figures(self) -> dict[str, float]:
        """Return the median of each figure."""
        return self.comparison.medians()
