"""The measurement of recoveries: that it measures, and what it makes of the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests import recovery
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.recovery import MEASUREMENTS, Measurement, Times


def test_it_kills_and_measures() -> None:
    """One round of a worker and one of its plugin actor give a time each."""
    for times in recovery.measure([MEASUREMENTS["worker"], MEASUREMENTS["plugin actor"]], 1):
        assert len(times.seconds) == 1 and times.seconds[0] > 0


@pytest.mark.parametrize(
    ("role", "seconds", "code", "line"),
    [
        ("worker", [0.1, 0.15, 9.0], 0, "ready: median 150.0 ms, maximum 9,000.0 ms of 3 (at most 150 ms)"),
        ("worker", [0.151], 1, "ready: median 151.0 ms, maximum 151.0 ms of 1 (at most 150 ms)  NOT MET"),
        ("guard", [9.0], 0, "the next plugin loaded: median 9,000.0 ms, maximum 9,000.0 ms of 1"),
    ],
)
def test_a_median_beyond_its_limit_is_told(
    role: str, seconds: list[float], code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1 then; a maximum has no limit, and neither has what nobody promised."""

    def pretend(measurements: Sequence[Measurement], rounds: int) -> Iterator[Times]:
        assert rounds == 20
        return (Times(measurement, seconds) for measurement in measurements)

    monkeypatch.setattr(recovery, "measure", pretend)
    result = CliRunner().invoke(main, ["recovery", "--role", role])
    assert (result.exit_code, result.output) == (code, f"{role} killed to {line}\n")
