"""The open connections of one process, as its epoll descriptor watches them."""

from __future__ import annotations

import contextlib
import select

from .connection import Connection


class Connections:
    """By descriptor; while they are paused, nothing is read of any. Not thread-safe."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self.by_fd: dict[int, Connection] = {}
        self.is_paused = False

    def is_open(self, connection: Connection) -> bool:
        """Whether it is still this one: a new connection may have got the same descriptor."""
        return self.by_fd.get(connection.fd) is connection

    def adopt(self, connection: Connection) -> None:
        """Watch it from now on."""
        self.by_fd[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLET if self.is_paused else select.EPOLLIN)

    def watch(self, connection: Connection) -> None:
        """Watch it for what it needs now."""
        # While nothing is read, an end is to be reported once and not again and again.
        events = select.EPOLLET if self.is_paused else select.EPOLLIN
        if connection.waits_for_room:
            events |= select.EPOLLOUT
        self._epoll.modify(connection.fd, events)

    def pause(self, pause: bool) -> None:
        """Read nothing more, or go on: what has come must be handed out first."""
        self.is_paused = pause
        for connection in self.by_fd.values():
            self.watch(connection)

    def release(self, connection: Connection) -> None:
        """Close it, if it is open."""
        if self.is_open(connection):
            del self.by_fd[connection.fd]
            # Not left to close(): a process that is just being forked may have a copy of the descriptor.
            with contextlib.suppress(OSError):
                self._epoll.unregister(connection.fd)
            connection.close()

    def close(self) -> None:
        """Close all."""
        for connection in self.by_fd.values():
            connection.close()
        self.by_fd.clear()
