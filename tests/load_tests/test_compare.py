"""Comparing results: what is flagged, what is not, and what is said to be doubtful."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.compare.command import names
from nyx_plugins.load_tests.compare.comparison import Comparison, Verdict, compare, left_out
from nyx_plugins.load_tests.compare.ratio import of_pairs, of_rounds
from nyx_plugins.load_tests.errors import NothingToCompare
from nyx_plugins.load_tests.result import Better, Check, Result, write

Forging = Callable[..., Result]


@pytest.fixture(name="forge")
def bare(forge: Forging) -> Forging:
    """Return what forges results with metrics only."""
    return partial(forge, bare=True)


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    """What is said of each metric."""
    return {row.metric: row.verdict for row in comparison.rows}


def compared(base: Result, candidate: Result, allowed: float = 0.1, **how: Any) -> Comparison:
    """The comparison of one scenario."""
    (comparison,) = compare([base], [candidate], allowed, **how)
    return comparison


def test_the_same_build_is_not_flagged(forge: Forging) -> None:
    """Two runs of one build differ by chance only, and nothing of it counts as a regression."""
    for seed in range(2, 6):
        comparison = compared(forge(), forge(seed=seed))
        assert not comparison.worse
        assert verdicts(comparison)["throughput"] in (Verdict.SAME, Verdict.BETTER)


def test_a_slowed_build_is_flagged(forge: Forging) -> None:
    """A fifth less throughput is worse than a tenth, also by what frames cost; and in that direction only."""
    fast, slow = forge(), forge(seed=2, per_s=48_000)
    comparison = compared(fast, slow)
    assert comparison.worse
    assert verdicts(comparison)["throughput"] is Verdict.WORSE
    assert verdicts(comparison)["cpu_per_frame"] is Verdict.WORSE
    (row,) = (row for row in comparison.rows if row.metric == "throughput")
    assert row.ratio is not None and row.ratio.low < 0.8 < row.ratio.high < 0.9
    assert not compared(slow, fast).worse
    assert verdicts(compared(slow, fast))["throughput"] is Verdict.BETTER


def test_what_is_allowed_is_not_flagged(forge: Forging) -> None:
    """The same fifth is no regression where a third is allowed."""
    comparison = compared(forge(), forge(seed=2, per_s=48_000), 0.33, metrics=["throughput"])
    assert verdicts(comparison) == {"throughput": Verdict.SAME}


def test_noise_is_no_regression(forge: Forging) -> None:
    """Where the interval reaches over what is allowed, nothing is claimed."""
    comparison = compared(forge(noise=0.2), forge(noise=0.2, seed=3, per_s=54_000, changes={"checks": ()}))
    assert verdicts(comparison)["throughput"] is Verdict.UNCLEAR
    assert not comparison.worse


def test_without_enough_rounds_there_is_no_ratio(forge: Forging) -> None:
    """One round says nothing, however bad it is, and a figure that was zero has no ratio; both are told."""
    comparison = compared(forge(rounds=1), forge(rounds=1, per_s=1000, changes={"checks": ()}))
    assert set(verdicts(comparison).values()) == {Verdict.NO_RATIO}
    assert not comparison.worse
    assert any("only 1 round:" in note for note in comparison.notes)
    assert verdicts(compared(forge(), forge()))["memory_growth"] is Verdict.NO_RATIO


def test_a_limit_that_is_not_met_any_more_is_a_regression(forge: Forging) -> None:
    """Lost frames fail whatever the ratios say; a limit that was not met before is nothing new."""
    lost = (Check("no frame is lost", "0", 3, "frames", False),)
    comparison = compared(forge(), forge(changes={"checks": lost}))
    assert comparison.broken == ("no frame is lost (0)",) and comparison.worse
    both = forge(changes={"checks": lost})
    assert not compared(both, both).worse


def test_a_limit_that_was_not_measured_is_no_regression(forge: Forging) -> None:
    """A run that was interrupted has broken nothing; a note says what it can't be asked."""
    unmeasured = (Check("no frame is lost", "0", None, "frames", False),)
    comparison = compared(forge(), forge(changes={"checks": unmeasured}))
    assert not comparison.broken and not comparison.worse
    assert "the second side has not measured: no frame is lost" in comparison.notes


