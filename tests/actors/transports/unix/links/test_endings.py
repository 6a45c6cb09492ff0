"""When one end of a connection goes, no message is gone in silence, and none comes twice."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nyx_plugins.actors.transports.unix import directory
from nyx_plugins.actors.transports.unix import retries as module
from nyx_plugins.actors.transports.unix.framing import HEADER, INTRODUCTION_BYTES
from nyx_plugins.actors.transports.unix.peer import Peer
from nyx_plugins.actors.transports.unix.tally import ACCEPTED, Tally, receive

if TYPE_CHECKING:
    from .conftest import Talk, Town

NewTalk = Callable[[], AbstractContextManager["Talk"]]
SIZES = st.sampled_from([0, 0, 50, 70_000, 300_000])
# What happens between two before one of them ends: a message either way, a turn of either, messages taken.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), SIZES),
        st.tuples(st.just("answer"), SIZES),
        st.tuples(st.just("poll sender"), st.just(0)),
        st.tuples(st.just("poll receiver"), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(STEPS, st.lists(SIZES, max_size=2))
def test_each_message_is_taken_or_lost_or_fails(
    new_talk: NewTalk, steps: list[tuple[str, int]], late: list[int]
) -> None:
    """However far two have come when one ends, each message for it was taken, or is lost, or fails, in order."""
    with new_talk() as talk:
        for step in steps:
            talk.step(*step)
        talk.end()
        for size in late:
            talk.send(size)
        talk.town.until(lambda: talk.sender.take() is not None and len(talk.outcome()) >= len(talk.sent))
        talk.town.turn()
        assert talk.outcome() == talk.sent
        assert talk.sender.told + talk.sender.failed == talk.sent
        assert not talk.sender.links.has_unsent()


@settings(max_examples=150)
@given(STEPS, st.lists(SIZES, max_size=2))
def test_a_successor_gets_what_was_not_taken(new_talk: NewTalk, steps: list[tuple[str, int]], late: list[int]) -> None:
    """Who listens at the path of one that has ended gets the messages that were not taken, once and in order."""
    with new_talk() as talk:
        for step in steps:
            talk.step(*step)
        successor = talk.succeed()
        for size in late:
            talk.send(size)

        def is_over() -> bool:
            talk.sender.take()
            successor.take()
            return len(talk.outcome(*successor.taken)) >= len(talk.sent)

        talk.town.until(is_over)
        talk.town.turn()
        successor.take()
        assert talk.receiver.taken + successor.taken == talk.sent
        assert talk.sender.told == talk.sent
        assert talk.sender.lost == talk.sender.failed == []


@settings(max_examples=150)
@given(STEPS)
def test_what_was_written_before_the_end_still_comes(new_talk: NewTalk, steps: list[tuple[str, int]]) -> None:
    """All that one has written before it ends reaches the other, in order; the rest was not sent, and it is told so."""
    with new_talk() as talk:
        for step in steps:
            talk.step(*step)
        ending = talk.receiver
        written = ending.told
        talk.end()
        talk.town.until(lambda: talk.sender.take() is not None and len(talk.sender.taken) >= len(written))
        talk.town.turn()
        talk.sender.take()
        assert talk.sender.taken == written
        assert written + ending.failed == list(range(talk.answers))


def test_what_was_taken_is_not_lost_when_the_sender_ends(talk: Talk) -> None:
    """A sender that ends counts as lost only what it has written and nobody has taken."""
    for _ in range(3):
        talk.send()
    talk.town.until(lambda: talk.receiver.links.incoming)
    assert talk.receiver.take(2) == talk.sent[:2]
    talk.sender.links.close()
    assert talk.sender.lost == talk.sent[2:]


def test_messages_of_one_that_has_ended_are_handed_out(talk: Talk) -> None:
    """What has come counts, although its sender has ended since."""
    for _ in range(3):
        talk.send()
    talk.sender.links.close()
    talk.town.until(lambda: len(talk.receiver.links.incoming) == 3)
    talk.town.turn()
    assert talk.receiver.take() == talk.sent


def test_half_a_message_of_one_that_has_ended_is_none(town: Town) -> None:
    """A message that has not come whole is not handed out."""
    receiver = town.member("receiver")
    peer, _ = town.enter(receiver, town.path / "peer")
    peer.sendall(HEADER.pack(100) + b"." * 99)
    peer.close()
    for _ in range(3):
        town.turn()
    assert receiver.take() == []
    assert receiver.counts == {}


def test_a_broken_connection_is_made_again_with_what_waits(talk: Talk) -> None:
    """A sender that notices the end as it writes goes on with the successor, which can answer."""
    talk.send()
    talk.town.until(talk.receiver.take)
    successor = talk.succeed()
    for _ in range(5):
        talk.send(50_000)
    talk.town.until(lambda: successor.take() is not None and len(successor.taken) == 5)
    assert successor.taken == talk.sent[1:]
    successor.post(talk.sender, "answer")
    talk.town.until(talk.sender.take)
    assert talk.sender.taken == ["answer"]
    successor.links.close()
    talk.town.turn()
    talk.send()
    assert talk.sender.failed == talk.sent[-1:]


def test_a_full_connection_is_made_again_with_what_waits(talk: Talk) -> None:
    """A sender that waits for room when its peer ends goes on with the successor, however much there is."""
    for _ in range(20):
        talk.send(100_000)
    assert len(talk.sender.told) < 20
    successor = talk.succeed()
    talk.town.until(lambda: successor.take() is not None and len(successor.taken) == 20)
    assert successor.taken == talk.sent
    assert talk.sender.told == talk.sent


def test_each_sender_is_told_once_although_the_end_comes_in_between(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was written and taken before a write fails was sent, and its sender is told so."""

    def end_after_the_first(peer: Peer, sock: socket.socket) -> int:
        calls.append(peer)
        if len(calls) == 2:
            for _ in range(10):
                talk.receiver.links.poll(0.0)
                talk.receiver.take()
            talk.end()
        return write_some(peer, sock)

    for _ in range(20):
        talk.send(50_000)
    told, calls, write_some = len(talk.sender.told), [], Peer._write_some
    talk.town.until(lambda: talk.receiver.links.incoming)
    monkeypatch.setattr(Peer, "_write_some", end_after_the_first)
    talk.town.until(lambda: len(talk.outcome()) >= len(talk.sent))
    assert len(talk.receiver.taken) > told
    assert talk.outcome() == talk.sent
    assert talk.sender.told + talk.sender.failed == talk.sent


