"""The gate: a base revision and the present state by turns, on a small checkout whose load tests only pretend."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.compare.comparison import Verdict
from nyx_plugins.load_tests.compare.ratio import of_pairs
from nyx_plugins.load_tests.gate import checkout as gate_checkout
from nyx_plugins.load_tests.gate.checkout import checkout_of
from nyx_plugins.load_tests.gate.command import judged
from nyx_plugins.load_tests.gate.confirm import confirmed, doubtful, is_blind
from nyx_plugins.load_tests.gate.layout import Build, lay_out
from nyx_plugins.load_tests.gate.turns import Plan, Turn, turns
from nyx_plugins.load_tests.result import Result, write

Forging = Callable[..., Result]
ROOT = Path(__file__).parents[2]
SETUP = """\
[options]
package_dir =
    nyx_plugins = actors/_face
    nyx_plugins.actors = actors
    nyx_plugins.load_tests = load_tests
"""
# What the present state's load tests do with the speed that a build has: the results lie beside the checkout.
PRETENDING = """\
import os, shutil, signal, sys
from nyx_plugins.actors.speed import SPEED
if SPEED == "none":
    sys.exit("no such luck")
if SPEED == "interrupted":
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    os.kill(os.getppid(), signal.SIGINT)
    signal.pause()
shutil.copy(f"{RESULTS}/{SPEED}.json", os.path.join(sys.argv[sys.argv.index("--output") + 1], "result.json"))
"""


@pytest.fixture
def checkout(forge: Forging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git checkout with a fast build as its only commit; the present folder is in it."""
    root = tmp_path / "checkout"
    for folder in ("actors/_face", "load_tests"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").touch()
    (root / "actors/__init__.py").touch()
    (root / "setup.cfg").write_text(SETUP)
    (root / "load_tests/__main__.py").write_text(f"RESULTS = {str(tmp_path)!r}\n{PRETENDING}")
    make(root, "fast")
    for name, per_s in (("fast", 60_000), ("slow", 40_000)):
        write(forge(rounds=1, bare=True, per_s=per_s, changes={"checks": ()}), tmp_path / f"{name}.json")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "Fast")
    monkeypatch.chdir(root / "actors")
    return root


def make(root: Path, speed: str) -> None:
    """Build a system of this speed."""
    (root / "actors/speed.py").write_text(f"SPEED = {speed!r}\n")


def git(root: Path, *arguments: str) -> str:
    """What git says."""
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout


def pass_gate(*arguments: str) -> tuple[int, str]:
    """The exit code, and what is printed."""
    words = ["gate", "--pairs", "2", "--scenario", "throughput", "--metric", "throughput", *arguments]
    done = CliRunner(env={"COLUMNS": "140"}).invoke(main, words)
    return done.exit_code, done.output


def test_the_same_build_passes(checkout: Path) -> None:
    """Against itself nothing is worse, each side has run as often, and nothing is left behind."""
    code, output = pass_gate("--base", "HEAD")
    assert code == 0, output
    assert "no regression" in output and "1.000 - 1.000" in output
    assert output.count(", base: throughput 6") == output.count(", present: throughput 6") == 2
    assert_nothing_is_left(checkout)


def test_a_slowed_build_does_not_pass(checkout: Path, tmp_path: Path) -> None:
    """What is changed and not committed counts; the results are kept where they are asked for."""
    make(checkout, "slow")
    code, output = pass_gate("--base", "HEAD", "--keep", str(tmp_path / "kept"))
    assert code == 1, output
    assert "worse" in output and "0.667" in output
    assert_nothing_is_left(checkout)
    kept = {path.relative_to(tmp_path / "kept").as_posix() for path in (tmp_path / "kept").rglob("result.json")}
    names = {f"{side}/1-throughput-{pair}/result.json" for side in ("base", "present") for pair in (1, 2)}
    assert kept == names | {f"again/{name}" for name in names}
    assert "worse in both series: throughput: throughput is 0.667 times as much" in output
    assert pass_gate("--base", "HEAD", "--max-regression", "40%")[0] == 0
    code, output = pass_gate("--base", "HEAD", "--keep", str(tmp_path / "kept"))
    assert code == 2 and "kept is not empty" in output


def assert_nothing_is_left(root: Path) -> None:
    """Git has the one worktree that it had."""
    assert git(root, "worktree", "list").count("\n") == 1


