"""What all rounds gave: samples of each figure on each base, and how they compare with the targets."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from .bases import TCP, UNIX


@attrs.frozen
class Quantity:
    """A figure that is measured: how it is called, and with how many decimals it is shown."""

    title: str
    decimals: int = 0


QUANTITIES: Mapping[str, Quantity] = {
    "ask_p50_us": Quantity("ask from outside, p50, us"),
    "ask_p99_us": Quantity("ask from outside, p99, us"),
    "frames_per_s_1": Quantity("single frames, 16 in flight, frames/s"),
    "frames_per_s_64": Quantity("lists of 64, 16 in flight, frames/s"),
    "frames_per_s_256": Quantity("lists of 256, 16 in flight, frames/s"),
    "crowd_s": Quantity("many actors from one, until all answer, s", 2),
    "flood_per_s": Quantity("flood: messages/s that arrive"),
    "flood_lost": Quantity("flood: messages lost"),
    "flood_disorder": Quantity("flood: messages doubled or late"),
    "flood_source_mib": Quantity("flood: growth of the source, MiB", 1),
    "flood_sink_mib": Quantity("flood: growth of the sink, MiB", 1),
    "flood_others_mib": Quantity("flood: growth of any other process, MiB", 1),
}


@attrs.frozen
class Target:
    """What ``unix`` is to reach; ``relative`` ones are factors of what :data:`TCP` reaches in the same run."""

    limit: float
    at_most: bool
    relative: bool = True

    def met(self, value: float) -> bool:
        """Judge one value."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g}{'x' if self.relative else ''}"


TARGETS: Mapping[str, Target] = {
    "ask_p50_us": Target(0.3, at_most=True),
    "frames_per_s_1": Target(8, at_most=False),
    "frames_per_s_64": Target(3, at_most=False),
    "crowd_s": Target(0.5, at_most=True),
    "flood_lost": Target(0, at_most=True, relative=False),
    "flood_disorder": Target(0, at_most=True, relative=False),
    "flood_source_mib": Target(8, at_most=True, relative=False),
    "flood_sink_mib": Target(8, at_most=True, relative=False),
    "flood_others_mib": Target(8, at_most=True, relative=False),
}


@attrs.frozen
class Samples:
    """One figure on one base: its value in each round in which there was one, and why there was none in others."""

    values: Sequence[float] = ()
    failures: Sequence[str] = ()

    @property
    def median(self) -> float | None:
        """The median; ``None`` when every round failed."""
        return statistics.median(self.values) if self.values else None

    @property
    def worst(self) -> float | None:
        """The highest value; ``None`` when every round failed."""
        return max(self.values, default=None)


class Results:
    """Collects samples, round by round."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._failures: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, base: str, figures: Mapping[str, float]) -> None:
        """Add what one measurement gave on one base."""
        for key, value in figures.items():
            self._values[key, base].append(value)

    def add_failure(self, base: str, keys: Iterable[str], reason: str) -> None:
        """Note why a measurement gave no figures."""
        for key in keys:
            self._failures[key, base].append(reason)

    def samples(self, key: str, base: str) -> Samples:
        """Return what there is of one figure on one base."""
        return Samples(tuple(self._values[key, base]), tuple(self._failures[key, base]))

    def ratio(self, key: str, base: str) -> float | None:
        """Divide a base's median by that of TCP; ``None`` when one is missing, or is nothing."""
        ours, theirs = self.samples(key, base).median, self.samples(key, TCP).median
        return None if ours is None or not theirs else ours / theirs


@attrs.frozen
class Verdict:
    """One target, the value that is held against it, and whether it is met; ``None``: it can't be judged."""

    key: str
    target: Target
    value: float | None
    met: bool | None


def verdicts(results: Results, quick: bool = False) -> Iterator[Verdict]:
    """Judge every target; what failed on ``unix`` misses it, what was not measured is not judged.

    A ``quick`` run has too few of everything to say which base is faster: those that compare bases are left out.
    """
    for key, target in TARGETS.items():
        if quick and target.relative:
            continue
        ours = results.samples(key, UNIX)
        value = results.ratio(key, UNIX) if target.relative else ours.worst
        met = None if value is None else target.met(value)
        yield Verdict(key, target, value, False if ours.failures else met)
