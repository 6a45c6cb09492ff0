"""Dead letters from another terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from click.testing import Result

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors.dead_letters import FOLDER, Bounds, DeadLetters
from nyx_plugins.actors.letter_book import DeadFrame

Invoke = Callable[..., Result]
Answer = Callable[..., Any]
AT = 1_700_000_000.0
ECHO = 1002


@pytest.fixture
def letters(driven: PluginSystem, runtime_base: Path) -> PluginSystem:
    """Return a system in which plugin 1002, which is not loaded, has three dead letters."""
    [runtime] = runtime_base.iterdir()
    headers = [PluginHeader(ECHO, 0, data).encode() for data in (b"first\x1b[31m", cbor2.dumps([1, "two"]))]
    frames = [DeadFrame(0, index, 0x52, header, 1) for index, header in enumerate([*headers, b"no header"])]
    with DeadLetters(runtime / FOLDER, ECHO, Bounds(10, 10_000), incarnation=1) as kept:
        kept.add(frames[:2], "crash: worker exited with code 13", AT, "echo")
        kept.add(frames[2:], "unloaded", AT + 1, "echo")
    return driven


def test_without_any(driven: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """It says so, and programs get an empty array."""
    assert invoke("dead-letters", "list").stdout == "There are no dead letters.\n"
    assert answer("dead-letters", "list", "7") == []


def test_they_are_listed(letters: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """A table for people, and all fields for programs, of one plugin or of all, in parts."""
    result = invoke("dead-letters", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("1002", "echo", "2023-11-14 22:13:20 UTC", "0x52", "crash: worker exited with code 13", "unloaded"):
        assert part in result.stdout
    found = answer("dead-letters", "list", str(ECHO), "--after", "1", "--limit", "1")
    assert found == [
        {
            "plugin_id": ECHO,
            "letter_id": 2,
            "plugin": "echo",
            "frame_type": 0x52,
            "cause": "crash",
            "reason": "crash: worker exited with code 13",
            "at": AT,
            "deliveries": 1,
            "header_bytes": len(PluginHeader(ECHO, 0, cbor2.dumps([1, "two"])).encode()),
        }
    ]


def test_one_is_shown(letters: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """Its data is text, CBOR or digits; a header that can't be read is no data; no control character is printed."""
    said = invoke("dead-letters", "show", str(ECHO), "1").stdout
    assert "dead letter 1 of echo (1002)" in said and "deliveries  1" in said and "\x1b" not in said
    assert '[1, "two"]' in invoke("dead-letters", "show", str(ECHO), "2").stdout
    assert "the header can't be read" in invoke("dead-letters", "show", str(ECHO), "3").stdout
    shown = answer("dead-letters", "show", str(ECHO), "2")
    assert (shown["data_cbor"], shown["data_hex"], shown["cause"]) == ([1, "two"], "8201" + b"ctwo".hex(), "crash")
    unreadable = answer("dead-letters", "show", str(ECHO), "3")
    assert (unreadable["header_hex"], unreadable["data_hex"]) == (b"no header".hex(), None)