def test_the_present_load_tests_measure_both_sides(checkout: Path) -> None:
    """A base whose own load tests don't work is measured with ours, unless its own are asked for."""
    good = (checkout / "load_tests/__main__.py").read_text()
    (checkout / "load_tests/__main__.py").write_text("raise SystemExit('too old')")
    git(checkout, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-am", "Old")
    (checkout / "load_tests/__main__.py").write_text(good)
    assert pass_gate("--base", "HEAD")[0] == 0
    code, output = pass_gate("--base", "HEAD", "--own-load-tests")
    assert code == 2 and "the run of throughput on the base side left no result: too old" in output
    assert_nothing_is_left(checkout)


def test_a_run_that_fails_is_told(checkout: Path) -> None:
    """Its last words are what is wrong."""
    make(checkout, "none")
    code, output = pass_gate("--base", "HEAD")
    assert code == 2 and "the run of throughput on the present side left no result: no such luck" in output
    assert_nothing_is_left(checkout)


def test_ctrl_c_leaves_nothing_behind(checkout: Path) -> None:
    """The run in progress is asked to end, once; then the worktree goes."""
    make(checkout, "interrupted")
    code, output = pass_gate("--base", "HEAD")
    assert code == 130 and "Interrupted" in output
    assert_nothing_is_left(checkout)


def test_ctrl_c_while_the_base_is_checked_out_leaves_nothing_behind(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What git was making is locked then, and half of it is not there yet; a second Ctrl-C changes nothing."""
    run_git, path = gate_checkout._git, tmp_path / "base"

    def interrupted(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = run_git(folder, *arguments)
        if arguments[:2] == ("worktree", "add"):
            git(checkout, "worktree", "lock", "--reason", "initializing", str(path))
            (path / ".git").unlink()
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(gate_checkout, "_git", interrupted)
    with pytest.raises(KeyboardInterrupt), gate_checkout.worktree(checkout, "HEAD", path):
        raise AssertionError
    assert_nothing_is_left(checkout)
    assert not path.exists()


def test_what_is_worse_only_once_was_chance(forge: Forging, tmp_path: Path) -> None:
    """A metric has to be worse in both series; a scenario in which nothing is worse is not measured again."""
    fast, slow = (forge(rounds=1, bare=True, per_s=per_s, changes={"checks": ()}) for per_s in (60_000, 40_000))
    other = attrs.evolve(fast, scenario="other")
    pairs = [("mine.toml", fast, slow), ("mine.toml", fast, slow), ("other.toml", other, other)]
    done = [
        Turn(Build(name, tmp_path), scenario, number, result)
        for number, (scenario, *both) in enumerate([*pairs, pairs[-1]], 1)
        for name, result in zip(("base", "present"), both, strict=True)
    ]
    first = judged(done, 0.1, ["throughput"])
    assert doubtful(first, done) == ("mine.toml",)
    assert confirmed(first, first) == ["throughput: throughput is 0.667 times as much"]
    calm = judged([attrs.evolve(turn, result=fast) for turn in done], 0.1, ["throughput"])
    assert confirmed(first, calm) == confirmed(calm, first) == [] and doubtful(calm, done) == ()


@pytest.mark.parametrize(("rates", "blind"), [((60_000, 30_000), True), ((60_000, 60_000), False)])
def test_what_can_not_be_told_is_no_success(
    rates: tuple[int, int], blind: bool, forge: Forging, tmp_path: Path
) -> None:
    """Two pairs that contradict each other say nothing."""
    results = [forge(rounds=1, bare=True, per_s=per_s, changes={"checks": ()}) for per_s in (60_000, *rates)]
    base, *present = results
    done = [
        Turn(Build(name, tmp_path), "throughput", number, result)
        for number, other in enumerate(present, 1)
        for name, result in (("base", base), ("present", other))
    ]
    assert is_blind(judged(done, 0.1, ["throughput"])) is blind


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenario", "nope"], "there is no such scenario"),
        (["--set", "clients=0"], "clients: must be a whole number"),
        (["--seconds", "nan"], "nan is not in the range"),
    ],
)
def test_what_can_not_be_run_is_told_before_anything_is_checked_out(
    words: list[str], told: str, checkout: Path
) -> None:
    """In no time, and as the command ``run`` tells it."""
    code, output = pass_gate("--base", "HEAD", *words)
    assert code == 2 and told in output and ", base: " not in output, output
    assert_nothing_is_left(checkout)


def test_chance_is_no_alarm() -> None:
    """Of a hundred builds that are compared with themselves on a noisy machine, few look worse, and none twice."""
    chance = random.Random(1)

    def looks_worse() -> set[int]:
        sides = [[[chance.lognormvariate(0, 0.4) for _ in range(5)] for _ in range(2)] for _ in range(15)]
        ratios = [of_pairs(*both) for both in sides]
        return {number for number, ratio in enumerate(ratios) if ratio is not None and ratio.low > 1.1}

    runs = [looks_worse() for _ in range(100)]
    assert 3 <= sum(map(bool, runs)) <= 40
    assert not any(first & second for first, second in pairwise(runs))


@pytest.mark.parametrize("revision", ["nowhere", "--help", "HEAD~5"])
def test_a_revision_that_is_none_is_told(revision: str, checkout: Path) -> None:
    """Whatever git would make of it."""
    code, output = pass_gate(f"--base={revision}")
    assert code == 2 and f"git knows no commit {revision!r}" in output
    assert_nothing_is_left(checkout)


def test_a_gate_needs_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this project, and no other."""
    monkeypatch.chdir(tmp_path)
    code, output = pass_gate("--base", "HEAD")
    assert code == 2 and "is in no checkout of this project" in output
    git(tmp_path, "init", "--quiet")
    code, output = pass_gate("--base", "HEAD")
    assert code == 2 and "has no folder actors/_face" in output


def test_who_begins_takes_turns(forge: Forging, tmp_path: Path) -> None:
    """Pairs are compared as pairs, whichever side of them came first, and for each scenario."""
    result = forge(rounds=1, bare=True)
    base, present = Build("base", tmp_path), Build("present", tmp_path)
    done = list(turns(Plan(("a", "b.toml"), 3, 1.0), base, present, tmp_path, lambda *_: result))
    order = "".join(turn.build.name[0] for turn in done)
    assert order == "bppbbp" * 2
    assert [turn.scenario for turn in done] == ["a"] * 6 + ["b.toml"] * 6
    (comparison,) = judged(done, 0.1, ["throughput"])
    assert comparison.rounds == (6, 6) and comparison.rows[0].verdict is Verdict.SAME


def test_the_real_checkout_can_be_laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python imports the copy, with all its data, and each module lies where it is installed."""
    monkeypatch.setattr("compileall.compile_dir", lambda *_, **__: True)
    root = checkout_of(ROOT / "docs")
    assert root == ROOT
    build = lay_out("present", root, tmp_path / "copy", root)
    package = build.path / "nyx_plugins"
    for name in ("config/defaults.toml", "actors/system.py", "load_tests/gate/layout.py", "cli/main.py", "py.typed"):
        assert (package / name).is_file()
    assert not (package / "actors/_face").exists()
