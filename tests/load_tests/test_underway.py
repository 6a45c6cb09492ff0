"""The frames of a client that are under way."""

from __future__ import annotations

import threading
from unittest.mock import create_autospec

import attrs
import pytest

from nyx_plugins import DispatchTimeout, FateUnknown, MailboxFull, PluginSystem, Receipt, SystemStopped
from nyx_plugins.load_tests.arrivals import NS
from nyx_plugins.load_tests.pacing import Sender
from nyx_plugins.load_tests.phase import Phase
from nyx_plugins.load_tests.underway import Underway


def phase(mode: str, when_full: str = "refuse") -> Phase:
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
        when_full,
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


@pytest.mark.parametrize(
    ("when_full", "counts"),
    [("refuse", {"unfinished": 4, "refused": 1, "unsent": 2}), ("wait", {"unfinished": 2, "unsent": 5})],
)
def test_who_waits_is_not_refused(when_full: str, counts: dict[str, int]) -> None:
    """What has found no room when time is up was not sent; what was let in and is not done yet is unfinished."""
    changed = threading.Condition()
    receipts = [Receipt(7, number, 8, changed) for number in range(4)]
    for receipt in receipts[:2]:
        receipt.accepted = True
    underway = Underway(phase("open", when_full))
    underway.add([*receipts, DispatchTimeout(7, "room in the mailbox", 1.0)], [0] * 5, 0)
    assert underway.tally(2, 0.0, 0).counts == {**counts, "offered": 7}


def test_frames_are_lost_when_nobody_can_tell_what_became_of_them() -> None:
    """The last cause is told."""
    changed = threading.Condition()
    receipt = Receipt(7, 1, 8, changed)
    underway = Underway(phase("open"))
    underway.add([receipt], [0], 0)
    receipt._lose(FateUnknown(7, "the host has ended"))
    tally = underway.tally(0, 0.0, 0)
    assert (tally.counts["lost"], tally.counts["offered"]) == (1, 1)
    assert tally.loss.startswith("FateUnknown: ") and "the host has ended" in tally.loss


def test_a_system_that_stops_while_the_last_frames_are_awaited_is_told() -> None:
    """As one is that stops while frames are sent."""
    stopped = SystemStopped("the host has ended")
    system = create_autospec(PluginSystem, instance=True, stopped=stopped)
    over = attrs.evolve(phase("open"), end=1, drained=1)
    assert Sender(system, over, iter(())).run(threading.Event()).error == str(stopped)
