"""Real runs, as small as can be: each kind of sending, everything that may happen meanwhile, and every kind of end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nyx_plugins import PluginSystem, Settings
from nyx_plugins.actors.processes import children
from nyx_plugins.actors.service_file import Claim
from nyx_plugins.config.errors import StartupError
from nyx_plugins.config.settings import SystemSettings
from nyx_plugins.load_tests import library, observer
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.errors import ScenarioError
from nyx_plugins.load_tests.parsing import parse
from nyx_plugins.load_tests.reading import read
from nyx_plugins.load_tests.result import Result
from nyx_plugins.load_tests.run import run
from nyx_plugins.load_tests.scenario import Plan
from nyx_plugins.load_tests.scene import Silence

STALL_S = 1.0
FIRST_ID = 70_001
SMALL = {"rounds": 1, "warm_up_s": 0.2, "duration_s": 1.0, "calibrate_s": 0.3, "sample_s": 0.2, "clients": 1}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs wait for the statistics of every plugin, as long as it takes on a slow machine."""
    monkeypatch.setattr(observer, "PATIENCE_S", 30.0)


def small(name: str, **changes: Any) -> Result:
    """Run a shipped scenario for a second, with changes."""
    return run(library.load(name, {**SMALL, **changes}))


@contextmanager
def service(folder: Path) -> Iterator[tuple[PluginSystem, Path]]:
    """Run a system that others can connect to."""
    claim = Claim(folder / "service")
    with PluginSystem(Settings(system=SystemSettings(runtime_dir=str(folder))), sends=False) as system:
        system.publish(claim)
        yield system, claim.path
    claim.release()


def test_an_open_loop_shows_a_stall_that_a_closed_loop_hides() -> None:
    """A plugin sleeps for a second, which is a fact: each frame that was due in its first quarter waits for the rest.

    In four seconds those are six in a hundred. In a closed loop with one frame at a time it is one frame, however many
    there are.
    """
    changes = {"batch": 1, "window": 1, "duration_s": 4.0}
    result = small("stall", **changes, events=[{"at_s": 0.5, "do": "stall", "for_s": STALL_S}])
    [measured] = result.rounds
    open_loop, closed_loop = measured.latencies["outcome [open loop]"], measured.latencies["outcome [closed loop]"]
    assert open_loop.count == 800 and measured.counts.offered == measured.counts.processed
    assert open_loop.percentiles_us["95"] >= STALL_S * 0.74e6 and open_loop.max_us >= STALL_S * 0.98e6
    assert closed_loop.max_us >= STALL_S * 0.9e6 > closed_loop.percentiles_us["90"]
    assert [mark.what for mark in measured.marks if "stall" in mark.what] == [
        "stall plugin 1 for 1 s [open loop]",
        "stall plugin 1 for 1 s [closed loop]",
    ]


def test_everything_may_happen_while_frames_are_sent() -> None:
    """What operators do, what plugins should not do, and a killed worker: no frame is lost."""
    deeds = ("swap", "scale", "pause", "load", "unload", "flood", "spin", "kill", "reset")
    events: list[dict[str, Any]] = [{"at_s": 0.1 * n, "do": do} for n, do in enumerate(deeds)]
    for event in events:
        event["group"] = "guest" if event["do"] in ("load", "unload") else "swapped"
        event |= {"for_s": 0.1} if event["do"] in ("pause", "flood", "spin") else {}
    events[1]["instances"] = 2
    result = small("churn", rate=300, events=events, drain_s=20.0)
    [measured] = result.rounds
    counts = measured.counts
    assert counts.offered > 100 and counts.lost == 0 and counts.processed + counts.dead_lettered == counts.offered
    # A plugin that is well can't be reset, and others of these deeds are in each other's way.
    assert measured.metrics["events_failed"].value >= 1
    assert {mark.what.split()[0] for mark in measured.marks} >= set(deeds)
    roles = {process.role for process in measured.processes}
    assert {"client 1", "dispatcher", "plugin actor swapped 1", "worker steady 3"} <= roles
    names = {series.name for series in measured.series}
    assert {"sent", "outcomes", "files", "mailbox steady 1"} <= names
    assert result.ended == "completed" and result.settings["rate"] == 300


def test_frames_of_a_capture_are_sent_again_and_again() -> None:
    """Those for plugins that are not there are refused, and counted."""
    [measured] = small("replay", rate=200).rounds
    assert measured.counts.processed > 100 and measured.counts.lost == 0


def test_requests_and_lists_are_sent_by_several_clients() -> None:
    """In a closed loop each has no more under way than its window."""
    text = (
        'name = "both"\ndescription = "Both."\nplugins.work = { reply_bytes = 8 }\n'
        'variants.requests = { call = "request" }\nvariants.lists = { clients = 2, batch = 4, window = 8 }\n'
    )
    # However slow the machine is, each of them sends so many, and ends then.
    changes = {**SMALL, "warm_up_s": 0, "duration_s": 60.0, "max_frames": 200}
    [measured] = run(parse(text, "both.toml", "/", changes)).rounds
    assert all(measured.latencies[f"outcome [{name}]"].count > 0 for name in ("requests", "lists"))
    depths = [each.values for each in measured.series if each.name == "mailbox 1 [lists]"]
    assert depths and max(map(max, depths)) <= 16


