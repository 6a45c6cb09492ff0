"""The comparison of system bases: what it makes of figures, and that it runs and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from nyx_plugins.actors.processes import descendants
from nyx_plugins.load_tests.keeper import WorkFailed
from nyx_plugins.load_tests.transports import __main__ as program
from nyx_plugins.load_tests.transports import keeper, measure, report
from nyx_plugins.load_tests.transports.actors import distinct_frames
from nyx_plugins.load_tests.transports.bases import BASES, QUEUE, TCP, UNIX
from nyx_plugins.load_tests.transports.keeper import Request
from nyx_plugins.load_tests.transports.results import QUANTITIES, TARGETS, Results, Samples, Target, verdicts
from nyx_plugins.load_tests.transports.tally import Received, Tally, look

GOOD = {
    "ask_p50_us": 0.3,
    "frames_per_s_1": 8.0,
    "frames_per_s_64": 3.0,
    "crowd_s": 0.5,
    "flood_lost": 0.0,
    "flood_disorder": 0.0,
    "flood_source_mib": 8.0,
    "flood_sink_mib": 7.9,
    "flood_others_mib": 0.0,
}


def results_of(unix: dict[str, float], tcp: dict[str, float]) -> Results:
    """Make results of one round."""
    results = Results()
    results.add(UNIX, unix)
    results.add(TCP, tcp)
    return results


def shown(table: Table) -> list[str]:
    """Return the lines of a table."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


# Judging.


def test_every_target_is_met_at_its_limit() -> None:
    """Limits belong to what is allowed; what can't be compared has no limit."""
    judged = list(verdicts(results_of(GOOD, dict.fromkeys(GOOD, 1.0))))
    assert {verdict.key: verdict.met for verdict in judged} == dict.fromkeys(TARGETS, True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ask_p50_us", 0.31),
        ("frames_per_s_1", 7.9),
        ("frames_per_s_64", 2.9),
        ("crowd_s", 0.51),
        ("flood_lost", 1),
        ("flood_disorder", 1),
        ("flood_source_mib", 8.1),
        ("flood_sink_mib", 8.1),
        ("flood_others_mib", 8.1),
    ],
)
def test_a_value_beyond_its_limit_misses_that_target_only(key: str, value: float) -> None:
    """Each target is judged for itself."""
    judged = verdicts(results_of({**GOOD, key: value}, dict.fromkeys(GOOD, 1.0)))
    assert [verdict.key for verdict in judged if verdict.met is not True] == [key]


def test_no_ratio_is_judged_without_both_bases() -> None:
    """Without TCP there is nothing to compare with, and without unix nothing to judge."""
    results = Results()
    results.add(UNIX, GOOD)
    assert {verdict.met for verdict in verdicts(results) if verdict.target.relative} == {None}
    assert {verdict.met for verdict in verdicts(results) if not verdict.target.relative} == {True}
    results = Results()
    results.add(TCP, GOOD)
    assert {verdict.met for verdict in verdicts(results)} == {None}


def test_a_failure_of_ours_misses_its_target_and_one_of_theirs_does_not() -> None:
    """One failed round of unix is enough; a base that we are compared with may hang."""
    results = results_of(GOOD, dict.fromkeys(GOOD, 1.0))
    results.add_failure(UNIX, ["crowd_s"], "it hung")
    results.add_failure(TCP, ["ask_p50_us"], "it hung")
    assert [verdict.key for verdict in verdicts(results) if not verdict.met] == ["crowd_s"]


