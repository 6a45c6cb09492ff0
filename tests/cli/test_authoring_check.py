"""``check``: what it sees of good plugins and of broken ones, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from nyx_plugins import Event, EventKind
from nyx_plugins.actors.processes import descendants, reap
from nyx_plugins.cli.checking import Handled, faults_of
from nyx_plugins.cli.findings import SHOWN

Invoke = Callable[..., Result]
Fault = Callable[..., Path]
TIMEOUT_S = 60

MANIFEST = 'id = 1\nname = "demo"\nversion = "1.0.0"\napi_version = 1\nentry_point = "plugin:Demo"\n'
CHATTY = """
from nyx_plugins.plugins import Plugin

class Demo(Plugin):
    def on_load(self, ctx):
        ctx.emit(b"loaded")
        ctx.logger.debug("config %s", sorted(ctx.config.items()))

    def on_handshake(self, frame):
        self.ctx.emit(frame.data, frame_type=0x5F, flags=3)
        self.ctx.emit(b"again")

    def on_data(self, frame):
        return frame.data

    def on_unload(self):
        self.ctx.logger.warning("\\x1b[31mgoing")
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a bundle of some code, with extra lines in its manifest."""

    def make(code: str = CHATTY, manifest: str = 'permissions = ["handshake", "data_access"]\n') -> Path:
        folder = tmp_path / "demo"
        folder.mkdir()
        (folder / "plugin.py").write_text(code)
        (folder / "plugin.toml").write_text(MANIFEST + manifest)
        return folder

    return make


@pytest.fixture
def check(invoke: Invoke) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a function that runs ``check --json`` and returns exit code and object."""

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        result = invoke("check", "--json", *arguments)
        assert result.stderr == ""
        return result.exit_code, json.loads(result.stdout)

    return run


Check = Callable[..., tuple[int, dict[str, Any]]]


def results(found: dict[str, Any]) -> dict[str, str]:
    """Return what became of the frame of each handler."""
    return {item["handler"]: item["result"] for item in found["handlers"]}


def test_everything_is_seen(transport: str, bundle: Callable[..., Path], check: Check) -> None:
    """Replies, emitted frames and log lines of any level are told, of loading and unloading too."""
    code, found = check(bundle(), "--transport", transport, "--data", "\u00e4", "--set", "n=1", "--set", "t=x")
    assert (code, found["faults"]) == (0, [])
    assert results(found) == {"on_handshake": "no reply", "on_data": "replied"}
    assert found["handlers"][1]["reply"] == {"bytes": 2, "data_hex": "c3a4", "data_text": "\u00e4"}
    assert [(item["frame_type"], item["flags"], item["data_text"]) for item in found["emitted"]] == [
        (0x52, 0, "loaded"),
        (0x5F, 3, "probe"),
        (0x52, 0, "again"),
    ]
    assert found["log"] == [
        {"level": "debug", "text": "config [('n', 1), ('t', 'x')]"},
        {"level": "warning", "text": "\\x1b[31mgoing"},
    ]
    assert found["loaded"]["permissions"] == ["data_access", "handshake"]
    assert (found["memory_bytes"] is None) is (transport == "inline")
    assert all(item["seconds"] >= 0 for item in found["handlers"]) and found["load_s"] > 0 and found["unload_s"] > 0


def test_people_get_tables(transport: str, bundle: Callable[..., Path], invoke: Invoke) -> None:
    """The same, readable, and with nothing that a terminal would obey."""
    result = invoke("check", bundle(), "--transport", transport, "--hex", "--data", "82 01 61 78")
    assert (result.exit_code, result.stderr) == (0, "")
    for part in (
        "demo 1.0.0, id 1\n",
        "permissions: data_access, handshake",
        'replied   4 B: [1, "x"]',
        "  0x52, 6 B: loaded\n  0x5f, flags 0x03, 5 B: probe\n",
        "  debug: config []\n",
        "\nNothing went wrong.\n",
    ):
        assert part in result.stdout
    assert "\x1b" not in result.stdout


def test_frames_go_to_the_handlers_with_a_permission(bundle: Callable[..., Path], check: Check, invoke: Invoke) -> None:
    """A handler for which the manifest asks no permission is not called; with none at all that is said."""
    folder = bundle(manifest='permissions = ["control", "inter_plugin"]\n')
    assert results(check(folder, "--transport", "inline")[1]) == {"on_control": "no reply"}
    (folder / "plugin.toml").write_text(MANIFEST)
    result = invoke("check", folder, "--transport", "inline")
    assert result.exit_code == 0
    assert "It has no permission for any frame, so that no handler is called." in result.stdout


