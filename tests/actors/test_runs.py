"""Frames that are let in together come to the same as frames that are let in one by one."""

from __future__ import annotations

import threading
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import PluginHeader
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.gate import Gate
from nyx_plugins.actors.messages import Extra
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.runs import Mixed, runs
from nyx_plugins.actors.series import Sendable, each, encoded, results
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.waiting import Waiter
from nyx_plugins.plugins.policy import Policy

DATA, CONTROL = 0x52, 0x53
ROUTE = m.Route(7, "p", "1.0", "ready", frozenset({"data_access", "control"}), Policy(), 8, 4096, 1)
OTHER = attrs.evolve(ROUTE, plugin_id=8, permissions=frozenset({"data_access"}))
RULES = FrameRules(max_header_bytes=1024)
KINDS = st.sampled_from([DATA, DATA, DATA, CONTROL, 0x55])
IDS = st.sampled_from([7, 7, 7, 8, 9])
DATA_OF_FRAMES = st.sampled_from([b"", b"a", b"b", bytes(200), bytes(900), bytes(2000)])
HEADERS = st.builds(PluginHeader, IDS, st.just(0), DATA_OF_FRAMES)
FRAMES = st.lists(
    st.tuples(
        KINDS,
        st.one_of(HEADERS, HEADERS.map(encoded), st.just(b"no header")),
        st.sampled_from([None, None, Extra(b"ikey")]),
    ),
    max_size=60,
)


class Ends:
    """A session's traffic, and what is said to it."""

    def __init__(self, in_runs: bool) -> None:
        self.traffic = Traffic(1, RULES, threading.Condition())
        self.traffic.outbox.dispatcher = "dispatcher"
        self.traffic.note(m.RoutesChanged(1, (ROUTE, OTHER), {}))
        for plugin_id in (7, 8):
            self.traffic.note(m.CreditGranted(plugin_id, 6))
        self.in_runs = in_runs

    def send(self, frames: list[Sendable], waits: bool) -> list[Any]:
        """Send frames, and say what came of each."""
        traffic = self.traffic
        if self.in_runs:
            entries = list(each((traffic.enter_many if waits else traffic.offer_many)(frames)))
        else:
            entries = results(traffic.enter if waits else traffic.offer, frames)
        return [_told(entry) for entry in entries]

    def sent(self) -> list[Any]:
        """Take all that is to be sent."""
        messages = []
        while (work := self.traffic.outbox.next()) is not None:
            messages.append(work[1])
        return messages


def _told(entry: object) -> object:
    match entry:
        case Receipt():
            return entry.plugin_id, entry.seq, entry.size, entry.agreement
        case Waiter():
            return entry.plugin_id, entry.frame_type, entry.header, entry.extra, entry.data_length, entry.done
    return type(entry), str(entry)


@given(st.lists(st.tuples(FRAMES, st.booleans(), st.integers(0, 6)), max_size=5))
def test_runs_come_to_what_single_frames_come_to(calls: list[tuple[list[Sendable], bool, int]]) -> None:
    """Receipts, waits and refusals in order, what is sent and what is counted, whatever room there is."""
    alone, together = Ends(in_runs=False), Ends(in_runs=True)
    for frames, waits, outcomes in calls:
        assert together.send(frames, waits) == alone.send(frames, waits)
        assert together.sent() == alone.sent()
        for ends in (alone, together):
            ends.traffic.note(m.Accepted(7, ((1, outcomes),)))
            ends.traffic.note(m.Settled(7, tuple((seq, None) for seq in range(outcomes))))
        assert together.sent() == alone.sent()
        assert together.traffic.outstanding() == alone.traffic.outstanding()


def test_runs_are_of_one_plugin_and_of_what_has_passed() -> None:
    """Types and lengths may differ, keys stay with their frames, and nothing goes past a frame that nobody knows."""
    gate, key = Gate({7: ROUTE, 8: OTHER}, RULES), Extra(b"ikey")
    short, long, other = (PluginHeader(*each) for each in ((7, 0, b"a"), (7, 0, b"long"), (8, 0, b"a")))
    for header in (short, long, other):
        gate.admit(DATA, header.encode())
    frames: list[Sendable] = [(DATA, header, None) for header in (short, short, other, long)]
    mixed, unknown, last = runs([*frames, (CONTROL, short, key), (DATA, short.encode(), key)], gate)
    assert isinstance(mixed, Mixed)
    first, second = mixed.runs
    assert (first.plugin_id, first.data_lengths) == (7, [1, 1, 4])
    assert list(first.frames(1)) == [(DATA, short.encode(), None), (DATA, long.encode(), None)]
    assert (second.plugin_id, second.types, second.headers) == (8, [DATA], [other.encode()])
    assert mixed.turns == [0, 0, 1, 0]
    assert unknown == (CONTROL, short.encode(), key)
    assert isinstance(last, Mixed)
    [run] = last.runs
    assert list(run.frames(0)) == [(DATA, short.encode(), key)]