def test_some_are_redelivered(letters: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """What is accepted is gone; what stays says why, and gives the exit code."""
    letters.load("builtin:echo")
    result = answer("dead-letters", "redeliver", "echo", "2")
    assert result == {"plugin_id": ECHO, "accepted": [2], "left": [], "gone": []}
    said = invoke("dead-letters", "redeliver", "echo", "--all")
    assert said.stdout == "redelivered 1 dead letter of plugin 1002, 1 stays\n"
    assert said.exit_code == 2 and said.stderr.startswith("Error: malformed frame")
    left = answer("dead-letters", "redeliver", "echo", "--all", code=2)["left"]
    assert [(item["letter_id"], item["error"]["type"]) for item in left] == [(3, "FrameError")]
    assert letters.plugin_stats(ECHO).processed == 2


def test_some_are_dropped(letters: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """Those that are named, or all; one that is not there is an error, and none is dropped."""
    assert answer("dead-letters", "drop", str(ECHO), "2") == {"plugin_id": ECHO, "dropped": 1}
    result = invoke("dead-letters", "drop", str(ECHO), "1", "2")
    assert result.exit_code == 1
    assert "plugin 1002 has no dead letter 2" in result.stderr
    assert invoke("dead-letters", "drop", str(ECHO), "1").stdout == "dropped 1 dead letter of plugin 1002\n"
    assert invoke("dead-letters", "drop", str(ECHO), "--all").stdout == "dropped 1 dead letter of plugin 1002\n"


def test_the_name_of_one_that_is_not_loaded(letters: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """It is known as long as there are dead letters, and names the plugin that these were for."""
    assert [found["letter_id"] for found in answer("dead-letters", "list", "echo")] == [1, 2, 3]
    assert answer("dead-letters", "show", "echo", "1")["plugin"] == "echo"
    left = answer("dead-letters", "redeliver", "echo", "1", code=1)["left"]
    assert [item["error"]["type"] for item in left] == ["PluginNotRegistered"]
    assert answer("dead-letters", "drop", "echo", "--all") == {"plugin_id": ECHO, "dropped": 3}
    missing = invoke("dead-letters", "list", "echo")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr.startswith("Error: no plugin is called 'echo' ('nyx-plugins status' and 'nyx-plugins dead-")


def test_letters_of_several_plugins_under_one_id(
    letters: PluginSystem, runtime_base: Path, invoke: Invoke, answer: Answer
) -> None:
    """Who drops all of a name drops none of the other's; who drops all of an id drops all."""
    [runtime] = runtime_base.iterdir()
    frames = [DeadFrame(0, index, 0x52, b"header", 1) for index in range(3, 6)]
    with DeadLetters(runtime / FOLDER, ECHO, Bounds(10, 10_000), incarnation=1) as kept:
        kept.add(frames, "unloaded", AT, "parrot")
    assert answer("dead-letters", "drop", "parrot", "--all") == {"plugin_id": ECHO, "dropped": 3}
    assert [found["plugin"] for found in answer("dead-letters", "list")] == ["echo"] * 3
    with DeadLetters(runtime / FOLDER, ECHO + 1, Bounds(10, 10_000), incarnation=1) as kept:
        kept.add(frames, "unloaded", AT, "echo")
    several = invoke("dead-letters", "list", "echo")
    assert several.exit_code == 2
    assert several.stderr == "Error: 2 plugins are called 'echo': use one of the ids 1002, 1003\n"


@pytest.mark.parametrize("command", ["redeliver", "drop"])
def test_a_plugin_without_any_has_to_be_there(command: str, driven: PluginSystem, invoke: Invoke) -> None:
    """All of none is nothing where the plugin is registered, and a mistake where it is not."""
    missing = invoke("dead-letters", command, str(ECHO), "--all")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr.startswith("Error: plugin 1002 is not registered")
    driven.load("builtin:echo")
    found = invoke("dead-letters", command, "echo", "--all")
    assert (found.exit_code, f"0 dead letters of plugin {ECHO}" in found.stdout) == (0, True)


@pytest.mark.parametrize("command", ["redeliver", "drop"])
def test_which_ones_has_to_be_said(command: str, driven: PluginSystem, invoke: Invoke) -> None:
    """Neither numbers nor --all is a mistake, and so are both."""
    for arguments in ((), ("1", "--all")):
        result = invoke("dead-letters", command, "7", *arguments)
        assert (result.exit_code, "--all" in result.stderr) == (2, True)


def test_the_range_of_numbers_is_written_out(invoke: Invoke) -> None:
    """However many digits it takes."""
    result = invoke("dead-letters", "show", "1", "0")
    assert result.exit_code == 2 and "0 is not in the range 1 to 9,223,372,036,854,775,807" in result.stderr
