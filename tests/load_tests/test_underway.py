"""The frames of a client that are under way."""

from __future__ import annotations

import threading

import pytest

from nyx_plugins import MailboxFull, Receipt
from nyx_plugins.load_tests.arrivals import NS
from nyx_plugins.load_tests.phase import Phase
from nyx_plugins.load_tests.underway import Underway


def phase(mode: str) -> Phase:
    """Make up a phase of a client that sends lists of four frames to plugin 7."""
    plugins, groups, size = (7,), {7: "work"}, 8
    times = (0, 0, 10 * NS, 20 * NS, NS // 10)
    begin, measured, end, drained, interval = times
    return Phase(
        mode,
        "many",
        "constant",
        1.0,
        4,
        16,
        "refuse",
        plugins,
        groups,
        size,
        "",
        1000,
        "1",
        begin,
        measured,
        end,
        drained,
        interval,
        1000,
    )


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_only_what_found_no_room_is_refused(mode: str) -> None:
    """A client pauses after frames that were refused: nothing of a list that was taken whole is one."""
    changed = threading.Condition()
    taken = [Receipt(7, number, 8, changed) for number in range(4)]
    underway = Underway(phase(mode))
    assert underway.add(taken, [0] * 4, 0) == 0
    assert len(underway) == 4
    refused = MailboxFull(7, 4, 4)
    assert underway.add([Receipt(7, 5, 8, changed), refused, refused], [0] * 3, 0) == 2
    assert len(underway) == 5
