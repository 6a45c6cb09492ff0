"""The comparison with other systems: that each does the work and leaves nothing behind, and what is made of figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cbor2
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from nyx_plugins.actors.processes import descendants
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.keeper import Work, WorkFailed, kept
from nyx_plugins.load_tests.peers import measure, roster, run, table, work
from nyx_plugins.load_tests.peers.measure import PIPELINE, Discipline, FramesLost, Task, batch_name
from nyx_plugins.load_tests.peers.results import QUANTITIES, Comparison
from nyx_plugins.load_tests.peers.roster import ENTRIES, OURS, PEERS, RAY, Entry
from nyx_plugins.load_tests.reading import read

VALUES = dict.fromkeys(QUANTITIES, 100.0)


class Forged:
    """A peer that needs a second for each message, half of that with a window of 8, and loses ``lost`` frames."""

    def __init__(self, lost: int = 0) -> None:
        self.count = -lost

    def start(self, directory: Path) -> None:
        """Do nothing."""

    def call(self, count: int) -> list[float]:
        """Take a second each."""
        self.count += count
        return [1.0] * count

    def pipeline(self, count: int, window: int) -> float:
        """Take a second each."""
        return self.batch(count, 1, window)

    def batch(self, count: int, size: int, window: int) -> float:
        """Take a second each, half of that with a window of 8."""
        self.count += count * size
        return count * (0.5 if window == 8 else 1.0)

    def processed(self) -> int:
        """Return the count."""
        return max(self.count, 0)

    def stop(self) -> None:
        """Do nothing."""


def shown(drawn: Table) -> list[str]:
    """Return the lines of a table."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().splitlines()


# With processes.


@pytest.mark.parametrize("key", PEERS)
def test_each_peer_does_ten_frames_and_leaves_no_process(key: str) -> None:
    """Its receiver has decoded all ten when it stops."""
    if reason := PEERS[key].missing():
        pytest.skip(reason)
    before = descendants(os.getpid())
    kept(Work(f"{measure.__name__}:ten_frames", {"peer": PEERS[key].function}, 50))
    assert descendants(os.getpid()) == before


def test_a_peer_that_does_not_come_up_is_said_so() -> None:
    """What takes too long, fails or is not installed is a line, and the others are measured."""
    late = Entry("late", "Late", f"{OURS}:OurPeer", PEERS[OURS].features, timeout_s=0.01)
    broken = Entry("broken", "Broken", "ours:Nobody", PEERS[OURS].features)
    missing = Entry("missing", "Missing", "ours:OurPeer", PEERS[OURS].features, "no_such_package", "peers")
    comparison = Comparison()
    run.compare(comparison, [late, broken, missing], 2, 0.01, lambda text: None)
    assert comparison.failures["late"] == "not done within 0.01 s"
    assert comparison.failures["broken"].startswith("AttributeError: module ")
    assert comparison.failures["missing"] == "not installed: pip install 'nyx-plugins[peers]'"
    assert [line.split()[1:] for line in shown(table.figures_table(comparison, [late, broken, missing]))[-3:]] == [
        ["-"] * len(table.COLUMNS)
    ] * 3


# Measuring.


@given(st.integers(8, 2000))
def test_frames_are_cbor_maps_of_the_size_that_is_wanted(size: int) -> None:
    """And objects of their own, since a pickle holds a repeated object only once."""
    made = work.frames(3, size)
    assert {len(frame) for frame in made} == {size} and len({id(frame) for frame in made}) == 3
    assert all(isinstance(cbor2.loads(frame), dict) for frame in made)


def test_the_window_with_the_highest_rate_is_used() -> None:
    """It is found by trying, and used again when it is known."""
    figures = measure.figures_of(Forged(), Task("", 1.0, {PIPELINE: 16}))
    assert figures.windows == {PIPELINE: 16, **{batch_name(size): 8 for size in measure.SIZES}}
    costs = {measure.cost_name(name) for name in figures.windows}
    assert all(figures.values[name] >= 0 for name in costs)
    assert {name: value for name, value in figures.values.items() if name not in costs} == {
        "call_p50_us": 1e6,
        "call_p99_us": 1e6,
        "call": 1.0,
        PIPELINE: 1.0,
        **{batch_name(size): 2.0 * size for size in measure.SIZES},
    }


def test_no_window_is_larger_than_what_a_peer_can_stand() -> None:
    """Nor are more frames under way in lists than we may have."""
    windows = {d.name: list(d.windows) for d in measure.disciplines(measure.Counted(Forged()), 16, measure.SIZES)}
    assert windows == {
        PIPELINE: [16],
        **{batch_name(size): [2, 4, 8, 16] for size in (64, 256)},
        "lists_1024": [2, 4, 8],
    }


