"""How commands fail: an exit code for the cause, nothing on standard output, one sentence on standard error."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from nyx_plugins import NyxPluginError
from nyx_plugins.cli import demo
from nyx_plugins.cli.failure import exit_code_of, one_line
from nyx_plugins.cli.main import COMMANDS
from nyx_plugins.cli.replay import CaptureError
from nyx_plugins.config.errors import ConfigError, Fault, StartupError
from nyx_plugins.plugins import errors
from nyx_plugins.plugins.wire import StreamFrame

Invoke = Callable[..., Result]
Write = Callable[[str], Path]
Frame = Callable[..., StreamFrame]
Capture = Callable[[list[StreamFrame]], Path]

MANIFEST = 'id = 5\nname = "five"\nversion = "1.0.0"\napi_version = 1\nentry_point = "plugin:Five"\n'


def sentence(result: Result, code: int = 2) -> str:
    """Check the form of a failure and return what it says."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ") and result.stderr.endswith("\n") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("Error: ").rstrip("\n")


@pytest.fixture
def one_frame(capture: Capture, frame: Frame) -> Path:
    """Return a capture of one frame for the echo plugin."""
    return capture([frame(1002)])


@pytest.fixture
def failing(invoke: Invoke, one_frame: Path) -> Callable[..., str]:
    """Return a function that replays with a configuration and returns what the failure says."""
    return lambda config, *options, code=2: sentence(
        invoke("replay", one_frame, "--config", config, *(options or ("--transport", "inline"))), code
    )


# Configurations.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[limits]\nmailbox_capasity = 10", "limits.mailbox_capasity: unknown key; did you mean 'mailbox_capacity'?"),
        ('[limits]\nmailbox_capacity = "10"', "limits.mailbox_capacity: must be an integer, not a string ('10')"),
        ("[limits]\nmailbox_capacity = 0", "limits.mailbox_capacity: must be a whole number from 1 to 100,000, not 0"),
        ("[limits\nmailbox_capacity = 0", "line 1, column 8"),
        ("[[plugins]]\nid = 5", "plugins[0].bundle: is missing"),
    ],
    ids=["unknown key", "wrong type", "out of range", "bad TOML", "missing key"],
)
def test_a_wrong_configuration_names_the_key(
    text: str, expected: str, config: Write, failing: Callable[..., str]
) -> None:
    """A configuration is refused with the key, or the place, and the reason."""
    path = config(text)
    said = failing(path)
    assert said.startswith(f"configuration {path}: ") and expected in said


def test_all_faults_of_a_configuration_are_told(config: Write, failing: Callable[..., str]) -> None:
    """Two faults are one sentence."""
    said = failing(config("[limits]\nevent_queue = 0\n[sytem]\n"))
    assert "limits.event_queue" in said and "did you mean 'system'?" in said


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_configuration_that_cannot_be_read(name: str, tmp_path: Path, failing: Callable[..., str]) -> None:
    """A missing file and a directory are refused with what the operating system says."""
    assert "can't be read: " in failing(tmp_path / name)


def test_a_configuration_must_be_named(invoke: Invoke, one_frame: Path) -> None:
    """A call without --config is a usage error, exit code 2 as well."""
    result = invoke("replay", one_frame)
    assert result.exit_code == 2 and "--config" in result.stderr


# Bundles.


def no_bundle(folder: Path) -> None:
    """Make nothing."""


def corrupt_zip(folder: Path) -> None:
    """Make a file that is no zip."""
    folder.write_bytes(b"PK\x03\x04" + b"no zip at all" * 10)


def bad_manifest(folder: Path) -> None:
    """Make a bundle whose manifest has two faults."""
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST.replace('"five"', "5") + 'colour = "red"\n')


