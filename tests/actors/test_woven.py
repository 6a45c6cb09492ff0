"""``Woven``: receipts for several plugins, in the order of the call that has mixed them."""

from __future__ import annotations

import threading

import pytest

from nyx_plugins import PluginHeader, Receipt
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.dispatched import Dispatched
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.series import Sendable
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.waiting import Waiter
from nyx_plugins.actors.woven import Woven
from nyx_plugins.plugins.errors import MailboxFull
from nyx_plugins.plugins.policy import Policy

DATA = 0x52
IDS = (7, 8, 9)
ROOM = 40


@pytest.fixture
def traffic() -> Traffic:
    """The traffic of a session with three plugins, which knows their frames, and has room for 40 each."""
    traffic = Traffic(1, FrameRules(max_header_bytes=1024), threading.Condition())
    traffic.outbox.dispatcher = "dispatcher"
    routes = [m.Route(number, "p", "1.0", "ready", frozenset({"data_access"}), Policy(), 64, 4096, 1) for number in IDS]
    traffic.note(m.RoutesChanged(1, tuple(routes), {}))
    for number in IDS:
        traffic.note(m.CreditGranted(number, ROOM + 1))
        traffic.offer(*frame(number, 0)[:2])
    return traffic


def frame(plugin_id: int, number: int) -> Sendable:
    """Make a frame."""
    return DATA, PluginHeader(plugin_id, 0, b"%03d" % number).encode(), None


def mixed(count: int) -> list[Sendable]:
    """Make frames for all plugins in turns, and for the first of them twice as many."""
    return [frame((*IDS, IDS[0])[number % 4], number) for number in range(count)]


def test_receipts_stand_in_the_order_of_the_call(traffic: Traffic) -> None:
    """From both ends, in slices and one after the other they are the same, and each is for its frame's plugin."""
    frames = mixed(64)
    [woven] = traffic.offer_many(frames)
    assert isinstance(woven, Woven)
    found = list(woven)
    assert [receipt.plugin_id for receipt in found] == [7, 8, 9, 7] * 16
    assert [receipt.seq for receipt in found if receipt.plugin_id == 7] == list(range(2, 34))
    assert [woven[place] for place in range(-64, 64)] == found * 2
    assert woven[5:50:3] == found[5:50:3]
    assert Dispatched([woven]) == found
    assert len(woven) == 64
    assert "plugin 8" in repr(woven)
    with pytest.raises(IndexError):
        woven[64]


def test_each_plugin_is_sent_its_own_in_order(traffic: Traffic) -> None:
    """What travels is one batch for each plugin, and an outcome arrives on the receipt of its frame."""
    traffic.outbox.next()
    frames = mixed(64)
    [woven] = traffic.offer_many(frames)
    assert isinstance(woven, Woven)
    work = traffic.outbox.next()
    assert work is not None
    for batch in work[1].batches:
        of_plugin = [
            raw for (_, raw, _), receipt in zip(frames, woven, strict=True) if receipt.plugin_id == batch.plugin_id
        ]
        assert [header for _, _, header, _ in batch.frames] == of_plugin
    traffic.note(m.Settled(8, ((2, b"first"), (3, b"second"))))
    assert [receipt.outcome(0).reply for receipt in (woven[1], woven[5])] == [b"first", b"second"]
    assert not any(receipt.done for receipt in woven[6:])


def test_where_one_plugin_has_no_room_each_frame_has_its_place(traffic: Traffic) -> None:
    """What finds room has its receipt, and what does not is refused or waits, in the place of its frame."""
    refused = traffic.offer_many(mixed(100))
    assert [type(each) for each in refused].count(MailboxFull) == 10
    assert all(isinstance(each, Receipt) for each in refused[:80])
    assert [each.plugin_id for each in refused if isinstance(each, (Receipt, MailboxFull))] == [7, 8, 9, 7] * 25
    waiting = traffic.enter_many(mixed(60))
    assert [type(each) for each in waiting[:4]] == [Waiter, Receipt, Receipt, Waiter]
