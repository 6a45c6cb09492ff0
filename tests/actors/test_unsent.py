"""What a worker's socket has not taken yet: bytes in order, and descriptors with them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from nyx_plugins.actors import unsent as module
from nyx_plugins.actors.unsent import Unsent


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two ends, of which the first does not block."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def pipe_end(text: bytes) -> int:
    """Return the reading end of a pipe that holds ``text``."""
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    return reading


def is_open(fd: int) -> bool:
    """Say whether this process has ``fd`` open."""
    return os.path.lexists(f"/proc/self/fd/{fd}")


def test_descriptors_travel_with_their_bytes(pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes arrive in order; each descriptor comes with the bytes that it was added with, and is closed here."""
    unsent, fd = Unsent(), pipe_end(b"content")
    unsent.add(b"before")
    unsent.add_answer(b"with", fd)
    unsent.add(b"after")
    unsent.send(pair[0])
    assert (bool(unsent), unsent.answers, is_open(fd)) == (False, 0, False)
    data, fds, _, _ = socket.recv_fds(pair[1], 10, 4)
    assert (data, len(fds)) == (b"beforewith", 1)
    assert os.read(fds[0], 10) == b"content"
    os.close(fds[0])
    assert pair[1].recv(10) == b"after"


def test_what_finds_no_room_stays(pair: tuple[socket.socket, socket.socket]) -> None:
    """A full socket raises BlockingIOError; answers count until they are gone, and everything arrives later."""
    unsent, fd = Unsent(), pipe_end(b"content")
    unsent.add(b"x" * 5_000_000)
    unsent.add_answer(b"yes", fd)
    unsent.add_answer(b"no")
    with pytest.raises(BlockingIOError):
        unsent.send(pair[0])
    assert (unsent.answers, is_open(fd)) == (2, True)
    received, fds = 0, []
    while received < 5_000_005:
        with_more, more, _, _ = socket.recv_fds(pair[1], 1 << 20, 4)
        received += len(with_more)
        fds += more
        try:
            unsent.send(pair[0])
        except BlockingIOError:
            continue
    assert (unsent.answers, is_open(fd) and fd not in fds, len(fds)) == (0, False, 1)
    os.close(fds[0])


def test_clearing_closes_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    """What is let go leaves nothing open."""
    unsent, fd = Unsent(), pipe_end(b"")
    unsent.add_answer(b"yes", fd)
    unsent.clear()
    assert (bool(unsent), unsent.answers, is_open(fd)) == (False, 0, False)


def test_where_no_more_descriptors_may_travel_the_other_answer_goes(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the kernel refuses to take a descriptor along, it is closed, and the answer says so instead."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ETOOMANYREFS, "too many references")

    monkeypatch.setattr(module.socket, "send_fds", refuse)
    unsent, fd = Unsent(), pipe_end(b"")
    unsent.add_answer(b"yes", fd, b"too many")
    unsent.add(b".")
    unsent.send(pair[0])
    assert (pair[1].recv(20), is_open(fd)) == (b"too many.", False)
