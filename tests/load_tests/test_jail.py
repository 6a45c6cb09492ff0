"""The benchmark of the jail: that it measures, not what."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests import jail
from nyx_plugins.load_tests.jail import Cost


def test_it_measures_both_sides() -> None:
    """One round gives a time and a rate for each."""
    for cost in jail.measure(1, jail.BATCH):
        assert cost.start_s > 0
        assert cost.rate > 0


@pytest.mark.parametrize(
    ("with_it", "code", "shown"),
    [
        (Cost(0.013, 95.0), 0, "start-up 13.0 ms for 10.0 ms: 1.30x (at most 1.3x)\n95 frames/s for 100: 0.95x"),
        (Cost(0.014, 95.0), 1, "1.40x (at most 1.3x)  NOT MET\n"),
        (Cost(0.010, 94.0), 1, "0.94x (at least 0.95x)  NOT MET\n"),
    ],
)
def test_limits_that_are_not_met_are_told(
    with_it: Cost, code: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1 then."""
    monkeypatch.setattr(jail, "measure", lambda rounds, frames: (Cost(0.010, 100.0), with_it))
    result = CliRunner().invoke(jail.main)
    assert result.exit_code == code
    assert shown in result.output
