"""Frames from another terminal: dispatched and requested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from nyx_plugins import FrameTypeSettings, PluginSystem
from nyx_plugins.cli import sending
from nyx_plugins.cli.main import cli
from nyx_plugins.cli.sending import type_number

Invoke = Callable[..., Result]
Answer = Callable[..., Any]


def said(result: Result) -> tuple[int, str, str]:
    """What a command has done: exit code, standard output, standard error."""
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def echo(driven: PluginSystem) -> PluginSystem:
    """Return the driven system with the echo plugin, 1002."""
    driven.load("builtin:echo")
    return driven


# Requests.


def test_a_reply_is_printed(echo: PluginSystem, invoke: Invoke) -> None:
    """Text in, text out, by name or id."""
    assert said(invoke("request", "echo", "grüße")) == (0, "grüße\n", "")
    assert said(invoke("request", "1002", "--hex", "00 ff")) == (0, "00ff\n", "")
    assert said(invoke("request", "1002", "--cbor", '{"a": [1]}')) == (0, '{"a": [1]}\n', "")


def test_a_raw_reply_is_its_bytes(echo: PluginSystem) -> None:
    """Not one byte more, and standard input can be what is sent."""
    result = CliRunner().invoke(cli, ["request", "echo", "--file", "-", "--raw"], input=b"\x00\xff\r\n")
    assert (result.exit_code, result.stdout_bytes) == (0, b"\x00\xff\r\n")


def test_programs_get_every_reading_of_a_reply(echo: PluginSystem, answer: Answer) -> None:
    """Hexadecimal always, text and CBOR where it is that."""
    assert answer("request", "echo", "code") == {
        "plugin_id": 1002,
        "frame_type": 0x52,
        "reply_hex": "636f6465",
        "reply_text": "code",
        "reply_cbor": "ode",
    }
    assert answer("request", "echo", "--hex", "ff")["reply_text"] is None


def test_no_reply_is_told_from_an_empty_one(driven: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """People are told on standard error, programs by null."""
    driven.load("builtin:echo")
    driven.load("builtin:wordcount")
    assert said(invoke("request", "wordcount", "the")) == (0, "", "(no reply)\n")
    assert answer("request", "wordcount", "the")["reply_hex"] is None
    assert said(invoke("request", "echo")) == (0, "\n", "")
    assert answer("request", "echo")["reply_hex"] == ""


@pytest.mark.parametrize("kind", ["control", "0x53", "83"])
def test_a_frame_type_has_a_name_and_a_number(kind: str, driven: PluginSystem, invoke: Invoke) -> None:
    """All mean the same handler."""
    driven.load("builtin:wordcount")
    assert said(invoke("request", "wordcount", "top 1", "--type", kind)) == (0, "[]\n", "")


def test_a_handler_that_fails_is_one_sentence(driven: PluginSystem, invoke: Invoke) -> None:
    """Exit code 1, with what the plugin says."""
    driven.load("builtin:wordcount")
    result = invoke("request", "wordcount", "--hex", "ff")
    assert result.exit_code == 1
    assert result.stderr == "Error: plugin 1001 failed (failed): ValueError: data is not UTF-8 text: byte 0 is 0xff\n"


def test_a_late_reply_has_an_exit_code_of_its_own(echo: PluginSystem, invoke: Invoke) -> None:
    """4, when the plugin has not replied in time."""
    echo.pause(1002)
    result = invoke("request", "echo", "x", "--timeout", "0.01")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("Error: plugin 1002: ") and result.stderr.endswith("not within 0.01 s\n")


# Dispatch.


def test_a_frame_is_accepted(echo: PluginSystem, invoke: Invoke) -> None:
    """Without --wait that is all that is known; with it there are outcome and reply."""
    assert said(invoke("dispatch", "echo", "hello")) == (0, "accepted\n", "")
    assert said(invoke("dispatch", "echo", "hello", "--wait")) == (0, "processed: hello\n", "")


def test_a_frame_that_fails_ends_with_exit_code_1(driven: PluginSystem, invoke: Invoke) -> None:
    """The outcome is told, with what the plugin says, in one line."""
    driven.load("builtin:wordcount")
    result = invoke("dispatch", "wordcount", "--hex", "ff", "--wait")
    assert said(result) == (1, "failed: ValueError: data is not UTF-8 text: byte 0 is 0xff\n", "")
    assert said(invoke("dispatch", "wordcount", "x", "--wait")) == (0, "processed, without a reply\n", "")


@pytest.mark.parametrize("count", [2, sending.CHUNK_FRAMES, sending.CHUNK_FRAMES * 2 + 1])
def test_many_frames_are_counted(count: int, echo: PluginSystem, invoke: Invoke) -> None:
    """Any number is sent, and has its outcomes."""
    result = invoke("dispatch", "echo", "hello", "--count", count, "--wait")
    assert said(result) == (0, f"{count:,} frames for plugin 1002: {count:,} accepted, {count:,} processed\n", "")
    assert echo.plugin_stats(1002).processed == count


def test_no_more_receipts_are_held_than_allowed(
    echo: PluginSystem, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    """What is sent does not grow the command."""
    monkeypatch.setattr(sending, "MAX_OPEN", 10)
    assert invoke("dispatch", "echo", "--count", "1000", "--wait").exit_code == 0


def test_programs_are_told_what_became_of_frames(driven: PluginSystem, answer: Answer) -> None:
    """Counts, the last outcome, and the first error."""
    driven.load("builtin:wordcount")
    assert answer("dispatch", "wordcount", "--hex", "ff", "--count", "3", "--wait", code=1) == {
        "plugin_id": 1001,
        "frame_type": 0x52,
        "accepted": 3,
        "refused": {},
        "unknown": 0,
        "outcomes": {"processed": 0, "failed": 3, "dead_lettered": 0},
        "last_outcome": {
            "kind": "failed",
            "reason": "ValueError: data is not UTF-8 text: byte 0 is 0xff",
            "reply_lost": False,
            "reply_hex": None,
            "reply_text": None,
            "reply_cbor": None,
        },
        "error": None,
    }
    sent = answer("dispatch", "wordcount", "the")
    assert (sent["accepted"], sent["outcomes"], sent["last_outcome"]) == (1, None, None)


def test_refusals_are_counted_by_cause(echo: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """The first one is told, and gives the exit code."""
    echo.revoke(1002, "control")
    text = "plugin 1002 has no permission 'control', which frame type 0x53 needs"
    refused = answer("dispatch", "echo", "--type", "control", "--count", "3", code=1)
    assert (refused["accepted"], refused["refused"]) == (0, {"PermissionDenied": 3})
    assert refused["error"] == {"type": "PermissionDenied", "text": text}
    assert said(invoke("dispatch", "echo", "--type", "control")) == (1, "", f"Error: {text}\n")
    assert said(invoke("dispatch", "echo", "--type", "control", "--count", "2")) == (
        1,
        "2 frames for plugin 1002: 0 accepted, 2 refused\n",
        f"Error: {text}\n",
    )


def test_what_is_not_done_in_time_is_told(echo: PluginSystem, invoke: Invoke) -> None:
    """A mailbox that stays full ends it, with the time that was given."""
    echo.pause(1002)
    result = invoke("dispatch", "echo", "--count", "5000", "--timeout", "0.05")
    assert result.exit_code == 4
    assert result.stdout.startswith("5,000 frames for plugin 1002: 100 accepted, ")
    assert result.stderr.endswith("not within 0.05 s\n") and result.stderr.count("\n") == 1
    result = invoke("dispatch", "echo", "--wait", "--timeout", "0")
    assert result.exit_code == 4


def test_a_frame_for_nobody_is_one_sentence(driven: PluginSystem, invoke: Invoke) -> None:
    """The CLOSE that is owed is in it when the frame was REQUIRED."""
    assert said(invoke("dispatch", "9")) == (1, "", "Error: plugin 9 is not registered\n")
    assert "CLOSE 000700000009" in invoke("dispatch", "9", "--flags", "0x01").stderr
    assert "no plugin is called 'x'" in invoke("dispatch", "x").stderr


def test_a_frame_that_is_too_large_is_refused(echo: PluginSystem, invoke: Invoke, tmp_path: Path) -> None:
    """The limit is in the sentence; exit code 2."""
    (tmp_path / "large").write_bytes(bytes(100_000))
    result = invoke("request", "echo", "--file", tmp_path / "large")
    assert result.exit_code == 2
    assert "65536" in result.stderr.replace(",", "") and result.stderr.count("\n") == 1


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("dispatch", "missing argument 'PLUGIN'"),
        ("request", "missing argument 'PLUGIN'"),
        ("dispatch 1 a b", "got unexpected extra argument (b)"),
        ("dispatch 1 --type Data", "'Data' is not handshake, data, control, error or a number"),
        ("dispatch 1 --type 256", "'256' is not handshake"),
        ("dispatch 1 --type 0xfff", "'0xfff' is not handshake"),
        ("dispatch 1 --flags -1", "'-1' is not a number from 0 to 255"),
        ("dispatch 1 --count 0", "0 is not in the range 1 to 1,000,000,000"),
        ("dispatch 1 zz --hex", "pairs of hexadecimal digits"),
        ("request 1 { --cbor", "DATA must be JSON"),
        ("request 1 x --file y", "DATA and '--file' exclude each other"),
        ("dispatch 1 --count 1e5", "'1e5' is no whole number, such as 1000"),
        ('request 1 {"a":1e999} --cbor', "with '--cbor': the number 1e999 is too large"),
        (f"request 1 {'9' * 5000} --cbor", "with '--cbor': a number of 5,000 digits is too large"),
        (f"request 1 {'[' * 100_000} --cbor", "with '--cbor': this JSON is nested too deeply"),
        ("request 1 --timeout x", "'x' is no number of seconds"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: str, expected: str, invoke: Invoke) -> None:
    """The sentence names the mistake and the command's help, before any service is looked for; exit code 2."""
    result = invoke(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr and result.stderr.count("\n") == 1
    assert result.stderr.endswith(f"; try 'nyx-plugins {arguments.split()[0]} --help'\n")


def test_raw_and_json_exclude_each_other(invoke: Invoke) -> None:
    """Only one of them can be what is printed."""
    result = invoke("request", "1", "--raw", "--json")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "'--raw' and '--json' exclude each other" in result.stderr


def test_types_and_plugins_that_do_not_fit_are_refused_by_the_system(echo: PluginSystem, invoke: Invoke) -> None:
    """A number that is no plugin frame is sent, to see what the system says."""
    result = invoke("dispatch", "echo", "--type", "0x60")
    assert said(result) == (
        2,
        "",
        "Error: frame type 0x60 is not a plugin frame: expected 0x51 to 0x54, or one that the configuration names\n",
    )


def test_a_frame_type_of_the_service_is_known_by_its_name(
    driven: PluginSystem, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service's configuration does not name is a mistake, which says what there is."""
    own = {"telemetry": FrameTypeSettings(0x55, "data_access")}
    monkeypatch.setattr(driven, "_settings", attrs.evolve(driven.settings, frame_types=own))
    result = invoke("dispatch", "1", "--type", "telemetri")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no frame type 'telemetri': expected one of handshake, data, control, error, telemetry," in result.stderr
    assert type_number(driven, "telemetry") == 0x55


def test_json_of_frames_is_json(echo: PluginSystem, invoke: Invoke) -> None:
    """Numbers that JSON does not know are texts."""
    reply = invoke("request", "echo", "--hex", "f97e00", "--json")
    assert json.loads(reply.stdout)["reply_cbor"] == "nan"
