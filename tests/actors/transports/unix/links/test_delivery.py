"""Messages between links arrive in order and once, and their senders are told."""

from __future__ import annotations

import itertools
import os
import pickle
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thespian.system.transport import SendStatus

from nyx_plugins.actors.transports.unix import dialer as module
from nyx_plugins.actors.transports.unix.door import listen
from nyx_plugins.actors.transports.unix.framing import HEADER, INTRODUCTION_BYTES

if TYPE_CHECKING:
    from .conftest import Town

SIZES = [0, 1, 100, 70_000, 300_000]


def _receive_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, "the connection has ended"
        data += piece
    return data


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(SIZES), st.integers(0, 2))))
def test_everything_arrives_once_and_in_order(
    new_town: Callable[[], AbstractContextManager[Town]], steps: list[tuple[int, int, int, int]]
) -> None:
    """Whoever sends to whom, of whatever size, also at the same time: each gets what each other sent, in order."""
    with new_town() as town:
        members = [town.member(name) for name in "abc"]
        sent: dict[tuple[int, int], list[object]] = {way: [] for way in itertools.permutations(range(3), 2)}
        for number, (source, target, size, turns) in enumerate(steps):
            if source == target:
                members[source].take(1)
                continue
            message = (source, number, b"." * size)
            sent[source, target].append(message)
            members[source].post(members[target], message)
            for _ in range(turns):
                members[number % 3].links.poll(0.0)

        def has_arrived() -> bool:
            for member in members:
                member.take()
            return sum(len(member.taken) for member in members) >= sum(map(len, sent.values()))

        town.until(has_arrived)
        town.turn()
        for member in members:
            member.take()
        for (source, target), messages in sent.items():
            assert [message for message in members[target].taken if message[0] == source] == messages
        for index, member in enumerate(members):
            told = [message for (source, _), messages in sent.items() if source == index for message in messages]
            assert sorted(member.told) == sorted(told)
            assert (member.failed, member.lost, member.counts) == ([], [], {})
            assert not member.links.has_unsent()


def test_several_threads_may_send(town: Town) -> None:
    """What several threads send with the same links arrives once, and in the order of each thread."""
    sender, receiver = town.member("sender"), town.member("receiver")

    def send(thread: int) -> None:
        for number in range(200):
            sender.post(receiver, (thread, number), 1000)

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    town.until(lambda: receiver.take() is not None and len(receiver.taken) == 800)
    for thread in threads:
        thread.join()
    for index in range(4):
        assert [number for thread, number in receiver.taken if thread == index] == list(range(200))
    assert sorted(sender.told) == sorted(receiver.taken)


