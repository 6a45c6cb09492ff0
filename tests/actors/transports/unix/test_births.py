"""Births: children that are up say so through a pipe of their parent's."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from nyx_plugins.actors.transports.unix.births import Births, announce


@pytest.fixture
def epoll() -> Iterator[select.epoll]:
    """Return what the parent waits with."""
    with select.epoll() as epoll:
        yield epoll


@pytest.fixture
def births(epoll: select.epoll) -> Iterator[Births]:
    """Return the births of one process."""
    births = Births(epoll)
    yield births
    births.close()


def test_without_children_there_is_no_pipe(births: Births) -> None:
    """No descriptor means anything before the first child, and there is nothing to close."""
    assert not any(fd in births for fd in range(-1, 100))
    births.close()


def test_children_say_their_numbers(births: Births, epoll: select.epoll) -> None:
    """The numbers come in the order in which the children came up, and the parent's wait ends for them."""
    for number in (5, 0, (1 << 32) - 1):
        announce(births.descriptor(), number)
    [(fd, _)] = epoll.poll(0)
    assert fd in births
    assert births.read() == [5, 0, (1 << 32) - 1]
    assert births.read() == []
    assert epoll.poll(0) == []


def test_many_come_in_several_readings(births: Births) -> None:
    """Of a crowd none is lost, and none is read in part."""
    for number in range(3000):
        announce(births.descriptor(), number)
    read: list[int] = []
    while more := births.read():
        read += more
    assert read == list(range(3000))


def test_a_birth_that_finds_no_room_is_an_error(births: Births) -> None:
    """A child whose parent does not read fails rather than be forgotten, and those before it are read."""
    count = 0
    with pytest.raises(BlockingIOError):
        while count < 100_000:
            announce(births.descriptor(), count)
            count += 1
    read: list[int] = []
    while more := births.read():
        read += more
    assert read == list(range(count))


def test_a_forked_child_speaks_through_its_descriptor(births: Births, epoll: select.epoll) -> None:
    """A child has a descriptor of its own, which its parent closes; its death without a word says nothing."""
    for number in (7, None):
        descriptor = births.descriptor()
        pid = os.fork()
        if pid == 0:
            try:
                births.close()
                if number is not None:
                    announce(descriptor, number)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(descriptor)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert births.read() == [7]
    assert epoll.poll(0) == []


def test_descriptors_are_not_passed_on_to_programs(births: Births) -> None:
    """A program that a child starts inherits nothing of it."""
    descriptor = births.descriptor()
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_parent_that_is_gone_does_not_matter(births: Births) -> None:
    """A child whose parent has ended goes on, and lets go of the pipe."""
    descriptor = births.descriptor()
    births.close()
    assert not announce(descriptor, 1)
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_closing_ends_it_once(births: Births, epoll: select.epoll) -> None:
    """Nothing is left after the end, which may come twice."""
    os.close(births.descriptor())
    births.close()
    births.close()
    assert epoll.poll(0) == []
