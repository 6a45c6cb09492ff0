"""Descriptors that an actor wants to be told of, whatever they are."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Iterable


class Watches:
    """Each is reported once, and again after :meth:`set` has named it again. Not thread-safe."""

    def __init__(self, epoll: select.epoll, is_ours: Callable[[int], bool]) -> None:
        """``is_ours`` says of a number whether it is the transport's own: an actor may name one that it has closed."""
        self._epoll = epoll
        self._is_ours = is_ours
        self._fds: set[int] = set()

    def __contains__(self, fd: int) -> bool:
        return fd in self._fds

    def set(self, fds: Iterable[int]) -> None:
        """Watch these and no others; those that can't be watched are left out."""
        wanted = set(fds)
        for fd in self._fds - wanted:
            if not self._is_ours(fd):
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
        self._fds = {fd for fd in wanted if self._arm(fd)}

    def _arm(self, fd: int) -> bool:
        """Watch for one event. The descriptor may be another than that of this number before."""
        if self._is_ours(fd):
            return False
        events = select.EPOLLIN | select.EPOLLONESHOT
        try:
            try:
                self._epoll.modify(fd, events)
            except FileNotFoundError:
                self._epoll.register(fd, events)
        except (OSError, ValueError, OverflowError):
            return False
        return True