def test_plugins_are_started_and_unloaded() -> None:
    """Start-up and memory are measured without any traffic."""
    [measured] = small("startup", plugins={"work": {"count": 2}}).rounds
    assert measured.counts.processed == 2 and measured.metrics["memory_bytes_per_plugin"].value > 2**20
    assert measured.metrics["ready_s"].value >= measured.metrics["load_s"].value


def test_no_plugins_are_not_started() -> None:
    """That is told before a system is."""
    plan = library.load("startup", {"plugins": {}, "limits": []})
    with pytest.raises(ScenarioError, match="plugins: must have a group"):
        run(plan)


def test_a_service_is_put_under_load_and_left_as_it_was(tmp_path: Path, short_folder: Any) -> None:
    """The plugins of a scenario are loaded into a system that runs already, and are gone afterwards."""
    with service(short_folder()) as (system, path):
        system.load("builtin:echo")
        words = ["run", "throughput", "--rounds", "1", "--seconds", "0.3", "--output", str(tmp_path)]
        changes = ["--set", "warm_up_s=0", "--set", "variants={}", "--set", "batch=16", "--connect", str(path)]
        done = CliRunner().invoke(main, [*words, *changes, "--set", "limits=[]", "--no-progress", "--no-report"])
        assert (done.exit_code, done.exception) == (0, None), done.output
        assert [plugin.name for plugin in system.plugins()] == ["echo"]
    result = read(tmp_path)
    assert result.connected and result.rounds[0].counts.processed > 0


def test_a_plugin_of_the_service_is_not_taken_for_one_of_the_run(tmp_path: Path, short_folder: Any) -> None:
    """A scenario that wants its id is refused, and the plugin stays; also one that is paused."""
    with service(short_folder()) as (system, path):
        system.load("builtin:echo", plugin_id=FIRST_ID)
        system.pause(FIRST_ID)
        words = ["run", "throughput", "--no-progress", "--no-report", "--output", str(tmp_path / "o")]
        done = CliRunner().invoke(main, [*words, "--connect", str(path)])
        assert done.exit_code == 2 and "first_id: plugin 70001 is already loaded" in done.stderr
        assert "unload it (nyx-plugins unload)" in done.stderr and not (tmp_path / "o").exists()
        assert [plugin.name for plugin in system.plugins()] == ["echo"]


def test_no_service_is_told_in_one_line(tmp_path: Path) -> None:
    """As with every command: exit code 3."""
    done = CliRunner().invoke(main, ["run", "throughput", "--connect", str(tmp_path), "--output", str(tmp_path / "o")])
    assert done.exit_code == 3 and "Error: " in done.stderr and "Traceback" not in done.output


def test_interrupted_runs_write_what_they_have_measured(tmp_path: Path, nobody_left: None) -> None:
    """Ctrl-C goes to all processes of the terminal; a round of which nothing was measured is left out."""
    result = interrupted(tmp_path, "sending", 2)
    # On a slow machine the second round has its own figures by then.
    measured = result.rounds[0]
    assert len(result.rounds) < 3
    assert measured.counts.processed > 0 and "processed_per_s" in measured.metrics


def test_sigterm_while_clients_start_is_an_interruption(tmp_path: Path, nobody_left: None) -> None:
    """They never get the signal, however early it comes, and hear of it from the harness only."""
    assert interrupted(tmp_path, "starting clients", 1, signal.SIGTERM).rounds == ()