def test_one_connection_serves_both_ways(town: Town) -> None:
    """An answer goes over the connection over which the question came."""
    asking, answering = town.member("asking"), town.member("answering")
    asking.post(answering, "question")
    town.until(answering.take)
    before = len(os.listdir("/proc/self/fd"))
    answering.post(asking, "answer")
    town.until(asking.take)
    assert (answering.taken, asking.taken) == (["question"], ["answer"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_message_comes_with_its_sender(town: Town) -> None:
    """What has come is a payload, with a connection that names the address of the sender."""
    sender, receiver = town.member("sender"), town.member("receiver")
    sender.post(receiver, "message")
    town.until(lambda: receiver.links.incoming)
    item = receiver.links.next_item()
    assert item is not None and item[0] is not None
    assert item[0].address == sender.address
    assert receiver.links.next_item() is None


def test_what_a_process_has_for_itself_keeps_its_place(town: Town) -> None:
    """Items without a connection are handed out as they are, in their places."""
    sender, receiver = town.member("sender"), town.member("receiver")
    receiver.links.incoming.append((None, "first"))
    sender.post(receiver, "message")
    town.until(lambda: len(receiver.links.incoming) == 2)
    receiver.links.incoming.append((None, "last"))
    assert receiver.links.next_item() == (None, "first")
    assert receiver.take(1) == ["message"]
    assert receiver.links.next_item() == (None, "last")


@pytest.mark.parametrize(
    "where",
    ["missing", "missing/below", "file", "file/below", "dead", "x" * 108, "é" * 60],
    ids=["missing", "below a missing one", "file", "below a file", "dead", "long", "long in bytes"],
)
def test_where_nobody_listens_a_message_has_no_target(town: Town, where: str) -> None:
    """A message for a path at which nobody listens fails at once, and its sender is told why."""
    sender = town.member("sender")
    (town.path / "file").touch()
    town.member("dead").links.abandon()
    for number in range(3):
        sender.post(town.path / where, number)
    assert sender.failed == [0, 1, 2]
    assert all(status is SendStatus.DeadTarget for _, status in sender.links.fates.failed)
    assert (sender.told, sender.lost, sender.links.has_unsent()) == ([], [], False)


def test_where_the_key_is_not_known_a_message_has_no_target(town: Town, short: Path) -> None:
    """A listener in a directory without a key to be had is not talked to."""
    sender = town.member("sender")
    (short / "other").mkdir(0o700)
    listener = town.listen("other/one")
    sender.post(short / "other" / "one", "secret")
    assert sender.failed == ["secret"]
    with town.accept(listener) as accepted:
        assert accepted.recv(1000) == b""


def test_another_user_who_listens_gets_nothing(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener of another user is told nothing, not even the key."""
    sender = town.member("sender")
    listener = town.listen("other")
    monkeypatch.setattr(module, "peer_user", lambda _: os.getuid() + 1)
    sender.post(town.path / "other", "secret")
    assert sender.failed == ["secret"]
    assert sender.counts == {"refused: another user listens": 1}
    with town.accept(listener) as accepted:
        assert accepted.recv(1000) == b""


def test_a_full_queue_of_connections_is_tried_again(town: Town) -> None:
    """A process that is slow to accept connections is alive: its messages wait, and arrive."""
    sender, listener = town.member("sender"), town.listen("busy", backlog=0)
    town.knock_at("busy")
    for number in range(3):
        sender.post(town.path / "busy", number)
    for _ in range(3):
        sender.links.poll(None)
    assert sender.links.has_unsent()
    assert [message for _, message in sender.links.unsent()] == [0, 1, 2]
    assert (sender.told, sender.failed) == ([], [])
    town.accept(listener)
    town.until(lambda: sender.told == [0, 1, 2])
    accepted = town.accept(listener)
    assert _receive_exactly(accepted, INTRODUCTION_BYTES) == town.introduction(sender.path)


def test_what_waits_for_a_connection_goes_over_the_first_that_there_is(town: Town) -> None:
    """Messages for a process that can't be connected to yet go over the connection that it makes itself."""
    sender, _ = town.member("sender"), town.listen("busy", backlog=0)
    town.knock_at("busy")
    for number in range(3):
        sender.post(town.path / "busy", number)
    assert sender.told == []
    peer, _ = town.enter(sender, town.path / "busy")
    town.until(lambda: sender.told == [0, 1, 2])
    for number in range(3):
        (size,) = HEADER.unpack(_receive_exactly(peer, 4))
        assert pickle.loads(_receive_exactly(peer, size)) == number


def test_what_waits_can_be_listed(town: Town) -> None:
    """What is not written yet is listed with its address, and no longer once it is."""
    sender, receiver = town.member("sender"), town.member("receiver")
    messages = [b"." * 100_000 for _ in range(5)]
    for message in messages:
        sender.post(receiver, message)
    waiting = sender.links.unsent()
    assert sender.links.has_unsent()
    assert waiting == [(receiver.address, b"." * 100_000)] * (5 - len(sender.told))
    town.until(lambda: receiver.take() is not None and len(receiver.taken) == 5)
    assert sender.links.unsent() == [] and not sender.links.has_unsent()


def test_a_wait_ends_when_it_is_told_to(town: Town) -> None:
    """A wake-up ends the next wait, however often it was asked for, and after that the next one too."""
    member = town.member("member")
    for _ in range(3):
        for _ in range(3):
            member.links.wake()
        member.links.poll(None)


def test_a_socket_is_its_owners_alone(short: Path) -> None:
    """A listening socket can be connected to by its owner only, and a path is not taken twice."""
    path = str(short / "socket")
    with listen(path) as listener:
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert not listener.get_inheritable()
        with pytest.raises(OSError):
            listen(path)


def test_two_that_connect_at_the_same_time_both_get_through(town: Town) -> None:
    """Two processes that send to each other before either has accepted lose nothing, whichever connection ends."""
    one, two = town.member("one"), town.member("two")
    for number in range(3):
        one.post(two, number)
        two.post(one, number)
    for _ in range(3):
        town.turn()
    assert one.take() == two.take() == [0, 1, 2]
    one.links.close()
    two.post(one, 3)
    town.until(lambda: two.failed + two.lost)
    assert two.failed + two.lost == [3]
