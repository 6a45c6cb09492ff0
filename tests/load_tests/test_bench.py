"""The table of targets: what is made of figures, of missing ones, and what is written."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.bench import jobs, parts, table
from nyx_plugins.load_tests.bench.jobs import COMPARED, PARTS_TO_DO, Bench
from nyx_plugins.load_tests.bench.targets import TARGETS, Target, Verdict, judge, judge_all
from nyx_plugins.load_tests.interruption import Interruption
from nyx_plugins.load_tests.keeper import Work, WorkFailed
from nyx_plugins.load_tests.peers import roster
from nyx_plugins.load_tests.peers import run as peers_run
from nyx_plugins.load_tests.peers.results import QUANTITIES
from nyx_plugins.load_tests.reading import read

AT_MOST = Target("time", "ours time", 10, 2, True, unit="ms")
RATIO = Target("rate", "ours rate", 15, 30, over="ray rate")
# What makes each target just met.
FIGURES = {
    "ours call_p50_us": 70.0,
    "ray call_p50_us": 100.0,
    "ours pipeline": 60_000.0,
    "ray pipeline": 4000.0,
    "xoscar pipeline": 7500.0,
    "ours lists_256": 200_000.0,
    "thespian-tcp lists_256": 200_000.0,
    "ours stress": 20_000.0,
    "thespian-tcp stress": 1000.0,
    "ready_100": 3.0,
    "unload_100": 1.5,
    "pss": 15.0,
    "flood_growth": 8.0,
    "total_100": 70_000.0,
    "total_1": 100_000.0,
    "spin_added": 10.0,
    "spin_rate": 1200.0,
    "crash": 150.0,
}


@pytest.mark.parametrize(
    ("target", "figures", "verdict", "stretch"),
    [
        (AT_MOST, {"ours time": 10.0}, Verdict.MET, False),
        (AT_MOST, {"ours time": 10.1}, Verdict.NOT_MET, False),
        (AT_MOST, {"ours time": 2.0}, Verdict.MET, True),
        (RATIO, {"ours rate": 15.0, "ray rate": 1.0}, Verdict.MET, False),
        (RATIO, {"ours rate": 14.9, "ray rate": 1.0}, Verdict.NOT_MET, False),
        (RATIO, {"ours rate": 30.0, "ray rate": 1.0}, Verdict.MET, True),
    ],
)
def test_a_limit_belongs_to_what_is_allowed(
    target: Target, figures: Mapping[str, float], verdict: Verdict, stretch: bool
) -> None:
    """So does that of the stretch."""
    row = judge(target, figures, {})
    assert (row.verdict, row.stretch_met) == (verdict, stretch)


def test_what_cannot_be_compared_is_not_measured_and_what_we_do_not_reach_is_not_met() -> None:
    """A failure of ours is no excuse; one of another system is not our fault."""
    reasons = {"ray": "install the extra 'peers'", "ours rate": "it hung"}
    without_ray = judge(RATIO, {"ours rate": 99.0}, reasons)
    assert (without_ray.verdict, without_ray.reason) == (Verdict.NOT_MEASURED, "install the extra 'peers'")
    without_ours = judge(RATIO, {"ray rate": 1.0}, reasons)
    assert (without_ours.verdict, without_ours.reason, without_ours.judged) == (Verdict.NOT_MET, "it hung", None)


def test_every_target_is_met_at_its_limit_and_missed_alone() -> None:
    """Each is judged for itself; what others reach is in the same figures."""
    assert {row.verdict for row in judge_all(FIGURES, {})} == {Verdict.MET}
    for target in TARGETS:
        worse = FIGURES[target.figure] * (1.01 if target.at_most else 0.99)
        missed = [row.target for row in judge_all({**FIGURES, target.figure: worse}, {}) if row.verdict != Verdict.MET]
        assert target in missed and all(each.figure == target.figure for each in missed)


def test_every_figure_of_a_target_is_measured() -> None:
    """By a peer that takes part, or by a part."""
    of_peers = {f"{peer} {key}" for peer in COMPARED for key in QUANTITIES}
    measured = of_peers.union(*(part.figures for part in PARTS_TO_DO))
    assert {name for target in TARGETS for name in (target.figure, target.over, target.load) if name} <= measured
    assert all(callable(getattr(parts, part.function)) for part in PARTS_TO_DO)


def test_rows_are_read_by_people() -> None:
    """Units, ratios, verdicts and reasons."""
    assert table.cells(judge(RATIO, {"ours rate": 29.96, "ray rate": 1.0}, {})) == (
        "rate", ">= 15x", ">= 30x", "30 frames/s", "29.96x", "met",
    )  # fmt: skip
    assert table.cells(judge(AT_MOST, {"ours time": 1.0}, {})) == (
        "time", "<= 10 ms", "<= 2 ms", "1 ms", "", "met, stretch too",
    )  # fmt: skip
    loaded = attrs.evolve(AT_MOST, load="rate")
    assert table.cells(judge(loaded, {"ours time": 1.0, "rate": 1234.5}, {}))[3] == "1 ms at 1,234 frames/s"
    assert table.cells(judge(AT_MOST, {}, {"ours": "it hung"}))[3:] == ("-", "", "not met: it hung")


def pretend(monkeypatch: pytest.MonkeyPatch, figures: Mapping[str, float], missing: str = "") -> None:
    """Have the jobs give these figures, and one peer not be installed."""

    def done(job: Work) -> object:
        if "peer" in job.arguments:
            [key] = [entry.key for entry in roster.ENTRIES if entry.function == job.arguments["peer"]]
            return {"values": {k: figures[f"{key} {k}"] for k in QUANTITIES if f"{key} {k}" in figures}, "windows": {}}
        [part] = [part for part in PARTS_TO_DO if job.function.endswith(f":{part.function}")]
        if not set(part.figures) <= set(figures):
            raise WorkFailed("it hung")
        return {name: figures[name] for name in part.figures}

    for module in (jobs, peers_run):
        monkeypatch.setattr(module, "kept", done)
    monkeypatch.setattr(roster.Entry, "missing", lambda self: "not installed" if self.key == missing else "")


def test_a_part_that_fails_is_tried_once_more_and_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its target is not met, with the reason."""
    pretend(monkeypatch, {name: value for name, value in FIGURES.items() if name != "total_1"})
    said = list[str]()
    subject = Bench()
    subject.run(3, said.append)
    assert subject.figures() == {name: value for name, value in FIGURES.items() if not name.startswith("total")}
    assert subject.reasons == {"total_1": "it hung", "total_100": "it hung"}
    assert sum("100 plugins under load" in line for line in said) == 2
    assert sum("a flood" in line for line in said) == 1 and sum("crowd" in line for line in said) == 0


