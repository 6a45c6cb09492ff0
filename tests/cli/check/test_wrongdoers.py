"""`nyx-plugins check` and plugins that do wrong."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import Event, EventKind
from nyx_plugins.actors.processes import descendants, reap
from nyx_plugins.cli.checking import Handled, faults_of
from nyx_plugins.cli.findings import SHOWN

from .conftest import TIMEOUT_S, Check, Invoke, results

Fault = Callable[..., Path]


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
    ("name", "timeout", "reason"),
    [
        ("plugin_that_fails_to_load", "30", "RuntimeError: the tables are missing"),
        ("plugin_that_exits_in_load", "30", "its worker exited with code 7 before it was ready"),
        ("plugin_that_hangs_in_load", "1", "its worker was not ready within 1 s"),
    ],
)
def test_a_plugin_that_does_not_load_has_done_wrong(
    name: str, timeout: str, reason: str, fault: Fault, check: Check
) -> None:
    """It is told why, and what it has logged before it failed."""
    code, found = check(fault(name), "--timeout", timeout)
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
