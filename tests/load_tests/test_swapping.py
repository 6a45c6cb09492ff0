"""The measurement of swaps: that it measures, and what it makes of the figures."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests import swapping
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.swapping import Swaps

GOOD = Swaps(20_000.0, 19_000.0, 300, 300, 300, 0, (0.01, 0.2, 0.03))


def test_it_swaps_under_load() -> None:
    """A few frames per second and one swap: every frame is handled once, in order."""
    result = swapping.measure(500.0, 2, 0.1)
    assert result.intact and result.sent > 0
    assert len(result.pauses_s) == 2


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, None),
        ({"rate": 18_999.0}, 0),
        ({"processed": 299}, 1),
        ({"processed": 301}, 1),
        ({"last": 299}, 1),
        ({"out_of_order": 1}, 1),
        ({"pauses_s": (0.01, 0.201)}, 2),
    ],
)
def test_what_is_not_met_is_told(changes: dict[str, float], line: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost, doubled or reordered frames, a long pause, and a load that proves nothing; the exit code is 1 then."""
    monkeypatch.setattr(swapping, "measure", lambda rate, swaps, apart_s: swapping.attrs.evolve(GOOD, **changes))
    result = CliRunner().invoke(main, ["swap"])
    assert result.exit_code == (0 if line is None else 1)
    marked = [number for number, text in enumerate(result.output.splitlines()) if text.endswith("  NOT MET")]
    assert marked == ([] if line is None else [line])


def test_the_longest_gap_is_one_that_touches_the_swap() -> None:
    """A pause that ended before, or began after, was not the swap's."""
    outcomes = [0.0, 5.0, 6.0, 8.0, 9.0, 20.0]
    assert swapping._longest_gap(outcomes, 6.5, 8.5) == 2.0
    assert swapping._longest_gap(outcomes, 4.0, 8.5) == 5.0
    assert swapping._longest_gap([], 4.0, 8.5) == 0.0
