"""`nyx-plugins check` tells everything of a plugin that does well."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import CHATTY, MANIFEST, TIMEOUT_S, Check, Invoke, results


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


def test_what_came_too_fast_is_told(bundle: Callable[..., Path], check: Check, invoke: Invoke) -> None:
    """Emitted frames that were lost are counted, not passed over; that is no fault."""
    code = CHATTY.replace("return frame.data", "for _ in range(3): self.ctx.emit(bytes(1 << 20))")
    folder = bundle(code, 'permissions = ["data_access"]\n')
    exit_code, found = check(folder, "--transport", "inline")
    assert (exit_code, found["lost"], found["faults"]) == (0, 1, [])
    assert [len(item["data_hex"]) for item in found["emitted"]] == [12, 2 << 20, 2 << 20]
    result = invoke("check", folder, "--transport", "inline")
    assert "  ... and 1 more lost: they came faster than they could be taken" in result.stdout
    assert "warning: emitted frames come faster than a program takes them" in result.stdout


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
    """A handler for which the manifest asks no permission is not called, and data for it are refused."""
    folder = bundle(manifest='permissions = ["control", "inter_plugin"]\n')
    assert results(check(folder, "--transport", "inline")[1]) == {"on_control": "no reply"}
    refused = invoke("check", folder, "--transport", "inline", "--control", "a", "--data", "b")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "'--data' has no use" in refused.stderr and "(control, inter_plugin)" in refused.stderr
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