@pytest.mark.parametrize(
    ("options", "data"),
    [(["--data", "caf\u00e9"], "caf\u00e9".encode()), (["--hex", "--data", "00ff"], b"\0\xff"), ([], b"probe")],
)
def test_data_are_as_given(options: list[str], data: bytes, check: Check) -> None:
    """Text, hexadecimal digits, or what is sent without being asked."""
    _, found = check("builtin:echo", "--transport", "inline", *options)
    replies = {item["handler"]: bytes.fromhex(item["reply"]["data_hex"]) for item in found["handlers"]}
    assert replies == {"on_handshake": b"probe", "on_data": data, "on_control": b"probe", "on_error": b"probe"}


def test_each_handler_can_get_its_own(check: Check) -> None:
    """One option for each handler; --cbor makes CBOR of JSON, and a reply in CBOR is told as JSON."""
    options = ("--handshake", "1", "--data", "[2, null]", "--control", '{"a": 3.5}', "--error", '"x"')
    _, found = check("builtin:echo", "--transport", "inline", "--cbor", *options)
    assert [item["reply"]["data_cbor"] for item in found["handlers"]] == [1, [2, None], {"a": 3.5}, "x"]


# Plugins that do wrong.


@pytest.mark.parametrize(
    ("name", "data", "result", "reason"),
    [
        ("raising_plugin", "raise", "raised", "ValueError: this frame is not to my taste"),
        ("crashing_plugin", "crash", "crashed", "worker exited with code 13"),
        ("segfaulting_plugin", "crash", "crashed", "worker killed by SIGSEGV"),
        ("plugin_that_exits_cleanly", "crash", "crashed", "worker exited with code 0"),
        ("plugin_that_closes_its_socket", "crash", "crashed", "worker closed its socket"),
        ("spinning_plugin", "crash", "took too long", "worker exceeded its wall time of 2 s per frame"),
        ("huge_reply_plugin", "2000000", "raised", "ReplyTooLarge: reply of 2,000,000 bytes: the limit is 1,048,576"),
    ],
)
def test_a_handler_that_does_wrong_is_told_in_one_line(
    name: str, data: str, result: str, reason: str, fault: Fault, invoke: Invoke
) -> None:
    """The other handlers get their frames all the same, and the exit code is 1."""
    found = invoke("check", fault(name), "--data", data, "--timeout", "2")
    assert (found.exit_code, found.stderr) == (1, "")
    assert "Traceback" not in found.stdout
    assert f"\nThis went wrong:\n  on_data {result}: {reason}\n" in found.stdout
    for handler in ("on_handshake", "on_control", "on_error"):
        assert any(line.startswith(handler) and "no reply" in line for line in found.stdout.splitlines())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("plugin_that_fails_to_load", "RuntimeError: the tables are missing"),
        ("plugin_that_exits_in_load", "its worker exited with code 7 before it was ready"),
        ("plugin_that_hangs_in_load", "its worker was not ready within 1 s"),
    ],
)
def test_a_plugin_that_does_not_load_has_done_wrong(name: str, reason: str, fault: Fault, check: Check) -> None:
    """It is told why, and what it has logged before it failed."""
    code, found = check(fault(name), "--timeout", "1")
    assert (code, found["loaded"], found["handlers"]) == (1, None, [])
    assert found["faults"] == [f"it could not be loaded: {reason}"]
    if name == "plugin_that_hangs_in_load":
        assert found["log"] == [{"level": "info", "text": "hanging"}]


def test_an_entry_point_that_leads_nowhere_is_a_fault(bundle: Callable[..., Path], check: Check) -> None:
    """The bundle is valid, but its plugin can't be loaded."""
    code, found = check(bundle("class Other: ..."), "--transport", "inline")
    assert (code, len(found["faults"])) == (1, 1)
    assert "has no 'Demo'" in found["faults"][0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("plugin_that_fails_in_unload", "RuntimeError: the tables can't be put away"),
        ("plugin_that_hangs_in_unload", "on_unload did not end in time"),
    ],
)
def test_unloading_is_looked_at_too(name: str, reason: str, fault: Fault, check: Check) -> None:
    """What goes wrong at the very end is a fault like any other."""
    code, found = check(fault(name), "--timeout", "0.5")
    assert (code, found["faults"]) == (1, [f"on_unload: {reason}"])
    assert results(found)["on_data"] == "replied"


