"""Descriptors that an actor wants to be told of, whatever they are."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Iterable


class Watches:
    """Each is reported once, and again after :meth:`set` or :meth:`again`. Not thread-safe.

    What was reported is nearly always looked at before there is another wait, and stays armed; what is not, is muted.
    """

    def __init__(self, epoll: select.epoll, is_ours: Callable[[int], bool]) -> None:
        """``is_ours`` says of a number whether it is the transport's own: an actor may name one that it has closed."""
        self._epoll = epoll
        self._is_ours = is_ours
        self._fds: set[int] = set()
        self._told: set[int] = set()
        self._muted: set[int] = set()

    def __contains__(self, fd: int) -> bool:
        return fd in self._fds

    def happened(self, fd: int) -> bool:
        """One of these can be read; returns whether that is news."""
        if fd not in self._told:
            self._told.add(fd)
            return True
        self._muted.add(fd)
        with contextlib.suppress(OSError):
            self._epoll.modify(fd, 0)
        return False

    def again(self) -> None:
        """Report the same again, which are still open."""
        self._told.clear()
        if self._muted:
            self.set(self._fds)

    def set(self, fds: Iterable[int]) -> None:
        """Watch these and no others; those that can't be watched are left out."""
        wanted = set(fds)
        for fd in self._fds - wanted:
            if not self._is_ours(fd):
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
        self._told.clear()
        self._muted.clear()
        self._fds = {fd for fd in wanted if self._arm(fd)}

    def _arm(self, fd: int) -> bool:
        """Watch for input. The descriptor may be another than that of this number before."""
        if self._is_ours(fd):
            return False
        try:
            try:
                self._epoll.modify(fd, select.EPOLLIN)
            except FileNotFoundError:
                self._epoll.register(fd, select.EPOLLIN)
        except (OSError, ValueError, OverflowError):
            return False
        return True
