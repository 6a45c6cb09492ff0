"""One side of a comparison: the results of one build, by scenario."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..result import Result, Round


@attrs.frozen
class Side:
    """Results of one scenario, whose rounds count as one run."""

    results: tuple[Result, ...]

    @property
    def rounds(self) -> tuple[Round, ...]:
        """All of them."""
        return tuple(one for result in self.results for one in result.rounds)


def sides(results: Iterable[Result]) -> Mapping[str, Side]:
    """Return the results of each scenario."""
    found: dict[str, tuple[Result, ...]] = {}
    for result in results:
        found[result.scenario] = (*found.get(result.scenario, ()), result)
    return {scenario: Side(those) for scenario, those in found.items()}
