"""What a session has to send."""

from __future__ import annotations

import threading

import pytest

from nyx_plugins.actors import outbox as module
from nyx_plugins.actors.channel import Channel
from nyx_plugins.actors.messages import Route, Submit
from nyx_plugins.actors.outbox import Outbox
from nyx_plugins.plugins.errors import PluginNotRegistered, SandboxViolation
from nyx_plugins.plugins.policy import Policy

CHANGED = threading.Condition()


def opened(plugin_id: int) -> Channel:
    """Make a channel with room for 5,000 frames."""
    channel = Channel(plugin_id, 65_536)
    channel.open(Route(plugin_id, "p", "1.0", "ready", frozenset(), Policy(), 5000, 1 << 26, 1))
    channel.grant(5000)
    return channel


@pytest.fixture
def channel() -> Channel:
    """Return an open channel with room for 5,000 frames."""
    return opened(7)


@pytest.fixture
def outbox(channel: Channel) -> Outbox:
    """Return an outbox that knows the dispatcher."""
    outbox = Outbox(1, {7: channel})
    outbox.dispatcher = "dispatcher"
    return outbox


def _offer(outbox: Outbox, channel: Channel, count: int) -> None:
    for _ in range(count):
        channel.offer(0x52, b"", CHANGED)
    outbox.note_frames(channel)


def _sizes(outbox: Outbox) -> list[int]:
    sizes = []
    while (work := outbox.next()) is not None:
        assert isinstance(work[1], Submit)
        sizes.append(sum(len(batch.frames) for batch in work[1].batches))
    return sizes


def test_frames_ride_together_up_to_a_limit(outbox: Outbox, channel: Channel) -> None:
    """A stream travels in messages of full size, and a lone frame at once."""
    _offer(outbox, channel, 2500)
    assert _sizes(outbox) == [1024, 1024, 452]
    _offer(outbox, channel, 1)
    assert _sizes(outbox) == [1]


def test_the_window_closes_until_frames_are_accepted(
    outbox: Outbox, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the window is under way without having been accepted; a little room is not worth a message."""
    monkeypatch.setattr(module, "SEND_WINDOW", 1500)
    _offer(outbox, channel, 2000)
    assert _sizes(outbox) == [1024, 476]
    channel.accept([(1, 200)])
    assert _sizes(outbox) == []
    channel.accept([(201, 400)])
    assert _sizes(outbox) == [400]


def test_a_question_goes_after_what_came_before_it(outbox: Outbox, channel: Channel) -> None:
    """Frames and refusals that were there first are sent first."""
    _offer(outbox, channel, 1)
    outbox.refuse(PluginNotRegistered(9), 9)
    outbox.gather()
    outbox.command("dispatcher", "question")
    _offer(outbox, channel, 1)
    kinds = [type(work[1]).__name__ for work in iter(outbox.next, None)]
    assert kinds == ["Submit", "str", "Submit"]


def test_nothing_but_commands_goes_before_the_dispatcher_is_known(channel: Channel) -> None:
    """The introduction itself is a command; frames wait for its answer."""
    outbox = Outbox(1, {7: channel})
    outbox.command("supervisor", "attach")
    _offer(outbox, channel, 1)
    assert outbox.next() == ("supervisor", "attach")
    assert outbox.next() is None


def test_refusals_are_counted_by_kind_and_their_kinds_are_bounded(outbox: Outbox) -> None:
    """A flood of refused frames makes one small message, whatever they asked for."""
    for number in range(1000):
        outbox.refuse(PluginNotRegistered(number), number)
    for number in range(2 * module.MAX_REFUSAL_KINDS):
        outbox.refuse(SandboxViolation(7, f"SBX:OPEN /{number}", "no"), 7)
    work = outbox.next()
    assert work is not None
    refusals = work[1].refusals
    assert len(refusals) <= module.MAX_REFUSAL_KINDS + 1
    assert sum(refusal.count for refusal in refusals) == 1000 + 2 * module.MAX_REFUSAL_KINDS
    assert refusals[0].count == 1000


def test_plugins_have_their_turns(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch for one plugin is as large as it may be; those that had to leave some behind are served last."""
    monkeypatch.setattr(module, "SEND_WINDOW", 1500)
    other = opened(8)
    outbox = Outbox(1, {7: channel, 8: other})
    outbox.dispatcher = "dispatcher"
    _offer(outbox, channel, 1100)
    _offer(outbox, other, 100)
    turns = []
    while (work := outbox.next()) is not None:
        assert isinstance(work[1], Submit)
        turns += [[(batch.plugin_id, len(batch.frames)) for batch in work[1].batches]]
    assert turns == [[(7, 1024), (8, 100)], [(7, 76)]]
