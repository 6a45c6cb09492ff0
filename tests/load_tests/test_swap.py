"""The benchmark of swaps: that it measures and can fail, not what it measures."""

from __future__ import annotations

import attrs
import pytest
from click.testing import CliRunner

from nyx_plugins import PluginHeader, SwapReport
from nyx_plugins.config.settings import LimitSettings
from nyx_plugins.load_tests import swap
from nyx_plugins.load_tests.swap import Figures

REPORT = SwapReport(1, "1.0", "1.1", (), 0.01, True)
GOOD = Figures(10_000, 1000.0, 0, 0, 2, 0.05, (REPORT,))


def test_it_counts_every_frame() -> None:
    """A short run with one swap loses nothing, and both versions have been at work."""
    figures = swap.measure(rate=2_000, seconds=1.0, swaps=1, size=50)
    assert figures.frames > 0
    assert (figures.wrong, figures.missing, figures.versions) == (0, 0, 2)
    assert [report.new_version for report in figures.reports] == ["1.1"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"wrong": 1}, "1 frames lost, doubled or out of order"),
        ({"missing": -1}, "-1 frames unknown to the last version"),
        ({"versions": 1}, "1 of 2 versions at work"),
        ({"longest_pause_s": 0.21}, "a pause of more than 200 ms"),
        ({"rate": 949.0}, "less than 950 frames/s"),
    ],
)
def test_what_is_not_met_is_told(change: dict[str, float], fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit can be missed; the exit code is 1 then, and the last line has the figures all the same."""
    monkeypatch.setattr(swap, "measure", lambda *_: attrs.evolve(GOOD, **change))
    result = CliRunner().invoke(swap.main, ["--rate", "1000", "--swaps", "1"])
    assert result.exit_code == 1
    assert f"NOT MET: {fault}\n" in result.output
    assert result.output.splitlines()[-1].startswith("swaps 1, frames 10,000 at ")


def test_what_is_met_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a fault the exit code is 0."""
    monkeypatch.setattr(swap, "measure", lambda *_: GOOD)
    result = CliRunner().invoke(swap.main, ["--rate", "1000", "--swaps", "1"])
    assert (result.exit_code, "NOT MET" in result.output) == (0, False)
    assert "1.0 -> 1.1: neither worked for 10.0 ms\n" in result.output


def test_frames_that_the_system_would_refuse_are_refused_before_the_start() -> None:
    """They are no lost frames: the limit is named, and the largest size."""
    most = LimitSettings().max_header_bytes - 20
    result = CliRunner().invoke(swap.main, ["--size", str(most + 1)])
    text = f"must be at most {most:,}, not {most + 1:,}: limits.max_header_bytes is 65,536, and every frame would be"
    assert (result.exit_code, text in result.stderr) == (2, True), result.output
    assert len(PluginHeader(swap.PLUGIN_ID, 0, bytes(most)).encode()) == LimitSettings().max_header_bytes
