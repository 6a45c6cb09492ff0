"""The live view on a real terminal, of a real service."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Service = Any
Terminal = Any
Open = Callable[..., Terminal]

HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
FAST = ("top", "--interval", "0.2")


def is_restored(terminal: Terminal) -> bool:
    """Whether the terminal is as it was: settings, cursor, and the screen of before."""
    has_left = terminal.raw.rfind(LEAVE) > terminal.raw.rfind(ENTER)
    shows_cursor = terminal.raw.rfind(SHOW) > terminal.raw.rfind(HIDE)
    return has_left and shows_cursor and terminal.settings == terminal.before


def test_plugins_rates_and_events_are_shown_as_they_change(
    loaded: Service, terminal: Open, fault: Callable[..., Any]
) -> None:
    """What other terminals do is on the screen: frames, a pause, a plugin that is loaded, and a crash."""
    top = terminal(loaded, *FAST)
    top.wait_for(lambda text: "1002  echo" in text and "1003  kv" in text and "2 plugins: 2 ready" in text)
    assert loaded.run("dispatch", "echo", "hello", "--count", "500", "--wait").returncode == 0
    top.wait_for(lambda text: re.search(r"1002  echo .* (µs|ms) ", text) is not None)
    assert loaded.run("pause", "kv").returncode == 0
    top.wait_for("paused")
    assert loaded.run("load", fault("crashing_plugin")).returncode == 0
    top.wait_for(lambda text: "crashing_plugin" in text and "ready" in text.split("events")[1])
    assert loaded.run("dispatch", "1", "crash", "--wait").returncode == 1
    top.wait_for(lambda text: "crashed" in text and "restarted" in text)
    top.type(b"q")
    assert (top.wait_for_end(), is_restored(top)) == (0, True)


def test_keys_sort_and_scroll(loaded: Service, terminal: Open) -> None:
    """The heading shows by what is sorted; rows that have no room come when they are asked for."""
    top = terminal(loaded, *FAST)
    top.wait_for("id▲")
    top.type(b"2")
    top.wait_for("plugin▲")
    top.type(b"r")
    top.wait_for(lambda text: "plugin▼" in text and text.index("1003  kv") < text.index("1002  echo"))
    top.resize(120, 6)
    top.wait_for(lambda text: "1003  kv" in text and "1002  echo" not in text)
    top.type(b"\x1b[B")
    top.wait_for(lambda text: "1002  echo" in text and "1003  kv" not in text)
    top.type(b"q")
    assert top.wait_for_end() == 0


def test_a_window_of_another_size_is_filled(loaded: Service, terminal: Open) -> None:
    """Columns that have no room go, and come back."""
    top = terminal(loaded, "top")
    top.wait_for("memory")
    top.resize(40, 10)
    top.wait_for(lambda text: "1002  echo" in text and "mailbox" not in text)
    top.resize(8, 2)
    top.wait_for("1002")
    top.resize(120, 24)
    top.wait_for(lambda text: "mailbox" in text and "restarts" in text)
    top.type(b"q")
    assert top.wait_for_end() == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=lambda value: str(value),
)
def test_the_terminal_is_restored_however_it_ends(
    number: signal.Signals, code: int, loaded: Service, terminal: Open
) -> None:
    """Signals end the view in order."""
    top = terminal(loaded, "top")
    top.wait_for("1003  kv")
    assert top.settings != top.before
    top.process.send_signal(number)
    assert (top.wait_for_end(), is_restored(top)) == (code, True)


def test_ctrl_c_ends_it(loaded: Service, terminal: Open) -> None:
    """The terminal sends the signal itself; there is nothing to be said."""
    top = terminal(loaded, "top")
    top.wait_for("1003  kv")
    top.type(b"\x03")
    assert (top.wait_for_end(), is_restored(top)) == (130, True)
    assert top.raw.rstrip().endswith(LEAVE)


def test_ctrl_z_gives_the_terminal_back_for_a_while(loaded: Service, terminal: Open) -> None:
    """It stops with the terminal restored, and goes on where it was."""
    top = terminal(loaded, *FAST)
    top.wait_for("1003  kv")
    top.type(b"\x1a")
    os.waitid(os.P_PID, top.process.pid, os.WSTOPPED)
    top.wait_for(lambda _: is_restored(top))
    drawn = top.raw.count(b"1003")
    top.process.send_signal(signal.SIGCONT)
    top.wait_for(lambda _: top.raw.count(b"1003") > drawn)
    assert top.settings != top.before
    top.type(b"q")
    assert (top.wait_for_end(), is_restored(top)) == (0, True)


def test_the_end_of_the_service_ends_it(own_service: Service, terminal: Open) -> None:
    """The sentence is on the restored screen; exit code 3."""
    top = terminal(own_service, *FAST)
    top.wait_for("nyx-plugins load BUNDLE")
    own_service.stop()
    assert (top.wait_for_end(), is_restored(top)) == (3, True)
    assert b"Error: the plugin system has stopped" in top.raw.rsplit(LEAVE, 1)[1]


@pytest.mark.parametrize("arguments", [("top", "--interval", "0.2"), ("top", "--once", "--interval", "0.2")])
def test_what_is_no_terminal_gets_one_table(arguments: tuple[str, ...], loaded: Service) -> None:
    """All columns and rows are printed, without a control character, and the command ends."""
    found = loaded.run(*arguments)
    assert (found.returncode, found.stderr) == (0, "")
    assert "restarts" in found.stdout and "1002  echo" in found.stdout and "\x1b" not in found.stdout


def test_once_on_a_terminal_stays_on_the_screen(loaded: Service, terminal: Open) -> None:
    """The table is as wide as the terminal, and is not on another screen."""
    top = terminal(loaded, "top", "--once", "--interval", "0.2", columns=60)
    assert top.wait_for_end() == 0
    assert "1002  echo" in top.text and "failed" not in top.text and LEAVE not in top.raw


def test_programs_get_one_object(loaded: Service) -> None:
    """``--json`` prints one look, with rates."""
    found = loaded.run("top", "--json", "--interval", "0.2")
    assert (found.returncode, found.stderr) == (0, "")
    echo, _ = json.loads(found.stdout)["plugins"]
    assert (echo["name"], echo["stats"]["accepted"], echo["rates"]["accepted_per_s"]) == ("echo", 0, 0.0)


def test_without_a_service_there_is_one_sentence(loaded: Service, terminal: Open, tmp_path: Path) -> None:
    """The terminal is not touched."""
    top = terminal(loaded, "top", "--runtime-dir", str(tmp_path))
    assert top.wait_for_end() == 3
    assert "Error: no service is running in" in top.text and LEAVE not in top.raw
