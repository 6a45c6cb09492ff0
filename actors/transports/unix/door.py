"""The door of a process: its listening socket, and those who have come in and not introduced themselves yet.

Of another user's process not a byte is read; of a stranger of this user no more than an introduction has, and nothing
of it is unpickled. Both their number and the time that they have are bounded.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable

from . import directory
from .connection import Stranger, peer_user
from .framing import FramingError, read_introduction
from .limits import Limits
from .tally import Tally

_BACKLOG = 4096
# Connections taken at a time, so that a crowd at the door does not keep those inside waiting.
_AT_ONCE = 64
_NO_MEMBER = "no member"
_LEFT = "left without a word"
# How long nobody is let in by a process that has no descriptor left, in seconds.
_REST_S = 0.02
SHORT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})


class Door:
    """Lets members of the system in. Not thread-safe."""

    def __init__(
        self,
        path: str,
        listener: socket.socket,
        epoll: select.epoll,
        limits: Limits,
        count: Callable[[str], None],
        admit: Callable[[socket.socket, str, Tally], None],
        make_room: Callable[[], bool],
    ) -> None:
        """``admit`` gets each member's socket, address and tally; ``make_room`` closes a descriptor if it can."""
        self._path = path
        self._listener = listener
        self._fd = listener.fileno()
        self._epoll = epoll
        self._limits = limits
        self._count = count
        self._admit = admit
        self._make_room = make_room
        self._user = os.getuid()
        self._strangers: dict[int, Stranger] = {}
        self._rests_until: float | None = None
        epoll.register(self._fd, select.EPOLLIN)

    def __contains__(self, fd: int) -> bool:
        return fd == self._fd or fd in self._strangers

    def descriptors(self) -> list[int]:
        """List all that is open here."""
        return [self._fd, *self._strangers]

    def happened(self, fd: int) -> None:
        """Something can be read from a descriptor of this door."""
        stranger = self._strangers.get(fd)
        if stranger is not None:
            self._meet(stranger)
        else:
            self._accept()

    def next_deadline(self) -> float | None:
        """Return when the next stranger's time is over, or a rest, in monotonic seconds."""
        if self._rests_until is not None:
            return self._rests_until
        if not self._strangers:
            return None
        return min((stranger.deadline for stranger in list(self._strangers.values())), default=None)

    def expire(self, now: float) -> None:
        """Refuse those whose time is over, and take up work again after a rest."""
        if self._rests_until is not None and self._rests_until <= now:
            self._rests_until = None
            self._epoll.register(self._fd, select.EPOLLIN)
        if not self._strangers:
            return
        for stranger in [each for each in self._strangers.values() if each.deadline <= now]:
            self._refuse(stranger, "silent")

    def close(self) -> None:
        """Close everything."""
        self._listener.close()
        for stranger in self._strangers.values():
            stranger.close()
        self._strangers.clear()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in SHORT_OF_FILES and (self._strangers or self._make_room()):
                    if self._strangers:
                        self._refuse(next(iter(self._strangers.values())), "too many")
                    continue
                self._rest()
                return
            sock.setblocking(False)
            if peer_user(sock) != self._user:
                self._count("refused: another user")
                sock.close()
                continue
            self._receive_stranger(sock)

    def _rest(self) -> None:
        """Whoever waits outside must wait a little longer, and not keep this process from all else."""
        self._rests_until = time.monotonic() + _REST_S
        self._epoll.unregister(self._fd)

    def _receive_stranger(self, sock: socket.socket) -> None:
        if len(self._strangers) >= self._limits.strangers:
            self._refuse(next(iter(self._strangers.values())), "too many")
        stranger = Stranger(sock, time.monotonic() + self._limits.introduction_s)
        self._strangers[stranger.fd] = stranger
        self._epoll.register(stranger.fd, select.EPOLLIN)
        self._meet(stranger)

    def _meet(self, stranger: Stranger) -> None:
        try:
            if not stranger.read():
                return
            path = read_introduction(stranger.data, directory.key(os.path.dirname(self._path)) or b"")
            tally = stranger.tally()
        except BlockingIOError:
            return
        except (EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno in SHORT_OF_FILES:
                # It will come again.
                self._make_room()
                self._refuse(stranger, "no room")
            else:
                # Somebody who only looked whether anybody is there, as this transport does itself, said nothing.
                self._refuse(stranger, "half an introduction" if stranger.data else _LEFT)
        except FramingError:
            self._refuse(stranger, _NO_MEMBER)
        else:
            del self._strangers[stranger.fd]
            stranger.drop_page()
            self._admit(stranger.sock, path, tally)

    def _refuse(self, stranger: Stranger, why: str) -> None:
        self._count(why if why == _LEFT else f"refused: {why}")
        if why == _NO_MEMBER:
            with contextlib.suppress(FramingError):
                stranger.tally().refuse()
        del self._strangers[stranger.fd]
        with contextlib.suppress(OSError):
            self._epoll.unregister(stranger.fd)
        stranger.close()


def listen(path: str) -> socket.socket:
    """Make a socket at ``path`` that only its owner may connect to. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