def test_several_results_of_a_side_count_together(forge: Forging) -> None:
    """Rounds of the same scenario are pooled; scenarios of one side only are named."""
    base = [forge(rounds=2, seed=seed) for seed in (1, 2)]
    other = attrs.evolve(base[0], scenario="latency")
    (comparison,) = compare([*base, other], base[:1], 0.1)
    assert (comparison.scenario, comparison.rounds) == ("throughput", (4, 2))
    assert left_out([*base, other], base) == ("latency",)


def test_what_has_nothing_in_common_is_refused(forge: Forging) -> None:
    """Other scenarios, and metrics that are not there, are a mistake and not a success."""
    base = forge(rounds=2)
    with pytest.raises(NothingToCompare, match="results of throughput, and the second of latency"):
        compare([base], [attrs.evolve(base, scenario="latency")], 0.1)
    with pytest.raises(NothingToCompare, match="no metric like 'p98'"):
        compare([base], [base], 0.1, ["p98"])
    with pytest.raises(NothingToCompare, match="the second side has no rounds"):
        compare([base], [attrs.evolve(base, rounds=())], 0.1)


def test_other_circumstances_are_pointed_out(forge: Forging) -> None:
    """Another machine, other versions and other settings are each named, but not the build that is compared."""
    base = forge(rounds=2)
    machine = attrs.evolve(base.machine, cores=64, load_average=50.0)
    settings = {**base.settings, "batch": 1, "mailbox": {"capacity": 5}}
    versions = {**base.versions, "cbor2": "5.0.0", "revision": "fedcba987654"}
    changed = {"machine": machine, "settings": settings, "versions": versions, "ended": "interrupted"}
    told = "\n".join(compared(base, attrs.evolve(base, **changed)).notes)
    for piece in (
        "another machine: cores is 2, then 64",
        "another version: cbor2 is 6.2.0, then 5.0.0",
        "another setting: batch is 256, then 1",
        "another setting: mailbox.capacity is 1000, then 5",
        "second side has a run that did not go to its end (interrupted)",
        "only 2 rounds",
    ):
        assert piece in told
    assert "revision" not in told
    assert "second side's machine was busy" in told
    busy = attrs.evolve(base, machine=attrs.evolve(base.machine, load_average=1.5))
    assert any("first side's machine was busy" in note for note in compared(busy, base).notes)
    assert any(
        "own results differ" in note for note in compare([base, attrs.evolve(base, **changed)], [base], 0.1)[0].notes
    )