def raising_plugin(folder: Path) -> None:
    """Make a bundle whose code can't be imported, and says so in colour and on two lines."""
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "plugin.py").write_text(r"raise ImportError('\x1b[31mno\nfive\x1b[0m')")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (no_bundle, ["five: "]),
        (corrupt_zip, ["five: "]),
        (bad_manifest, ["name: must be", "colour: unknown key"]),
        (raising_plugin, ["plugin 5 failed", "\\x1b[31mno five"]),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named(
    make: Callable[[Path], None], expected: list[str], config: Write, tmp_path: Path, failing: Callable[..., str]
) -> None:
    """The sentence says how many of how many plugins, which ones, and why; what a terminal might obey is escaped."""
    make(tmp_path / "five")
    path = config('[[plugins]]\nbundle = "builtin:echo"\n[[plugins]]\nbundle = "five"\n')
    said = failing(path)
    assert said.startswith("1 of 2 plugins can't be loaded: plugins[1]: ")
    assert all(part in said for part in expected)


def test_every_plugin_that_cannot_be_loaded_is_listed(config: Write, failing: Callable[..., str]) -> None:
    """Two broken plugins are both named."""
    said = failing(config('[[plugins]]\nbundle = "builtin:none"\n[[plugins]]\nbundle = "nowhere"\n'))
    assert said.startswith("2 of 2 plugins") and "plugins[0]" in said and "plugins[1]" in said


def test_paths_are_told_as_the_user_knows_them(
    config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: Callable[..., str]
) -> None:
    """What lies below the current folder is named without it."""
    config('[[plugins]]\nbundle = "below/five"\n')
    monkeypatch.chdir(tmp_path)
    said = failing("nyx-plugins.toml")
    assert "bundle below/five: " in said and str(tmp_path) not in said


# Captures.


@pytest.mark.parametrize("name", ["missing.nyxcap", "."])
def test_a_capture_that_cannot_be_opened(name: str, tmp_path: Path, echo_config: Path, invoke: Invoke) -> None:
    """A missing capture and a directory are refused before anything is started."""
    said = sentence(invoke("replay", tmp_path / name, "--config", echo_config))
    reason = "Is a directory" if name == "." else "No such file or directory"
    assert said == f"capture {tmp_path / name}: can't be read: {reason}"


def test_a_capture_that_is_a_named_pipe_is_not_waited_for(tmp_path: Path, echo_config: Path, invoke: Invoke) -> None:
    """It may never have a writer."""
    os.mkfifo(tmp_path / "pipe")
    said = sentence(invoke("replay", tmp_path / "pipe", "--config", echo_config))
    assert said.endswith("pipe: can't be read: it is a named pipe, which may never have a writer")


def test_a_truncated_capture_names_the_offset(
    transport: str, capture: Capture, frame: Frame, echo_config: Path, invoke: Invoke
) -> None:
    """The sentence says where the capture ends, and how many frames were read before."""
    path = capture([frame(1002)] * 3)
    size = path.stat().st_size
    os.truncate(path, size - 1)
    said = sentence(invoke("replay", path, "--config", echo_config, "--transport", transport))
    assert f"at byte {size - 1}: the stream ends within a frame" in said
    assert said.endswith("; 2 frames were read before")


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_no_capture(seed: int, tmp_path: Path, echo_config: Path, invoke: Invoke) -> None:
    """A capture of random bytes is refused with an offset."""
    path = tmp_path / "random.nyxcap"
    path.write_bytes(random.Random(seed).randbytes(10_000))
    said = sentence(invoke("replay", path, "--config", echo_config, "--transport", "inline"))
    assert "malformed frame at byte " in said and said.endswith("; 0 frames were read before")


# Places.


def test_a_runtime_directory_too_long_for_sockets_is_named(
    tmp_path: Path, config: Write, failing: Callable[..., str]
) -> None:
    """The path, its length and the limit are in the sentence, and the setting that names another."""
    base = tmp_path / ("x" * 100)
    said = failing(config(f'[system]\nruntime_dir = "{base}"\n'), "--transport", "unix", code=3)
    assert said == (
        f"no runtime directory can be made in {base}: its path has {len(str(base))} bytes, and 75 is the most that"
        " leaves room for sockets (system.runtime_dir names another)"
    )
    assert not base.exists()