def test_a_member_that_ends_each_connection_is_given_up(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that listens, but takes nothing and ends each connection, gets only so much time."""
    monkeypatch.setattr(module, "GIVE_UP_S", 0.02)
    sender, listener = town.member("sender"), town.listen("peer")
    listener.setblocking(False)
    sender.post(town.path / "peer", "first")
    assert sender.told == ["first"]
    connections = 0

    def is_given_up() -> bool:
        nonlocal connections
        try:
            listener.accept()[0].close()
            connections += 1
        except BlockingIOError:
            pass
        return bool(sender.lost)

    town.until(is_given_up)
    assert sender.lost == ["first"]
    assert connections > 1


def test_who_is_refused_by_a_peer_does_not_try_again(town: Town) -> None:
    """A peer that says that it wants nothing of us gets nothing more, and the key is read anew."""
    sender, listener = town.member("sender"), town.listen("peer")
    directory.publish_key(str(town.path))
    directory.remember_key(str(town.path), bytes(32))
    for number in range(2):
        sender.post(town.path / "peer", number)
    with town.accept(listener) as accepted:
        data, page = receive(accepted, INTRODUCTION_BYTES)
        assert data == town.introduction(sender.path, bytes(32)) and page is not None
        Tally(page, ACCEPTED).refuse()
        os.close(page)
    town.until(lambda: len(sender.lost) == 2)
    assert (sender.lost, sender.failed) == ([0, 1], [])
    assert sender.counts == {"refused by a peer": 1}
    assert directory.key(str(town.path)) == town.key
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_refusal_does_not_cost_the_key_of_a_system(town: Town) -> None:
    """Where the key is in no file, somebody who refuses us does not keep us from talking with everybody else."""
    sender, receiver, listener = town.member("sender"), town.member("receiver"), town.listen("peer")
    sender.post(town.path / "peer", "refused")
    with town.accept(listener) as accepted:
        _, page = receive(accepted, INTRODUCTION_BYTES)
        assert page is not None
        Tally(page, ACCEPTED).refuse()
        os.close(page)
    town.until(lambda: sender.lost == ["refused"])
    assert directory.key(str(town.path)) == town.key
    receiver.post(sender, "hello")
    town.until(sender.take)


def test_a_connection_that_fails_early_is_made_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is ended before it is introduced does not mean that nobody listens."""

    def fail_once(*arguments: Any) -> int:
        monkeypatch.undo()
        raise BrokenPipeError(errno.EPIPE, "it has closed its end")

    sender, receiver = town.member("sender"), town.member("receiver")
    monkeypatch.setattr(socket, "send_fds", fail_once)
    sender.post(receiver, "message")
    town.until(lambda: receiver.take() or sender.failed)
    assert (receiver.taken, sender.failed) == (["message"], [])