def test_a_metric_of_one_side_is_named(forge: Forging) -> None:
    """What can't be compared is not passed over."""
    base = forge(rounds=2)
    rounds = tuple(attrs.evolve(one, metrics={"throughput": one.metrics["throughput"]}) for one in base.rounds)
    told = compared(base, attrs.evolve(base, rounds=rounds)).notes
    assert "on one side only, and left out: cpu_per_frame, memory_growth, p50, p99" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"unit": "ms"}, "p50 is in us, lower being better, then in ms, lower being better"),
        ({"better": Better.HIGHER}, "p50 is in us, lower being better, then in us, higher being better"),
    ],
)
def test_a_metric_of_another_meaning_is_not_compared(change: dict[str, Any], told: str, forge: Forging) -> None:
    """A thousand microseconds are no regression of a millisecond."""
    base = forge(rounds=2)
    rounds = tuple(
        attrs.evolve(one, metrics={**one.metrics, "p50": attrs.evolve(one.metrics["p50"], **change)})
        for one in base.rounds
    )
    comparison = compared(base, attrs.evolve(base, rounds=rounds))
    assert f"another meaning, and left out: {told}" in comparison.notes
    assert "p50" not in [row.metric for row in comparison.rows]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of a thousand comparisons whose true ratio is known, about 95 % have it in their interval: rounds and pairs."""
    chance = random.Random(7)
    held = {of_rounds: 0, of_pairs: 0}
    for _ in range(1000):
        base = [math.exp(chance.gauss(0, 0.1)) for _ in range(5)]
        candidate = [1.3 * math.exp(chance.gauss(0, 0.1)) for _ in range(5)]
        for reckon in held:
            ratio = reckon(base, candidate)
            assert ratio is not None
            held[reckon] += ratio.low <= 1.3 <= ratio.high
    assert all(930 <= count <= 980 for count in held.values()), held


def test_pairs_see_through_what_disturbs_both() -> None:
    """Where the machine is half as fast in some pairs, the pairs still tell a difference of 5 %."""
    speeds = [100.0, 50.0, 97.0, 60.0, 101.0]
    base, candidate = (
        speeds,
        [speed * factor for speed, factor in zip(speeds, (0.95, 0.951, 0.949, 0.95, 0.95), strict=True)],
    )
    pairs, rounds = of_pairs(base, candidate), of_rounds(base, candidate)
    assert pairs is not None and rounds is not None
    assert 0.94 < pairs.low < pairs.value < pairs.high < 0.96
    assert rounds.low < 0.7 and rounds.high > 1.2


def test_figures_without_any_spread_have_a_ratio() -> None:
    """Their interval is the ratio; unequal numbers of pairs have none."""
    for reckon in (of_rounds, of_pairs):
        ratio = reckon([10.0, 10.0], [5.0, 5.0])
        assert ratio is not None
        assert (ratio.low, ratio.value, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    assert of_pairs([1.0, 2.0], [1.0]) is None
    huge = of_pairs([1e-300, 1e300], [1e300, 1e-300])
    assert huge is not None and math.isfinite(huge.high)


@pytest.mark.parametrize(
    ("per_s", "arguments", "code", "piece"),
    [
        (60_000, [], 0, "no regression"),
        (40_000, [], 1, "worse"),
        (40_000, ["--max-regression", "50%", "--metric", "throughput"], 0, "no regression"),
        (40_000, ["--metric", "p[5]*"], 0, "p50"),
        (40_000, ["--max-regression", "much"], 2, "'much' is no percentage"),
        (40_000, ["--max-regression", "100"], 2, "from 0% to less than 100%"),
        (40_000, ["--metric", "nothing"], 2, "no metric like 'nothing'"),
    ],
)
def test_the_exit_code_tells(
    per_s: float, arguments: list[str], code: int, piece: str, forge: Forging, tmp_path: Path
) -> None:
    """0: nothing is worse than allowed; 1: something is; 2: the command was given something wrong."""
    for name, speed, seed in (("first", 60_000, 1), ("second", per_s, 2)):
        (tmp_path / name).mkdir()
        write(forge(per_s=speed, seed=seed, changes={"checks": ()}), tmp_path / name / "result.json")
    words = ["compare", str(tmp_path / "first"), str(tmp_path / "second" / "result.json"), *arguments]
    done = CliRunner(env={"COLUMNS": "140"}).invoke(main, words)
    assert done.exit_code == code, done.output
    assert piece in done.output


def test_without_any_ratio_nothing_was_compared(forge: Forging, tmp_path: Path) -> None:
    """The table is there, and the last line says why it says nothing: that is no success."""
    write(forge(rounds=1, changes={"checks": ()}), tmp_path / "result.json")
    done = CliRunner(env={"COLUMNS": "140"}).invoke(main, ["compare", str(tmp_path), str(tmp_path)])
    assert done.exit_code == 2 and "1 round, then 1" in done.stdout
    assert done.stderr.startswith("Error: nothing could be compared: a ratio takes two rounds on each side")


@pytest.mark.parametrize(
    ("first", "second", "called"),
    [
        ("a/result.json", "b/result.json", ("a", "b")),
        ("a/x.json", "b/y.json", ("x.json", "y.json")),
        ("before/run/result.json", "after/run/result.json", ("before", "after")),
        ("same", "same", ("first", "second")),
    ],
)
def test_sides_have_the_names_by_which_they_differ(first: str, second: str, called: tuple[str, str]) -> None:
    """Every result is called result.json: the folders tell them apart."""
    assert names(Path(first), Path(second)) == called