@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_a_directory_that_cannot_be_written_is_named(
    key: str, transport: str, short_folder: Callable[[], Path], config: Write, failing: Callable[..., str]
) -> None:
    """A state or runtime directory below a regular file ends the start, with exit code 3."""
    below = short_folder() / "file" / "below"
    below.parent.write_text("")
    said = failing(config(f'[system]\n{key} = "{below}"\n'), "--transport", transport, code=3)
    assert str(below) in said and said.endswith("Not a directory")


# The exit code.


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PluginFailed(1, "it crashed"), 1),
        (errors.PermissionDenied(1, "control", 0x53), 1),
        (errors.SandboxViolation(1, "SBX:OPEN /", "no path is allowed"), 1),
        (errors.PolicyRefused(1, ["too much"]), 1),
        (errors.PluginNotRegistered(1), 1),
        (errors.PluginNotLoaded(1, "failed"), 1),
        (errors.AlreadyLoaded(1, "ready"), 1),
        (errors.DependencyMissing(1, ["kv>=2"]), 1),
        (errors.MailboxFull(1, 100, 100), 1),
        (ConfigError("file", [Fault("key", "is missing")]), 2),
        (errors.ManifestError("file", [Fault("key", "is missing")]), 2),
        (errors.BundleError("file", "is no zip"), 2),
        (errors.FrameError("is too long"), 2),
        (errors.InvalidFrameType(0x60), 2),
        (CaptureError("file", "can't be read"), 2),
        (StartupError("the directory is full"), 3),
        (errors.SystemStopped("it was closed"), 3),
        (errors.ServiceNotRunning("/run/nyx-plugins"), 3),
        (errors.ServiceRunning("/run/nyx-plugins", 7), 3),
        (errors.DispatchTimeout(1, "an outcome", 5.0), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_exit_code_tells_the_cause(error: NyxPluginError, code: int) -> None:
    """1: the system refused or failed it; 2: what was given is wrong; 3: no system is there; 4: not done in time."""
    assert exit_code_of(error) == code


# The command's own arguments.


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("relay x", "no such command 'relay' (did you mean 'replay'?); try 'nyx-plugins --help'"),
        ("zzz", "no such command 'zzz'; try 'nyx-plugins --help'"),
        ("--verson", "no such option '--verson' (did you mean '--version'?); try 'nyx-plugins --help'"),
        ("replay x --confg y", "no such option '--confg' (did you mean '--config'?); try 'nyx-plugins replay --help'"),
        ("replay --config y", "missing argument 'CAPTURE'; try 'nyx-plugins replay --help'"),
        ("demo x", "got unexpected extra argument (x); try 'nyx-plugins demo --help'"),
        ("config chek", "no such command 'chek'"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: str, expected: str, invoke: Invoke) -> None:
    """The sentence names what is wrong, what is spelt alike, and the help of the command."""
    assert sentence(invoke(*arguments.split())).startswith(expected)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_refuses_an_unknown_option_in_one_sentence(command: str, invoke: Invoke) -> None:
    """None prints its usage, or begins to work."""
    said = sentence(invoke(command, "--no-such-option"))
    assert said.startswith("no such option '--no-such-option'") and said.endswith(
        f"; try 'nyx-plugins {command} --help'"
    )


def test_an_argument_can_not_reach_the_terminal(invoke: Invoke) -> None:
    """Control characters in what was typed are escaped."""
    assert r"\x1b[2J" in sentence(invoke("replay", "x", "--\x1b[2J"))


def test_without_arguments_there_is_help(invoke: Invoke) -> None:
    """The group alone prints its help on standard error, with the commands sorted by topic."""
    result = invoke()
    assert result.exit_code == 2
    for part in ("Run:\n", "Drive a running service:\n  load", "Look at a running service:\n  status"):
        assert part in result.stderr


# The form.


def test_one_line_keeps_what_can_be_read() -> None:
    """Letters of any script stay; line breaks become spaces, control characters are escaped."""
    assert one_line("grüße\n  an\tあ \x1b[2J\x07\u202e") == "grüße an あ \\x1b[2J\\x07\\u202e"


def test_output_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A full device ends a command with exit code 2 and without a traceback."""
    config = tmp_path / "nyx-plugins.toml"
    config.write_text('[[plugins]]\nbundle = "builtin:echo"\n')
    capture = tmp_path / "empty.nyxcap"
    capture.write_bytes(b"")
    command = [sys.executable, "-m", "nyx_plugins.cli", "replay", str(capture), "--config", str(config)]
    with Path("/dev/full").open("w") as full:
        said = subprocess.run([*command, "--transport", "inline"], stdout=full, stderr=subprocess.PIPE, timeout=150)
    assert said.returncode == 2
    assert said.stderr.decode().splitlines() == ["Error: the output can't be written: No space left on device"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the output can't be written: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"), "/etc/shadow: Permission denied"),
        (OSError("something else"), "something else"),
    ],
)
def test_other_refusals_of_the_operating_system_name_what_is_refused(
    error: OSError, expected: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what has to do with the output is said to be its fault."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(demo, "run_demo", fail)
    assert sentence(invoke("demo")) == expected


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    """A relative path means nothing any more."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); from nyx_plugins.cli.main import main; main()"
    # -P, as a command is started: where Python itself looks into the current folder, 3.13.0 breaks while importing.
    command = [sys.executable, "-P", "-c", code, "status", "--runtime-dir", "below"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=150, cwd=tmp_path)
    assert (said.returncode, said.stdout) == (3, "")
    assert said.stderr == (
        "Error: runtime directory below is relative, and the current folder is not there any more: change to another,"
        " or name an absolute path\n"
    )


def test_closed_streams_break_nothing(tmp_path: Path) -> None:
    """A shell can start the command without any of the three."""
    command = f"{sys.executable} -m nyx_plugins.cli request 1 --file - --runtime-dir {tmp_path} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], timeout=150).returncode == 3


@pytest.mark.parametrize("arguments", ["--help", "--version", "config show", "status --help"])
def test_output_that_is_closed_is_lost_with_exit_code_2(arguments: str) -> None:
    """Nobody takes what was not written for done."""
    command = f"{sys.executable} -m nyx_plugins.cli {arguments} >&-"
    said = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, timeout=150)
    assert (said.returncode, said.stderr) == (2, "Error: the output can't be written: Bad file descriptor\n")


@pytest.mark.parametrize(
    "option",
    ["--metrics foo", "--dashboard [::1", "--dashboard-token-file " + "x" * 5000, "--log-level loud"],
)
def test_an_option_that_cannot_be_used_is_named(option: str, invoke: Invoke) -> None:
    """What is wrong with the command line is told in its words, not in those of the settings."""
    said = sentence(invoke("serve", *option.split()))
    assert said.startswith(f"invalid value for '{option.split()[0]}': ") and "Settings" not in said
    assert said.endswith("; try 'nyx-plugins serve --help'")


def test_a_configuration_that_is_a_pipe_is_not_waited_for(tmp_path: Path, invoke: Invoke) -> None:
    """It is refused at once."""
    os.mkfifo(tmp_path / "pipe")
    result = invoke("config", "check", tmp_path / "pipe")
    assert result.exit_code == 2 and "it must be a regular file, not a pipe or a device" in result.stderr


def test_a_timeout_must_be_a_number() -> None:
    """Not a number is no time to wait."""
    command = [sys.executable, "-m", "nyx_plugins.cli", "replay", "x", "--config", "y", "--timeout", "nan"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert said.returncode == 2
    assert "'nan' is no number of seconds" in said.stderr
