"""How a process connects to another one of its user, and introduces itself."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from . import directory
from .connection import Connection, peer_user
from .framing import introduce
from .limits import Limits
from .tally import CONNECTED, Tally, create

# What connecting ends with where there is nobody, or somebody who is none of us. All else may pass.
GONE = frozenset(
    # No number: Python itself refuses a path that is too long.
    {None, errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EPROTOTYPE}
)


class Dialer:
    """Of the process that listens at ``path``; ``count`` is told of whom it has refused."""

    def __init__(self, path: str, limits: Limits, count: Callable[[str], None]) -> None:
        self._path = path
        self._limits = limits
        self._count = count
        self._user = os.getuid()

    def dial(self, path: str, address: Any) -> Connection:
        """Connect. Raises BlockingIOError where the other has no time now, and OSError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(path)
            tally = self._introduce(sock, path)
        except BaseException:
            sock.close()
            raise
        return Connection(sock, address, tally, self._limits.message_bytes)

    def _introduce(self, sock: socket.socket, path: str) -> Tally:
        if peer_user(sock) != self._user:
            self._count("refused: another user listens")
            raise PermissionError(errno.EACCES, "another user listens there")
        key = directory.key(os.path.dirname(path))
        if key is None:
            raise PermissionError(errno.EACCES, "the key of that system is not known")
        page = create()
        try:
            tally = Tally(page, CONNECTED)
            socket.send_fds(sock, [introduce(key, self._path)], [page])
        finally:
            os.close(page)
        return tally
