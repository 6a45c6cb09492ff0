"""How a program shows the log."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator

import pytest

from nyx_plugins.actors.log_lines import HostLine, write_host_line, write_plugin_lines
from nyx_plugins.config.settings import LogFormat, LoggingSettings, LogLevel
from nyx_plugins.service import logs
from nyx_plugins.service.logs import configure, unconfigure

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Leave logging as it was, which the test itself checks for the levels."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    yield
    unconfigure()
    assert (root.level, root.handlers) == before


def test_text_has_time_level_logger_and_culprit() -> None:
    """Times are UTC as in ISO 8601; further lines are indented, so that no plugin can forge a line of another."""
    stream = io.StringIO()
    configure(LoggingSettings(), stream)
    write_plugin_lines(7, "echo", [(30, "one\n2026-01-01T00:00:00.000Z ERROR nyx_plugins: forged\x1b")], 0)
    write_host_line(HostLine("gone", 40, 4711))
    logging.getLogger("nyx_plugins").info("up\r%d", 1)
    lines = [re.sub(f"^{TIME}", "TIME", line) for line in stream.getvalue().splitlines()]
    assert lines == [
        "TIME WARNING nyx_plugins.plugin.echo [plugin 7]: one",
        "    2026-01-01T00:00:00.000Z ERROR nyx_plugins: forged\\x1b",
        "TIME ERROR nyx_plugins.host [pid 4711]: gone",
        "TIME INFO nyx_plugins: up\\r1",
    ]


def test_a_traceback_stays_readable() -> None:
    """Each of its lines is one, below the message."""
    stream = io.StringIO()
    configure(LoggingSettings(), stream)
    try:
        raise ValueError("odd\x1b")
    except ValueError:
        logging.getLogger("nyx_plugins").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR nyx_plugins: failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: odd\\x1b"


def test_json_is_one_object_a_line() -> None:
    """With the same fields, and what else a record holds."""
    stream = io.StringIO()
    configure(LoggingSettings(format="json"), stream)
    write_plugin_lines(7, "echo", [(30, "one\ntwo")], 0)
    write_host_line(HostLine("gone", 40, 4711))
    write_host_line(HostLine("printed"))
    logging.getLogger("nyx_plugins").info("up", extra={"url": "http://x"})
    plugin, host, printed, own = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert re.fullmatch(TIME, plugin.pop("time"))
    assert plugin == {
        "level": "warning",
        "logger": "nyx_plugins.plugin.echo",
        "message": "one\ntwo",
        "plugin_id": 7,
        "plugin": "echo",
    }
    assert (host["logger"], host["level"], host["pid"]) == ("nyx_plugins.host", "error", 4711)
    assert "pid" not in printed
    assert (own["url"], own["pid"]) == ("http://x", os.getpid())


def test_an_exception_is_a_field_in_json() -> None:
    """It does not break the line."""
    stream = io.StringIO()
    configure(LoggingSettings(format="json"), stream)
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("nyx_plugins").exception("failed")
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["exc_info"].endswith("ValueError: odd")


def test_levels_are_by_logger() -> None:
    """A logger's level holds for all below it; the common one for all others."""
    stream = io.StringIO()
    levels: dict[str, LogLevel] = {"nyx_plugins.plugin": "debug", "nyx_plugins.plugin.b": "error"}
    configure(LoggingSettings(level="warning", levels=levels), stream)
    for name in ("a", "b"):
        write_plugin_lines(7, name, [(10, f"{name} debug"), (40, f"{name} error")], 0)
    logging.getLogger("nyx_plugins").info("info")
    logging.getLogger("other").warning("warning")
    assert [line.rpartition(": ")[2] for line in stream.getvalue().splitlines()] == [
        "a debug",
        "a error",
        "b error",
        "warning",
    ]


def test_settings_can_be_applied_again() -> None:
    """The new ones replace the old ones, nothing is said twice, and loggers not named any more are as before."""
    first, second = io.StringIO(), io.StringIO()
    configure(LoggingSettings(level="error", levels={"nyx_plugins.host": "critical"}), first)
    configure(LoggingSettings(format="json"), second)
    configure(LoggingSettings(format="json", levels={"root": "debug"}), second)
    write_host_line(HostLine("gone", 20))
    assert first.getvalue() == ""
    assert [json.loads(line)["message"] for line in second.getvalue().splitlines()] == ["gone"]
    unconfigure()
    assert logging.getLogger("nyx_plugins.host").level == logging.NOTSET
    write_host_line(HostLine("later", 20))
    assert "later" not in second.getvalue()


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """As it is when the log is configured."""
    configure(LoggingSettings())
    write_host_line(HostLine("gone"))
    assert capsys.readouterr().err.endswith(" nyx_plugins.host: gone\n")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_stream_that_has_gone_is_no_error(
    is_there: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a closed one nor, for a daemon, none at all; whoever logs goes on, and nothing is printed elsewhere."""
    stream = io.StringIO()
    if not is_there:
        monkeypatch.setattr(sys, "stderr", None)
    configure(LoggingSettings(), stream if is_there else None)
    stream.close()
    write_host_line(HostLine("gone"))
    assert capsys.readouterr().err == ""
    after = io.StringIO()
    configure(LoggingSettings(), after)
    write_host_line(HostLine("back"))
    assert after.getvalue().endswith("back\n")


def test_a_stream_that_knows_few_characters_gets_escapes() -> None:
    """No line is lost in a terminal of the C locale."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    configure(LoggingSettings(), stream)
    write_host_line(HostLine("grüße"))
    stream.flush()
    assert raw.getvalue().endswith(b"gr\\xfc\\xdfe\n")


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_stream_that_stands_still_holds_up_nobody(format: LogFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are dropped and counted while nobody reads, and come again once somebody does; what arrives is whole."""
    monkeypatch.setattr(logs, "PATIENCE_S", 0.01)
    reading, writing = os.pipe()
    with open(writing, "w") as stream:
        configure(LoggingSettings(format=format), stream)
        for _ in range(1000):
            write_host_line(HostLine("x" * 500))
        text = os.read(reading, 1 << 20)
        write_host_line(HostLine("again"))
        write_host_line(HostLine("last"))
        unconfigure()
    lines = (text + os.read(reading, 1 << 20)).decode().splitlines()
    os.close(reading)
    whole = [line for line in lines if "x" * 500 in line]
    assert f"{1000 - len(whole):,} lines dropped: nobody took them" in lines[-3]
    assert "again" in lines[-2]
    assert "last" in lines[-1]
    assert len(lines) - len(whole) <= 4


def test_a_line_that_was_cut_off_does_not_swallow_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long one may find room for its beginning only."""
    monkeypatch.setattr(logs, "PATIENCE_S", 0.01)
    reading, writing = os.pipe()
    with open(writing, "w") as stream:
        configure(LoggingSettings(), stream)
        write_host_line(HostLine("x" * 200_000))
        text = os.read(reading, 1 << 20)
        write_host_line(HostLine("next"))
        unconfigure()
    lines = (text + os.read(reading, 1 << 20)).decode().splitlines()
    os.close(reading)
    assert [line[-4:] for line in lines] == ["xxxx", "them", "next"]
