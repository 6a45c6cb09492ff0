"""What the rounds of a run say together: each metric with its median and its spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

import attrs

from .result import Better, Result, Round
from .variants import split

_TRAFFIC = "processed_per_s"
"""A metric of rounds in which frames are sent."""


@attrs.frozen
class Summary:
    """One metric over several rounds."""

    name: str
    unit: str
    better: Better
    values: tuple[float, ...]
    """In the order of the rounds, which are at least one."""

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The smallest one."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest one."""
        return max(self.values)

    @property
    def spread(self) -> float | None:
        """From the smallest to the largest, as a share of the median; ``None`` where that is 0."""
        return (self.high - self.low) / abs(self.median) if self.median else None


def summaries(rounds: Iterable[Round]) -> tuple[Summary, ...]:
    """Return a summary for each metric that any of ``rounds`` has, in their order."""
    found: dict[str, Summary] = {}
    for one in rounds:
        for name, metric in one.metrics.items():
            so_far = found.get(name) or Summary(name, metric.unit, metric.better, ())
            found[name] = attrs.evolve(so_far, values=(*so_far.values, metric.value))
    return tuple(found.values())


def notes(result: Result) -> Iterator[str]:
    """Yield what whoever reads the figures has to know besides, of any round; also that there are none."""
    if not any(one.metrics for one in result.rounds):
        yield "nothing was measured"
    elif all(_is_idle(one) for one in result.rounds):
        yield "nothing was measured: no frame was due in the measured time"
    for one in result.rounds:
        yield from (f"round {one.number}: {text}" for text in one.notes)


def is_without_outcome(rounds: Iterable[Round]) -> bool:
    """Return whether frames were to be sent, and not one has come to an outcome: there is no figure of any."""
    counts = [one.counts for one in rounds if _sends(one)]
    ended = sum(each.processed + each.failed + each.dead_lettered for each in counts)
    return not ended and any(each.offered for each in counts)


def _is_idle(one: Round) -> bool:
    return _sends(one) and not one.counts.offered and not one.counts.unknown


def _sends(one: Round) -> bool:
    return any(split(name)[0] == _TRAFFIC for name in one.metrics)
