"""What a run shows while it is under way."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nyx_plugins.load_tests.progress import Bar, Lines, display
from nyx_plugins.load_tests.scene import Show, Silence


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_shows_what_it_does(terminal: bool) -> None:
    """Notes stay in both; a bar shows how fast frames are processed as well."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=100)
    with Bar(console) if terminal else Lines(console) as shown:
        shown.note("stall: round 1 of 1, open [loop]")
        shown.phase("sending", 60.0)
        shown.look(1234.6, 17)
    assert "open [loop]" in written.getvalue() and "sending" in written.getvalue()
    assert ("1,235 frames/s, 17 in mailboxes" in written.getvalue()) == terminal


def test_without_a_terminal_there_are_lines() -> None:
    """Nor is there a bar where none is wanted; and a program that asks for nothing sees nothing."""
    assert isinstance(display(wanted=False), Lines)
    silent: Show = Silence()
    silent.phase("sending")
    silent.note("a note")
    silent.look(1.0, 1)