def test_a_crash_outside_of_the_handlers_is_a_fault(bundle: Callable[..., Path], check: Check) -> None:
    """A thread that ends the process once its frame is answered does not get away with it."""
    code = (
        "import os, threading\nfrom nyx_plugins.plugins import Plugin\n"
        "class Demo(Plugin):\n"
        "    def on_handshake(self, frame):\n"
        "        self.later = threading.Event()\n"
        "        threading.Thread(target=lambda: (self.later.wait(), os._exit(3))).start()\n"
        "    def on_data(self, frame):\n"
        "        self.ctx.emit(b'x')\n"
        "    def on_unload(self):\n"
        "        self.later.set()\n"
        "        threading.Event().wait()\n"
    )
    exit_code, found = check(bundle(code), "--timeout", "5")
    assert exit_code == 1
    assert results(found) == {"on_handshake": "no reply", "on_data": "no reply"}
    assert found["faults"] == ["on_unload: its worker exited with code 3"]


def test_what_happened_besides_is_a_fault_and_told_once() -> None:
    """Crashes, violations and the end of all restarts are faults, unless the outcome of a frame tells them already."""
    handled = [Handled("on_data", b"", "crashed", reason="worker exited with code 13"), Handled("on_error", b"", "ok")]
    events = [
        Event(EventKind.READY, 1),
        Event(EventKind.CRASHED, 1, "worker exited with code 13"),
        Event(EventKind.CRASHED, 1, "worker killed by SIGKILL"),
        Event(EventKind.VIOLATION, 1, "worker protocol: noise"),
    ]
    assert faults_of(handled, events) == [
        "on_data crashed: worker exited with code 13",
        "crashed: worker killed by SIGKILL",
        "violation: worker protocol: noise",
    ]


def test_a_plugin_that_is_not_restarted_is_not_called_again(fault: Fault, check: Check) -> None:
    """Handlers whose turn would have come are named, each with the reason."""
    crashing = fault("crashing_plugin", '[restart]\npolicy = "temporary"\n')
    code, found = check(crashing, "--data", "crash")
    assert code == 1
    assert results(found)["on_data"] == "crashed"
    assert results(found)["on_control"] in ("was not called", "crashed")
    assert len(found["faults"]) >= 3


@pytest.mark.parametrize("name", ["plugin_that_floods_emits", "plugin_that_floods_logs"])
def test_a_flood_is_cut(name: str, fault: Fault, invoke: Invoke) -> None:
    """A plugin that says thousands of things does not fill the terminal."""
    result = invoke("check", fault(name), "--data", "5000")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) < SHOWN + 25
    assert "more\n" in result.stdout


def test_what_a_plugin_says_is_shortened_and_obeyed_by_no_terminal(
    bundle: Callable[..., Path], invoke: Invoke, check: Check
) -> None:
    """Long and hostile texts don't fill or command the terminal; programs get all of them."""
    code = (
        "from nyx_plugins.plugins import Plugin\n"
        "class Demo(Plugin):\n"
        "    def on_handshake(self, frame):\n"
        "        raise RuntimeError('\\x1b[31m\\n' + 'x' * 900)\n"
        "    def on_data(self, frame):\n"
        "        return b'\\x81' * 900_000\n"
    )
    folder = bundle(code, 'description = "\\u001b[2J\\u202e"\npermissions = ["handshake", "data_access"]\n')
    result = invoke("check", folder, "--transport", "inline")
    assert result.exit_code == 1
    assert len(result.stdout) < 4000
    assert not {"\x1b", "\u202e"} & set(result.stdout)
    found = check(folder, "--transport", "inline")[1]
    assert found["handlers"][0]["reason"].endswith("x" * 900)
    assert found["handlers"][1]["reply"]["bytes"] == 900_000


