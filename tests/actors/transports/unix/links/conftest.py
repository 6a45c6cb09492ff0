"""For tests of links: several in one process, in one directory with one key, each polled in turn."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thespian.system.transport import TransmitIntent

from nyx_plugins.actors.transports.unix import directory
from nyx_plugins.actors.transports.unix.address import address
from nyx_plugins.actors.transports.unix.framing import introduce
from nyx_plugins.actors.transports.unix.limits import Limits
from nyx_plugins.actors.transports.unix.links import Links
from nyx_plugins.actors.transports.unix.tally import CONNECTED, Tally, create

# How long anything may take that has to happen.
_PATIENCE_S = 30.0


class Member:
    """One process's links, as far as its owner sees them."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.address = address(str(path))
        self.links = Links(str(path), limits)
        self.taken: list[Any] = []

    def post(self, other: Member | Path, message: Any, more: int = 0) -> None:
        """Send a message, with so many bytes behind it that nobody reads."""
        target = other.address if isinstance(other, Member) else address(str(other))
        intent = TransmitIntent(target, message)
        if self.links.post(target, intent, pickle.dumps(message) + bytes(more)):
            self.links.fates.written.append(intent)

    def take(self, most: int = 1 << 30) -> list[Any]:
        """Take messages that have come; they are remembered too."""
        took = []
        while len(took) < most and (item := self.links.next_item()) is not None:
            took.append(pickle.loads(item[1]))
        self.taken += took
        return took

    @property
    def told(self) -> list[Any]:
        """The messages of which the sender was told that they were sent."""
        return [intent.message for intent in self.links.fates.written]

    @property
    def failed(self) -> list[Any]:
        """The messages of which the sender was told that they were not sent."""
        return [intent.message for intent, _ in self.links.fates.failed]

    @property
    def lost(self) -> list[Any]:
        """The messages that were sent and never taken."""
        return [message for _, message in self.links.fates.lost]

    @property
    def counts(self) -> dict[str, int]:
        """How often what was refused."""
        return self.links.counts


class Town:
    """The members of one system, and strangers at their doors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = directory.make_key(str(path))
        self.members: list[Member] = []
        self._open = contextlib.ExitStack()

    def member(self, name: str, **limits: Any) -> Member:
        """Let one more process take part."""
        member = Member(self.path / name, Limits(**limits))
        self.members.append(member)
        self._open.callback(member.links.close)
        return member

    def turn(self, wait_s: float = 0.0) -> None:
        """Let everyone do what there is to do, in turn; who is closed has nothing to do."""
        for member in self.members:
            member.links.poll(wait_s)

    def until(self, condition: Callable[[], object]) -> None:
        """Let everyone go on until something has happened."""
        deadline = time.monotonic() + _PATIENCE_S
        turns = 0
        while not condition():
            assert time.monotonic() < deadline, "it does not happen"
            self.turn(0.0 if turns < 10 else 0.001)
            turns += 1

    def listen(self, name: str, backlog: int = 10) -> socket.socket:
        """Listen at a path without taking part."""
        listener = self._open.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(self.path / name))
        listener.listen(backlog)
        return listener

    def accept(self, listener: socket.socket) -> socket.socket:
        """Accept a connection without taking part."""
        return self._open.enter_context(listener.accept()[0])

    def knock(self, member: Member) -> socket.socket:
        """Connect to a member as a stranger."""
        return self.knock_at(member.path.name)

    def knock_at(self, name: str) -> socket.socket:
        """Connect to whoever listens there."""
        stranger = self._open.enter_context(socket.socket(socket.AF_UNIX))
        stranger.connect(str(self.path / name))
        return stranger

    def introduction(self, path: Path | str, key: bytes | None = None) -> bytes:
        """Return what a member shows that listens at this path."""
        return introduce(self.key if key is None else key, str(path))

    def enter(self, member: Member, path: Path | str, key: bytes | None = None) -> tuple[socket.socket, Tally]:
        """Connect to a member as somebody who knows how."""
        peer, page = self.knock(member), create()
        tally = Tally(page, CONNECTED)
        socket.send_fds(peer, [self.introduction(path, key)], [page])
        os.close(page)
        return peer, tally

    def close(self) -> None:
        """Close everything."""
        self._open.close()


class Talk:
    """Two members, one of which is going to end; what the other one sends is numbered."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.sender, self.receiver = town.member("sender"), town.member("receiver")
        self.sent: list[int] = []
        self.answers = 0

    def send(self, size: int = 0) -> None:
        """Send the next message."""
        self.sent.append(len(self.sent))
        self.sender.post(self.receiver, self.sent[-1], size)

    def step(self, what: str, number: int) -> None:
        """Take one step."""
        if what == "send":
            self.send(number)
        elif what == "answer":
            self.receiver.post(self.sender, self.answers, number)
            self.answers += 1
        elif what == "take":
            self.receiver.take(number)
        else:
            (self.sender if what == "poll sender" else self.receiver).links.poll(0.0)

    def end(self) -> None:
        """Let the receiver end; everything that it has written is still to come."""
        self.receiver.links.close()

    def succeed(self) -> Member:
        """Let the receiver end, and another one begin at the same path."""
        self.end()
        return self.town.member("receiver")

    def outcome(self, *more: Any) -> list[Any]:
        """List what became of each message: first what was taken, then what was lost, then what failed."""
        return [*self.receiver.taken, *more, *self.sender.lost, *self.sender.failed]


@pytest.fixture(scope="session")
def new_town(
    new_directory: Callable[[], contextlib.AbstractContextManager[Path]],
) -> Callable[[], contextlib.AbstractContextManager[Town]]:
    """Return a maker of towns, for tests that need many."""

    @contextlib.contextmanager
    def make() -> Iterator[Town]:
        with new_directory() as path, contextlib.closing(Town(path)) as town:
            yield town

    return make


@pytest.fixture
def town(short: Path) -> Iterator[Town]:
    """Return a directory for one system, in which nobody is yet."""
    with contextlib.closing(Town(short)) as town:
        yield town


@pytest.fixture(scope="session")
def new_talk(
    new_town: Callable[[], contextlib.AbstractContextManager[Town]],
) -> Callable[[], contextlib.AbstractContextManager[Talk]]:
    """Return a maker of pairs of members, for tests that need many."""

    @contextlib.contextmanager
    def make() -> Iterator[Talk]:
        with new_town() as town:
            yield Talk(town)

    return make


@pytest.fixture
def talk(town: Town) -> Talk:
    """Return two members that have not talked yet."""
    return Talk(town)
