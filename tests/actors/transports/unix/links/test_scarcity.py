"""Short of descriptors, connections that nobody needs make room, and messages wait rather than fail."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from nyx_plugins.actors.transports.unix import retries as module

if TYPE_CHECKING:
    from .conftest import Member, Town

Leave = Callable[[int], contextlib.AbstractContextManager[None]]
CLOSED = "closed for want of descriptors"


@pytest.fixture
def leave(open_descriptors: Callable[[], set[int]]) -> Leave:
    """Return a function that leaves this process only so many descriptors."""

    @contextlib.contextmanager
    def leave(count: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.ExitStack() as end:
            end.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_descriptors()) + 1 + count, hard))
            taken: list[int] = []
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(count):
                os.close(taken.pop())
            for fd in taken:
                end.callback(os.close, fd)
            yield

    return leave


def _talk(town: Town, one: Member, other: Member) -> None:
    """Let one say something to the other, which takes it."""
    before = len(other.taken)
    one.post(other, "hello")
    town.until(lambda: other.take() is not None and len(other.taken) > before)


def test_an_idle_connection_makes_room_for_a_new_one(town: Town, leave: Leave) -> None:
    """Where no more descriptors are to be had, a connection is closed that nobody needs."""
    sender, idle, other = (town.member(name) for name in ("sender", "idle", "other"))
    _talk(town, sender, idle)
    with leave(1):
        sender.post(other, "message")
        town.until(other.take)
    assert (sender.counts.get(CLOSED), sender.failed, sender.lost) == (1, [], [])
    _talk(town, sender, idle)


def test_a_connection_that_is_needed_stays(town: Town, leave: Leave) -> None:
    """While what is under way has not been taken, its connection stays, and the new message waits for room."""
    sender, busy, other = (town.member(name) for name in ("sender", "busy", "other"))
    sender.post(busy, "under way")
    town.until(lambda: busy.links.incoming)
    with leave(0):
        sender.post(other, "message")
        for _ in range(3):
            sender.links.poll(0.0)
        assert (sender.counts, sender.failed, sender.lost) == ({}, [], [])
        assert [message for _, message in sender.links.unsent()] == ["message"]
    town.until(other.take)
    assert busy.take() == ["under way"]


def test_who_can_not_accept_does_so_later(town: Town, leave: Leave) -> None:
    """A connection that can't be accepted for want of a descriptor waits, and is accepted when there is one."""
    busy, sender, receiver = (town.member(name) for name in ("busy", "sender", "receiver"))
    busy.post(receiver, "under way")
    town.until(lambda: receiver.links.incoming)
    with leave(2):
        sender.post(receiver, "message")
        gap = os.open(os.devnull, os.O_RDONLY)
        for _ in range(3):
            receiver.links.poll(0.0)
        assert (sender.told, sender.failed, sender.lost) == (["message"], [], [])
        os.close(gap)
    town.until(lambda: receiver.take() is not None and len(receiver.taken) == 2)
    assert receiver.counts == {}


def test_a_stranger_makes_room_for_a_member(town: Town, leave: Leave) -> None:
    """Where no more descriptors are to be had, whoever has not introduced itself goes first."""
    sender, receiver = town.member("sender"), town.member("receiver")
    _talk(town, sender, receiver)
    stranger, other = town.knock(receiver), town.member("other")
    town.turn()
    with leave(2):
        other.post(receiver, "message")
        gap = os.open(os.devnull, os.O_RDONLY)
        receiver.links.poll(0.0)
        os.close(gap)
        town.until(receiver.take)
    assert receiver.counts.get("refused: too many") == 1
    assert stranger.recv(1) == b""


def test_the_last_descriptor_is_not_enough_for_a_member(
    town: Town, leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member takes two descriptors as it comes in; a connection that nobody needs makes room for the second too."""
    monkeypatch.setattr(module, "GIVE_UP_S", 0.1)
    idle, sender, receiver = (town.member(name) for name in ("idle", "sender", "receiver"))
    _talk(town, idle, receiver)
    with leave(2):
        sender.post(receiver, "message")
        town.until(lambda: receiver.take() or sender.lost or sender.failed)
    assert (receiver.taken, sender.lost, sender.failed) == (["hello", "message"], [], [])