def test_ctrl_c_ends_everything(
    bundle: Callable[..., Path], tmp_path: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """SIGINT while a handler hangs: exit code 130, one sentence, no traceback, no process left."""
    before = set(descendants(os.getpid()))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = (
        "import threading\nfrom pathlib import Path\nfrom nyx_plugins.plugins import Plugin\n"
        "class Demo(Plugin):\n"
        "    def on_data(self, frame):\n"
        f"        Path({str(gate)!r}).write_text('here')\n"
        "        threading.Event().wait()\n"
    )
    asked = f'permissions = ["data_access"]\n[sandbox]\nwrite_paths = ["{gate}"]\n'
    process = program("check", bundle(code, asked), "--timeout", "60")
    assert gate.read_text() == "here"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "Interrupted: everything that was started has been stopped.\n"
    reap()
    assert set(descendants(os.getpid())) <= before


# What makes a bundle fit or unfit.


def test_a_bundle_may_have_what_it_asks_for(bundle: Callable[..., Path], check: Check) -> None:
    """Its sandbox requests are granted, whatever they are."""
    asked = (
        'permissions = ["control"]\n[sandbox]\nread_paths = ["/etc"]\nwrite_paths = ["/tmp"]\nnetwork = ["*"]\n'
        'memory_bytes = 1073741824\ncpu_seconds = 100\nwall_time_s = 100.0\nopen_files = 1000\nenvironment = ["HOME"]\n'
        "subprocesses = true\n"
    )
    code, found = check(bundle(manifest=asked), "--transport", "inline", "--control", "SBX:OPEN /etc/hosts")
    assert (code, results(found)) == (0, {"on_control": "no reply"})
    assert found["loaded"]["policy"]["wall_time_s"] == 100


def test_a_frame_that_the_policy_denies_reaches_no_handler(check: Check) -> None:
    """The refusal is told as a fault."""
    code, found = check("builtin:echo", "--transport", "inline", "--control", "SBX:OPEN /etc/hosts")
    assert (code, results(found)["on_control"]) == (1, "was not called")
    assert "denied by policy" in found["faults"][0]


def test_required_plugins_are_loaded_before(bundle: Callable[..., Path], check: Check, invoke: Invoke) -> None:
    """Without them the plugin can't be loaded; --with names them."""
    folder = bundle(manifest='permissions = ["data_access"]\n[requires]\necho = ">=1"\n')
    refused = invoke("check", folder, "--transport", "inline")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "Error: plugin 1 requires echo >=1 (not loaded)\n"
    assert check(folder, "--transport", "inline", "--with", "builtin:echo")[0] == 0


def test_every_fault_of_a_manifest_is_listed(bundle: Callable[..., Path], invoke: Invoke) -> None:
    """A manifest that can't be used has exit code 2, before anything is started."""
    folder = bundle(manifest='permissions = ["fly"]\ncapacity = 0\nnonsense = 1\n')
    for options in ([], ["--json"]):
        result = invoke("check", folder, *options)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        for key in ("permissions", "capacity", "nonsense"):
            assert key in result.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--hex", "--data", "xyz"], "hexadecimal"),
        (["--hex", "--cbor", "--data", "1"], "exclude each other"),
        (["--set", "x"], "KEY=VALUE"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--timeout", "4000"], "--timeout"),
        (["--transport", "pigeon"], "--transport"),
        (["--with", "builtin:nobody"], "nobody"),
    ],
)
def test_a_wrong_option_is_refused(options: list[str], text: str, invoke: Invoke) -> None:
    """One sentence and exit code 2."""
    result = invoke("check", "builtin:echo", *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert text in result.stderr


def test_nobody_who_reads_is_no_error(program: Callable[..., subprocess.Popen[str]]) -> None:
    """A pipe that is closed early ends the command in silence."""
    process = program("check", "builtin:echo")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(TIMEOUT_S)
    process.stderr.close()


def test_log_lines_go_nowhere_else(bundle: Callable[..., Path], program: Callable[..., subprocess.Popen[str]]) -> None:
    """What the plugin logs is part of the findings, and not printed besides."""
    stdout, stderr = program("check", bundle()).communicate(timeout=TIMEOUT_S)
    assert stderr == ""
    assert stdout.count("going") == 1


def test_frame_types_of_a_configuration_and_handshakes_are_tried_too(
    bundle: Callable[..., Path], tmp_path: Path, answer: Callable[..., Any]
) -> None:
    """A plugin that requires a handshake gets one that it understands first; each type of its own leads to on_frame."""
    config = tmp_path / "nyx-plugins.toml"
    config.write_text(
        '[frame_types]\nown = { type = 0x55, permission = "own" }\nother = { type = 0x56, permission = "x" }'
    )
    code = CHATTY + "\n    def on_frame(self, frame):\n        return b'%d' % frame.type\n"
    manifest = 'permissions = ["handshake", "own"]\nrequire_handshake = true\n[handshake]\nversions = [7]\n'
    found = answer("check", str(bundle(code, manifest)), "--config", str(config), "--transport", "inline")
    assert [(item["handler"], item["result"]) for item in found["handlers"]] == [
        ("on_handshake", "no reply"),
        ("on_frame", "replied"),
    ]
    assert found["faults"] == []
