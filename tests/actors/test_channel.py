"""A session's side of one plugin, with nothing started."""

from __future__ import annotations

import threading

import attrs
import pytest

from nyx_plugins.actors.channel import Channel
from nyx_plugins.actors.messages import Extra, Route
from nyx_plugins.plugins.errors import MailboxFull, PermissionDenied
from nyx_plugins.plugins.policy import Policy

ROUTE = Route(7, "p", "1.0", "ready", frozenset(), Policy(), 4, 1 << 20, 1)
CHANGED = threading.Condition()


@pytest.fixture
def channel() -> Channel:
    """Return an open channel that holds the whole capacity of four frames."""
    channel = Channel(7, 65_536)
    channel.open(ROUTE)
    channel.grant(4)
    return channel


def test_frames_are_numbered_and_taken_in_order(channel: Channel) -> None:
    """A batch holds the oldest frames that were not sent yet, under the route's epoch."""
    for data in (b"a", b"b", b"c"):
        channel.offer(0x52, data, CHANGED)
    assert channel.take(2).frames == ((1, 0x52, b"a", 0), (2, 0x52, b"b", 0))
    last = channel.take(2)
    assert (last.epoch, last.frames) == (1, ((3, 0x52, b"c", 0),))
    assert channel.unsent_count == 0


def test_a_full_mailbox_is_refused_with_depth_and_capacity_until_an_outcome_comes(channel: Channel) -> None:
    """Credit returns with outcomes, not with acceptance."""
    for _ in range(4):
        channel.offer(0x52, b"", CHANGED)
    channel.take(4)
    assert channel.accept([(1, 4)]) == 4
    with pytest.raises(MailboxFull) as full:
        channel.offer(0x52, b"", CHANGED)
    assert (full.value.depth, full.value.capacity, full.value.unit) == (4, 4, "frames")
    channel.settle([(1, None)])
    assert channel.offer(0x52, b"", CHANGED).seq == 5


def test_bytes_are_bounded_too() -> None:
    """A lease's share of the mailbox's bytes is used up by large frames, and the error says so."""
    channel = Channel(7, 4096)
    channel.open(attrs.evolve(ROUTE, capacity_bytes=8192))
    channel.grant(4)
    channel.offer(0x52, bytes(4096), CHANGED)
    channel.offer(0x52, bytes(4096), CHANGED)
    with pytest.raises(MailboxFull) as full:
        channel.offer(0x52, bytes(4096), CHANGED)
    assert (full.value.depth, full.value.capacity, full.value.unit) == (8192, 8192, "bytes")


def test_a_new_epoch_sends_again_what_was_not_accepted_and_nothing_else(channel: Channel) -> None:
    """Frames that a dead plugin actor may have lost are sent again, in order, with their old numbers."""
    for data in (b"a", b"b", b"c"):
        channel.offer(0x52, data, CHANGED)
    channel.take(3)
    channel.accept([(1, 1)])
    channel.open(attrs.evolve(ROUTE, epoch=2))
    again = channel.take(9)
    assert (again.epoch, [frame[0] for frame in again.frames]) == (2, [2, 3])


def test_frames_accepted_while_they_wait_to_be_sent_again_are_no_unsent_frames(channel: Channel) -> None:
    """A restarted actor may have told of them already when the plugin goes."""
    for data in (b"a", b"b", b"c"):
        channel.offer(0x52, data, CHANGED)
    channel.take(3)
    channel.open(attrs.evolve(ROUTE, epoch=2))
    channel.accept([(1, 1)])
    channel.settle([(2, None)])
    assert channel.close() == []
    assert [receipt.seq for receipt in channel.in_doubt()] == [1, 3]


def test_an_outcome_implies_acceptance_and_comes_once(channel: Channel) -> None:
    """An outcome that is told twice, as after a restart, is taken once."""
    receipt = channel.offer(0x52, b"", CHANGED)
    channel.take(1)
    assert channel.settle([(1, None)])[0] == [receipt]
    assert receipt.accepted and receipt.done
    assert channel.settle([(1, None)]) == ([], 0)
    assert channel.outstanding == channel.unaccepted == 0


def test_a_refusal_returns_the_credit(channel: Channel) -> None:
    """A frame that is refused on its way does not cost room."""
    receipt = channel.offer(0x52, b"", CHANGED)
    error = PermissionDenied(7, "data_access", 0x52)
    channel.refuse(receipt.seq, error)
    assert receipt.error is error and receipt.accepted is False
    for _ in range(4):
        channel.offer(0x52, b"", CHANGED)


def test_a_recalled_lease_is_given_back_now_and_with_outcomes(channel: Channel) -> None:
    """What is spent comes back when it is settled; the rest at once."""
    receipts = [channel.offer(0x52, b"", CHANGED) for _ in range(3)]
    assert channel.recall(3) == 1
    assert [channel.settle([(receipt.seq, None)])[1] for receipt in receipts] == [1, 1, 0]
    assert channel.missing_credit() == 3


def test_a_plugin_that_goes_leaves_numbers_and_old_outcomes_in_order(channel: Channel) -> None:
    """Frames never sent are handed back; a later plugin of the same id starts with its own credit and new numbers."""
    sent = channel.offer(0x52, b"sent", CHANGED)
    channel.take(1)
    unsent = channel.offer(0x52, b"unsent", CHANGED)
    assert (channel.close(), channel.in_doubt(), channel.in_doubt(0)) == ([unsent], [sent], [])
    channel.open(attrs.evolve(ROUTE, epoch=2))
    channel.rejoin()
    assert channel.unsent_count == 0
    channel.grant(4)
    assert channel.settle([(sent.seq, None)]) == ([sent], 0)
    assert [channel.offer(0x52, b"", CHANGED).seq for _ in range(4)] == [3, 4, 5, 6]
    with pytest.raises(MailboxFull):
        channel.offer(0x52, b"", CHANGED)


def test_what_else_there_is_to_a_frame_travels_with_it(channel: Channel) -> None:
    """Also when it is sent again, until it is accepted; nobody pays for it where there is nothing."""
    extra = Extra(77, 5)
    channel.offer(0x52, b"a", CHANGED)
    channel.offer(0x52, b"b", CHANGED, extra)
    assert channel.take(1).extras == {}
    assert channel.take(1).extras == {2: extra}
    channel.open(attrs.evolve(ROUTE, epoch=2))
    assert channel.take(9).extras == {2: extra}
    channel.accept([(1, 2)])
    channel.open(attrs.evolve(ROUTE, epoch=3))
    assert channel.take(9).extras == {}