def test_the_command_writes_result_and_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The exit code is 0 when all is met, even if something is not there to compare with."""
    pretend(monkeypatch, FIGURES, missing="ray")
    result = CliRunner().invoke(main, ["bench", "--rounds", "2", "--output", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    written = read(tmp_path / "new" / "result.json")
    assert [check.met for check in written.checks] == [True] * (len(TARGETS) - 2)
    assert written.settings["missing"] == {"ray": "install the extra 'peers'"}
    page = (tmp_path / "new" / "targets.md").read_text()
    assert len(re.findall(r"\| met \|", page)) == len(TARGETS) - 2
    assert page.count("| not measured: install the extra 'peers' |") == 2


def test_what_is_missing_of_ours_is_not_met(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor does the result say that all limits are met; the report of who is sent SIGTERM is left out."""

    def end(*_: object) -> NoReturn:
        raise Interruption(signal.SIGTERM)

    pretend(monkeypatch, FIGURES)
    monkeypatch.setattr(Bench, "run", end)
    result = CliRunner().invoke(main, ["bench", "--output", str(tmp_path)])
    assert result.exit_code == 143 and "interrupted" in result.stderr
    written = read(tmp_path)
    assert len(written.checks) == len(TARGETS) and not any(check.met for check in written.checks)
    assert (tmp_path / "targets.md").exists() and not (tmp_path / "report.html").exists()


def test_the_exit_code_is_1_when_something_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """One target is enough."""
    pretend(monkeypatch, {**FIGURES, "crash": 151.0})
    result = CliRunner().invoke(main, ["bench"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert result.stdout.count("not met") == 1