@pytest.mark.parametrize(
    ("words", "rounds"), [([], 5), (["--quick"], 1), (["--quick", "--rounds", "3"], 3), (["--rounds", "2"], 2)]
)
def test_as_many_rounds_as_asked_for(words: list[str], rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick run has one where nobody asks for more."""
    seen: list[int] = []
    monkeypatch.setattr(program, "run", lambda rounds, *_: seen.append(rounds) or Results())
    CliRunner().invoke(program.main, [*words, "--json"], catch_exceptions=False)
    assert seen == [rounds]


def test_a_quick_run_judges_no_speed() -> None:
    """Five actors say nothing of a hundred; that nothing is lost it tells all the same."""
    results = Results()
    for base, crowd_s in ((TCP, 0.1), (UNIX, 9.0)):
        results.add(base, {"crowd_s": crowd_s, "flood_lost": 0})
    judged = {verdict.key: verdict.met for verdict in verdicts(results, quick=True)}
    assert "crowd_s" not in judged and judged["flood_lost"] is True
    assert {verdict.key: verdict.met for verdict in verdicts(results)}["crowd_s"] is False


def test_the_worst_round_counts_where_nothing_may_be_lost() -> None:
    """A median would hide that messages were lost in one round of three."""
    results = Results()
    for lost in (0, 3, 0):
        results.add(UNIX, {"flood_lost": lost})
    (verdict,) = (verdict for verdict in verdicts(results) if verdict.key == "flood_lost")
    assert (verdict.value, verdict.met) == (3, False)


def test_ratios_are_of_medians() -> None:
    """One slow round of either changes nothing; a base with nothing to divide by has no ratio."""
    results = Results()
    for ours, theirs in ((10, 2), (30, 1), (20, 100)):
        results.add(UNIX, {"frames_per_s_1": ours, "flood_lost": 1})
        results.add(TCP, {"frames_per_s_1": theirs, "flood_lost": 0})
    assert results.ratio("frames_per_s_1", UNIX) == 10
    assert results.ratio("flood_lost", UNIX) is None
    assert results.ratio("frames_per_s_1", QUEUE) is None


def test_a_target_says_what_it_wants() -> None:
    """Factors are marked as such."""
    assert str(Target(0.3, at_most=True)) == "<= 0.3x"
    assert str(Target(8, at_most=False)) == ">= 8x"
    assert str(Target(8, at_most=True, relative=False)) == "<= 8"


# Showing.


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (Samples(), ""),
        (Samples((1234.5,)), "1,234"),
        (Samples((3, 1, 2)), "2 (1 to 3)"),
        (Samples((3, 1), ("hung",)), "2 (1 to 3), failed in 1 of 3"),
        (Samples((), ("hung",)), "failed"),
    ],
)
def test_a_cell_holds_median_spread_and_failures(samples: Samples, text: str) -> None:
    """One round has no spread; a base that always failed has no median."""
    assert report.cell(samples, 0) == text


def test_the_tables_have_a_line_for_each_figure_and_target() -> None:
    """All figures are shown, ratios only of what is compared, and a target that is missed stands out."""
    results = results_of({**GOOD, "crowd_s": 9.0}, dict.fromkeys(GOOD, 1.0))
    assert len(shown(report.figures_table(results, BASES))) == 2 + len(QUANTITIES)
    ratios = shown(report.ratios_table(results, BASES))
    assert "9.00x" in "".join(ratios) and not any("growth" in line for line in ratios)
    targets = shown(report.targets_table(list(verdicts(results))))
    assert [line.split()[-1] for line in targets[2:]].count("NO") == 1
    assert len(targets) == 2 + len(TARGETS)


def test_each_reason_is_given_once_for_a_base() -> None:
    """A measurement that gives several figures fails with one reason."""
    results = Results()
    for _round in range(2):
        results.add_failure(QUEUE, ["ask_p50_us", "ask_p99_us"], "it hung")
    assert list(report.failures(results, BASES)) == [f"{QUEUE}, {QUANTITIES['ask_p50_us'].title}: failed: it hung"]


def test_every_key_of_a_measurement_is_shown() -> None:
    """What is measured and what is shown are the same."""
    keys = [key for measurement in measure.MEASUREMENTS.values() for key in measurement.keys]
    assert keys == list(QUANTITIES)
    assert all(set(measurement.counts) == set(BASES) for measurement in measure.MEASUREMENTS.values())


# The schedule and the exit code.


def test_bases_alternate_and_take_turns_in_being_first() -> None:
    """Each base runs each measurement once a round."""
    turns = list(program.schedule(2, [TCP, UNIX]))
    assert set(Counter(turns).values()) == {1}
    assert [base for number, name, base in turns if name == "ask"] == [TCP, UNIX, UNIX, TCP]
    assert len(turns) == 2 * 2 * len(measure.MEASUREMENTS)


@pytest.mark.parametrize(("lost", "exit_code"), [(0.0, 0), (1.0, 1)])
def test_the_exit_code_says_whether_all_targets_were_met(
    lost: float, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that fails is part of the results; a target that is missed is exit code 1."""

    def pretend(request: Request) -> measure.Figures:
        """Give each base the figures that it is to have."""
        if request.base == QUEUE:
            raise WorkFailed("not done within [5] s")
        figures = {**GOOD, "flood_lost": lost} if request.base == UNIX else dict.fromkeys(GOOD, 1.0)
        keys = measure.MEASUREMENTS[request.measurement].keys
        return {key: value for key, value in figures.items() if key in keys}

    monkeypatch.setattr(program, "measured", pretend)
    result = CliRunner().invoke(program.main, ["--rounds", "2"])
    assert result.exit_code == exit_code, result.output
    assert ("NO" in result.stdout) == bool(lost)
    assert "not done within [5] s" in result.stdout
    assert "round 2 of 2: flood, unix\n" in result.stderr


# What it is made of.


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=80))))
def test_a_tally_counts_what_came(tmp_path_factory: pytest.TempPathFactory, sent: tuple[int, list[int]]) -> None:
    """Different messages, doubles, and those that came after a later one, as its file shows them."""
    messages, numbers = sent
    path = tmp_path_factory.getbasetemp() / "tally"
    tally = Tally(path, messages)
    for number in numbers:
        tally.add(number)
    late = sum(number < max(numbers[:place], default=-1) for place, number in enumerate(numbers))
    assert look(path) == Received(len(set(numbers)), len(numbers) - len(set(numbers)), late)
    assert look(path).total == len(numbers)


