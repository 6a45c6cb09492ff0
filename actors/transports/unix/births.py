"""How forked processes tell their parent that they are up: a number each, through a pipe that they inherit.

A message would do, but for a connection and a page of its own that a process which is hardly there would have to make.
"""

from __future__ import annotations

import os
import select
import struct

_NUMBER = struct.Struct("=I")
_AT_ONCE = 1024


class Births:
    """The pipe of one process for all its children. Not thread-safe."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._ends: tuple[int, int] | None = None

    def __contains__(self, fd: int) -> bool:
        return self._ends is not None and fd == self._ends[0]

    def descriptor(self) -> int:
        """Return a descriptor for the next child's :func:`announce`; its parent closes it after the fork."""
        if self._ends is None:
            self._ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._epoll.register(self._ends[0], select.EPOLLIN)
        return os.dup(self._ends[1])

    def read(self) -> list[int]:
        """Return the numbers of the children that have come up."""
        assert self._ends is not None
        try:
            data = os.read(self._ends[0], _AT_ONCE * _NUMBER.size)
        except BlockingIOError:
            return []
        return [number for (number,) in _NUMBER.iter_unpack(data)]

    def close(self) -> None:
        """Close the pipe. Idempotent."""
        if self._ends is not None:
            os.close(self._ends[0])
            os.close(self._ends[1])
            self._ends = None


def announce(descriptor: int, number: int) -> bool:
    """Say in a child that it is up, and let go of the pipe; false if its parent is gone."""
    try:
        return os.write(descriptor, _NUMBER.pack(number)) > 0
    except BrokenPipeError:
        return False
    finally:
        os.close(descriptor)
