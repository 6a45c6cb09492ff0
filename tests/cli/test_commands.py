"""Commands that run to their end, in this process and in one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from nyx_plugins import __version__, load_settings
from nyx_plugins.actors.processes import descendants, reap
from nyx_plugins.cli import demo
from nyx_plugins.cli.demo import differences, expected
from nyx_plugins.plugins.wire import StreamFrame

Invoke = Callable[..., Result]
Program = Callable[..., "subprocess.Popen[str]"]
Frame = Callable[..., StreamFrame]
Capture = Callable[[list[StreamFrame]], Path]

DATA = files("nyx_plugins") / "data"
TIMEOUT_S = 150


def test_the_version_is_told(invoke: Invoke) -> None:
    """``--version`` says what is installed."""
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"nyx-plugins, version {__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["replay"], ["no-such-command"], ["demo", "--transport", "pigeon"]])
def test_a_usage_error_has_exit_code_2(arguments: list[str], invoke: Invoke) -> None:
    """What the command line can't make sense of ends with exit code 2."""
    assert invoke(*arguments).exit_code == 2


# Replay.


def test_the_bundled_capture_gives_what_is_expected(transport: str, program: Program) -> None:
    """``replay --json`` prints one object with the figures of licences.expected.json, and nothing else."""
    with as_file(DATA / "licences.nyxcap") as capture, as_file(DATA / "demo.toml") as config:
        process = program("replay", capture, "--config", config, "--json", "--transport", transport)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stderr) == (0, "")
    wanted = {key: value for key, value in expected().items() if key not in ("wordcount", "kv")}
    assert differences(wanted, json.loads(stdout)) == []


def test_a_replay_prints_tables(
    transport: str, capture: Capture, frame: Frame, echo_config: Path, invoke: Invoke
) -> None:
    """Without --json there are tables; refused frames are results, so the exit code is 0."""
    path = capture([frame(1002), frame(9, flags=1), frame(1002, kind="Data"), frame(1002, kind=0x5F)])
    result = invoke("replay", path, "--config", echo_config, "--transport", transport)
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("4 stream frames", "1 accepted, 2 refused", "echo", "invalid_frame_type", "plugin_not_registered"):
        assert part in result.stdout


def test_a_capture_without_frames_is_a_capture(echo_config: Path, capture: Capture, invoke: Invoke) -> None:
    """An empty file is replayed at once."""
    result = invoke("replay", capture([]), "--config", echo_config, "--transport", "inline", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["stream_frames"] == 0


def test_a_plugin_that_fails_frames_does_not_fail_the_replay(
    transport: str, capture: Capture, frame: Frame, config: Callable[[str], Path], invoke: Invoke
) -> None:
    """Errors of handlers are figures."""
    path = capture([frame(1001, b"\xff"), frame(1001, b"words"), frame(1001, b"bottom 3", kind=0x53)])
    chosen = config('[[plugins]]\nbundle = "builtin:wordcount"\n')
    result = invoke("replay", path, "--config", chosen, "--transport", transport, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)["plugins"]["1001"]
    assert (found["messages_processed"], found["errors"], found["processed"]) == (3, 2, 1)


@pytest.fixture
def spinning(fault: Callable[..., Path], config: Callable[[str], Path]) -> Callable[[float], Path]:
    """Return a function that configures a plugin which spins, with the time that it is given for a frame."""
    return lambda seconds: config(
        f"[limits]\nwall_time_s = {seconds}\n[[plugins]]\nbundle = '{fault('spinning_plugin')}'\n"
    )


def test_a_plugin_that_spins_gets_dead_letters(
    capture: Capture, frame: Frame, spinning: Callable[[float], Path], invoke: Invoke
) -> None:
    """A frame that takes too long is a dead letter, and a result like any other."""
    result = invoke("replay", capture([frame(1, b"crash")]), "--config", spinning(0.1), "--transport", "unix", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["plugins"]["1"]["dead_lettered"] == 1


def test_a_replay_does_not_wait_longer_than_told(
    capture: Capture, frame: Frame, spinning: Callable[[float], Path], invoke: Invoke
) -> None:
    """Frames without an outcome within --timeout seconds end the replay with exit code 4."""
    options = ("--config", spinning(60), "--transport", "unix", "--timeout", "0.5")
    result = invoke("replay", capture([frame(1, b"crash")]), *options)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("Error: outcomes of 1 frames ") and result.stderr.endswith("not within 0.5 s\n")


# Ctrl-C.


def test_ctrl_c_ends_everything(transport: str, frame: Frame, echo_config: Path, program: Program) -> None:
    """SIGINT in the middle of a replay: exit code 130, one sentence, no traceback, no process left."""
    before = set(descendants(os.getpid()))
    words = "replay", "/dev/stdin", "--config", echo_config, "--transport", transport
    process = program(*words, stdin=subprocess.PIPE)
    assert process.stdin is not None
    # More than the pipe holds: once it is written, the replay is under way, and waits for more.
    process.stdin.buffer.write(frame(1002, bytes(1000)).encode() * 200)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "Interrupted: everything that was started has been stopped.\n"
    reap()
    assert set(descendants(os.getpid())) <= before


# The demonstration.


def test_the_demonstration_is_as_expected(transport: str, program: Program) -> None:
    """``demo`` shows processes, figures and words, and finds everything as expected."""
    process = program("demo", "--transport", transport)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stderr) == (0, "")
    assert stdout.endswith("Everything is as expected.\n")
    assert "the 1,042" in stdout and f"this process ({process.pid})" in stdout
    assert stdout.count("worker, which runs the plugin") == (3 if transport == "unix" else 0)


def test_a_demonstration_with_other_figures_says_which(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that are not as expected are listed, and the exit code is 1."""
    wanted = expected()
    wanted["kv"]["keys"] = 24
    monkeypatch.setattr(demo, "expected", lambda: wanted)
    result = invoke("demo", "--transport", "inline")
    assert result.exit_code == 1
    assert result.stdout.endswith("One figure is not as expected:\n  kv.keys: expected 24, found 23\n")


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        ({"a": {"b": 1}, "c": 2}, []),
        ({"a": {"b": 2}}, ["a.b: expected 1, found 2"]),
        ({"a": {}}, ["a.b: expected 1, found None"]),
        ({"a": 3}, ["a: expected {'b': 1}, found 3"]),
        ({}, ["a: expected {'b': 1}, found None"]),
    ],
)
def test_differences_name_each_figure(found: dict[str, Any], faults: list[str]) -> None:
    """What is missing or other is named by its path; texts and what is there besides do not matter."""
    assert differences({"about": "a text", "a": {"b": 1}}, found) == faults


def test_the_configuration_of_the_demonstration_names_three_plugins() -> None:
    """demo.toml loads the bundled plugins, under the ids that the capture uses."""
    with as_file(DATA / "demo.toml") as path:
        plugins = load_settings(path, {}).plugins
    assert [(plugin.bundle, plugin.id) for plugin in plugins] == [
        ("builtin:wordcount", 1001),
        ("builtin:echo", 1002),
        ("builtin:kv", 1003),
    ]