def test_larger_windows_are_not_tried_once_it_gets_worse() -> None:
    """What is slow would take minutes with a thousand messages under way."""
    tried = list[int]()

    def taken(count: int, window: int) -> float:
        tried.append(window)
        return float(count * window)

    assert Discipline("", taken, 1, (16, 128, 1024)).best_window(1.0) == 16
    assert tried == [16, 128]


def test_a_receiver_that_has_not_decoded_all_fails() -> None:
    """Figures for frames that went nowhere are no figures."""
    with pytest.raises(FramesLost, match=r"^[\d,]+ of [\d,]+ frames were decoded$"):
        measure.figures_of(Forged(lost=3), Task("", 1.0))


@given(st.integers(1, 40), st.sampled_from([1, 2, 16]), st.data())
def test_a_window_is_never_exceeded(count: int, window: int, data: st.DataObject) -> None:
    """All is sent, and all is acknowledged at the end."""
    sent = acknowledged = 0

    def send() -> None:
        nonlocal sent
        sent += 1
        assert sent - acknowledged <= window

    def some() -> int:
        nonlocal acknowledged
        number = data.draw(st.integers(1, sent - acknowledged))
        acknowledged += number
        return number

    assert work.windowed(send, some, count, window) >= 0
    assert sent == acknowledged == count


# The tables.


def test_ratios_are_of_medians_and_to_ours() -> None:
    """One slow round changes nothing; without ours there is no ratio."""
    comparison = Comparison()
    for number, (ours, theirs) in enumerate(((10, 2), (30, 1), (20, 100)), 1):
        comparison.add(number, OURS, {PIPELINE: ours})
        comparison.add(number, RAY, {PIPELINE: theirs, "ready_s": 1})
    assert comparison.ratio(PIPELINE, RAY, OURS) == 0.1
    assert comparison.ratio("ready_s", RAY, OURS) is None
    assert [metrics[f"{RAY} {PIPELINE}"].value for metrics in comparison.rounds] == [2, 1, 100]


@pytest.mark.parametrize(("ratio", "text"), [(0.1234, "0.12x"), (1.26, "1.3x"), (9.6, "9.6x"), (123.4, "123x")])
def test_a_ratio_has_two_digits(ratio: float, text: str) -> None:
    """More would be noise."""
    assert table.ratio_text(ratio) == text


def test_the_tables_have_a_row_for_each_peer() -> None:
    """Ours has figures only, the others their ratio besides."""
    comparison = Comparison()
    comparison.add(1, OURS, VALUES)
    comparison.add(1, RAY, {**VALUES, PIPELINE: 25.0})
    lines = shown(table.figures_table(comparison, ENTRIES))
    assert len(lines) == 3 + len(ENTRIES) and "25 (0.25x)" in "".join(lines)
    features = shown(table.features_table(ENTRIES))
    assert features[2].split()[-6:] == ["yes"] * 6
    assert all("no" in line.split() for line in features[3:])


def test_the_command_prints_tables_and_what_went_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ours is always measured; what fails is told, with the exit code 0."""

    def pretend(job: Work) -> object:
        if job.arguments["peer"] != PEERS[OURS].function:
            raise WorkFailed("it hung")
        return {"values": VALUES, "windows": {PIPELINE: 16}}

    monkeypatch.setattr(run, "kept", pretend)
    arguments = ["peers", "--peer", "mp-queue", "--rounds", "2", "--output", str(tmp_path)]
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    written = read(tmp_path / "result.json")
    assert written.settings["failures"] == {"mp-queue": "it hung"}
    assert [each.metrics["ours pipeline"].value for each in written.rounds] == [100.0, 100.0]
    assert "multiprocessing.Queue: it hung\n" in result.stdout
    assert "this runtime, jailed: messages under way: one per call 16\n" in result.stdout
    assert [line.partition(" (")[0] for line in result.stderr.splitlines()] == [
        "round 1 of 2: this runtime, jailed",
        "round 1 of 2: multiprocessing.Queue",
        "round 2 of 2: multiprocessing.Queue",
        "round 2 of 2: this runtime, jailed",
    ]


def test_what_was_measured_before_an_interrupt_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The result says that it was interrupted."""

    def pretend(job: Work) -> object:
        if job.arguments["peer"] != PEERS[OURS].function:
            raise KeyboardInterrupt
        return {"values": VALUES, "windows": {}}

    monkeypatch.setattr(run, "kept", pretend)
    assert CliRunner().invoke(main, ["peers", "--peer", "mp-queue", "--output", str(tmp_path)]).exit_code == 130
    written = read(tmp_path)
    assert (written.ended, len(written.rounds)) == ("interrupted", 1)


def test_peers_take_turns_in_being_first() -> None:
    """Whoever is first in each round would have the quietest machine."""

    def keys(entries: Sequence[Entry]) -> list[str]:
        return [entry.key for _, entry in run.schedule(entries, 2)]

    first, second, *_ = roster.ENTRIES
    assert keys([first, second]) == [first.key, second.key, second.key, first.key]
