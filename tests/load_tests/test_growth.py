"""How cost grows: what is varied, what is kept of it, and that it is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.growth import plots, points
from nyx_plugins.load_tests.growth.points import CPU, KEPT, MEMORY, PLUGIN_MEMORY, RATE
from nyx_plugins.load_tests.growth.sweeps import SWEEPS, Sweep
from nyx_plugins.load_tests.keeper import Work, WorkFailed
from nyx_plugins.load_tests.library import load
from nyx_plugins.load_tests.reading import read
from nyx_plugins.load_tests.result import Better, Metric

POINTS = [(sweep, value) for sweep in SWEEPS.values() for value in sweep.values]


@pytest.mark.parametrize(("sweep", "value"), POINTS, ids=lambda each: each.name if isinstance(each, Sweep) else each)
def test_each_point_is_a_scenario(sweep: Sweep, value: int) -> None:
    """What is under way has room in the mailbox, in frames and in bytes, and no call is larger than that."""
    plan = load(points.SCENARIO, points.changes_of(sweep, value, 2.0))
    assert list(plan.parts) == [""]
    scenario, group = plan.scenario, plan.scenario.plugins["work"]
    assert scenario.batch <= scenario.window
    assert scenario.window * scenario.clients <= group.capacity
    if group.capacity_bytes is not None:
        assert scenario.window * scenario.frame_bytes <= group.capacity_bytes
    assert scenario.frame_bytes < scenario.system_settings().limits.max_header_bytes


def pretended(job: Work) -> dict[str, tuple[float, str, str]]:
    """Give the figures of a point; those of the largest batch fail."""
    if job.arguments["changes"]["batch"] == max(SWEEPS["batch"].values):  # type: ignore[index]
        raise WorkFailed("it hung")
    return {RATE: (1e5, "frames/s", "higher"), **{name: (2.5, "us", "lower") for name in KEPT[1:]}}


def test_curves_are_measured_kept_and_drawn_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A point that fails is left out and told."""
    monkeypatch.setattr(points, "kept", pretended)
    arguments = ["growth", "--sweep", "batch", "--output", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "batch 4096: it hung\n" in result.stderr
    assert result.stdout == f"{tmp_path / 'batch.png'}\n"
    [metrics] = [each.metrics for each in read(tmp_path).rounds]
    assert set(metrics) == {f"{name} [batch {value}]" for name in KEPT for value in SWEEPS["batch"].values[:-1]}
    for picture in (tmp_path / "batch.png", tmp_path / "batch.svg"):
        assert picture.stat().st_size > 5000
        picture.unlink()
    assert CliRunner().invoke(main, [*arguments, "--again"]).exit_code == 0
    assert (tmp_path / "batch.png").exists()


@pytest.mark.parametrize("name", SWEEPS)
def test_everything_measured_is_within_its_axes(name: str) -> None:
    """Throughput, and on top of each other what a frame costs each role, reach to where their axes do."""
    sweep = SWEEPS[name]
    metrics = {
        f"{metric} [{sweep.point(value)}]": Metric(value + 10.0, "x", Better.LOWER)
        for metric in KEPT
        for value in sweep.values
    }
    for _, figure in plots.figures(metrics, [sweep]):
        for axes in figure.axes:
            assert (axes.get_ylabel() and axes.get_xlabel()) or "MiB" in axes.get_ylabel()
            drawn = [line.get_ydata() for line in axes.lines] + [
                path.vertices[:, 1] for area in axes.collections for path in area.get_paths()
            ]
            assert max(map(max, drawn)) <= axes.get_ylim()[1] <= 2 * max(map(max, drawn)) + 1


def test_memory_is_drawn_against_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is a picture of its own, of what the same runs have seen."""
    figures = {
        RATE: (1e5, "frames/s", "higher"),
        MEMORY: (1e8, "bytes", "lower"),
        PLUGIN_MEMORY: (1e7, "bytes", "lower"),
    }
    monkeypatch.setattr(points, "kept", lambda job: {**figures, **dict.fromkeys(CPU, (1.0, "us", "lower"))})
    result = CliRunner().invoke(main, ["growth", "--sweep", "plugins", "--sweep", "frame", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["frame.png", "memory.png", "plugins.png"]


def test_a_logarithmic_axis_shows_what_there_is() -> None:
    """Different marks have different numbers, and what took no time that could be measured has none."""
    marks = (0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 2.0, 20.0, 2000.0)
    assert [plots.thousands(mark, 0) for mark in marks] == [
        *("0.01", "0.02", "0.05", "0.1", "0.5", "1", "2", "20", "2,000")
    ]
    sweep = SWEEPS["batch"]
    metrics = {
        f"{metric} [{sweep.point(value)}]": Metric(float(value != 4), "x", Better.LOWER)
        for metric in KEPT
        for value in sweep.values
    }
    [(_, figure)] = plots.figures(metrics, [sweep])
    _, cost = figure.axes
    assert all(list(line.get_xdata()) == [value for value in sweep.values if value != 4] for line in cost.lines)
