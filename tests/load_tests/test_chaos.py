"""The chaos run: that it keeps its promises on a small scale, that it can fail, and that it leaves nothing behind."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.chaos import command
from nyx_plugins.load_tests.chaos.census import kill
from nyx_plugins.load_tests.chaos.remains import Before, remains
from nyx_plugins.load_tests.chaos.run import Options, Report
from nyx_plugins.load_tests.chaos.verdict import Faults
from nyx_plugins.load_tests.chaos.witness import Witness


def run(*arguments: str) -> tuple[int, str, str]:
    """Run it as a program of its own; returns its exit code, its output and the last line."""
    words = [sys.executable, "-P", "-m", "nyx_plugins.load_tests", "chaos", *arguments]
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
    return ended.returncode, ended.stdout + ended.stderr, ended.stdout.splitlines()[-1]


def test_a_short_run_keeps_every_promise(nobody_left: None) -> None:
    """Processes are killed, frames are handled, and nothing is wrong in the end; no process is left."""
    code, output, last = run("--seed", "3", "--seconds", "4", "--clients", "1", "--rate", "500")
    assert code == 0, output
    assert last.startswith("chaos seed 3, 4 s: ") and last.endswith("every promise kept")
    assert " 0 killed" not in last and " 0 processed" not in last


def test_it_fails_when_lost_frames_are_not_sent_again() -> None:
    """A session that does not do so never hears of frames that were on their way to an actor that was killed."""
    arguments = ("--role", "plugin actor", "--seconds", "4", "--clients", "1", "--drain", "1")
    code, output, last = run(*arguments, "--without-redelivery")
    assert (code, "BROKEN: no outcome: " in output, last.endswith(" BROKEN")) == (1, True, True), output


def test_it_fails_when_a_frame_is_sent_twice() -> None:
    """One that was written down once."""
    code, output, last = run("--role", "client", "--seconds", "1", "--clients", "1", "--forge-duplicate")
    assert (code, "BROKEN: handled more than " in output, last.endswith(" BROKEN")) == (1, True, True), output


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--seconds", "nan", "nan is not in the range 0.1<=x<=86400"),
        ("--rate", "nan", "nan is not in the range 1<=x<="),
        ("--rate", "inf", "inf is not in the range 1<=x<="),
        ("--drain", "0", "0 is less than 1: who was killed last has to come back, and what was not waited for"),
    ],
)
def test_what_would_prove_nothing_is_refused(option: str, value: str, reason: str) -> None:
    """Before anything is started."""
    done = CliRunner().invoke(main, ["chaos", option, value])
    assert (done.exit_code, f"invalid value for '{option}': {reason}" in done.stderr) == (2, True), done.stderr


def test_a_scenario_gives_the_last_frames_time_too() -> None:
    """Likewise."""
    done = CliRunner().invoke(main, ["run", "chaos", "--set", "drain_s=0.5", "--no-progress"])
    assert (done.exit_code, "drain_s: must be 1 s or more: who was killed last" in done.stderr) == (2, True), (
        done.stderr
    )


@pytest.mark.parametrize(("faults", "code"), [((), 0), (("no outcome",), 1)])
def test_the_last_line_and_the_exit_code_tell(
    faults: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has the figures, whatever came of it."""

    class Pretended:
        def __init__(self, options: Options, note: Any) -> None:
            assert options == Options(seed=5, seconds=2.0, roles=("worker",))

        def report(self) -> Report:
            found = Faults()
            for fault in faults:
                found.note(fault, "plugin 1")
            figures = Counter({"offered": 1200, "processed": 1100})
            return Report(found, figures, Counter(worker=4, client=1), Counter(fill=2), 30, 1)

    monkeypatch.setattr(command, "Run", Pretended)
    result = CliRunner().invoke(main, ["chaos", "--seed", "5", "--seconds", "2", "--role", "worker"])
    assert result.exit_code == code
    *before, last = result.stdout.splitlines()
    assert last == (
        "chaos seed 5, 2 s: 5 killed; 1,200 offered, 1,100 processed, 0 failed, 0 dead-lettered, 0 refused, 0 untold,"
        f" 0 handled again; {'1 BROKEN' if faults else 'every promise kept'}"
    )
    assert before[:3] == [
        "killed: 1 client, 4 worker",
        "done: 2 fill",
        "counters asked 30 times, and 1 times in vain",
    ]
    assert before[4:] == [f"BROKEN: {fault}: 1 times, such as plugin 1" for fault in faults]


def test_what_is_left_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process, a descriptor, a file, a socket: each is named."""
    monkeypatch.setattr("nyx_plugins.load_tests.chaos.remains.PATIENCE_S", 0.0)
    before = Before.now()
    assert remains(before, tmp_path) == []
    with socket.socket(socket.AF_UNIX) as listening, subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        listening.bind(str(tmp_path / "s"))
        left = remains(before, tmp_path)
        assert any(line.startswith(f"process {cat.pid} (") for line in left)
        assert f"socket {tmp_path / 's'}" in left and f"file {tmp_path / 's'}" in left
        assert sum(line.startswith("descriptor of ") for line in left) == 2
    (tmp_path / "s").unlink()
    assert remains(before, tmp_path) == []


def test_only_children_of_those_named_are_killed() -> None:
    """A number may have become somebody else's."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        assert not kill(cat.pid, [1])
        assert cat.poll() is None
        assert kill(cat.pid, [os.getpid()])
    assert not kill(cat.pid, [os.getpid()])


def test_a_traceback_does_not_pass() -> None:
    """Whoever fails by itself is told of, though it comes back; what plugins log is their own business."""
    faults = Faults()
    with Witness(faults) as witness:
        logging.getLogger("nyx_plugins.plugin.busy").error("Traceback (most recent call last): mine")
        logging.getLogger("nyx_plugins.host").warning("a line")
        assert not faults
        logging.getLogger("nyx_plugins.host").error("Guard crashed:\nTraceback (most recent call last): ...")
    logging.getLogger("nyx_plugins.host").error("Traceback (most recent call last): later")
    assert witness.lines == ["a line"]
    assert faults.counts == {"somebody failed without being killed": 1}
