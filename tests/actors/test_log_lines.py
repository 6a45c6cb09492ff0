"""Log lines as they come to the application."""

from __future__ import annotations

import logging

import pytest

from nyx_plugins.actors.log_lines import HostLine, printable, write_host_line, write_plugin_lines


def test_what_a_terminal_might_obey_is_escaped() -> None:
    """Line ends and tabs stay, since a traceback needs them; letters of all scripts stay too."""
    assert printable("a\tb\nc") == "a\tb\nc"
    assert printable("grüße 你好") == "grüße 你好"
    assert printable("\x1b[31m\r\x07\x9b\u202e\ud800") == r"\x1b[31m\r\x07\x9b\u202e\ud800"


def test_a_plugins_lines_come_under_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """With its id and its name on each record; percent signs are only text."""
    with caplog.at_level(logging.DEBUG, "nyx_plugins"):
        write_plugin_lines(7, "echo", [(10, "100 %s"), (40, "two\nlines\x1b")], 3)
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("nyx_plugins.plugin.echo", "WARNING", "3 log lines dropped: they came faster than they were taken"),
        ("nyx_plugins.plugin.echo", "DEBUG", "100 %s"),
        ("nyx_plugins.plugin.echo", "ERROR", "two\nlines\\x1b"),
    ]
    assert {(record.plugin_id, record.plugin) for record in caplog.records} == {(7, "echo")}


def test_lines_of_the_host_have_a_process_where_it_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """And a logger of their own."""
    write_host_line(HostLine("lost", 40, 4711))
    write_host_line(HostLine("printed"))
    first, second = caplog.records
    assert (first.name, first.levelno, first.pid) == ("nyx_plugins.host", 40, 4711)
    assert (second.levelname, hasattr(second, "pid")) == ("WARNING", False)


def test_what_a_handler_of_the_application_raises_ends_nothing() -> None:
    """The thread on which everything arrives goes on."""

    class Broken(logging.Handler):
        seen = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.seen += 1
            raise RuntimeError("broken")

    handler, logger = Broken(), logging.getLogger("nyx_plugins.plugin.echo")
    logger.addHandler(handler)
    try:
        write_plugin_lines(7, "echo", [(50, "one"), (50, "two")], 0)
    finally:
        logger.removeHandler(handler)
    assert handler.seen == 2
