"""What all rounds gave of each peer: medians, and how they compare with ours."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import attrs

from nyx_plugins.load_tests.result import Better, Metric

from .measure import CALL, PIPELINE, SIZES, batch_name, cost_name
from .roster import OURS


@attrs.frozen
class Quantity:
    """A figure: how it is called, in which unit, and which direction is better."""

    title: str
    unit: str = "frames/s"
    better: Better = Better.HIGHER


QUANTITIES: Mapping[str, Quantity] = {
    "call_p50_us": Quantity("single, p50", "us", Better.LOWER),
    "call_p99_us": Quantity("single, p99", "us", Better.LOWER),
    CALL: Quantity("single"),
    PIPELINE: Quantity("one per call"),
    **{batch_name(size): Quantity(f"lists of {size}") for size in SIZES},
    **{
        cost_name(name): Quantity(title, "CPU us/frame", Better.LOWER)
        for name, title in ((PIPELINE, "one per call"), *((batch_name(size), f"lists of {size}") for size in SIZES))
    },
    "ready_s": Quantity("started and answering", "s", Better.LOWER),
}


ENOUGH_FAILURES = 2
"""So often a peer may fail until it is not tried again: once may be the machine's fault."""


@attrs.frozen
class Cell:
    """One figure of one peer, and how many times ours it is; ``None`` where there is none."""

    value: float | None
    ratio: float | None


class Comparison:
    """Collects what is measured, round by round."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, Metric]] = []
        self.failures: dict[str, str] = {}
        """By peer: why it has no figures, in the last round in which it had none."""
        self._failed: Counter[str] = Counter()
        self.windows: dict[str, dict[str, int]] = {}
        """By peer: the window that suited each discipline best."""

    def leave_out(self, peer: str, reason: str) -> None:
        """Take note that a peer can't be measured at all."""
        self.fail(peer, reason, ENOUGH_FAILURES)

    def fail(self, peer: str, reason: str, times: int = 1) -> None:
        """Take note that a peer has failed."""
        self.failures[peer] = reason
        self._failed[peer] += times

    def is_given_up(self, peer: str) -> bool:
        """Say whether a peer has failed often enough."""
        return self._failed[peer] >= ENOUGH_FAILURES

    def add(self, number: int, peer: str, values: Mapping[str, float]) -> None:
        """Add what round ``number`` (from 1) gave of one peer."""
        kinds = {key: QUANTITIES[key] for key in values}
        self.add_metrics(
            number, {f"{peer} {key}": Metric(values[key], kind.unit, kind.better) for key, kind in kinds.items()}
        )

    def add_metrics(self, number: int, metrics: Mapping[str, Metric]) -> None:
        """Add what a round gave, by name."""
        while len(self.rounds) < number:
            self.rounds.append({})
        self.rounds[number - 1].update(metrics)

    def medians(self) -> dict[str, float]:
        """Return the median over the rounds of each figure, by name."""
        values: dict[str, list[float]] = defaultdict(list)
        for metrics in self.rounds:
            for name, metric in metrics.items():
                values[name].append(metric.value)
        return {name: statistics.median(found) for name, found in values.items()}

    def median(self, peer: str, key: str) -> float | None:
        """Return the median of one figure of a peer; ``None`` if it was never measured."""
        return self.medians().get(f"{peer} {key}")

    def ratio(self, key: str, peer: str, to: str) -> float | None:
        """Return how many times that of ``to`` a peer's median is; ``None`` if one of them is missing."""
        value, other = self.median(peer, key), self.median(to, key)
        return value / other if value is not None and other else None

    def cell(self, peer: str, key: str) -> Cell:
        """Return a figure and its ratio to ours."""
        return Cell(self.median(peer, key), self.ratio(key, peer, OURS))

    def row(self, peer: str, keys: Sequence[str]) -> list[Cell]:
        """Return several."""
        return [self.cell(peer, key) for key in keys]