def test_no_file_means_that_nothing_has_come(tmp_path: Path) -> None:
    """Whoever looks may be there before the sink."""
    assert look(tmp_path / "tally") == Received()


def test_frames_of_a_list_are_different_objects() -> None:
    """A pickle holds an object only once, however often it is in a list."""
    assert len({id(frame) for frame in distinct_frames(64)}) == 64


def test_memory_of_processes_that_have_ended_does_not_grow() -> None:
    """A process that ends counts with what it had at most."""
    memory = measure.Memory([os.getpid(), 2**22 + 1])
    memory.sample()
    assert memory.growth([2**22 + 1]) == 0
    assert memory.growth([os.getpid()]) >= 0
    assert memory.growth([]) == 0


def test_shares_of_ordered_values() -> None:
    """The highest share is the last value."""
    assert [measure.at([1, 2, 3, 4], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 3, 4, 4]


# With processes.


def test_a_measurement_that_takes_too_long_fails_and_leaves_no_process() -> None:
    """A base that hangs costs its time and nothing else."""
    before = descendants(os.getpid())
    with pytest.raises(WorkFailed, match=r"not done within 0\.5 s"):
        keeper.measured(Request("ask", TCP, 10_000_000, timeout_s=0.5))
    assert descendants(os.getpid()) == before


def test_a_measurement_that_raises_says_why() -> None:
    """The reason is the text of the exception."""
    with pytest.raises(WorkFailed, match="KeyError: 'nothing'"):
        keeper.measured(Request("nothing", TCP, 1))


def test_a_keeper_ends_with_who_started_it() -> None:
    """When its life pipe is closed, it kills what it has started and ends."""
    before = descendants(os.getpid())
    work = json.dumps(attrs.asdict(keeper.work_of(Request("ask", TCP, 10_000_000))))
    command = [sys.executable, "-P", "-m", "nyx_plugins.load_tests.keeper", work]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
    assert json.loads(ended.stdout) == {"failed": "nobody waits for it"}
    assert descendants(os.getpid()) == before


def test_the_program_gives_every_figure_and_leaves_no_process() -> None:
    """A quick run with our base, as its own program: every measurement has a figure, and nothing is lost."""
    before = descendants(os.getpid())
    command = [sys.executable, "-P", "-m", "nyx_plugins.load_tests.transports", "--quick", "--base", UNIX, "--json"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
    figures = {figure["figure"]: figure for figure in json.loads(ended.stdout)["figures"]}
    assert [key for key, figure in figures.items() if figure["failures"]] == [], ended.stderr
    assert all(figures[key]["median"] is not None for key in QUANTITIES)
    assert figures["flood_lost"]["median"] == figures["flood_disorder"]["median"] == 0
    assert descendants(os.getpid()) == before