def interrupted(folder: Path, when: str, number: int, by: int = signal.SIGINT) -> Result:
    """Interrupt a run when it says so in this round, and return its result."""
    words = [sys.executable, "-P", "-m", "nyx_plugins.load_tests", "run", "throughput", "--seconds", "0.5"]
    changes = [f"--set={change}" for change in ("warm_up_s=0", "variants={}", "limits=[]")]
    with subprocess.Popen(
        [*words, *changes, "--no-report", "--output", str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        process_group=0,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if when in line and f"round {number} of 3" in "".join(said):
                os.killpg(process.pid, by)
        assert process.wait() == 128 + by, said
    assert "interrupted: what was measured is written" in "".join(said) and "Error" not in "".join(said)
    result = read(folder)
    assert result.ended == "interrupted"
    return result


def test_a_round_that_is_interrupted_has_the_figures_of_the_time_before() -> None:
    """Of all frames that were offered by then."""
    stop = threading.Event()

    class Impatient(Silence):
        def look(self, per_s: float, depth: int) -> None:
            if per_s:
                stop.set()

    changes = {**SMALL, "variants": {}, "limits": [], "warm_up_s": 0, "duration_s": 3000.0}
    result = run(library.load("throughput", changes), stop=stop, show=Impatient())
    [measured] = result.rounds
    assert result.ended == "interrupted" and 0 < measured.seconds < 3000
    assert measured.counts.offered == measured.counts.processed + measured.counts.refused > 0


def test_frames_that_are_used_up_too_early_are_told() -> None:
    """In the warm-up, nothing was measured then."""
    result = small("throughput", variants={}, limits=[], max_frames=10, batch=5)
    [measured] = result.rounds
    assert "processed_per_s" not in measured.metrics and measured.seconds == 0
    assert measured.notes == ("max_frames (10) was reached before the measured time began: nothing was measured",)


class Killer(Silence):
    """Kills one of the clients, or all of them, when they are to begin."""

    def __init__(self, victims: int) -> None:
        self.victims = victims

    def phase(self, text: str, seconds: float = 0.0) -> None:
        """Do it."""
        if text.startswith("sending"):
            for pid in [pid for pid in children(os.getpid()) if _is_client(pid)][: self.victims]:
                os.kill(pid, signal.SIGKILL)


def _is_client(pid: int) -> bool:
    return b"nyx_plugins.load_tests.client" in Path(f"/proc/{pid}/cmdline").read_bytes()


def with_two_clients() -> Plan:
    """Return a scenario of half a second."""
    text = 'name = "two"\ndescription = "Two."\nwindow = 512\nplugins.work = {}\n'
    return parse(text, "two.toml", "/", {**SMALL, "clients": 2, "warm_up_s": 0, "duration_s": 0.5})


def test_what_other_clients_have_measured_outlives_one_that_is_killed(tmp_path: Path) -> None:
    """Its own frames are counted as unknown, a note says why, and the run has not gone to its end."""
    result = run(with_two_clients(), show=Killer(1))
    [measured] = result.rounds
    assert measured.counts.processed > 0 and measured.counts.unknown == 512
    [note] = [note for note in measured.notes if "SIGKILL" in note]
    assert note.startswith(
        "client 1 was killed by SIGKILL: what it has counted is lost, and of 512 frames nobody knows"
    )
    assert result.ended == "clients were lost, and with them what became of 512 frames"


def test_without_any_client_there_is_nothing_to_keep() -> None:
    """The error names all of them."""
    with pytest.raises(StartupError, match=r"client 1 was killed by SIGKILL; client 2 was killed by SIGKILL"):
        run(with_two_clients(), show=Killer(2))


def test_a_run_may_be_stopped_while_a_maximum_is_measured() -> None:
    """It ends at once, without a round: nothing of it was measured."""
    stop = threading.Event()

    class Impatient(Silence):
        def phase(self, text: str, seconds: float = 0.0) -> None:
            if text.startswith("measuring"):
                stop.set()

    result = run(library.load("flood", {**SMALL, "calibrate_s": 500.0}), stop=stop, show=Impatient())
    assert (result.ended, result.rounds) == ("interrupted", ())


def test_a_folder_that_can_not_be_made_is_told_in_one_line() -> None:
    """Before anything is measured."""
    done = CliRunner().invoke(main, ["run", "throughput", "--output", "/proc/nowhere"])
    assert done.exit_code == 2 and done.stderr == "Error: /proc/nowhere: No such file or directory\n"


def test_a_run_may_be_stopped_before_it_begins() -> None:
    """There is nothing in its result then, and its limits are not met."""
    stop = threading.Event()
    stop.set()
    result = run(library.load("throughput"), stop=stop)
    assert (result.ended, result.rounds, result.checks[0].met) == ("interrupted", (), False)


def test_a_driver_of_ones_own_measures_what_it_likes(tmp_path: Path) -> None:
    """A scenario and a module beside it are all it takes; a limit that is not met is exit code 1."""
    (tmp_path / "own_driver.py").write_text(
        "from nyx_plugins.load_tests.result import Better, Counts, Metric, Round\n"
        "def drive(scene):\n"
        "    number = scene.scenario.options['number']\n"
        "    return Round(scene.number, 1.0, Counts(), {'answer': Metric(number, 'x', Better.HIGHER)})\n"
    )
    (tmp_path / "own.toml").write_text(
        'name = "own"\ndescription = "Ours."\nmode = "none"\ndriver = "own_driver:drive"\noptions = { number = 41 }\n'
        '[[limits]]\nmetric = "answer"\nat_least = 42\n'
    )
    words = ["run", str(tmp_path / "own.toml"), "--no-report", "--output", str(tmp_path / "out")]
    assert CliRunner().invoke(main, words).exit_code == 1
    assert CliRunner().invoke(main, [*words, "--set", "options.number=42"]).exit_code == 0
    assert len(json.loads((tmp_path / "out" / "result.json").read_text())["rounds"]) == 3


@pytest.mark.parametrize("words", [["list"], ["show", "throughput"], ["run", "--help"], ["--help"]])
def test_scenarios_are_listed_and_shown(words: list[str]) -> None:
    """What is printed names the scenario."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and ("throughput" in done.output or "scenario" in done.output)


def test_commands_that_are_spelt_wrong_are_suggested() -> None:
    """A mistake is one line."""
    done = CliRunner().invoke(main, ["chao"])
    assert done.exit_code == 2 and "did you mean" in done.stderr
